//! What a store has nothing to do with stays as it is: the sessions of other stores, and the files of people.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::{finish, text};

/// Runs the binary for another store of the same user, which must succeed.
fn other(lab: &Lab, args: &[&str]) -> String {
    let mut command = lab.command(args);
    let output = finish(command.env("AO_DATA_DIR", lab.env.path("other-data")), b"");
    assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    output.stdout
}

/// Another store with the project `demo`, in another repository; its `demo-1` runs.
fn with_other() -> Lab {
    let lab = Lab::new();
    fs::create_dir(lab.env.path("elsewhere")).unwrap();
    let repo = lab.env.repo("elsewhere/demo", "");
    other(&lab, &["init"]);
    other(&lab, &["project", "add", text(&repo)]);
    let args = ["spawn", "-p", "demo", "--harness", "custom", "--prompt", "other", "--"];
    assert_eq!(other(&lab, &[&args[..], &[&lab.agent]].concat()).trim(), "demo-1");
    wait_until("the other agent", || lab.env.path("other-data/starts").exists());
    lab
}

#[test]
fn equal_ids_in_two_stores_are_two_sessions() {
    let lab = with_other();
    let alone = lab.panes();
    assert_eq!(lab.spawn(&["--prompt", "mine"]), "demo-1");
    assert_eq!(lab.panes().len(), 2);
    lab.ok(&["session", "kill", "demo-1"]);
    assert_eq!(lab.panes(), alone);
    lab.ok(&["session", "restore", "demo-1"]);
    lab.ok(&["reconcile"]);
    lab.ok(&["session", "kill", "demo-1"]);
    lab.ok(&["session", "cleanup", "--yes"]);
    assert_eq!(lab.panes(), alone, "the other one runs on");
    assert!(other(&lab, &["reconcile"]).contains("demo-1: adopted"));
    assert!(lab.env.path("other-data/worktrees/demo/demo-1/.git").exists());
    other(&lab, &["session", "kill", "demo-1"]);
    assert!(lab.panes().is_empty());
}

/// The branches of the sessions of two stores would be the same ones.
#[test]
fn two_stores_share_a_repository() {
    let lab = Lab::new();
    other(&lab, &["init"]);
    other(&lab, &["project", "add", text(&lab.env.path("demo"))]);
    assert_eq!(lab.spawn(&["--prompt", "p"]), "demo-1");
    let path = lab.worktree("demo-1");
    fs::write(path.join("work"), "x").unwrap();
    let args = ["spawn", "-p", "demo", "--harness", "custom", "--prompt", "p", "--", &lab.agent];
    let mut command = lab.command(&args);
    let output = finish(command.env("AO_DATA_DIR", lab.env.path("other-data")), b"");
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(path.join("work").exists(), "undoing that touches only what is its own");
    assert_eq!(
        lab.git(&["-C", text(&path), "rev-parse", "--abbrev-ref", "HEAD"]),
        "ao/demo-1/root"
    );
    assert_eq!(other(&lab, &args).trim(), "demo-2");
    other(&lab, &["session", "kill", "demo-2"]);
    other(&lab, &["session", "cleanup", "--yes"]);
    assert!(path.join("work").exists());
    assert!(lab.ok(&["reconcile"]).contains("demo-1: adopted"));
}

/// Every file outside the data directory, the git directories and the sockets of tmux, with what would
/// change if it was written.
fn files(lab: &Lab) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
    let sockets = format!("tmux-{}", rustix::process::geteuid().as_raw());
    let mut found = BTreeMap::new();
    let mut left = vec![lab.env.path("")];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let is_ours = name == "data" || name == ".git" || name == *sockets;
            let metadata = entry.path().symlink_metadata().unwrap();
            if is_ours {
                continue;
            }
            if metadata.is_dir() {
                left.push(entry.path());
                found.insert(entry.path(), (0, 0, 0, metadata.mode()));
            } else {
                let time = (metadata.mtime(), metadata.mtime_nsec());
                found.insert(entry.path(), (metadata.len(), time.0, time.1, metadata.mode()));
            }
        }
    }
    found
}

#[test]
fn no_verb_touches_a_file_of_a_person() {
    let lab = Lab::new();
    for name in ["demo/file", "demo/untracked", "home/.gitconfig", "home/.bashrc"] {
        lab.env.file(name, "");
    }
    lab.env.file("demo/.env", "SECRET=1");
    lab.sql("UPDATE project SET copy_globs = '[\".env\"]'");
    let before = files(&lab);
    let id = lab.spawn(&["--prompt", "p"]);
    let ensure = ["orchestrator", "ensure", "-p", "demo", "--harness", "custom"];
    let end = ["--", &lab.agent];
    lab.ok(&[&ensure[..], &end].concat());
    lab.ok(&[&ensure[..], &["--replace"], &end].concat());
    lab.kill_all();
    wait_until("the end", || lab.processes().is_empty());
    for args in [
        &["reconcile"][..],
        &["session", "kill", &id],
        &["session", "restore", &id],
        &["session", "rename", &id, "Another"],
        &["session", "kill", &id],
        &["session", "cleanup", "--dry-run"],
        &["session", "cleanup", "--yes"],
    ] {
        lab.ok(args);
    }
    lab.run(&["session", "relaunch", &id]);
    lab.run(&["spawn", "-p", "demo", "--harness", "custom", "--branch", "main", "--", "true"]);
    assert_eq!(files(&lab), before);
}
