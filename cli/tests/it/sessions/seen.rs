//! What people see of a session: its page, what needs attention, and the stream, on a terminal and at a pipe.

use ao_store::Timestamp;
use ao_store::row::lifecycle::instance::Instance;
use unicode_width::UnicodeWidthStr;

use crate::documented;
use crate::pty;
use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::{has_controls, text};

/// Spawns a session whose agent runs this script, and waits for the end of the agent.
fn ended(lab: &Lab, more: &[&str], script: &str) -> String {
    let first = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p"];
    let args = [&first[..], more, &["--", "sh", "-c", script]].concat();
    let id = lab.ok(&args).trim().to_owned();
    wait_until("the end", || !lab.get(&id)["launch"]["ended_at"].is_null());
    id
}

/// The item of attention of a session.
fn attention(lab: &Lab, id: &str) -> serde_json::Value {
    let data = lab.env.json("attention.list", &["attention", "--session", id]);
    let items = data.as_array().unwrap();
    assert!(items.len() <= 1, "{data}");
    items.first().cloned().unwrap_or_default()
}

#[test]
fn attention_says_how_an_agent_ended_and_which_command_helps() {
    let lab = Lab::new();
    let failed = ended(&lab, &[], "echo hello; echo 'error: no such flag'; exit 3");
    let killed = ended(&lab, &[], "kill -9 $$");
    let item = attention(&lab, &failed);
    assert_eq!(item["kind"], "session_exited");
    assert_eq!(item["text"], "its agent exited with status 3: error: no such flag");
    assert_eq!(item["since"], lab.get(&failed)["launch"]["ended_at"]);
    let next = item["next"].as_str().unwrap();
    assert_eq!(next, format!("ao-store session relaunch {failed}"));
    assert_eq!(attention(&lab, &killed)["text"], "its agent was ended by signal 9");
    let words: Vec<_> = next.split(' ').skip(1).collect();
    lab.ok(&words);
    wait_until("the second end", || lab.get(&failed)["launch"]["num"] == 2);
    wait_until("the second end", || attention(&lab, &failed)["kind"] == "session_exited");
    for id in [&failed, &killed] {
        lab.ok(&["session", "kill", id]);
        assert!(attention(&lab, id).is_null(), "it is to be ended");
    }
}

/// Another program runs it, so no command here starts its agent.
#[test]
fn attention_for_an_external_session_shows_it() {
    let lab = Lab::new();
    let id = lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    lab.sql("UPDATE session SET activity = 'exited'");
    let item = attention(&lab, &id);
    assert_eq!(item["text"], "its agent ended; the session is not terminated");
    assert_eq!(item["next"], format!("ao-store session get {id}"));
}

#[test]
fn a_verb_that_runs_on_a_session_needs_nobody() {
    let lab = Lab::new();
    let id = ended(&lab, &[], "exit 3");
    assert_eq!(attention(&lab, &id)["kind"], "session_exited");
    lab.sql(
        "INSERT INTO session_operation (session_id, verb, instance, started_at)
            SELECT id, 'relaunch', 'i', 1 FROM session",
    );
    assert_eq!(lab.get(&id)["status"], "lost", "the process that ran it has ended");
    let Instance { owner, boot_id, .. } = Instance::of_this_process("i", "test", Timestamp(1));
    lab.sql(&format!("INSERT INTO instance VALUES ('i', '{owner}', '{boot_id}', 'test', 1)"));
    assert_eq!(lab.get(&id)["status"], "starting");
    assert!(attention(&lab, &id).is_null());
}

