//! What a launch puts beside its program: a record of trust in a file of the user, and files of hooks in the
//! worktree. All of it goes with the worktree, and nothing of others changes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::sessions::Lab;
use crate::sessions::lab::set_executable;

/// A lab in whose home a program of this name runs until it is stopped.
fn lab_with(program: &str) -> Lab {
    let lab = Lab::new();
    let path = lab.env.path(&format!("home/.local/bin/{program}"));
    fs::create_dir_all(Path::parent(&path).unwrap()).unwrap();
    fs::write(&path, "#!/bin/sh\nexec sleep 100000\n").unwrap();
    set_executable(&path);
    lab
}

#[test]
fn a_worktree_is_trusted_for_as_long_as_it_exists() {
    let lab = lab_with("claude");
    let file = lab.env.path("home/.claude.json");
    let before = json!({"oauthAccount": {"x": 1}, "projects": {"/mine": {}}});
    fs::write(&file, before.to_string()).unwrap();
    let now = || serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap();
    let spawn = ["spawn", "--project", "demo", "--harness", "claude-code", "--prompt", "p"];
    lab.ok(&spawn);
    let worktree = lab.worktree("demo-1").canonicalize().unwrap();
    let trusted =
        || now()["projects"][worktree.to_str().unwrap()]["hasTrustDialogAccepted"].clone();
    assert_eq!(trusted(), true, "{}", now());
    lab.ok(&["session", "kill", "demo-1"]);
    assert_eq!(now(), before);
    lab.ok(&["session", "restore", "demo-1"]);
    assert_eq!(trusted(), true, "{}", now());
    fs::write(worktree.join("work"), "not committed").unwrap();
    lab.ok(&["session", "kill", "demo-1"]);
    assert_eq!(trusted(), true, "the worktree is kept: {}", now());
    lab.ok(&["session", "cleanup", "--yes"]);
    assert_eq!(now(), before);
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    assert_ne!(lab.run(&spawn).code, 0);
    assert_eq!(now(), before);
}

#[test]
fn hooks_are_files_that_git_does_not_see_and_replace_none_of_the_repository() {
    let lab = lab_with("gemini");
    let spawn = ["spawn", "--project", "demo", "--harness", "gemini", "--prompt", "p"];
    lab.ok(&spawn);
    let file = lab.worktree("demo-1").join(".gemini/settings.json");
    assert!(fs::read_to_string(&file).unwrap().contains(" gemini BeforeAgent"));
    let worktree = lab.worktree("demo-1");
    assert_eq!(lab.git(&["-C", worktree.to_str().unwrap(), "status", "--porcelain"]), "");
    assert_eq!(lab.get("demo-1")["activity"], "starting");
    lab.ok(&["session", "kill", "demo-1"]);
    assert!(!worktree.exists(), "it was clean");
    let repo = lab.env.path("demo");
    fs::create_dir(repo.join(".gemini")).unwrap();
    fs::write(repo.join(".gemini/settings.json"), "{}").unwrap();
    lab.git(&["add", "-f", ".gemini"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    lab.git(&[&who[..], &["commit", "-qm", "settings"]].concat());
    lab.git(&["push", "-q", "origin", "HEAD"]);
    lab.ok(&spawn);
    let file = lab.worktree("demo-2").join(".gemini/settings.json");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    assert_eq!(lab.get("demo-2")["activity"], "unknown", "nothing reports what it does");
}
