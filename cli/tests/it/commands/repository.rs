//! Repositories in every state that git knows: what can be registered is, and what cannot is refused
//! with a hint that works.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{TestEnv, finish, text};

fn add(env: &TestEnv, path: &str) -> Value {
    env.json("project.add", &["project", "add", path])
}

/// The hint of an error with this code.
fn refused(env: &TestEnv, path: &str, code: &str) -> String {
    let output = env.run(&["project", "add", path, "--json"]);
    assert_eq!(output.stdout, "");
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!((&error["error"]["code"], output.code), (&json!(code), 2), "{error}");
    error["error"]["hint"].as_str().unwrap().to_owned()
}

/// Runs the command that a hint names.
fn follow(env: &TestEnv, hint: &str, dir: &Path) {
    let command = hint.split('`').nth(1).unwrap();
    let output = env.shell(&format!("cd '{}' && {command}", text(dir)));
    assert_eq!(output.code, 0, "{command}: {}", output.stderr);
}

fn linked(env: &TestEnv, main: &Path, name: &str) {
    env.git(&["-C", text(main), "worktree", "add", "-q", "-b", name, text(&env.path(name))]);
}

fn give_away(path: &Path) {
    for path in [path.to_owned(), path.join(".git")] {
        chown(&path, Some(12_345), None).unwrap();
    }
}

#[test]
fn a_repository_of_another_user_is_refused_until_it_is_trusted() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root can give a directory away");
    }
    let env = TestEnv::new();
    let theirs = env.repo("their own", "https://github.com/octo/hello");
    linked(&env, &theirs, "ours");
    give_away(&theirs);
    let head = env.head();
    let hint = refused(&env, "their own", "GIT_NOT_TRUSTED");
    // Else it would be taken for a repository of its own, because git cannot read its main work tree.
    assert_eq!(refused(&env, "ours", "GIT_NOT_TRUSTED"), hint);
    assert_eq!(env.head(), head);
    follow(&env, &hint, &env.path(""));
    assert_eq!(add(&env, "ours")["path"], text(&theirs));
    env.refused(&["project", "add", "their own"], 5, "PATH_ALREADY_REGISTERED");
}

#[test]
fn a_work_tree_whose_repository_moved_is_refused_until_it_is_repaired() {
    let env = TestEnv::new();
    let main = env.repo("demo", "https://github.com/octo/hello");
    linked(&env, &main, "linked");
    let moved = env.path("moved");
    fs::rename(&main, &moved).unwrap();
    let hint = refused(&env, "linked", "NOT_A_GIT_REPO");
    let output = env.run(&["project", "add", "linked"]);
    let missing = env.path("demo/.git/worktrees/linked");
    assert!(output.stderr.contains(text(&missing)), "{}", output.stderr);
    follow(&env, &hint, &moved);
    assert_eq!(add(&env, "linked")["path"], text(&moved));
    fs::create_dir(env.path("nowhere")).unwrap();
    for (content, exit, code) in [
        ("gitdir: /none/such\nplace\n", 2, "NOT_A_GIT_REPO"),
        ("gitdir: ../home\n", 2, "NOT_A_GIT_REPO"),
        ("something else", 1, "GIT_FAILED"),
    ] {
        fs::write(env.path("nowhere/.git"), content).unwrap();
        env.refused(&["project", "add", "nowhere"], exit, code);
        let up = env.run(&["up", "nowhere", "--no-observe"]);
        assert_eq!(up.code, exit, "`up` does not go on without it: {}", up.stderr);
    }
}

#[test]
fn a_work_tree_that_is_gone_stays_registered_and_is_reported() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "https://github.com/octo/hello");
    add(&env, "demo");
    let finding = || {
        let report = env.json("doctor", &["doctor"]);
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|it| it["id"] == "project.work_trees").unwrap().clone()
    };
    assert_eq!(finding()["level"], "ok");
    fs::rename(&repo, env.path("away")).unwrap();
    let found = finding();
    assert_eq!(found["level"], "warn");
    assert!(found["message"].as_str().unwrap().starts_with("demo: "), "{found}");
    env.refused(&["project", "add", "demo"], 2, "INVALID_PATH");
    let shown = env.json("project.get", &["project", "get", "demo"]);
    assert_eq!((&shown["path"], &shown["repo"]), (&json!(text(&repo)), &json!("octo/hello")));
    fs::create_dir(&repo).unwrap();
    assert_eq!(finding()["level"], "warn", "an empty directory");
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["session", "rm", "demo-1", "--yes"]);
    env.ok(&["project", "rm", "demo", "--yes"]);
    assert_eq!(finding()["level"], "ok", "an archived project needs no work tree");
}

