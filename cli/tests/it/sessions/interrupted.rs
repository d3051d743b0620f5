//! What goes on after its caller was killed, and what another process changes between the look at a session
//! and the work on it.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, test_kill_process};

use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::sessions::statements::{ensuring, path_of, spawning};
use crate::support::text;

/// A `git` that stops before a run whose arguments contain something, until it is let go.
struct SlowGit {
    path: PathBuf,
    begun: PathBuf,
    go: PathBuf,
}

impl SlowGit {
    fn new(lab: &Lab, before: &str) -> SlowGit {
        let (begun, go) = (lab.env.path("begun"), lab.env.path("go"));
        let path = path_of(lab, &["git", "tmux", "sh", "sleep", "cat", "mv"]);
        let real = fs::read_link(path.join("git")).unwrap();
        fs::remove_file(path.join("git")).unwrap();
        let (begun_arg, go_arg) = (text(&begun), text(&go));
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *'{before}'*)\n\
            echo $$ > '{begun_arg}.new'; mv '{begun_arg}.new' '{begun_arg}'\n\
            while [ ! -e '{go_arg}' ]; do sleep 0.05; done;;\nesac\nexec {} \"$@\"\n",
            text(&real)
        );
        fs::write(path.join("git"), script).unwrap();
        set_executable(&path.join("git"));
        SlowGit { path, begun, go }
    }

    /// Starts the binary with it, and waits until it has stopped.
    fn start(&self, lab: &Lab, args: &[&str]) -> Child {
        let child = lab.command(args).env("PATH", &self.path).spawn().unwrap();
        wait_until("the run of git", || self.begun.exists());
        child
    }

    /// Lets it go, and waits for the end of that run.
    fn go(&self) {
        let pid: i32 = fs::read_to_string(&self.begun).unwrap().trim().parse().unwrap();
        fs::write(&self.go, "").unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        wait_until("the end of git", || test_kill_process(pid).is_err());
    }
}

/// git does not end with the process that started it.
#[test]
fn a_git_that_outlives_a_killed_spawn_makes_nothing() {
    for step in ["worktree add", "reset --hard", "update-ref"] {
        let lab = Lab::new();
        let git = SlowGit::new(&lab, step);
        let mut spawning = git.start(&lab, &spawning(&lab, &["--no-fetch", "--prompt", "p"]));
        spawning.kill().unwrap();
        spawning.wait().unwrap();
        lab.ok(&["reconcile"]);
        git.go();
        assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "{step}");
        assert!(!lab.env.path("data/worktrees/demo/demo-1").exists(), "{step}");
        lab.check_no_orphan();
    }
}

#[test]
fn a_setup_command_that_outlives_a_killed_spawn_is_stopped() {
    let lab = Lab::new();
    let pid = lab.env.path("pid");
    let setup = format!("echo $$ > {}; sleep 1000; true", text(&pid));
    lab.sql(&format!("UPDATE project SET setup_command = '{setup}'"));
    let mut spawning = lab.command(&spawning(&lab, &["--no-fetch"])).spawn().unwrap();
    let read = || fs::read_to_string(&pid).ok()?.trim().parse::<i32>().ok();
    wait_until("the setup", || read().is_some());
    spawning.kill().unwrap();
    spawning.wait().unwrap();
    lab.ok(&["reconcile"]);
    let pid = Pid::from_raw(read().unwrap()).unwrap();
    wait_until("its end", || test_kill_process(pid).is_err());
    lab.check_no_orphan();
}

/// Its worktree is clean, so that it would be removed.
#[test]
fn a_session_that_is_restored_during_a_cleanup_keeps_its_worktree() {
    let lab = Lab::new();
    let ids = [lab.spawn(&["--prompt", "p"]), lab.spawn(&["--prompt", "p"])];
    let file = lab.worktree(&ids[0]).join("keeps-the-worktree");
    fs::write(&file, "x").unwrap();
    ids.iter().for_each(|id| drop(lab.ok(&["session", "kill", id])));
    fs::remove_file(file).unwrap();
    let git = SlowGit::new(&lab, "worktree remove");
    let mut cleaning = git.start(&lab, &["session", "cleanup", "--yes"]);
    lab.ok(&["session", "restore", &ids[1]]);
    git.go();
    assert!(cleaning.wait().unwrap().success());
    assert!(lab.worktree(&ids[1]).join(".git").exists());
    assert_eq!(lab.sql("SELECT group_concat(session_id) FROM session_cleanup"), ids[0]);
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

#[test]
fn a_branch_that_disappears_before_its_worktree_is_added_is_missing() {
    let lab = Lab::new();
    lab.git(&["branch", "same"]);
    let git = SlowGit::new(&lab, "worktree add");
    let spawning = git.start(&lab, &spawning(&lab, &["--no-fetch", "--branch", "same"]));
    lab.git(&["branch", "-D", "same"]);
    git.go();
    let output = spawning.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("error[BRANCH_NOT_FETCHED]"), "{error}");
    lab.check_no_orphan();
}

