//! Projects are registered from any git work tree under an id that can stand anywhere, once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Output, TestEnv, finish, text};

fn add(env: &TestEnv, args: &[&str]) -> Value {
    env.json("project.add", &[&["project", "add"], args].concat())
}

#[test]
fn a_project_is_registered_listed_shown_and_archived() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "git@github.com:Octo/Hello.git");
    let added = add(&env, &["demo", "--name", "The demo"]);
    assert_eq!(added["id"], "demo");
    assert_eq!(added["name"], "The demo");
    assert_eq!(added["path"], text(&repo));
    assert_eq!((&added["host"], &added["repo"]), (&json!("github.com"), &json!("Octo/Hello")));
    assert_eq!((&added["default_branch"], &added["archived_at"]), (&json!(""), &Value::Null));
    assert_eq!(env.json("project.get", &["project", "get", "demo"]), added);
    assert_eq!(env.json("project.list", &["project", "ls"]), json!([added]));
    assert_eq!(env.json("project.list", &["project", "list"]), json!([added]), "the alias");
    assert!(env.ok(&["project", "ls"]).contains("Octo/Hello"));
    assert!(env.ok(&["project", "get", "demo"]).contains("The demo"));
    let gone = env.json("project.rm", &["project", "rm", "demo", "--yes"]);
    assert!(gone["archived_at"].is_string());
    assert_eq!(env.json("project.list", &["project", "ls"]), json!([]));
    assert_eq!(env.json("project.list", &["project", "ls", "--all"]), json!([gone]));
    assert!(env.ok(&["project", "ls", "-a"]).contains("archived"));
    env.refused(&["project", "rm", "demo", "--yes"], 5, "PROJECT_ARCHIVED");
    env.refused(&["project", "rm", "nobody", "--yes"], 3, "PROJECT_NOT_FOUND");
    assert_eq!(env.types(), ["project_created", "project_archived"]);
}

#[test]
fn the_id_alone_is_data_and_the_rest_is_for_people() {
    let env = TestEnv::new();
    env.repo("demo", "");
    let output = env.run(&["project", "add", "demo"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "demo\n"));
    assert!(output.stderr.contains("no remote repository"), "{}", output.stderr);
}

#[test]
fn an_archived_project_is_restored_by_registering_it_again() {
    let env = TestEnv::with_demo();
    env.ok(&["project", "rm", "demo", "--yes"]);
    assert_eq!(add(&env, &["demo"])["archived_at"], Value::Null);
    assert_eq!(env.types(), ["project_created", "project_archived", "project_restored"]);
    env.ok(&["project", "rm", "demo", "--yes"]);
    let other = env.repo("elsewhere/demo", "");
    env.refused(&["project", "add", text(&other), "--id", "demo"], 5, "ID_ALREADY_REGISTERED");
}

#[test]
fn a_path_is_canonical_and_a_subdirectory_means_its_root() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "");
    fs::create_dir_all(repo.join("a/b")).unwrap();
    std::os::unix::fs::symlink(&repo, env.path("link")).unwrap();
    let mut ids = Vec::new();
    for path in ["demo/a/b", "link", "link/a/../a", "./demo/"] {
        let added = add(&env, &[path, "--id", "demo"]);
        assert_eq!(added["path"], text(&repo), "{path}");
        env.refused(&["project", "add", path, "--id", "twice"], 5, "PATH_ALREADY_REGISTERED");
        ids.push(added["id"].clone());
        env.ok(&["project", "rm", "demo", "--yes"]);
    }
    assert!(ids.iter().all(|id| id == "demo"));
}

#[test]
fn neither_id_nor_path_is_registered_twice() {
    let env = TestEnv::with_demo();
    let other = env.repo("other", "");
    let head = env.head();
    env.refused(&["project", "add", "demo"], 5, "PATH_ALREADY_REGISTERED");
    env.refused(&["project", "add", "demo", "--id", "again"], 5, "PATH_ALREADY_REGISTERED");
    env.refused(&["project", "add", text(&other), "--id", "demo"], 5, "ID_ALREADY_REGISTERED");
    assert_eq!(env.head(), head, "nothing was written");
}