#[test]
fn the_page_has_everything_of_a_session_that_ended() {
    let lab = Lab::new();
    let parent = lab.spawn(&[]);
    let script =
        "printf 'one\\n\\033[31mred\\033[0m\\033]0;title\\007\\a\\n'; touch precious; exit 3";
    let id = ended(&lab, &["--parent", &parent, "--runtime", "process"], script);
    let path = lab.worktree(&id);
    let shown = lab.ok(&["session", "get", &id]);
    let commit = lab.git(&["rev-parse", "--short=12", "main"]);
    for part in [
        "exited · worker · custom",
        "status      its agent exited with status 3, ",
        "parent      demo-1",
        &format!("base        origin/main at {commit}"),
        &format!("worktree    {}", text(&path)),
        "runtime     process",
        "launch      1, from its prompt, started ",
        "prompt written",
        "ended       exited with status 3, ",
        "Last output\n  │ one\n  │ red\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let data = lab.get(&id);
    assert_eq!(data["launch"]["output"], "one\nred\n");
    assert_eq!(
        (&data["parent_id"], &data["launch"]["cause"]),
        (&"demo-1".into(), &"exited".into())
    );
    documented::check("session.get", &data);
    lab.run(&["session", "kill", &id]);
    assert!(path.join("precious").exists());
    let shown = lab.ok(&["session", "get", &id]);
    let data = lab.get(&id);
    for part in ["worktree_reason", "branch_reason"] {
        let reason = data["cleanup"][part].as_str().unwrap();
        assert!(shown.contains(reason), "{reason}: {shown}");
    }
    assert!(shown.contains("cleanup     worktree kept: "), "{shown}");
    assert!(shown.contains("ended by    "), "{shown}");
}

#[test]
fn a_page_fits_a_terminal_and_its_output_cannot_control_it() {
    let lab = Lab::new();
    let line = "x".repeat(300);
    let script =
        format!("i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo {line}");
    let id = ended(&lab, &["--name", &"a long name ".repeat(16)], &script);
    let args = ["session", "get", id.as_str()];
    let shown = pty::run(&lab.env, &args, &[], 80);
    let plain = anstream::adapter::strip_str(&shown).to_string();
    let wide: Vec<_> = plain.lines().filter(|line| line.width() > 80).collect();
    assert!(wide.is_empty(), "{wide:?}");
    assert!(plain.contains("│ line 29") && !plain.contains("│ line 2\n"), "{plain}");
    let piped = lab.ok(&args);
    assert!(piped.contains(&line), "a pipe gets everything: {piped}");
    // What an earlier version, or another program, stored.
    lab.sql("UPDATE launch_output SET tail = 'a' || char(27) || ']0;x' || char(7) || 'b'");
    assert!(!has_controls(&lab.ok(&args)));
    assert!(!has_controls(&lab.ok(&["session", "get", &id, "--verbose"])));
    assert!(!has_controls(&lab.ok(&["attention"])));
}

/// The log has the launch of then; a status is not derived.
#[test]
fn as_of_a_cursor_there_is_the_launch_of_then_and_no_status() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    wait_until("the start", || !lab.get(&id)["launch"]["started_at"].is_null());
    let running = lab.env.head();
    lab.ok(&["session", "kill", &id]);
    let then = ["session", "get", id.as_str(), "--at", &running];
    let data = lab.env.json("session.get", &then);
    assert_eq!(data["is_terminated"], false);
    assert_eq!(data["launch"]["num"], 1);
    assert!(data["launch"]["ended_at"].is_null() && !data["launch"]["started_at"].is_null());
    for absent in ["status", "status_reason", "status_since", "cleanup"] {
        assert!(data.get(absent).is_none(), "{absent}: {data}");
    }
    let shown = lab.ok(&then);
    assert!(shown.contains("activity unknown · worker"), "{shown}");
    assert!(shown.contains("launch      1, ") && !shown.contains("\n  status "), "{shown}");
    assert!(!lab.get(&id)["launch"]["ended_at"].is_null());
}

/// The lines of the stream about launches, without time and session.
fn launches(shown: &str) -> Vec<String> {
    let lines = shown.lines().filter_map(|line| line.split_once("  launch "));
    lines.map(|(_, words)| words.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_stream_for_people_has_words_for_launches() {
    let lab = Lab::new();
    let id = ended(&lab, &[], "exit 3");
    ended(&lab, &[], "kill -9 $$");
    let lost = lab.spawn(&["--prompt", "p"]);
    lab.kill_servers();
    lab.kill_all();
    lab.sql("UPDATE launch SET boot_id = 'another boot' WHERE ended_at IS NULL");
    lab.ok(&["reconcile"]);
    lab.ok(&["session", "kill", &lost]);
    for args in [
        &["tail", "--no-follow", "--from", "beginning", "--format", "pretty"][..],
        &["history", "session", &id, "--format", "pretty"],
    ] {
        let shown = lab.ok(args);
        let words = launches(&shown);
        for part in ["created from its prompt", "started", "exited with status 3"] {
            assert!(words.iter().any(|line| line == part), "{part}: {shown}");
        }
        assert!(!shown.contains("supervisor"), "{shown}");
    }
    let shown = lab.ok(&["tail", "--no-follow", "--from", "beginning", "--format", "pretty"]);
    let words = launches(&shown);
    for part in ["killed by signal 9", "runtime lost", "stopped"] {
        assert!(words.iter().any(|line| line.contains(part)), "{part}: {shown}");
    }
    let rows = lab.ok(&["tail", "--snapshot", "--no-follow", "--format", "pretty"]);
    assert!(rows.contains("from its prompt  exited with status 3"), "{rows}");
    let digest = lab.env.json("digest.list", &["digest", "--since", "1d"]);
    let of = |id: &str| digest.as_array().unwrap().iter().find(|row| row["session"] == id).unwrap();
    assert_eq!((&of(&id)["launches_started"], &of(&id)["launches_ended"]), (&1.into(), &1.into()));
}
