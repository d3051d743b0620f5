//! Messages that are not written at once: nobody writes them, or the agent has ended.

use rustix::process::{Pid, Signal, kill_process};

use super::{Post, pasted};
use crate::sessions::lab::wait_until;
use crate::support::{Live, text};

/// The hook that would have started one was killed, such as by a time limit of the agent.
#[test]
fn what_a_killed_sender_accepted_is_written_while_up_runs() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let repo = post.lab.env.path("demo");
    let _up = Live::start(&mut post.lab.command(&["up", text(&repo), "--no-observe"]));
    wait_until("the reaper", || post.lab.listeners() > 0);
    post.send_failing(&[&id, "hello"], "send.accepted");
    post.until_heard(&id, &pasted("hello"));
    post.until_stages("written");
}

#[test]
fn what_a_killed_sender_accepted_is_written_when_up_starts() {
    let post = Post::new();
    let id = post.spawn(&[]);
    post.send_failing(&[&id, "hello"], "send.accepted");
    let repo = post.lab.env.path("demo");
    let _up = Live::start(&mut post.lab.command(&["up", text(&repo), "--no-observe"]));
    post.until_heard(&id, &pasted("hello"));
    post.until_stages("written");
}

/// An agent that has taken its prompt, so that it is not given again.
fn prompted() -> (Post, String) {
    let post = Post::new();
    let spawn = ["spawn", "--project", "demo", "--harness", "scripted", "--prompt", "p"];
    let id = post.lab.ok(&spawn).trim().to_owned();
    post.until_heard(&id, &pasted("p"));
    post.hook(&id, "Prompt", r#"{"prompt": "p"}"#);
    (post, id)
}

#[test]
fn what_waits_for_an_agent_that_ended_is_written_to_the_next_one() {
    let (post, id) = prompted();
    post.send_failing(&[&id, "later"], "send.accepted");
    post.lab.kill_launch(&post.lab.sql("SELECT launch_id FROM session"));
    assert_eq!(post.stages(), "submitted,accepted");
    post.lab.ok(&["session", "relaunch", &id]);
    post.until_heard(&id, &(pasted("p") + &pasted("later")));
}

/// It would wait for ever.
#[test]
fn a_wait_ends_when_the_agent_does_before_the_message_is_written() {
    let (post, id) = prompted();
    let mut command = post.lab.command(&["send", &id, "hello", "--wait", "written"]);
    let waits = Live::start(command.env("FAILPOINTS", "deliver.begun=return(kill)"));
    wait_until("its acceptance", || post.stages() == "submitted,accepted");
    let agent = post.lab.sql("SELECT agent_pid FROM launch");
    kill_process(Pid::from_raw(agent.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    let ended = waits.end();
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    for text in ["error[SESSION_NOT_RUNNING]", "is written when it runs again", "relaunch demo-1`"]
    {
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    }
    post.lab.ok(&["session", "relaunch", &id]);
    post.until_heard(&id, &(pasted("p") + &pasted("hello")));
    post.until_stages("finished,written");
}