#[test]
fn directories_of_one_name_get_ids_of_their_own() {
    let env = TestEnv::new();
    for (dir, id) in [("a/app", "app"), ("b/app", "app-2"), ("c/app", "app-3")] {
        let repo = env.repo(dir, "");
        assert_eq!(add(&env, &[text(&repo)])["id"], id);
    }
}

#[test]
fn a_hostile_directory_name_becomes_a_harmless_id() {
    let env = TestEnv::new();
    for (name, id) in [
        ("-rf", "rf"),
        ("#(touch x)", "touch-x"),
        ("$(touch x)", "touch-x-2"),
        ("my app; rm x", "my-app--rm-x"),
        (".hidden", "hidden"),
        ("a..b.lock", "a.b"),
        ("日本", "project"),
        ("two\nlines", "two-lines"),
        ("end\n", "end"),
        ("tab\there \u{1b}[31m", "tab-here---31m"),
    ] {
        let repo = env.repo(name, "");
        let added = add(&env, &[text(&repo)]);
        assert_eq!((&added["id"], &added["path"]), (&json!(id), &json!(text(&repo))), "{name:?}");
        env.ok(&["session", "new", "--project", id]);
    }
    assert!(!env.path("x").exists());
    let shown = env.ok(&["project", "ls", "--color", "always"]);
    let plain = crate::support::without_colours(&shown);
    assert!(!crate::support::has_controls(&plain) && shown.contains("\u{fffd}[31m"), "{shown:?}");
    assert_eq!(shown.lines().count(), 11, "a project is one line: {shown}");
}

#[test]
fn an_id_that_could_act_is_refused() {
    let env = TestEnv::new();
    env.repo("demo", "");
    for id in [
        "",
        "-x",
        "../x",
        "a/b",
        "a b",
        "a;b",
        "$(x)",
        "#(x)",
        "é",
        "a..b",
        "x.lock",
        &"a".repeat(201),
    ] {
        env.refused(&["project", "add", "demo", &format!("--id={id}")], 2, "INVALID_ID");
    }
    for name in ["", " ", "a\nb", "\u{1b}[31m", &"a".repeat(201)] {
        env.refused(&["project", "add", "demo", &format!("--name={name}")], 2, "INVALID_ID");
    }
    assert_eq!(env.head(), "1-0");
}

#[test]
fn the_default_branch_is_that_of_the_origin_or_unknown() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "https://github.com/octo/hello");
    let repo = text(&repo);
    env.git(&["-C", repo, "switch", "-q", "-c", "topic"]);
    assert_eq!(add(&env, &["demo"])["default_branch"], "");
    let head = ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release/2"];
    env.git(&[&["-C", repo], &head[..]].concat());
    assert_eq!(add(&env, &["demo"])["default_branch"], "release/2", "it is followed");
    env.refused(&["project", "add", "demo"], 5, "PATH_ALREADY_REGISTERED");
    env.git(&["-C", repo, "switch", "-q", "-c", "other"]);
    env.refused(&["project", "add", "demo"], 5, "PATH_ALREADY_REGISTERED");
}

