//! The stream for people: one line per transaction and thing, short ids, local time, what matters
//! first, and never wider than the terminal; `-v` shows everything.

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::pty;
use crate::support::{TestEnv, finish, parsed};

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
const TITLE: &str = "Accept 漢字 and 🎉 in every identifier of the configuration file, and say so";

/// A pull request that was opened and then failed, and another one.
fn world() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "fix-1"]);
    let check = |name: &str, status: &str| json!({"head_sha": SHA, "kind": "run", "name": name, "status": status});
    let facts = |ci: &str, review: &str, additions: u32| {
        json!({"title": TITLE, "state": "open", "ci": ci, "review_decision": review,
            "head_sha": SHA, "additions": additions})
    };
    let opened = json!({"pr": "octo/hello#7", "session": "demo-1",
        "facts": facts("pending", "none", 1),
        "checks": [check("build", "in_progress"), check("lint", "queued")]});
    let failed = json!({"pr": "octo/hello#7", "session": "demo-1",
        "facts": facts("failing", "changes_requested", 9),
        "checks": [check("build", "failed"), check("lint", "passed"), check("test", "failed")],
        "threads": [{"id": "T1", "path": "src/a.rs", "line": 3, "is_resolved": false}]});
    let other = json!({"pr": "octo/hello#8", "session": "demo-1"});
    for document in [opened, failed, other] {
        let output = env.feed(&["observe", "apply", "-"], document.to_string());
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    env
}

fn pretty(env: &TestEnv, args: &[&str]) -> String {
    env.ok(&[&["tail", "--no-follow", "--format", "pretty"], args].concat())
}

/// The text after the time, the owner and the subject.
fn of<'a>(shown: &'a str, line: usize, subject: &str) -> &'a str {
    let line = shown.lines().nth(line).unwrap();
    line.split_once(subject).unwrap_or_else(|| panic!("{subject}: {shown}")).1.trim()
}

#[test]
fn a_transaction_is_one_line_with_what_matters_first() {
    let env = world();
    let shown = pretty(&env, &["--from", "1-2"]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(
        of(&shown, 0, "demo-1  octo/hello#7 ")
            .starts_with("created  open  ci pending  Accept 漢字"),
        "{shown}"
    );
    assert!(of(&shown, 0, "octo/hello#7").ends_with("  +2 checks"), "{shown}");
    assert_eq!(
        of(&shown, 1, "octo/hello#7"),
        "ci pending → failing  review none → changes_requested  merge unknown → blocked  \
         additions 1 → 9  +1 check  ~2 checks  2 failed  +1 thread"
    );
    assert_eq!(of(&shown, 2, "demo-1  octo/hello#8"), "created");
    for hidden in [SHA, "github.com/octo", "T1", "updated_at"] {
        assert!(!shown.contains(hidden), "{hidden}: {shown}");
    }
    let millis = |word: &str| word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit());
    assert!(!shown.split_whitespace().any(millis), "{shown}");
}

#[test]
fn one_item_is_told_in_words() {
    let env = world();
    let merge = |facet: &str, items: serde_json::Value| {
        let mut document = json!({"pr": "octo/hello#7", "session": "demo-1", "mode": "merge"});
        document[facet] = items;
        let output = env.feed(&["observe", "apply", "-"], document.to_string());
        assert_eq!(output.code, 0, "{}", output.stderr);
        let shown = pretty(&env, &["-n", "1"]);
        of(&shown, 0, "octo/hello#7").to_owned()
    };
    let thread = json!([{"id": "T1", "path": "src/a.rs", "line": 3, "is_resolved": true}]);
    assert_eq!(merge("threads", thread), "thread src/a.rs:3  resolved");
    let review = json!([{"id": "R1", "author": "bob", "state": "approved", "body": "fine"}]);
    assert_eq!(merge("reviews", review), "review by bob approved");
    let comment = json!([{"id": "C1", "kind": "issue", "author": "al", "body": "Why\n  not?"}]);
    assert_eq!(merge("comments", comment), "comment by al: Why not?");
    let check = json!([{"head_sha": SHA, "kind": "run", "workflow": "CI", "name": "test",
        "status": "passed"}]);
    assert_eq!(merge("checks", check), "check CI / test passed");
}

