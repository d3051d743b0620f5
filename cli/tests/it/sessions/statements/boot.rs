//! 3.9, 1 to 12: what a program that ends and one that starts do to the sessions.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use super::{ensuring, path_of, reboot, spawning, traces};
use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::{Live, finish, text};

/// What the program `up` leaves behind when it is ended by a signal.
#[test]
fn s3_9_1_an_end_of_the_program_stops_no_session() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    wait_until("the agent", || lab.starts() == ["p"]);
    let before = traces(&lab);
    for signal in [Signal::TERM, Signal::KILL] {
        let repo = lab.env.path("demo");
        let up = Live::start(&mut lab.command(&["up", text(&repo), "--no-observe"]));
        up.until_printed("observing is off");
        up.signal(signal);
        up.status();
        assert_eq!(traces(&lab), before);
    }
}

#[test]
fn s3_9_2_a_live_session_is_adopted_unchanged() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    lab.ok(&ensuring(&lab, &[]));
    let (before, head) = (traces(&lab), lab.env.head());
    for _ in 0..2 {
        let report = lab.ok(&["reconcile"]);
        assert_eq!(report.matches(": adopted").count(), 2, "{report}");
        assert_eq!((traces(&lab), lab.env.head()), (before.clone(), head.clone()));
    }
}

/// Whether a session lives is not asked of tmux.
#[test]
fn s3_9_3_a_tmux_that_cannot_be_asked_is_no_death() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    let before = traces(&lab);
    let path = path_of(&lab, &["git", "sh"]);
    let tmux = path.join("tmux");
    for script in
        ["#!/bin/sh\necho broken >&2; exit 1\n", "#!/bin/sh\necho no server running on x\n"]
    {
        fs::write(&tmux, script).unwrap();
        set_executable(&tmux);
        let output = finish(lab.command(&["reconcile"]).env("PATH", &path), b"");
        assert!(output.stdout.contains("demo-1: adopted"), "{}{}", output.stdout, output.stderr);
        assert_eq!(traces(&lab), before);
    }
}

#[test]
fn s3_9_4_a_dead_session_is_started_in_its_worktree() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let path = lab.worktree(&id);
    fs::write(path.join("uncommitted"), "x").unwrap();
    reboot(&lab);
    lab.ok(&["reconcile"]);
    assert_eq!(lab.worktree(&id), path);
    assert_eq!(fs::read_to_string(path.join("uncommitted")).unwrap(), "x");
    wait_until("the second start", || lab.starts() == ["p", "p"]);
    lab.check_no_orphan();
}

/// A worktree that a person removed is made again on its branch.
#[test]
fn s3_9_4_without_its_worktree() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let path = lab.worktree(&id);
    reboot(&lab);
    fs::remove_dir_all(&path).unwrap();
    lab.ok(&["reconcile"]);
    assert!(path.join(".git").exists());
    assert_eq!(lab.get(&id)["is_terminated"], false);
    wait_until("the second start", || lab.starts() == ["p", "p"]);
}

#[test]
fn s3_9_7_what_runs_of_a_terminated_session_is_stopped() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    lab.sql("UPDATE session SET is_terminated = 1, terminated_at = 1");
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains("demo-1: stopped"), "{report}");
    assert!(lab.processes().is_empty() && lab.panes().is_empty());
    let head = lab.env.head();
    assert_eq!(lab.ok(&["reconcile"]), "", "the second time there is nothing to do");
    assert_eq!(lab.env.head(), head);
}

#[test]
fn s3_9_8_a_killed_session_is_never_started_again() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    wait_until("the agent", || lab.starts() == ["p"]);
    lab.ok(&["session", "kill", &id]);
    for _ in 0..2 {
        reboot(&lab);
        lab.ok(&["reconcile"]);
        assert_eq!(lab.get(&id)["is_terminated"], true);
    }
    assert_eq!(lab.starts(), ["p"]);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
}

