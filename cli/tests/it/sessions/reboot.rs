//! After any number of reboots the same sessions exist, and those that should run do.
//!
//! `AO_SESSION_REBOOTS=n` simulates this many.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::sessions::statements::{ensuring, reboot};
use crate::support::{Output, finish, text};

/// How often an agent was started with this prompt.
fn starts(lab: &Lab, prompt: &str) -> usize {
    lab.starts().iter().filter(|it| *it == prompt).count()
}

fn launches(lab: &Lab, id: &str) -> usize {
    lab.sql(&format!("SELECT count(*) FROM launch WHERE session_id = '{id}'")).parse().unwrap()
}

/// Everything of the sessions that a reboot does not change.
fn identities(lab: &Lab) -> String {
    lab.sql("SELECT id, kind, is_terminated, branch, worktree_path, created_at FROM session")
}

#[test]
fn many_reboots_bring_the_same_sessions_back() {
    let wanted = std::env::var("AO_SESSION_REBOOTS").ok();
    let reboots: usize = wanted.map_or(4, |number| number.parse().unwrap());
    let lab = Lab::new();
    let with_prompt = lab.spawn(&["--prompt", "again"]);
    let acknowledged = lab.spawn(&["--prompt", "once"]);
    let without = lab.spawn(&[]);
    let terminated = lab.spawn(&["--prompt", "never"]);
    let orchestrator = lab.ok(&ensuring(&lab, &[]));
    let custom = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "x"];
    let exited = lab.ok(&[&custom[..], &["--", "true"]].concat());
    let exited = exited.trim();
    for prompt in ["again", "once", "never"] {
        wait_until("the agents", || starts(&lab, prompt) == 1);
    }
    lab.ok(&["session", "kill", &terminated]);
    lab.sql(&format!(
        "UPDATE launch SET prompt_stage = 'acknowledged' WHERE session_id = '{acknowledged}'"
    ));
    let has_exited = || lab.get(exited)["launch"]["cause"] == "exited";
    wait_until("the end of an agent", has_exited);
    let before = identities(&lab);
    for number in 1..=reboots {
        reboot(&lab);
        let Output { code, stdout, stderr } = lab.run(&["reconcile"]);
        let refused = format!("{without}: not relaunched");
        assert!(code == 5 && stdout.contains(&refused), "{number}: {stdout}{stderr}");
        assert!(stderr.contains("error[SESSION_NOT_RESUMABLE]"), "{number}: {stderr}");
        assert_eq!(lab.ok(&ensuring(&lab, &[])), orchestrator, "{number}");
        assert_eq!(identities(&lab), before, "{number}");
        wait_until("the agent with its prompt", || starts(&lab, "again") == number + 1);
        assert_eq!(starts(&lab, "once"), 1, "{number}: it was acknowledged");
        for id in [&with_prompt, &acknowledged, orchestrator.trim()] {
            assert_eq!(launches(&lab, id), number + 1, "{number}: {id}");
            assert_eq!(lab.get(id)["launch"]["ended_at"], Value::Null, "{number}: {id}");
        }
        for id in [&without, &terminated, exited] {
            assert_eq!(launches(&lab, id), 1, "{number}: {id}");
        }
        assert!(has_exited(), "{number}");
        assert_eq!(lab.panes().len(), 3, "{number}");
        lab.check_no_orphan();
    }
    assert_eq!(starts(&lab, "never"), 1);
}

/// Runs the binary where tmux has its sockets somewhere else.
fn elsewhere(lab: &Lab, args: &[&str]) -> Output {
    finish(lab.command(args).env("TMUX_TMPDIR", lab.env.path("other")), b"")
}

/// A configuration of tmux that would create a file as soon as a server reads it; the file.
fn hostile_configuration(lab: &Lab) -> std::path::PathBuf {
    let marker = lab.env.path("marker");
    let run = format!("run-shell \"touch '{}'\"\nset -g default-command false\n", marker.display());
    fs::write(lab.env.path("home/.tmux.conf"), &run).unwrap();
    fs::create_dir_all(lab.env.path("home/.config/tmux")).unwrap();
    fs::write(lab.env.path("home/.config/tmux/tmux.conf"), run).unwrap();
    let of_user = |args: &[&str]| {
        let mut tmux = lab.env.clean("tmux");
        tmux.env("TMUX_TMPDIR", lab.env.path("home")).args(["-L", "user"]).args(args);
        tmux.status().unwrap()
    };
    assert!(of_user(&["new-session", "-d", "sleep 100"]).success());
    wait_until("the file of the configuration", || marker.exists());
    of_user(&["kill-server"]);
    fs::remove_file(&marker).unwrap();
    marker
}

#[test]
fn a_tmux_server_at_another_socket_runs_the_same_sessions() {
    let lab = Lab::new();
    fs::create_dir(lab.env.path("other")).unwrap();
    let marker = hostile_configuration(&lab);
    let id = lab.spawn(&["--prompt", "p"]);
    let (socket, head) = (lab.get(&id)["runtime_socket"].clone(), lab.env.head());
    let output = elsewhere(&lab, &["reconcile"]);
    assert!(output.stdout.contains(&format!("{id}: adopted")), "{}", output.stdout);
    assert_eq!((lab.env.head(), starts(&lab, "p")), (head, 1), "it runs at the recorded socket");
    lab.kill_servers();
    lab.kill_all();
    let output = elsewhere(&lab, &["reconcile"]);
    assert!(output.stdout.contains(&format!("{id}: relaunched")), "{}", output.stdout);
    let session = lab.get(&id);
    assert_ne!(session["runtime_socket"], socket);
    let socket = session["runtime_socket"].as_str().unwrap().to_owned();
    assert!(socket.starts_with(text(&lab.env.path("other"))), "{socket}");
    wait_until("the second start", || starts(&lab, "p") == 2);
    let list = ["-S", &socket, "list-sessions", "-F", "#{session_name}"];
    let listed = Command::new("tmux").args(list).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.trim(), session["launch_id"].as_str().unwrap());
    lab.check_no_orphan();
    // By the recorded socket, whatever the caller's is.
    lab.ok(&["session", "kill", &id]);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
    assert!(!marker.exists(), "the configuration of the user was read");
}