#[test]
fn the_origin_is_the_repository_that_git_fetches_from() {
    let env = TestEnv::new();
    env.git(&["config", "--global", "url.https://github.com/.insteadOf", "gh:"]);
    for (name, remotes, host, repo) in [
        ("alias", &[("origin", "gh:octo/hello")][..], "github.com", "octo/hello"),
        (
            "plus",
            &[("origin", "git+ssh://git@github.com/octo/hello.git")],
            "github.com",
            "octo/hello",
        ),
        ("only", &[("upstream", "https://github.com/octo/hello")], "github.com", "octo/hello"),
        ("port", &[("origin", "https://ghe.corp:8443/octo/hello")], "ghe.corp:8443", "octo/hello"),
        (
            "one-on-github",
            &[("a", "https://gitlab.com/octo/x"), ("b", "https://github.com/octo/hello")],
            "github.com",
            "octo/hello",
        ),
        (
            "several",
            &[("a", "https://github.com/octo/x"), ("b", "https://github.com/octo/hello")],
            "",
            "",
        ),
    ] {
        let path = env.repo(name, "");
        for (remote, url) in remotes {
            env.git(&["-C", text(&path), "remote", "add", remote, url]);
        }
        let added = add(&env, &[name]);
        assert_eq!((&added["host"], &added["repo"]), (&json!(host), &json!(repo)), "{name}");
        let is_observable = host == "github.com";
        assert_eq!(added["unobservable_reason"].is_null(), is_observable, "{added}");
    }
    let two = env.repo("two", "https://github.com/octo/hello.git");
    let second = "https://gitlab.com/octo/mirror.git";
    env.git(&["-C", text(&two), "remote", "set-url", "--add", "origin", second]);
    assert_eq!(add(&env, &["two"])["repo"], "octo/hello");
}

#[test]
fn no_user_of_an_origin_is_stored_or_printed() {
    let env = TestEnv::new();
    let urls = ["ghp_secret@github.com:octo/hello", "x:ghp_secret@github.com:octo/hello"];
    let https = ["https://ghp_secret@github.com/octo/hello", "ssh://ghp_secret@github.com/octo/x"];
    for (number, url) in urls.iter().chain(&https).enumerate() {
        let name = format!("demo-{number}");
        env.repo(&name, url);
        let output = env.run(&["project", "add", &name, "--json"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(!format!("{}{}", output.stdout, output.stderr).contains("secret"), "{url}");
    }
    assert!(!env.ok(&["tail", "--from", "beginning", "--no-follow"]).contains("secret"));
}

#[test]
fn a_project_that_cannot_be_observed_is_reported() {
    let env = TestEnv::new();
    env.repo("demo", "https://gitlab.com/octo/hello");
    let output = env.run(&["project", "add", "demo"]);
    assert!(output.stderr.contains("cannot be observed"), "{}", output.stderr);
    assert!(output.stderr.contains("GH_HOST=gitlab.com"), "{}", output.stderr);
    assert!(env.ok(&["project", "get", "demo"]).contains("unobservable_reason"));
    let finding = |env: &TestEnv| {
        let report = env.json("doctor", &["doctor"]);
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|it| it["id"] == "observer.origins").unwrap()
    };
    assert_eq!(finding(&env)["level"], "warn");
    let url = "https://github.com/octo/hello";
    env.git(&["-C", text(&env.path("demo")), "remote", "set-url", "origin", url]);
    assert_eq!(add(&env, &["demo"])["repo"], "octo/hello", "the changed origin is followed");
    assert_eq!(finding(&env)["level"], "ok");
    env.refused(&["project", "add", "demo"], 5, "PATH_ALREADY_REGISTERED");
}

#[test]
fn what_is_no_work_tree_is_refused() {
    let env = TestEnv::new();
    env.git(&["init", "-q", "--bare", text(&env.path("bare"))]);
    env.repo("demo", "");
    env.file("plain", "text");
    env.refused(&["project", "add", "bare"], 2, "NOT_A_GIT_REPO");
    env.refused(&["project", "add", "demo/.git"], 2, "NOT_A_GIT_REPO");
    env.refused(&["project", "add", "home"], 2, "NOT_A_GIT_REPO");
    env.refused(&["project", "add", "plain"], 2, "INVALID_PATH");
    env.refused(&["project", "add", "plain/below"], 2, "INVALID_PATH");
    env.refused(&["project", "add", ""], 2, "USAGE");
    let no_text = env.path("home").join(OsStr::from_bytes(b"no\xfftext"));
    fs::create_dir(&no_text).unwrap();
    let output = finish(env.command(&["project", "add"]).arg(no_text), b"");
    assert!(output.stderr.contains("error[INVALID_PATH]"), "{}", output.stderr);
    assert!(output.stderr.contains("it is not UTF-8"), "{}", output.stderr);
    assert_eq!(env.head(), "1-0");
}

#[test]
fn a_linked_work_tree_is_the_project_of_its_repository() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "https://github.com/octo/hello");
    let linked = env.path("linked");
    env.git(&["-C", text(&repo), "worktree", "add", "-q", "-b", "wt", text(&linked)]);
    let added = add(&env, &["linked"]);
    assert_eq!((&added["path"], &added["id"]), (&json!(text(&repo)), &json!("demo")));
    for path in ["linked", "demo"] {
        env.refused(&["project", "add", path], 5, "PATH_ALREADY_REGISTERED");
    }
    // git names no main work tree here: the first that is registered counts.
    let bare = env.path("bare.git");
    env.git(&["clone", "-q", "--bare", text(&repo), text(&bare)]);
    for name in ["one", "two"] {
        env.git(&["-C", text(&bare), "worktree", "add", "-q", "-b", name, text(&env.path(name))]);
    }
    assert_eq!(add(&env, &["one"])["path"], text(&env.path("one")));
    let stderr = env.refused(&["project", "add", "two"], 5, "PATH_ALREADY_REGISTERED");
    assert!(stderr.contains("project get one"), "{stderr}");
}

