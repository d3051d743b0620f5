//! The caller goes away while a verb runs: signals between its steps and while it waits, and closed output.
//! Nothing has to reconcile afterwards.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::text;

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// A verb with an action of `session/src/failpoint.rs` at some of its steps.
pub(super) struct Verb(Child);

impl Verb {
    /// Starts it as a shell with job control does, in a process group of its own.
    pub(super) fn start(lab: &Lab, args: &[String], actions: &[(&str, &str)]) -> Verb {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let points: Vec<_> = actions.iter().map(|(step, act)| format!("{step}={act}")).collect();
        let mut command = lab.command(&args);
        command.env("FAILPOINTS", points.join(";")).process_group(0);
        Verb(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    pub(super) fn wait_for_stop(&self, step: &str) {
        let stat = format!("/proc/{}/stat", self.0.id());
        wait_until(step, || {
            let stat = fs::read_to_string(&stat).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        });
    }

    pub(super) fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Its exit status and what it printed.
    pub(super) fn end(mut self) -> (i32, String) {
        let mut status = None;
        wait_until("its end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        let mut printed = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        (status.and_then(|status| status.code()).unwrap_or(-1), printed)
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// Whether these tests run under `nohup`: what they start ignores SIGHUP, too.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

/// Interrupts a verb at each of these steps in a new lab, and checks what it left.
fn interrupt(
    steps: &[&str],
    prepare: impl Fn(&Lab),
    args: impl Fn(&Lab) -> Vec<String>,
    check: impl Fn(&Lab, &str),
) {
    let signals = SIGNALS.iter().filter(|(signal, _)| *signal != "HUP" || !ignores_hangups());
    for (step, (signal, status)) in steps.iter().zip(signals.cycle()) {
        let lab = Lab::new();
        prepare(&lab);
        let verb = Verb::start(&lab, &args(&lab), &[(step, signal)]);
        let (code, printed) = verb.end();
        assert_eq!(code, *status, "{step}: {printed}");
        assert!(printed.contains("error[INTERRUPTED]"), "{step}: {printed}");
        // Shown with a failure of what follows.
        println!("{step}: {printed}");
        lab.check_no_orphan();
        check(&lab, step);
    }
}

fn terminated(lab: &Lab) {
    lab.spawn(&["--prompt", "p"]);
    lab.ok(&["session", "kill", "demo-1"]);
}

fn ensure(lab: &Lab, more: &[&str]) -> Vec<String> {
    let first = ["orchestrator", "ensure", "--project", "demo", "--harness", "custom"];
    words(&[&first[..], more, &["--", &lab.agent]].concat())
}

const LAUNCH: [&str; 4] = ["launch.recorded", "launch.written", "launch.started", "launch.running"];

#[test]
fn a_signal_at_any_step_of_a_spawn_leaves_nothing_of_it() {
    let steps = ["spawn.seeded", "spawn.fetched", "spawn.planned", "spawn.worktree"];
    let steps = [&steps[..], &LAUNCH, &["spawn.prepared", "spawn.launched"]].concat();
    interrupt(
        &steps,
        |_| {},
        |lab| lab.spawning(&["--prompt", "p"]),
        |lab, step| {
            assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{step}");
            assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "{step}");
            assert!(lab.panes().is_empty() && lab.processes().is_empty(), "{step}");
            assert!(!lab.env.path("data/worktrees/demo/demo-1").exists(), "{step}");
        },
    );
}

#[test]
fn a_signal_during_a_restore_leaves_the_session_terminated() {
    interrupt(
        &["restore.begun", "restore.worktree", "launch.started", "launch.running"],
        terminated,
        |_| words(&["session", "restore", "demo-1"]),
        |lab, step| {
            assert_eq!(lab.sql("SELECT is_terminated FROM session"), "1", "{step}");
            assert!(lab.panes().is_empty() && lab.processes().is_empty(), "{step}");
            assert!(!lab.env.path("data/worktrees/demo/demo-1").exists(), "{step}");
            let head = lab.env.head();
            lab.ok(&["reconcile"]);
            assert_eq!(lab.env.head(), head, "{step}: nothing was left to do");
            lab.ok(&["session", "restore", "demo-1"]);
        },
    );
}

#[test]
fn a_signal_during_a_relaunch_leaves_an_exited_agent_as_it_was() {
    interrupt(
        &["relaunch.begun", "launch.recorded", "launch.running"],
        |lab| {
            let first = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p"];
            let once =
                "[ -e \"$AO_DATA_DIR/once\" ] && exec sleep 100000; touch \"$AO_DATA_DIR/once\"";
            lab.ok(&[&first[..], &["--", "sh", "-c", once]].concat());
            wait_until("its end", || lab.get("demo-1")["activity"] == "exited");
        },
        |_| words(&["session", "relaunch", "demo-1"]),
        |lab, step| {
            assert_eq!(lab.sql("SELECT is_terminated FROM session"), "0", "{step}");
            assert!(lab.processes().is_empty(), "{step}");
            lab.ok(&["reconcile"]);
            assert!(lab.processes().is_empty(), "{step}: its agent ended by itself");
            lab.ok(&["session", "relaunch", "demo-1"]);
            assert!(!lab.processes().is_empty(), "{step}");
        },
    );
}

#[test]
fn a_signal_while_an_orchestrator_is_ensured_keeps_the_one_there_was() {
    interrupt(
        &["spawn.worktree", "launch.started"],
        |_| {},
        |lab| ensure(lab, &[]),
        |lab, step| assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{step}"),
    );
    interrupt(
        &["replace.begun", "replace.captured", "spawn.seeded", "spawn.launched"],
        |lab| drop(lab.ok(&ensure(lab, &[]).iter().map(String::as_str).collect::<Vec<_>>())),
        |lab| ensure(lab, &["--replace"]),
        |lab, step| {
            assert_eq!(lab.sql("SELECT id || is_terminated FROM session"), "demo-10", "{step}");
            assert_eq!(lab.panes().len(), 1, "{step}");
            assert!(lab.ok(&["reconcile"]).contains("demo-1: adopted"), "{step}");
        },
    );
}

#[test]
fn a_signal_during_a_reconciliation_or_a_cleanup_leaves_the_rest_to_the_next_one() {
    interrupt(
        &["reconcile.settled", "reconcile.begun", "launch.started"],
        |lab| {
            lab.spawn(&["--prompt", "p"]);
            lab.kill_servers();
            lab.kill_all();
        },
        |_| words(&["reconcile"]),
        |lab, step| {
            assert!(lab.processes().is_empty() && lab.panes().is_empty(), "{step}");
            assert!(lab.ok(&["reconcile"]).contains("demo-1: relaunched"), "{step}");
        },
    );
    interrupt(
        &["cleanup.begun"],
        terminated,
        |_| words(&["session", "cleanup", "--yes"]),
        |lab, step| {
            assert!(lab.git(&["branch", "--list", "ao/*"]).contains("ao/demo-1/root"), "{step}");
            lab.ok(&["session", "cleanup", "--yes"]);
            assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "{step}");
        },
    );
}

#[test]
fn a_termination_is_not_interrupted() {
    for (step, (signal, _)) in
        ["kill.begun", "kill.stopped", "kill.released"].iter().zip(SIGNALS.iter())
    {
        let lab = Lab::new();
        lab.spawn(&["--prompt", "p"]);
        let verb = Verb::start(&lab, &words(&["session", "kill", "demo-1"]), &[(step, signal)]);
        let (code, printed) = verb.end();
        assert_eq!(code, 0, "{step}: {printed}");
        println!("{step}: {printed}");
        assert_eq!(lab.sql("SELECT is_terminated FROM session"), "1", "{step}");
        assert!(lab.panes().is_empty() && lab.processes().is_empty(), "{step}");
        lab.check_no_orphan();
    }
}

#[test]
fn a_second_signal_ends_the_process_and_reconciliation_undoes_the_rest() {
    let lab = Lab::new();
    let args = lab.spawning(&["--prompt", "p"]);
    let verb = Verb::start(&lab, &args, &[("launch.running", "INT"), ("undo.stopped", "INT")]);
    let (code, printed) = verb.end();
    assert_eq!(code, 130, "{printed}");
    println!("{printed}");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "1");
    assert!(lab.ok(&["reconcile"]).contains("demo-1: undone"));
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    lab.check_no_orphan();
}

/// Ctrl-C at a terminal reaches the whole process group, to which no program that a verb runs belongs.
#[test]
fn a_ctrl_c_during_the_setup_command_stops_it_and_undoes_the_spawn() {
    let lab = Lab::new();
    let (begun, hit) = (lab.env.path("begun"), lab.env.path("hit"));
    let (begun_at, hit_at) = (text(&begun), text(&hit));
    lab.sql(&format!(
        "UPDATE project SET setup_command = 'trap \"touch {hit_at}\" INT; echo $$ > {begun_at}; exec 1>&- 2>&-; \
         while :; do sleep 0.1; done'"
    ));
    let verb = Verb::start(&lab, &lab.spawning(&[]), &[]);
    let pid = || fs::read_to_string(&begun).unwrap_or_default().trim().to_owned();
    wait_until("the setup command", || !pid().is_empty());
    kill_process_group(verb.pid(), Signal::INT).unwrap();
    let (code, printed) = verb.end();
    assert_eq!(code, 130, "{printed}");
    assert!(printed.contains("error[INTERRUPTED]"), "{printed}");
    println!("{printed}");
    assert!(!hit.exists() && !fs::exists(format!("/proc/{}", pid())).unwrap());
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    lab.check_no_orphan();
}

#[test]
fn a_hangup_under_nohup_is_no_interruption() {
    let lab = Lab::new();
    let mut command = lab.env.clean("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_ao-store")]).args(lab.spawning(&[]));
    command.env("TMUX_TMPDIR", lab.env.path("home")).env("AO_DATA_DIR", lab.env.path("data"));
    command.env("FAILPOINTS", "spawn.worktree=HUP").process_group(0);
    let verb = Verb(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (code, printed) = verb.end();
    assert_eq!(code, 0, "{printed}");
    println!("{printed}");
    assert_eq!(lab.panes().len(), 1);
}

#[test]
fn a_closed_output_never_leaves_a_verb_half_done() {
    let lab = Lab::new();
    let closed = |args: &[String], code: i32| {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (out, error) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        drop((out.0, error.0));
        let mut child = lab.command(&args).stdout(out.1).stderr(error.1).spawn().unwrap();
        let mut status = None;
        wait_until("its end", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(code), "{args:?}");
        assert_eq!(lab.sql("SELECT count(*) FROM session_operation"), "0", "{args:?}");
    };
    closed(&lab.spawning(&["--prompt", "p"]), 141);
    assert!(lab.ok(&["reconcile"]).contains("demo-1: adopted"));
    closed(&words(&["reconcile"]), 141);
    closed(&words(&["session", "kill", "demo-1"]), 141);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
    closed(&words(&["session", "restore", "demo-1"]), 141);
    assert_eq!(lab.panes().len(), 1);
    closed(&words(&["session", "relaunch", "demo-1"]), 5);
    closed(&words(&["session", "kill", "demo-1"]), 141);
    closed(&words(&["session", "cleanup", "--yes"]), 141);
    assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "");
    closed(&ensure(&lab, &[]), 141);
    lab.ok(&["session", "kill", "demo-2"]);
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    closed(&lab.spawning(&[]), 1);
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "2");
    lab.check_no_orphan();
}
