//! Commands that an agent runs itself, and what it inherits from the one who ran the command.

use std::fs;
use std::path::Path;

use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::{finish, text};

/// A program that runs this command once it may.
fn waiting(lab: &Lab, command: &str) -> String {
    let script =
        format!("#!/bin/sh\nwhile [ ! -e \"$AO_DATA_DIR/go\" ]; do sleep 0.1; done\n{command}\n");
    let file = lab.env.file("running.sh", script);
    set_executable(Path::new(&file));
    file
}

/// The same with a command of the binary, whose exit status it notes.
fn running(lab: &Lab, arguments: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_ao-store");
    let script = format!(
        "{binary} {arguments} > \"$AO_DATA_DIR/output\" 2>&1\n\
        echo \"exit $?\" > \"$AO_DATA_DIR/status\"\nexec sleep 100000"
    );
    waiting(lab, &script)
}

fn read(lab: &Lab, name: &str) -> String {
    fs::read_to_string(lab.env.path("data").join(name)).unwrap_or_default()
}

#[test]
fn a_session_that_an_agent_spawns_outlives_it() {
    let lab = Lab::new();
    let agent = running(&lab, &format!("spawn --harness custom --prompt child -- {}", lab.agent));
    lab.ok(&["spawn", "-p", "demo", "--harness", "custom", "--", &agent]);
    lab.env.file("data/go", "");
    wait_until("the second agent", || lab.starts() == ["child"]);
    wait_until("the status", || read(&lab, "status") == "exit 0\n");
    assert_eq!(lab.sql("SELECT parent_id FROM session WHERE num = 2"), "demo-1");
    lab.ok(&["session", "kill", "demo-1"]);
    assert!(lab.ok(&["reconcile"]).contains("demo-2: adopted"));
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

/// The agent ends before the command does, with everything that it started.
#[test]
fn an_agent_that_terminates_its_own_session_needs_nobody_to_finish_it() {
    let binary = env!("CARGO_BIN_EXE_ao-store");
    let kill = format!("{binary} session kill \"$AO_SESSION_ID\"");
    for command in [
        format!("{kill}; exec sleep 100000"),
        // As agents do with the commands that they run, and as a shell does with its jobs.
        format!("trap 'kill -KILL 0' TERM; {kill} & wait; exec sleep 100000"),
        format!("set -m; trap 'kill -KILL -$! $$' TERM; {kill} & wait; exec sleep 100000"),
    ] {
        let lab = Lab::new();
        let agent = waiting(&lab, &command);
        lab.ok(&["spawn", "-p", "demo", "--harness", "custom", "--prompt", "p", "--", &agent]);
        // Until the spawn has ended the session is busy.
        lab.env.file("data/go", "");
        wait_until("the termination", || lab.get("demo-1")["is_terminated"] == true);
        assert!(lab.panes().is_empty() && lab.processes().is_empty(), "{command}");
        assert_eq!(lab.sql("SELECT cause FROM launch"), "stopped", "{command}");
        assert!(!lab.env.path("data/worktrees/demo/demo-1").exists(), "{command}");
        assert_eq!(lab.ok(&["reconcile"]), "", "{command}: nothing is left to do");
        lab.check_no_orphan();
    }
}

/// The same when it lets another one take its place.
#[test]
fn an_orchestrator_that_replaces_itself_needs_nobody_to_finish_it() {
    let lab = Lab::new();
    let binary = env!("CARGO_BIN_EXE_ao-store");
    let ensure = format!("orchestrator ensure --harness custom --replace -- {}", lab.agent);
    let agent = waiting(&lab, &format!("{binary} {ensure}; exec sleep 100000"));
    lab.ok(&["orchestrator", "ensure", "-p", "demo", "--harness", "custom", "--", &agent]);
    lab.env.file("data/go", "");
    wait_until("the termination", || lab.get("demo-1")["is_terminated"] == true);
    wait_until("the end", || lab.sql("SELECT count(*) FROM session_operation") == "0");
    assert_eq!(lab.sql("SELECT id FROM session WHERE is_terminated = 0"), "demo-2");
    assert!(lab.ok(&["reconcile"]).contains("demo-2: adopted"));
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

/// Such as those of a git hook, of a tmux session, and of a shell.
#[test]
fn the_variables_of_the_caller_mean_nothing_to_git_and_tmux() {
    let lab = Lab::new();
    let marker = lab.env.path("pwn-marker");
    let script = lab.env.file("script", format!("touch {}\n", text(&marker)));
    let run = |args: &[&str]| {
        let mut command = lab.command(args);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env(name, "/nonexistent");
        }
        for name in ["GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "GIT_EDITOR"] {
            command.env(name, format!("sh {script}"));
        }
        for name in ["ENV", "BASH_ENV", "TMUX_CONF"] {
            command.env(name, &script);
        }
        command.env("TMUX", "/nonexistent/socket,1,0").env("TMUX_PANE", "%0");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "core.fsmonitor");
        command.env("GIT_CONFIG_VALUE_0", format!("sh {script}"));
        let output = finish(&mut command, b"");
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    };
    run(&["spawn", "-p", "demo", "--harness", "custom", "--prompt", "p", "--", "sleep", "1000"]);
    run(&["session", "kill", "demo-1"]);
    run(&["session", "restore", "demo-1"]);
    run(&["reconcile"]);
    assert_eq!(lab.panes().len(), 1);
    run(&["session", "kill", "demo-1"]);
    run(&["session", "cleanup", "--yes"]);
    assert!(!marker.exists());
    lab.check_no_orphan();
}
