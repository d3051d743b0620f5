//! The statements about the session verbs, each as a test of its name: `s3_1_2_...` is statement 2 of 3.1.
//! Requests over HTTP are read as the command line.

mod agent;
mod boot;
mod branch;
mod claim;
mod issue152;
mod orchestrator;
mod restore;
mod seed;
mod spawn;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::sessions::Lab;
use crate::support::{Output, finish, text};

/// Everything that a verb may leave, except in the log.
pub(super) fn traces(lab: &Lab) -> Vec<String> {
    let rows =
        "SELECT json_group_array(json_array(id, is_terminated, launch_id, branch)) FROM session";
    let launches = "SELECT json_group_array(json_array(id, ended_at)) FROM launch";
    let owners = "SELECT json_group_array(json_array(id, session_id)) FROM pr";
    let mut traces: Vec<_> = [rows, launches, owners].iter().map(|sql| lab.sql(sql)).collect();
    traces.push(lab.git(&["worktree", "list", "--porcelain"]));
    traces.push(lab.git(&["for-each-ref"]));
    traces.push(lab.panes().join(" "));
    traces.push(format!("{:?}", lab.processes()));
    traces
}

/// Runs the binary, which must refuse and leave everything as it is, also the log; its standard error.
fn refused_untouched(lab: &Lab, args: &[&str], exit: i32, code: &str) -> String {
    let (before, head) = (traces(lab), lab.env.head());
    let error = lab.refused(args, exit, code);
    assert_eq!(lab.env.head(), head, "{args:?}");
    assert_eq!(traces(lab), before, "{args:?}");
    error
}

/// The arguments that spawn a session that runs the agent.
pub(super) fn spawning<'a>(lab: &'a Lab, more: &[&'a str]) -> Vec<&'a str> {
    let first = ["spawn", "--project", "demo", "--harness", "custom"];
    [&first[..], more, &["--", &lab.agent]].concat()
}

/// The arguments that ensure an orchestrator that runs the agent.
pub(super) fn ensuring<'a>(lab: &'a Lab, more: &[&'a str]) -> Vec<&'a str> {
    let first = ["orchestrator", "ensure", "--project", "demo", "--harness", "custom"];
    [&first[..], more, &["--", &lab.agent]].concat()
}

/// A directory with only these programs, to be the whole PATH.
pub(super) fn path_of(lab: &Lab, programs: &[&str]) -> PathBuf {
    let dir = lab.env.path(&format!("path-{}", programs.join("-")));
    fs::create_dir(&dir).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for program in programs {
        let found = std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.exists());
        symlink(found.unwrap(), dir.join(program)).unwrap();
    }
    dir
}

/// Runs a shell script, in which `$0` is the binary.
fn shell(lab: &Lab, script: &str) -> Output {
    let mut shell = lab.env.clean("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_ao-store")]);
    shell.env("AO_DATA_DIR", lab.env.path("data")).env("TMUX_TMPDIR", lab.env.path("home"));
    finish(&mut shell, b"")
}

/// Everything that ran has gone, as after a reboot.
pub(super) fn reboot(lab: &Lab) {
    lab.kill_servers();
    lab.kill_all();
    lab.sql("UPDATE launch SET boot_id = 'another boot' WHERE ended_at IS NULL");
}

/// Commits a file in the repository of the project; the commit.
fn commit(lab: &Lab, file: &str) -> String {
    fs::write(lab.env.path("demo").join(file), file).unwrap();
    lab.git(&["add", "--", file]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    lab.git(&[&who[..], &["commit", "-q", "-m", file]].concat());
    lab.git(&["rev-parse", "HEAD"])
}

/// A worktree of the repository that is not ours, on a new branch.
fn foreign_worktree(lab: &Lab, branch: &str) -> PathBuf {
    let path = lab.env.path("foreign");
    lab.git(&["worktree", "add", "-q", "-b", branch, text(&path)]);
    path
}
