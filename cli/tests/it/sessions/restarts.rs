//! Sessions while their daemon is stopped, terminated and killed, and while their tmux server is: the same ids,
//! launches and worktrees, one orchestrator, and no death that nobody looked for.
//!
//! Where each statement of 3.9 is tested. A test without a file is here; `boot` and `orchestrator` are files of
//! `statements`, `supervisor` is one of the command line, `link` and `run_file` are unit tests of the daemon.
//!
//! | Statement | Test |
//! |---|---|
//! | 1, 2 | `each_end_of_a_daemon_leaves_every_session_as_it_is`; `boot`: `s3_9_1`, `s3_9_2` |
//! | 3 | `what_ends_between_two_daemons_is_found_by_looking`; `boot`: `s3_9_3` |
//! | 4 | the same, and `a_lost_tmux_server_is_replaced_by_the_next_daemon`; `boot`: `s3_9_4` |
//! | 5, 6, 9 | not applicable: a session goes on in its worktree, so a boot captures nothing and has no markers |
//! | 7 | `what_a_killed_daemon_was_doing_is_finished_or_undone`; `boot`: `s3_9_7` |
//! | 8 | `a_lost_tmux_server_is_replaced_by_the_next_daemon` without a marker; `boot`: `s3_9_8` |
//! | 10, 12 | `a_lost_tmux_server_is_replaced_by_the_next_daemon`; `boot`: `s3_9_10`, `s3_9_12` |
//! | 11 | `boot`: `s3_9_11` |
//! | 13 | `each_end_of_a_daemon_leaves_every_session_as_it_is`; `orchestrator`: `s3_9_13` |
//! | 14, 16 | `callers_that_race_with_a_restart_get_one_orchestrator`; `orchestrator`: `s3_9_14`, `s3_9_16` |
//! | 15, 17 | `orchestrator`: `s3_9_15`, `s3_9_17` |
//! | 18 | `each_end_of_a_daemon_leaves_every_session_as_it_is`; `link`: `it_never_ends_before_a_client_greeted` |
//! | 19, 21 | `supervisor`: `the_daemon_of_an_app_ends_five_seconds_after_its_last_client_was_killed` |
//! | 20 | `link`: `a_client_within_the_grace_cancels_it_and_its_leave_begins_it_again` |
//! | 22 | `supervisor`: `a_lack_of_file_descriptors_delays_a_client_and_ends_nothing` |
//! | 23, 28 | `each_end_of_a_daemon_leaves_every_session_as_it_is`; `run_file`: `only_its_writer_removes_it` |
//! | 24 | `supervisor`: `a_link_that_cannot_be_made_is_reported_and_the_daemon_serves` |
//! | 25 | `supervisor`, which finds it beside the run-file; Windows pipes are not applicable |
//! | 26 | `run_file`: `it_is_private_and_a_damaged_one_is_none`; `supervisor`: `a_daemon_without_an_app_has_no_link` |
//! | 27 | not applicable: it is a property of the desktop program |

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Lab;
use super::lab::wait_until;
use super::routes::Served;
use super::statements::{ensuring, spawning, traces};
use crate::support::finish;

fn status(lab: &Lab) -> Value {
    lab.env.json("daemon.status", &["daemon", "status"])
}

fn state(lab: &Lab) -> String {
    status(lab)["state"].as_str().unwrap().to_owned()
}

fn signal(pid: &Value, signal: Signal) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Kills the daemon.
fn kill(lab: &Lab) {
    signal(&status(lab)["pid"], Signal::KILL);
    wait_until("the end of the daemon", || state(lab) == "stale");
}

/// Makes the run-file that a killed daemon left one of another version of the program.
fn outdate(lab: &Lab) {
    let path = lab.env.path("data/running.json");
    let mut left: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    left["version"] = json!("0.0.1");
    left["of_another_version"] = json!({});
    fs::write(&path, left.to_string()).unwrap();
    assert_eq!((state(lab), &status(lab)["version"]), ("stale".to_owned(), &json!("0.0.1")));
}

/// A command that starts a daemon, and fails at these steps.
fn starting(lab: &Lab, failpoints: &str) -> Command {
    let mut command = lab.command(&["start", "--no-observe"]);
    command.env("FAILPOINTS", failpoints);
    command
}

/// Starts a daemon and waits until it has reconciled; what came of that.
fn start(lab: &Lab) -> String {
    lab.ok(&["start", "--no-observe"]);
    let mut outcome = String::new();
    wait_until("the reconciliation", || {
        let first = status(lab)["loops"][0].clone();
        assert_eq!(first["name"], "reconcile");
        assert_ne!(first["state"], "failed", "{first}");
        outcome = first["outcome"].as_str().unwrap_or_default().to_owned();
        first["state"] == "done"
    });
    outcome
}