#[test]
fn a_repository_makes_git_run_nothing() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "");
    let trap = format!("touch {}", text(&env.path("ran")));
    for setting in ["core.fsmonitor", "core.sshCommand", "core.pager", "core.editor"] {
        env.git(&["-C", text(&repo), "config", setting, &trap]);
    }
    env.ok(&["project", "add", "demo"]);
    assert!(!env.path("ran").exists());
}

/// What a person sees who runs this at a terminal and types that.
fn at_a_terminal(env: &TestEnv, args: &str, typed: &str) -> Option<Output> {
    if Command::new("script").arg("--version").output().is_err() {
        println!("skipped: there is no program `script`");
        return None;
    }
    let script =
        format!(r#"{{ sleep 0.3; echo {typed}; sleep 0.3; }} | script -qec "$0 {args}" /dev/null"#);
    Some(env.shell(&script))
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let env = TestEnv::with_demo();
    for (typed, head) in [("n", "1-1"), ("maybe", "1-1"), ("y", "1-2")] {
        let Some(output) = at_a_terminal(&env, "project rm demo", typed) else { return };
        assert_eq!(output.code, 0, "{}", output.stdout);
        assert!(output.stdout.contains("archive project demo? [y/N]"), "{}", output.stdout);
        assert_eq!(env.head(), head, "{typed}");
    }
    let output = at_a_terminal(&env, "tail --no-follow", "x").unwrap();
    assert!(output.stdout.contains("archived"), "{}", output.stdout);
    assert!(
        output.stdout.contains('\u{1b}') && !output.stdout.contains("\"seq\""),
        "pretty and coloured"
    );
}

#[test]
fn archiving_is_agreed_to_or_not_done() {
    let env = TestEnv::with_demo();
    let head = env.head();
    let output = env.run(&["project", "rm", "demo", "--dry-run"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, "would archive project demo\n"));
    let stderr = env.refused(&["project", "rm", "demo"], 2, "USAGE");
    assert!(stderr.contains("--yes"), "{stderr}");
    env.ok(&["session", "new", "--project", "demo"]);
    for flag in ["--yes", "--dry-run"] {
        env.refused(&["project", "rm", "demo", flag], 5, "PROJECT_HAS_LIVE_SESSIONS");
    }
    env.ok(&["session", "rm", "demo-1", "--yes"]);
    assert_eq!((head.as_str(), env.head().as_str()), ("1-1", "1-3"));
    env.ok(&["project", "rm", "demo", "-y"]);
}