#[test]
fn s3_9_10_without_a_prompt_only_an_orchestrator_is_started_fresh() {
    let lab = Lab::new();
    let worker = lab.spawn(&[]);
    let orchestrator = lab.ok(&ensuring(&lab, &[])).trim().to_owned();
    reboot(&lab);
    let output = lab.run(&["reconcile"]);
    assert!(output.stdout.contains(&format!("{orchestrator}: relaunched")), "{}", output.stdout);
    assert!(output.stdout.contains(&format!("{worker}: not relaunched")), "{}", output.stdout);
    assert!(output.stderr.contains("error[SESSION_NOT_RESUMABLE]"), "{}", output.stderr);
    let launches = |id: &str| {
        lab.sql(&format!("SELECT group_concat(kind) FROM launch WHERE session_id = '{id}'"))
    };
    assert_eq!(launches(&orchestrator), "fresh,fresh");
    assert_eq!(launches(&worker), "fresh", "nothing was started");
    assert!(lab.worktree(&worker).exists());
    lab.check_no_orphan();
}

#[test]
fn s3_9_11_its_own_conversation_comes_before_its_prompt() {
    let lab = Lab::new();
    let dir = path_of(&lab, &["git", "tmux", "sh", "sleep"]);
    let agent = "#!/bin/sh\necho \"$*\" >> \"$AO_DATA_DIR/claude\"\nexec sleep 100000\n";
    fs::write(dir.join("claude"), agent).unwrap();
    set_executable(&dir.join("claude"));
    let run = |args: &[&str]| {
        let output = finish(lab.command(args).env("PATH", &dir), b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
    };
    let lines = || {
        let noted = fs::read_to_string(lab.env.path("data/claude")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    run(&["spawn", "--project", "demo", "--harness", "claude-code", "--prompt", "the prompt"]);
    wait_until("the agent", || lines().len() == 1);
    assert!(lines()[0].contains("the prompt"), "{:?}", lines());
    let native = lab.sql("SELECT native_id FROM launch");
    run(&["session", "kill", "demo-1"]);
    run(&["session", "restore", "demo-1"]);
    wait_until("the second start", || lines().len() == 2);
    assert!(lines()[1].contains("the prompt"), "there is no conversation yet: {:?}", lines());
    let file = lab.env.path(&format!("home/.claude/projects/x/{native}.jsonl"));
    fs::create_dir_all(Path::parent(&file).unwrap()).unwrap();
    let newest = lab.sql("SELECT native_id FROM launch ORDER BY num DESC LIMIT 1");
    fs::write(&file, "{}\n").unwrap();
    fs::write(file.with_file_name(format!("{newest}.jsonl")), "{}\n").unwrap();
    reboot(&lab);
    run(&["reconcile"]);
    wait_until("the third start", || lines().len() == 3);
    assert!(lines()[2].contains(&format!("--resume {newest}")), "{:?}", lines());
    assert!(!lines()[2].contains("the prompt"), "{:?}", lines());
}

#[test]
fn s3_9_12_one_failure_stops_no_other() {
    let lab = Lab::new();
    let broken = lab.env.path("broken.sh");
    fs::copy(&lab.agent, &broken).unwrap();
    set_executable(&broken);
    let mut args = spawning(&lab, &["--prompt", "one"]);
    let last = args.len() - 1;
    args[last] = text(&broken);
    lab.ok(&args);
    lab.spawn(&["--prompt", "two"]);
    reboot(&lab);
    fs::remove_file(&broken).unwrap();
    let output = lab.run(&["reconcile"]);
    assert_eq!(output.code, 5, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("demo-1: not relaunched"), "{}", output.stdout);
    assert!(output.stdout.contains("demo-2: relaunched"), "{}", output.stdout);
    assert_eq!(lab.panes().len(), 1);
    assert_eq!(lab.get("demo-1")["is_terminated"], false, "it should run, and will");
    lab.check_no_orphan();
}
