//! What goes on after its caller was killed, and what another process changes between the look at a session
//! and the work on it.

use std::fs;
use std::path::{Path, PathBuf};
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
        let (begun_arg, go_arg) = (text(&begun), text(&go));
        wrap(&path, "git", |_| {
            format!(
                "case \"$*\" in *'{before}'*)\n\
                echo $$ > '{begun_arg}.new'; mv '{begun_arg}.new' '{begun_arg}'\n\
                while [ ! -e '{go_arg}' ]; do sleep 0.05; done;;\nesac\n"
            )
        });
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
    let path = failing_once(&lab, "tmux", "new-session", "server exited unexpectedly");
    let args = spawning(&lab, &["--no-fetch", "--prompt", "p"]);
    assert!(finish_any(lab.command(&args).env("PATH", &path)));
    assert!(lab.env.path("failed").exists());
    lab.check_no_orphan();
}

/// Something may hold a lock of git, or a server be too busy to answer.
#[test]
fn an_undo_that_fails_once_is_tried_again() {
    let spawn = |lab: &Lab| lab.spawning(&["--no-fetch", "--prompt", "p"]);
    for (program, arguments) in
        [("tmux", "kill-session"), ("git", "worktree unlock"), ("git", "update-ref --no-deref -d")]
    {
        let lab = Lab::new();
        let path = failing_once(&lab, program, arguments, "it is busy");
        let mut command = lab.command(&spawn(&lab).iter().map(String::as_str).collect::<Vec<_>>());
        command.env("PATH", &path).env("FAILPOINTS", "spawn.launched=return");
        assert!(!finish_any(&mut command));
        assert!(lab.env.path("failed").exists(), "{arguments} was not run");
        assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{arguments}");
        lab.check_no_orphan();
    }
    for step in ["undo.stopped", "undo.worktree"] {
        let lab = Lab::new();
        let mut command = lab.command(&spawn(&lab).iter().map(String::as_str).collect::<Vec<_>>());
        command.env("FAILPOINTS", format!("spawn.launched=return;{step}=1*return"));
        assert!(!finish_any(&mut command));
        assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{step}");
        lab.check_no_orphan();
    }
}

#[test]
fn an_undo_of_a_restore_that_fails_once_is_tried_again() {
    for (program, arguments) in [("tmux", "kill-session"), ("git", "worktree unlock")] {
        let lab = Lab::new();
        lab.spawn(&["--prompt", "p"]);
        lab.ok(&["session", "kill", "demo-1"]);
        let path = failing_once(&lab, program, arguments, "it is busy");
        let mut command = lab.command(&["session", "restore", "demo-1"]);
        command.env("PATH", &path).env("FAILPOINTS", "restore.launched=return");
        assert!(!finish_any(&mut command));
        assert!(lab.env.path("failed").exists(), "{arguments} was not run");
        assert_eq!(lab.get("demo-1")["is_terminated"], true);
        assert!(lab.panes().is_empty() && lab.processes().is_empty());
        lab.check_no_orphan();
    }
}

/// A program writes into its worktree while that is removed, and the one that removes it is killed: git has
/// forgotten the worktree, and there is no work in it that could be captured.
#[test]
fn a_worktree_that_git_has_forgotten_is_removed_by_the_next_undo() {
    let lab = Lab::new();
    let worktree = lab.env.path("data/worktrees/demo/demo-1");
    let left = format!("mkdir -p {0} && echo x > {0}/left && kill -9 $PPID", text(&worktree));
    let path = path_of(&lab, &["git", "tmux", "sh", "sleep", "mkdir"]);
    wrap(&path, "git", |real| {
        format!("case \"$*\" in *'worktree remove'*) {real} \"$@\"; {left};; esac\n")
    });
    let args = spawning(&lab, &["--no-fetch", "--prompt", "p"]);
    let mut command = lab.command(&args);
    command.env("PATH", &path).env("FAILPOINTS", "spawn.launched=return");
    assert!(!finish_any(&mut command));
    assert!(worktree.join("left").exists());
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains("demo-1: undone"), "{report}");
    assert!(!worktree.exists());
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    lab.check_no_orphan();
}

/// A `PATH` with a program that fails once when its arguments contain something: it prints a reason,
/// and `failed` exists.
fn failing_once(lab: &Lab, program: &str, arguments: &str, reason: &str) -> PathBuf {
    let path = path_of(lab, &["git", "tmux", "sh", "sleep", "touch"]);
    let failed = lab.env.path("failed");
    wrap(&path, program, |_| {
        format!(
            "case \"$*\" in *'{arguments}'*)\n\
            [ -e '{0}' ] || {{ touch '{0}'; echo {reason} >&2; exit 1; }};;\nesac\n",
            text(&failed)
        )
    });
    path
}

/// Puts a script in the place of a program in the directory of [`path_of`], which it runs at its end.
pub(super) fn wrap(path: &Path, program: &str, script: impl Fn(&str) -> String) {
    let file = path.join(program);
    let real = fs::read_link(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let script = script(text(&real));
    fs::write(&file, format!("#!/bin/sh\n{script}exec {} \"$@\"\n", text(&real))).unwrap();
    set_executable(&file);
}

/// Runs a command that may be killed; whether it succeeded.
fn finish_any(command: &mut std::process::Command) -> bool {
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}