/// Everything of the sessions that no restart changes.
fn identities(lab: &Lab) -> String {
    lab.sql("SELECT id, kind, is_terminated, branch, worktree_path, created_at FROM session")
}

/// What a session runs in, and whether that has ended.
fn launch(lab: &Lab, id: &str) -> String {
    let columns = "launch_id || iif(ended_at IS NULL, ' open', cause)";
    lab.sql(&format!(
        "SELECT {columns} FROM session JOIN launch ON launch.id = launch_id WHERE session.id = '{id}'"
    ))
}

/// The same for what a launch was before.
fn launch_row(lab: &Lab, before: &str) -> String {
    let id = before.split(' ').next().unwrap();
    lab.sql(&format!(
        "SELECT id || iif(ended_at IS NULL, ' open', cause) FROM launch WHERE id = '{id}'"
    ))
}

#[test]
fn each_end_of_a_daemon_leaves_every_session_as_it_is() {
    let served = Served::new();
    let lab = &served.lab;
    lab.spawn(&["--prompt", "pane"]);
    lab.spawn(&["--prompt", "process", "--runtime", "process"]);
    let orchestrator = lab.ok(&ensuring(lab, &["--prompt", "orchestrator"]));
    wait_until("the agents", || lab.starts().len() == 3);
    let before = traces(lab);
    let mut pids = vec![status(lab)["pid"].clone()];
    for end in ["stop", "TERM", "KILL", "KILL", "stop"] {
        match end {
            "stop" => drop(lab.ok(&["stop"])),
            "TERM" => signal(&status(lab)["pid"], Signal::TERM),
            _ => kill(lab),
        }
        let (wanted, is_left) = if end == "KILL" { ("stale", true) } else { ("stopped", false) };
        wait_until(wanted, || state(lab) == wanted);
        for file in ["running.json", "daemon.sock"] {
            assert_eq!(lab.env.path("data").join(file).exists(), is_left, "{end}: {file}");
        }
        if is_left {
            outdate(lab);
        }
        assert_eq!(traces(lab), before, "{end}");
        assert_eq!(start(lab), "looked at: 3, failed: 0");
        let pid = status(lab)["pid"].clone();
        lab.ok(&["start", "--no-observe"]);
        assert_eq!(status(lab)["pid"], pid, "{end}: a second start finds the first daemon");
        assert!(!pids.contains(&pid), "{end}");
        pids.push(pid);
        assert_eq!(served.ask("GET", "/api/v1/sessions", None).status, 200, "{end}");
        assert_eq!(lab.ok(&ensuring(lab, &[])), orchestrator, "{end}");
        assert_eq!(traces(lab), before, "{end}");
    }
    assert_eq!(lab.starts().len(), 3);
    lab.check_no_orphan();
}

#[test]
fn what_loses_its_tmux_server_is_started_again_while_the_daemon_runs() {
    let served = Served::new();
    let lab = &served.lab;
    let lives = lab.spawn(&["--prompt", "process", "--runtime", "process"]);
    let id = lab.spawn(&["--prompt", "pane"]);
    wait_until("the agents", || lab.starts().len() == 2);
    assert_eq!(start(lab), "looked at: 0, failed: 0");
    for times in 1..=2 {
        let before = [launch(lab, &lives), launch(lab, &id)];
        lab.kill_servers();
        wait_until("another launch", || {
            let now = launch(lab, &id);
            now != before[1] && now.ends_with(" open")
        });
        wait_until("its agent", || lab.starts().len() == 2 + times);
        assert_eq!(launch(lab, &lives), before[0]);
        wait_until("the end of the pass", || start(lab) == "looked at: 1, failed: 0");
    }
    // What a person ended stays so.
    lab.ok(&["session", "kill", &id]);
    assert!(lab.panes().is_empty());
    lab.check_no_orphan();
}