#[test]
fn repositories_of_every_kind_are_registered_once() {
    let env = TestEnv::new();
    env.git(&["init", "-q", text(&env.path("no commit"))]);
    assert_eq!(add(&env, "no commit")["default_branch"], "");
    let demo = env.repo("demo", "https://github.com/octo/hello");
    let url = format!("file://{}", text(&demo));
    env.git(&["clone", "-q", "--depth", "1", &url, text(&env.path("shallow"))]);
    let shallow = add(&env, "shallow");
    assert_eq!((&shallow["repo"], &shallow["default_branch"]), (&json!(""), &json!("main")));
    let allow = ["-C", text(&demo), "-c", "protocol.file.allow=always"];
    env.git(&[&allow[..], &["submodule", "--quiet", "add", text(&demo), "part"]].concat());
    assert_eq!(add(&env, "demo/part")["path"], text(&env.path("demo/part")));
    assert_eq!(add(&env, "demo")["path"], text(&demo), "the repository that contains it");
    let (separate, apart) = (env.path("separate.git"), env.path("apart"));
    env.git(&["init", "-q", "--separate-git-dir", text(&separate), text(&apart)]);
    assert_eq!(add(&env, "apart")["path"], text(&env.path("apart")));
    std::os::unix::fs::symlink(&apart, env.path("link")).unwrap();
    env.refused(&["project", "add", "link"], 5, "PATH_ALREADY_REGISTERED");
}

#[test]
fn variables_of_git_change_nothing() {
    let env = TestEnv::new();
    env.repo("demo", "https://github.com/octo/hello");
    let elsewhere = env.repo("elsewhere", "https://github.com/octo/elsewhere");
    let mut command = env.command(&["project", "add", "demo", "--json"]);
    command.env("GIT_DIR", elsewhere.join(".git")).env("GIT_WORK_TREE", &elsewhere);
    command.env("GIT_CONFIG_COUNT", "2").env("GIT_CONFIG_KEY_0", "core.bare");
    command.env("GIT_CONFIG_VALUE_0", "true").env("GIT_CONFIG_KEY_1", "");
    command.env("GIT_CONFIG_PARAMETERS", "'garbage").env("GIT_CONFIG_GLOBAL", "/dev/full");
    command.env("GIT_CEILING_DIRECTORIES", "/").env("GIT_TRACE", env.path("trace"));
    let output = finish(&mut command, b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let added: Value = serde_json::from_str(&output.stdout).unwrap();
    let data = &added["data"];
    assert_eq!(
        (&data["path"], &data["repo"]),
        (&json!(text(&env.path("demo"))), &json!("octo/hello"))
    );
    assert!(!env.path("trace").exists());
}

#[test]
fn an_alias_of_ssh_is_resolved_by_its_configuration() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return println!("skipped: there is no ssh");
    }
    let env = TestEnv::new();
    // ssh finds the home directory in the database of users, so that a variable cannot choose it.
    let wrapper = "#!/bin/sh\nPATH=${PATH#*:} exec ssh -F \"$HOME/config\" \"$@\"\n";
    fs::create_dir(env.path("bin")).unwrap();
    let ssh = env.file("bin/ssh", wrapper);
    fs::set_permissions(ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let config = "Host work work-* Case\n  HostName github.com\n  User git\nHost lab\n  HostName gitlab.com\n\
        Match originalhost shared user git\n  HostName github.com\n";
    env.file("home/config", config);
    env.git(&["config", "--global", "url.git@work:.insteadOf", "w:"]);
    let path = format!("{}:{}", text(&env.path("bin")), std::env::var("PATH").unwrap());
    for (name, origin, host) in [
        ("scp", "git@work:octo/scp.git", "github.com"),
        ("url", "ssh://work-2/octo/url", "github.com"),
        ("rewritten", "w:octo/rewritten", "github.com"),
        ("case", "git@Case:octo/case", "github.com"),
        ("of-user", "git@shared:octo/of-user", "github.com"),
        ("lab", "git@lab:octo/lab", "gitlab.com"),
        ("unknown", "git@unknown:octo/unknown", "unknown"),
    ] {
        env.repo(name, origin);
        let output =
            finish(env.command(&["project", "add", name, "--json"]).env("PATH", &path), b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
        let added: Value = serde_json::from_str(&output.stdout).unwrap();
        let data = &added["data"];
        assert_eq!((&data["host"], &data["repo"]), (&json!(host), &json!(format!("octo/{name}"))));
        assert_eq!(data["unobservable_reason"].is_null(), host == "github.com", "{data}");
    }
}