/// The failed replacement would bring it back.
#[test]
fn an_orchestrator_that_is_killed_during_a_replacement_stays_terminated() {
    let lab = Lab::new();
    let first = lab.ok(&ensuring(&lab, &[])).trim().to_owned();
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    let git = SlowGit::new(&lab, "worktree list");
    let replacing = git.start(&lab, &ensuring(&lab, &["--replace"]));
    lab.ok(&["session", "kill", &first]);
    git.go();
    let output = replacing.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("error[SETUP_FAILED]"), "{error}");
    assert_eq!(lab.get(&first)["is_terminated"], true);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
    lab.check_no_orphan();
}

/// That its launchers were killed says nothing about the agent.
#[test]
fn launches_that_never_started_are_no_deaths_of_the_agent() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    lab.spawn(&["--prompt", "another, which keeps the server"]);
    let launch = lab.get(&id)["launch_id"].as_str().unwrap().to_owned();
    lab.kill_launch(&launch);
    for _ in 0..4 {
        let mut command = lab.command(&["reconcile"]);
        command.env("FAILPOINTS", "launch.recorded=return(kill)");
        assert!(!command.status().unwrap().success());
    }
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains(&format!("{id}: relaunched")), "{report}");
    lab.check_no_orphan();
}

#[test]
fn a_prompt_that_a_killed_launcher_did_not_type_is_typed_by_the_next() {
    let lab = Lab::new();
    let path = path_of(&lab, &["git", "tmux", "sh", "sleep"]);
    let agent = "#!/bin/sh\necho ready\nwhile read -r line; do echo \"$line\" >> \"$AO_DATA_DIR/typed\"; done\n";
    fs::write(path.join("amp"), agent).unwrap();
    set_executable(&path.join("amp"));
    let typed = || fs::read_to_string(lab.env.path("data/typed")).unwrap_or_default();
    let run = |args: &[&str], failpoints: &str| {
        let mut command = lab.command(args);
        finish_any(command.env("PATH", &path).env("FAILPOINTS", failpoints))
    };
    assert!(run(&["spawn", "--project", "demo", "--harness", "amp", "--prompt", "do it"], ""));
    wait_until("the prompt", || typed() == "do it\n");
    lab.kill_servers();
    lab.kill_all();
    assert!(!run(&["reconcile"], "launch.running=return(kill)"));
    assert!(run(&["reconcile"], ""));
    wait_until("the prompt of the second launch", || typed() == "do it\ndo it\n");
    lab.check_no_orphan();
}

/// The last session of the server ends while the next one starts.
#[test]
fn a_tmux_server_that_ends_is_replaced() {
    let lab = Lab::new();
    let path = path_of(&lab, &["git", "tmux", "sh", "sleep", "touch"]);
    let real = fs::read_link(path.join("tmux")).unwrap();
    fs::remove_file(path.join("tmux")).unwrap();
    let marker = lab.env.path("ended");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *new-session*)\n\
        [ -e '{0}' ] || {{ touch '{0}'; echo server exited unexpectedly >&2; exit 1; }};;\nesac\n\
        exec {1} \"$@\"\n",
        text(&marker),
        text(&real)
    );
    fs::write(path.join("tmux"), script).unwrap();
    set_executable(&path.join("tmux"));
    let args = spawning(&lab, &["--no-fetch", "--prompt", "p"]);
    assert!(finish_any(lab.command(&args).env("PATH", &path)));
    assert!(marker.exists());
    lab.check_no_orphan();
}

/// Runs a command that may be killed; whether it succeeded.
fn finish_any(command: &mut std::process::Command) -> bool {
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}