#[test]
fn what_ends_between_two_daemons_is_found_by_looking() {
    let served = Served::new();
    let lab = &served.lab;
    let lives = lab.spawn(&["--prompt", "lives"]);
    let dies = lab.spawn(&["--prompt", "dies"]);
    let mut args = spawning(lab, &["--prompt", "exits"]);
    args.pop();
    let script = "while [ ! -e \"$AO_DATA_DIR/end\" ]; do sleep 0.05; done; exit 3";
    let exits = lab.ok(&[&args[..], &["sh", "-c", script]].concat()).trim().to_owned();
    wait_until("the agents", || lab.starts().len() == 2);
    let (before, adopted) = (identities(lab), launch(lab, &lives));
    fs::write(lab.worktree(&dies).join("uncommitted"), "x").unwrap();
    kill(lab);
    let open = launch(lab, &dies);
    assert!(open.ends_with(" open"), "{open}");
    lab.kill_launch(open.trim_end_matches(" open"));
    fs::write(lab.env.path("data/end"), "").unwrap();
    wait_until("the end of an agent", || launch(lab, &exits).ends_with("exited"));
    assert_eq!(launch(lab, &dies), open, "nobody has looked yet");
    let exited = launch(lab, &exits);
    // A tmux server that does not answer is no death of what runs in it.
    let socket = lab.get(&lives)["runtime_socket"].as_str().unwrap().to_owned();
    let args = ["-S", &socket, "display-message", "-p", "#{pid}"];
    let server = Command::new("tmux").args(args).output().unwrap().stdout;
    let stopped: Value = serde_json::from_slice(&server).unwrap();
    signal(&stopped, Signal::STOP);
    lab.ok(&["start", "--no-observe"]);
    wait_until("a look at it", || launch(lab, &dies) != open);
    let seen = launch(lab, &lives);
    signal(&stopped, Signal::CONT);
    assert_eq!(seen, adopted);
    start(lab);
    kill(lab);
    start(lab);
    assert_eq!(identities(lab), before);
    assert_eq!((launch(lab, &lives), launch(lab, &exits)), (adopted, exited));
    let causes = format!("SELECT group_concat(cause) FROM launch WHERE session_id = '{dies}'");
    assert!(lab.sql(&causes).starts_with("killed"), "{}", lab.sql(&causes));
    assert!(launch(lab, &dies).ends_with(" open"));
    assert!(lab.worktree(&dies).join("uncommitted").exists());
    lab.check_no_orphan();
}

#[test]
fn an_agent_that_ends_its_own_terminal_is_started_three_times_and_delays_no_other() {
    let served = Served::new();
    let lab = &served.lab;
    // It signals its process group, to which its supervisor belongs.
    let script = "trap 'kill 0' EXIT; exit 0";
    let args = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "x"];
    let bad = lab.ok(&[&args[..], &["--", "sh", "-c", script]].concat()).trim().to_owned();
    let good = lab.spawn(&["--prompt", "good"]);
    let launches =
        |id: &str| lab.sql(&format!("SELECT count(*) FROM launch WHERE session_id = '{id}'"));
    wait_until("the last of its launches", || {
        launches(&bad) == "4" && launch(lab, &bad).ends_with("runtime_lost")
    });
    for times in 2..=3 {
        lab.kill_servers();
        wait_until("the other one", || {
            launches(&good) == times.to_string() && launch(lab, &good).ends_with(" open")
        });
    }
    start(lab);
    assert_eq!(launches(&bad), "4");
    lab.ok(&["session", "kill", &good]);
    lab.check_no_orphan();
}

#[test]
fn a_lost_tmux_server_is_replaced_by_the_next_daemon() {
    let served = Served::new();
    let lab = &served.lab;
    let with_prompt = lab.spawn(&["--prompt", "again"]);
    let without = lab.spawn(&[]);
    let terminated = lab.spawn(&["--prompt", "never"]);
    let orchestrator = lab.ok(&ensuring(lab, &[]));
    wait_until("the agents", || lab.starts().len() == 4);
    lab.ok(&["session", "kill", &terminated]);
    fs::write(lab.worktree(&with_prompt).join("uncommitted"), "x").unwrap();
    let before = identities(lab);
    for is_killed_first in [true, false, true] {
        let lost = [&with_prompt, orchestrator.trim()].map(|id| launch(lab, id));
        if is_killed_first {
            kill(lab);
        }
        lab.kill_servers();
        if !is_killed_first {
            // It may have begun to start them again.
            kill(lab);
        }
        let is_open = |it: &String| launch_row(lab, it).ends_with(" open");
        wait_until("the end of the agents", || !lost.iter().any(is_open));
        let callers: Vec<_> = (0..4).map(|_| lab.command(&ensuring(lab, &[]))).collect();
        let callers = callers.into_iter().map(|mut it| it.spawn().unwrap()).collect::<Vec<_>>();
        assert_eq!(start(lab), "looked at: 4, failed: 1");
        for caller in callers {
            let output = caller.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), orchestrator, "{error}");
        }
        assert_eq!(identities(lab), before);
        for (id, lost) in [&with_prompt, orchestrator.trim()].into_iter().zip(lost) {
            let new = launch(lab, id);
            assert!(new != lost && new.ends_with(" open"), "{id}: {lost}, then {new}");
        }
        assert!(launch(lab, &without).ends_with("runtime_lost"), "it cannot be resumed");
        assert!(lab.worktree(&with_prompt).join("uncommitted").exists());
        assert_eq!(lab.panes().len(), 2);
        lab.check_no_orphan();
    }
    wait_until("the agents", || lab.starts().iter().filter(|it| *it == "again").count() == 4);
    assert_eq!(lab.starts().iter().filter(|it| *it == "never").count(), 1);
}

