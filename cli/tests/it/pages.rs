//! Pages of one thing for people: what needs work is on them, and they fit the terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::pty;
use crate::support::{TestEnv, finish, text};

const PR: &str = "octo/hello#7";

/// A pull request with two failed checks, an unresolved and a resolved thread, and reviews.
fn reviewed() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "-p", "demo", "--branch", "fix-1", "--name", "Fix the parser"]);
    let log = (1..=30).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    let check = |name: &str, status: &str, id: &str| {
        json!({"head_sha": "a", "kind": "run", "workflow": "CI", "name": name, "status": status,
            "external_id": id, "url": format!("https://ci.example/{id}")})
    };
    let mut build = check("build", "failed", "1");
    build["log_tail"] = format!("{log}\n\u{1b}[31mboom").into();
    let body = "Please rename the variable. ".repeat(40);
    let document = json!({
        "pr": PR, "session": "demo-1",
        "facts": {"title": "漢字 and a title ".repeat(10), "state": "open", "author": "alice",
            "head_ref": "fix-1", "base_ref": "main", "head_sha": "a",
            "review_decision": "changes_requested"},
        "checks": [build, check("lint", "failed", "2"), check("docs", "passed", "3")],
        "threads": [
            {"id": "T1", "path": "src/main.rs", "line": 12, "is_resolved": false, "comments_total": 2},
            {"id": "T2", "path": "src/lib.rs", "is_resolved": true}],
        "comments": [
            {"id": "C1", "kind": "review", "thread_id": "T1", "author": "bob", "body": body,
                "created_at": "2026-11-01T10:00:00Z"},
            {"id": "C2", "kind": "review", "thread_id": "T1", "author": "alice", "body": "Done.",
                "created_at": "2026-11-01T11:00:00Z"},
            {"id": "C3", "kind": "review", "thread_id": "T2", "author": "bob", "body": "secret"}],
        "reviews": [{"id": "R1", "author": "bob", "state": "changes_requested", "body": "Nearly."}],
    });
    env.ok(&["observe", "apply", &env.file("document.json", document.to_string())]);
    env
}

/// The lines that are wider than the terminal, without addresses, which are never broken.
fn too_wide(shown: &str, columns: usize) -> Vec<String> {
    let plain = anstream::adapter::strip_str(shown).to_string();
    let lines = plain.lines().filter(|line| !line.contains("https://"));
    lines.filter(|line| line.width() > columns).map(str::to_owned).collect()
}

#[test]
fn the_page_of_a_pull_request_shows_what_needs_work() {
    let env = reviewed();
    let shown = env.ok(&["pr", "get", PR]);
    for part in [
        "open · CI failing · review changes requested",
        "fix-1 → main",
        "confirmed ",
        "Checks: 2 failed, 1 passed",
        "✗ CI / build\n    https://ci.example/1\n",
        "│ line 30\n    │ \u{fffd}[31mboom\n",
        "more of the logs: `ao-store pr log 'octo/hello#7'`",
        "Threads: 1 unresolved, 1 resolved",
        "src/main.rs:12",
        "Done.",
        "bob · changes requested",
        "Nearly.",
    ] {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }
    assert!(!shown.contains("secret") && !shown.contains("line 12\n"), "{shown}");
    assert!(shown.contains(Path::new("https://github.com/octo/hello/pull/7").to_str().unwrap()));
    for columns in [40, 60, 80, 200] {
        for args in [&["pr", "get", PR][..], &["session", "get", "demo-1"]] {
            let shown = pty::run(&env, args, &[], columns);
            assert_eq!(too_wide(&shown, usize::from(columns)), [""; 0], "{args:?}: {shown}");
            assert!(shown.contains("\u{1b}[31mCI failing\u{1b}[0m"), "{shown}");
        }
    }
    let narrow = pty::run(&env, &["pr", "get", PR], &[], 60);
    assert!(narrow.contains("more lines; all: --json"), "{narrow}");
    let all = env.ok(&["pr", "get", PR, "-v"]);
    assert!(all.contains("base_ref            main\n") && all.contains("checks_state"), "{all}");
}

#[test]
fn a_page_as_of_a_cursor_shows_what_was_then() {
    let env = reviewed();
    let before = env.head();
    let resolved = json!({"pr": PR, "session": "demo-1", "threads": [
        {"id": "T1", "path": "src/main.rs", "is_resolved": true}, {"id": "T2", "is_resolved": true}]});
    env.ok(&["observe", "apply", &env.file("resolved.json", resolved.to_string())]);
    assert!(env.ok(&["pr", "get", PR]).contains("Threads: 0 unresolved, 2 resolved"));
    let then = env.ok(&["pr", "get", PR, "--at", &before]);
    assert!(
        then.contains("Threads: 1 unresolved, 1 resolved") && !then.contains("facts"),
        "{then}"
    );
}

#[test]
fn the_page_of_a_session_shows_its_pull_requests() {
    let env = reviewed();
    let shown = env.ok(&["session", "get", "demo-1"]);
    for part in
        ["Fix the parser  demo-1\nci failed · worker\n", "Pull requests: 1", PR, "CI failing"]
    {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }
    for part in [
        "Needs attention\n  ci failing · octo/hello#7",
        "Latest changes\n  ",
        "octo/hello#7 · 3 times",
    ] {
        assert!(shown.contains(part), "{part:?} is missing: {shown}");
    }
    let then = env.ok(&["session", "get", "demo-1", "--at", &env.head()]);
    assert!(!then.contains("Needs attention") && then.contains("Pull requests: 1"), "{then}");
    let all = env.ok(&["session", "get", "demo-1", "-v"]);
    assert!(all.contains("is_seed             false\n"), "{all}");
}