#[test]
fn an_end_says_its_word_once() {
    let env = world();
    let merged = json!({"pr": "octo/hello#7", "session": "demo-1",
        "facts": {"title": TITLE, "state": "merged", "ci": "failing", "additions": 9,
            "head_sha": SHA, "review_decision": "changes_requested"}});
    assert_eq!(env.feed(&["observe", "apply", "-"], merged.to_string()).code, 0);
    env.ok(&["session", "rename", "demo-1", "A name"]);
    let shown = pretty(&env, &["-n", "2"]);
    assert_eq!(of(&shown, 0, "octo/hello#7"), "merged", "{shown}");
    assert_eq!(of(&shown, 1, "demo-1  session"), "name none → A name", "{shown}");
}

#[test]
fn times_are_local_and_a_day_is_named_when_it_changes() {
    let env = world();
    let shown = |zone: &str| {
        let args = ["tail", "-n", "1", "--no-follow", "--format", "pretty"];
        finish(env.command(&args).env("TZ", zone), b"").stdout
    };
    let at = parsed(&env.ok(&["tail", "-n", "1", "--no-follow"]))[0]["at"].clone();
    let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
    for hours in [-11, 0, 13] {
        let there = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(hours)));
        let clock = there.strftime("%H:%M:%S").to_string();
        let zone = format!("AAA{}", -hours);
        assert!(shown(&zone).contains(&format!("{clock}  ")), "{zone}: {}", shown(&zone));
    }
    // Another day than today has a heading.
    if env.sqlite("UPDATE change_log SET at = at - 172800000;").is_some() {
        let shown = shown("UTC");
        let heading = (at - jiff::SignedDuration::from_hours(48)).strftime("%Y-%m-%d").to_string();
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(shown.lines().next().unwrap().ends_with(&heading), "{shown}");
    }
}

#[test]
fn a_line_is_never_wider_than_the_terminal() {
    let env = world();
    for width in [20, 40, 60, 80, 200] {
        let variables = [("NO_COLOR", "1")];
        let args = ["tail", "--no-follow", "--from", "beginning"];
        let shown = pty::run(&env, &args, &variables, width);
        assert_eq!(shown.lines().count(), 5, "{width}: {shown}");
        for line in shown.lines() {
            assert!(line.width() <= usize::from(width), "{width}: {line}");
        }
    }
    let wide = pty::run(&env, &["tail", "--no-follow"], &[("NO_COLOR", "1")], 200);
    assert!(wide.contains("+1 thread") && !wide.contains('\u{1b}'), "{wide}");
    let coloured = pty::run(&env, &["tail", "--no-follow", "--color", "always"], &[], 200);
    assert!(coloured.contains("\u{1b}[31mfailing"), "{coloured:?}");
}

#[test]
fn verbose_shows_every_change_with_every_field() {
    let env = world();
    let shown = pretty(&env, &["-v", "--from", "beginning"]);
    let headings = shown.lines().filter(|line| line.starts_with("1-")).count();
    assert_eq!(headings, env.changes().len(), "{shown}");
    for part in [
        "pr_updated  demo-1  github.com/octo/hello#7  by cli",
        "    ci                   pending → failing",
        "    head_sha             0123456789abcdef0123456789abcdef01234567",
        "    updated_at           20",
        "    review_decision      none → changes_requested",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn changes_of_another_program_are_lines_too() {
    let env = world();
    let sql = "UPDATE session SET name = 'by hand'; UPDATE session SET name = 'again';";
    if env.sqlite(sql).is_some() {
        let shown = pretty(&env, &["-n", "2"]);
        assert_eq!(of(&shown, 0, "demo-1  session"), "name none → by hand");
        assert_eq!(of(&shown, 1, "demo-1  session"), "name by hand → again");
    }
}