/// Sends a request to the daemon, which is killed by it.
fn ask_for_its_end(served: &Served, path: &str, body: &Value) {
    let mut answer = Vec::new();
    let _ = served.send("POST", path, Some(body)).read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    wait_until("the end of the daemon", || state(&served.lab) == "stale");
}

/// Starts a daemon that kills itself at this step, in place of the one that runs.
fn start_failing(served: &Served, step: &str) {
    served.lab.ok(&["stop"]);
    let started = finish(&mut starting(&served.lab, &format!("{step}=return(kill)")), b"");
    assert_eq!(started.code, 0, "{}", started.stderr);
}

#[test]
fn callers_that_race_with_a_restart_get_one_orchestrator() {
    let served = Served::new();
    let lab = &served.lab;
    let spawn = json!({"project": "demo", "harness": "custom", "argv": [lab.agent]});
    for step in ["spawn.worktree", "launch.running", "spawn.launched"] {
        start_failing(&served, step);
        ask_for_its_end(&served, "/api/v1/orchestrators", &json!({"spawn": spawn}));
        let args = ensuring(lab, &[]);
        let callers = (0..4).map(|_| {
            lab.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let callers: Vec<_> = callers.collect();
        start(lab);
        let live = "SELECT id FROM session WHERE kind = 'orchestrator' AND is_terminated = 0";
        let mut got = Vec::new();
        for caller in callers {
            let output = caller.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{step}: {error}");
            got.push(String::from_utf8(output.stdout).unwrap());
        }
        let id = lab.sql(live);
        assert!(got.iter().all(|it| it.trim() == id), "{step}: {got:?}, but {id}");
        assert_eq!(lab.panes().len(), 1, "{step}");
        lab.check_no_orphan();
        lab.ok(&["session", "kill", &id]);
    }
}

#[test]
fn what_a_killed_daemon_was_doing_is_finished_or_undone() {
    let served = Served::new();
    let lab = &served.lab;
    let other = lab.spawn(&["--prompt", "other"]);
    let (adopted, count) = (launch(lab, &other), "SELECT count(*) FROM session");
    let spawn = json!({"project": "demo", "harness": "custom", "prompt": "p", "argv": [lab.agent]});
    for step in ["spawn.seeded", "spawn.prepared", "launch.started", "spawn.launched"] {
        start_failing(&served, step);
        ask_for_its_end(&served, "/api/v1/sessions", &spawn);
        start(lab);
        assert_eq!((lab.sql(count).as_str(), lab.panes().len()), ("1", 1), "{step}");
        lab.check_no_orphan();
    }
    let id = lab.spawn(&["--prompt", "p"]);
    let path = lab.worktree(&id);
    for (step, verb) in
        [("kill.stopped", "kill"), ("restore.launched", "restore"), ("kill.released", "kill")]
    {
        if step == "kill.released" {
            lab.ok(&["session", "restore", &id]);
        }
        start_failing(&served, step);
        ask_for_its_end(&served, &format!("/api/v1/sessions/{id}/{verb}"), &json!({}));
        start(lab);
        assert_eq!(lab.get(&id)["is_terminated"], true, "{step}");
        assert_eq!(lab.panes().len(), 1, "{step}: only the other one runs");
        lab.check_no_orphan();
    }
    lab.ok(&["session", "restore", &id]);
    for step in ["reconcile.begun", "reconcile.stopped"] {
        let lost = launch(lab, &id);
        lab.ok(&["stop"]);
        lab.kill_launch(lost.trim_end_matches(" open"));
        // It may be killed before the command has found it.
        finish(&mut starting(lab, &format!("{step}=return(kill)")), b"");
        wait_until("the end of the daemon", || state(lab) == "stale");
        start(lab);
        let new = launch(lab, &id);
        assert!(new != lost && new.ends_with(" open"), "{step}: {lost}, then {new}");
        assert_eq!((lab.worktree(&id), lab.panes().len()), (path.clone(), 2), "{step}");
        lab.check_no_orphan();
    }
    assert_eq!(launch(lab, &other), adopted);
}