#[test]
fn inside_a_repository_a_number_names_a_pull_request() {
    let env = reviewed();
    let inside = |folder: &Path, args: &[&str]| finish(env.command(args).current_dir(folder), b"");
    let demo = env.path("demo");
    fs::create_dir(demo.join("src")).unwrap();
    for number in ["7", "#7"] {
        let shown = inside(&demo.join("src"), &["pr", "get", number, "--json"]);
        assert!(shown.stdout.contains("\"id\":\"github.com/octo/hello#7\""), "{}", shown.stderr);
    }
    let history = inside(&demo, &["history", "check", "#7", "absent"]);
    assert!(history.stderr.contains("no change of check #7 absent"), "{}", history.stderr);
    let open = inside(&demo, &["pr", "open", "7", "--print"]);
    assert_eq!(open.stdout, "https://github.com/octo/hello/pull/7\n");
    assert_eq!(inside(&demo, &["pr", "get", "8"]).code, 3);
    let claim = inside(&demo, &["pr", "claim", "demo-1", "9", "--no-verify"]);
    assert_eq!(claim.code, 0, "{}", claim.stderr);
    let stderr = env.refused(&["pr", "get", "7"], 2, "USAGE");
    assert!(stderr.contains("this directory is in none; or write OWNER/REPO#7"), "{stderr}");
    let other = env.repo("other", "");
    let stderr = inside(&other, &["pr", "get", "7"]).stderr;
    assert!(stderr.contains("is not registered, which `ao-store project add .` does"), "{stderr}");
    env.ok(&["project", "add", text(&other)]);
    assert!(inside(&other, &["pr", "log", "7"]).stderr.contains("has no remote repository"));
    for huge in ["99999999999999999999", "0", "#"] {
        assert_eq!(inside(&demo, &["pr", "get", huge]).code, 2, "{huge}");
    }
}

#[test]
fn the_stored_logs_of_failed_checks_are_printed() {
    let env = reviewed();
    let both = env.run(&["pr", "log", PR]);
    assert!(both.stdout.starts_with("==> CI / build <==\nline 1\n"), "{}", both.stdout);
    assert!(both.stdout.ends_with("line 30\n\u{fffd}[31mboom\n"), "{}", both.stdout);
    assert_eq!(both.stderr, "CI / lint: its log is not stored; see https://ci.example/2\n");
    assert!(env.ok(&["pr", "log", PR, "buil"]).starts_with("line 1\n"));
    let passed = env.run(&["pr", "log", PR, "docs"]);
    assert!(passed.stderr.contains("only logs of failed checks are stored"), "{}", passed.stderr);
    let stderr = env.refused(&["pr", "log", PR, "lnit"], 2, "USAGE");
    assert!(stderr.contains("did you mean \"lint\"?"), "{stderr}");
    let logs = env.json("pr.log", &["pr", "log", PR]);
    assert_eq!(logs["checks"].as_array().unwrap().len(), 2, "{logs}");
    assert_eq!(logs["checks"][1]["log_tail"], json!(null));
}

#[test]
fn the_page_of_the_host_is_opened_without_a_shell() {
    let env = reviewed();
    let bin = env.path("bin");
    fs::create_dir(&bin).unwrap();
    let (log, browser) = (env.path("opened"), bin.join("browse"));
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n", log.display());
    fs::write(&browser, script).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let open = |browser: &str, more: &[&str]| {
        let args = [&["pr", "open", PR], more].concat();
        finish(env.command(&args).env("PATH", &path).env("BROWSER", browser), b"")
    };
    let url = "https://github.com/octo/hello/pull/7";
    let opened = open("browse --new; touch x", &[]);
    assert_eq!((opened.code, opened.stdout.as_str()), (0, ""), "{}", opened.stderr);
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("--new;\ntouch\nx\n{url}\n"));
    assert_eq!(opened.stderr, format!("opened {url} with browse\n"));
    open("missing:browse --url=%s", &[]);
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("--url={url}\n"));
    fs::remove_file(&log).unwrap();
    fs::copy(&browser, bin.join("xdg-open")).unwrap();
    assert_eq!(open("", &[]).stderr, format!("opened {url} with xdg-open\n"), "as if unset");
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("{url}\n"));
    let none = open("missing", &[]);
    assert_eq!((none.code, none.stdout), (0, format!("{url}\n")), "{}", none.stderr);
    assert_eq!(none.stderr, "cannot start missing: missing is not on PATH\n");
    fs::remove_file(&log).unwrap();
    assert_eq!(open("browse", &["--print"]).stdout, format!("{url}\n"));
    assert!(!log.exists());
    let data = env.json("pr.open", &["pr", "open", PR, "--print"]);
    assert_eq!(data, json!({"url": url, "opened_with": null}));
    if env.sqlite("UPDATE pr SET url = 'file:///etc/passwd'").is_some() {
        assert!(open("browse", &[]).stderr.contains("is no http or https address"));
        assert!(!log.exists());
    }
}
