//! What a store has nothing to do with stays as it is: the sessions and daemons of other stores, and the files of
//! people.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

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

/// What a session of the other store is, apart from what its agent does.
fn of_other(lab: &Lab, id: &str) -> [Value; 5] {
    let got = other(lab, &["session", "get", id, "--json"]);
    let got = serde_json::from_str::<Value>(&got).unwrap()["data"].take();
    let launch = &got["launch"];
    let all = [&got["is_terminated"], &got["launch_id"], &got["worktree_path"]];
    let [a, b, c] = all.map(Clone::clone);
    [a, b, c, launch["ended_at"].clone(), launch["native_id"].clone()]
}

/// Two daemons of one user, whose projects and sessions have the same ids.
#[test]
fn two_daemons_with_equal_ids_do_not_meet() {
    let lab = with_other();
    let spawn = ["spawn", "-p", "demo", "--harness", "custom", "--prompt", "both", "--"];
    let script = "echo ready > \"$AO_DATA_DIR/heard\"; exec cat >> \"$AO_DATA_DIR/heard\"";
    let hearing = [&spawn[..], &["sh", "-c", script]].concat();
    assert_eq!(lab.spawn(&["--prompt", "mine"]), "demo-1");
    assert_eq!((lab.ok(&hearing).trim(), other(&lab, &hearing).trim()), ("demo-2", "demo-2"));
    let heard =
        |dir: &str| fs::read_to_string(lab.env.path(&format!("{dir}/heard"))).unwrap_or_default();
    wait_until("the agents", || ["data", "other-data"].iter().all(|it| heard(it) == "ready\n"));
    let before = ["demo-1", "demo-2"].map(|id| of_other(&lab, id));
    let pid = |status: &str| serde_json::from_str::<Value>(status).unwrap()["data"]["pid"].clone();
    let _daemons = Daemons(&lab);
    let start = ["start", "--no-observe", "--json"];
    let (mine, others) = (pid(&lab.ok(&start)), pid(&other(&lab, &start)));
    assert_ne!(mine, others);

    lab.ok(&["send", "demo-2", "for mine"]);
    other(&lab, &["send", "demo-2", "for other"]);
    wait_until("the message", || heard("data") == "ready\nfor mine\n");
    wait_until("the other message", || heard("other-data") == "ready\nfor other\n");
    let launch = lab.get("demo-2")["launch_id"].as_str().unwrap().to_owned();
    for dir in ["data", "other-data"] {
        // A launch of this store is none of the other one, though its session is.
        let mut hook = lab.command(&["hook", "claude-code", "UserPromptSubmit"]);
        hook.env("AO_SESSION_ID", "demo-2").env("AO_LAUNCH_ID", &launch);
        hook.env("AO_DATA_DIR", lab.env.path(dir)).stdin(Stdio::piped());
        assert_eq!(finish(&mut hook, br#"{"session_id": "of-mine", "prompt": "x"}"#).code, 0);
    }
    assert_eq!(lab.get("demo-2")["launch"]["native_id"], "of-mine");
    let socket = lab.get("demo-2")["runtime_socket"].as_str().unwrap().to_owned();
    lab.ok(&["session", "kill", "demo-1"]);
    let killed = i32::try_from(mine.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    let tmux = ["-S", &socket, "kill-server"];
    assert!(Command::new("tmux").args(tmux).status().unwrap().success());
    wait_until("the end of the agents", || lab.processes().is_empty());
    wait_until("the next daemon", || pid(&lab.ok(&start)) != mine);
    // A daemon that stops before would undo the launch.
    wait_until("its agent again", || {
        let first = lab.env.json("daemon.status", &["daemon", "status"])["loops"][0].clone();
        let is_done = first["name"] == "reconcile" && first["state"] == "done";
        is_done && lab.get("demo-2")["launch_id"] != launch.as_str()
    });
    lab.ok(&["stop"]);

    assert_eq!(["demo-1", "demo-2"].map(|id| of_other(&lab, id)), before);
    assert_eq!(pid(&other(&lab, &["daemon", "status", "--json"])), others);
    assert_eq!(heard("other-data"), "ready\nfor other\n");
    for id in ["demo-1", "demo-2"] {
        let events = other(&lab, &["history", "session", id, "--format", "ndjson"]);
        for of_mine in ["of-mine", &launch, "session_terminated"] {
            assert!(!events.contains(of_mine), "{of_mine}: {events}");
        }
    }
    other(&lab, &["session", "kill", "demo-2"]);
    other(&lab, &["stop"]);
    assert!(
        lab.get("demo-1")["is_terminated"] == true && lab.get("demo-2")["is_terminated"] == false
    );
    assert!(lab.ok(&["reconcile"]).contains("demo-2: adopted"));
}

/// The daemons of both stores, which end with this value.
struct Daemons<'a>(&'a Lab);

impl Drop for Daemons<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop"]);
        let mut command = self.0.command(&["stop"]);
        finish(command.env("AO_DATA_DIR", self.0.env.path("other-data")), b"");
    }
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
