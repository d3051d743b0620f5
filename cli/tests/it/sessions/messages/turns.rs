//! Turns to an agent that is a session, from `turn send` to the terminal of its agent and back.

use std::process::{Command, Stdio};

use super::{Post, pasted};
use crate::sessions::lab::wait_until;
use crate::support::{Live, finish};

impl Post {
    /// Spawns a session that is the agent `writer`.
    fn writer(&self) -> String {
        let id = self.spawn(&[]);
        self.lab.ok(&["agent", "add", "writer", "--session", &id]);
        id
    }

    /// `turn send` to it, in the background.
    fn turn(&self, args: &[&str]) -> Command {
        let mut command =
            self.lab.command(&[&["turn", "send", "--agent", "writer"], args].concat());
        command.stdin(Stdio::null());
        command
    }

    fn answer_turn(&self, id: &str, text: &str, end: (&str, &str)) {
        self.hook(id, "Prompt", &format!(r#"{{"prompt": "{text}"}}"#));
        wait_until("the turn runs", || self.states().ends_with("running"));
        self.hook(id, end.0, &format!(r#"{{"said": "{}"}}"#, end.1));
    }

    fn states(&self) -> String {
        self.lab.sql(
            "SELECT coalesce(group_concat(state), '') FROM (SELECT state FROM turn ORDER BY rowid)",
        )
    }
}

#[test]
fn the_answer_of_a_session_is_printed_once_and_its_failure_too() {
    let post = Post::new();
    let id = post.writer();
    let sent = Live::start(&mut post.turn(&["--key", "k", "hello"]));
    post.until_heard(&id, &pasted("hello"));
    post.answer_turn(&id, "hello", ("Stop", "hi there"));
    assert_eq!(sent.line(), "hi there");
    assert!(sent.status().0.success());
    let again = finish(&mut post.turn(&["--key", "k", "hello"]), b"");
    assert_eq!((again.code, again.stdout.as_str()), (0, "hi there\n"));
    let sent = Live::start(&mut post.turn(&["more"]));
    post.until_heard(&id, &(pasted("hello") + &pasted("more")));
    post.answer_turn(&id, "more", ("Fail", "no network"));
    let (status, stderr) = sent.status();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("Agent error: no network"), "{stderr}");
    assert_eq!(post.states(), "completed,failed");
    let data = post.json("agent.get", &["agent", "get", "writer"]);
    assert_eq!((&data["session_id"], &data["account"]), (&id.into(), &"scripted".into()));
}

#[test]
fn each_later_message_is_written_when_the_turn_before_it_has_ended() {
    let post = Post::new();
    let id = post.writer();
    for text in ["one", "two"] {
        assert_eq!(finish(&mut post.turn(&["--no-wait", text]), b"").code, 0);
    }
    post.until_heard(&id, &pasted("one"));
    post.hook(&id, "Prompt", r#"{"prompt": "one"}"#);
    assert_eq!(post.states(), "running,queued");
    post.hook(&id, "Stop", r#"{"said": "1"}"#);
    // The hook that reports the end starts the process that writes.
    post.until_heard(&id, &(pasted("one") + &pasted("two")));
    post.answer_turn(&id, "two", ("Stop", "2"));
    assert_eq!(post.states(), "completed,completed");
}

#[test]
fn without_a_daemon_the_sender_learns_of_a_writer_that_was_killed() {
    let post = Post::new();
    post.writer();
    let mut send = post.turn(&["hello"]);
    let (status, stderr) =
        Live::start(send.env("FAILPOINTS", "deliver.pasted=return(kill)")).status();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("Agent error: the process that wrote it ended"), "{stderr}");
    assert_eq!(post.lab.sql("SELECT reason FROM turn"), "ambiguous");
    let delivery = post.lab.sql("SELECT id FROM delivery");
    post.lab.refused(&["delivery", "resend", &delivery], 5, "DELIVERY_NOT_RESENDABLE");
}

#[test]
fn what_is_no_agent_for_a_session_or_no_session_for_an_agent_is_refused() {
    let post = Post::new();
    let mute = post.spawn_without_hooks();
    let add = ["agent", "add", "mute", "--session", &mute];
    post.lab.refused(&add, 5, "STAGE_NOT_REPORTED");
    post.lab.refused(&["agent", "add", "x", "--session", "demo-99"], 3, "SESSION_NOT_FOUND");
    let id = post.writer();
    let worker = ["worker", "run", "--agent", "writer", "--", "cat"];
    post.lab.refused(&worker, 5, "AGENT_IS_SESSION");
    // Nothing of it can be typed.
    let refused = finish(post.turn(&["-"]).stdin(Stdio::piped()), b"\x07\n");
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("INVALID_PROMPT"), "{}", refused.stderr);
    let own = ["send", &id, "--key", "turn/t1", "x"];
    post.lab.refused(&own, 2, "INVALID_ID");
    post.lab.ok(&["session", "kill", &id]);
    let late = ["turn", "send", "--agent", "writer", "x"];
    post.lab.refused(&late, 5, "SESSION_TERMINATED");
    assert_eq!(post.states(), "");
}
