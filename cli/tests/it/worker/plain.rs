//! A program that runs once for each turn, by the statements of the design whose numbers they are named after.

use std::time::{Duration, Instant};

use ao_store::turn::event::Kind;
use ao_store::turn::{REPLY_MAX, Reason, State};
use rustix::process::Signal;

use super::lab::{Lab, runs, wait_for};
use crate::support::Live;

#[test]
fn the_output_of_a_program_is_the_reply() {
    let lab = Lab::new();
    let id = lab.send("", "first\nmessage");
    let _worker = lab.shell(&[], "printf '%s %s %s ' $AO_TURN_ID $AO_ORG_ID $AO_AGENT_ID; cat");
    assert_eq!(lab.reply(&id), format!("{id} local coder first\nmessage"));
    assert_eq!(lab.texts(&id, Kind::Delta).concat(), lab.reply(&id));
    // The next one is announced to a worker that waits.
    let next = lab.send("", "second");
    assert_eq!(lab.reply(&next), format!("{next} local coder second"));
}

#[test]
fn a_part_of_the_reply_is_there_before_the_rest() {
    let lab = Lab::new();
    let script = "echo one; while ! test -e $D/go; do sleep 0.02; done; echo two";
    let _worker = lab.shell(&[], script);
    let id = lab.send("", "x");
    lab.until_delta(&id, "one\n");
    lab.env.file("go", "");
    assert_eq!(lab.reply(&id), "one\ntwo\n");
    assert_eq!(lab.texts(&id, Kind::Delta), ["one\n", "two\n"]);
}

#[test]
fn b7_c1_and_c9_a_program_that_cannot_be_started_is_one_failure() {
    let lab = Lab::new();
    for program in ["ao-no-such-program", "/no/such/program"] {
        let id = lab.send("", "x");
        let worker = lab.worker(&[], &[program]);
        let (reason, text) = lab.failure(&id);
        assert_eq!(reason, Reason::NotStarted);
        assert!(text.starts_with(&format!("{program} could not be started: ")), "{text}");
        assert_eq!(lab.refused(&format!("{program} could not be started: ")), "");
        drop(worker);
    }
}

#[test]
fn c6_an_exit_status_is_a_failure_with_what_the_program_printed_last() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let _worker = lab.shell(&[], "yes no | head -c 49998 >&2; echo why it failed >&2; exit 3");
    let (reason, text) = lab.failure(&id);
    assert_eq!(reason, Reason::Exited);
    assert!(text.starts_with("the program ended with exit status 3: "), "{text}");
    assert!(text.ends_with("no\nwhy it failed") && text.len() > 8_000, "{text}");
    assert_eq!(lab.refused("the program ended with exit status 3: "), "");
}

#[test]
fn c7_a_worker_that_is_stopped_while_it_waits_leaves_nothing() {
    let lab = Lab::new();
    let worker = lab.shell(&[], "cat");
    assert_eq!(lab.instances().trim(), "1");
    worker.signal(Signal::INT);
    assert_eq!(worker.end().code, 130);
    assert_eq!(lab.instances().trim(), "0");
}

#[test]
fn c11_a_signal_that_ends_the_program_is_a_failure_at_once() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let _worker = lab.shell(&[], "echo part; echo $$ > $D/pid; kill -9 $$");
    let (reason, text) = lab.failure(&id);
    assert_eq!(reason, Reason::Killed);
    assert_eq!(text, "the program was ended by signal 9 (SIGKILL)");
    assert_eq!(lab.texts(&id, Kind::Delta), ["part\n"]);
}

#[test]
fn c14_a_worker_that_is_stopped_ends_its_turn_at_once() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let worker = lab.shell(&[], "trap '' TERM; echo $$ > $D/pid; while :; do sleep 0.1; done");
    let pid = lab.file("pid");
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code, 143);
    let (reason, _) = lab.failure(&id);
    assert_eq!((reason, runs(&pid)), (Reason::Interrupted, false));
    assert!(reason.can_be_sent_again());
    assert_eq!(lab.instances().trim(), "0");
}

#[test]
fn c15_a_cancelled_turn_ends_when_its_program_has_ended() {
    let lab = Lab::new();
    let _worker = lab.shell(
        &[],
        "test $(cat) = stubborn && trap '' TERM; echo $$ > $D/$AO_TURN_ID; while :; do sleep 0.1; done",
    );
    for input in ["polite", "stubborn"] {
        let id = lab.send("", input);
        let pid = lab.file(&id);
        lab.cancel(&id);
        assert_eq!(lab.ended(&id).state, State::Cancelled, "{input}");
        assert!(!runs(&pid), "{input}");
    }
}

#[test]
fn c16_the_turn_of_a_killed_worker_fails_and_the_next_one_is_taken() {
    let lab = Lab::new();
    let (first, second) = (lab.send("", "x"), lab.send("", "y"));
    let script = "echo $$ > $D/$AO_TURN_ID; while ! test -e $D/go; do sleep 0.02; done; cat";
    let worker = lab.shell(&[], script);
    let pid = lab.file(&first);
    worker.signal(Signal::KILL);
    worker.status();
    assert!(runs(&pid), "nothing has stopped it yet");
    let _successor = lab.shell(&[], "cat");
    assert_eq!(lab.failure(&first).0, Reason::WorkerDied);
    assert!(!runs(&pid), "it ran beside the next turn");
    assert_eq!(lab.reply(&second), "y");
}

#[test]
fn c17_a_program_that_makes_no_progress_fails_while_its_worker_beats() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let script = "echo $$ > $D/pid; while :; do sleep 0.1; done";
    let _worker = lab.shell(&["--silence", "1s"], script);
    let pid = lab.file("pid");
    assert_eq!(lab.failure(&id).0, Reason::Unresponsive);
    assert!(!runs(&pid));
}

#[test]
fn c17_a_program_that_makes_progress_goes_on() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let _worker =
        lab.shell(&["--silence", "5s"], "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 1; done");
    assert_eq!(lab.reply(&id), "1\n2\n3\n4\n5\n6\n7\n8\n");
}

#[test]
fn c17_a_worker_that_was_suspended_past_its_deadline_has_lost_its_turn() {
    let lab = Lab::new();
    let (first, second) = (lab.send("", "x"), lab.send("", "y"));
    let script = "echo $$ > $D/$AO_TURN_ID; while ! test -e $D/go; do sleep 0.02; done; cat";
    let worker = lab.shell(&["--silence", "2s"], script);
    let pid = lab.file(&first);
    worker.signal(Signal::STOP);
    let _successor = lab.shell(&[], "cat");
    assert_eq!(lab.failure(&first).0, Reason::Unresponsive);
    assert!(!runs(&pid), "its program is stopped first");
    assert_eq!(lab.reply(&second), "y");
    let before = lab.events(&first);
    worker.signal(Signal::CONT);
    worker.until_printed(&format!("turn {first} was ended by another process"));
    assert_eq!(lab.events(&first), before);
    let third = lab.send("", "z");
    lab.env.file("go", "");
    assert_eq!(lab.reply(&third), "z");
}

#[test]
fn a_reply_over_the_limit_ends_the_turn_and_the_program() {
    let lab = Lab::new();
    let _worker = lab.shell(
        &[],
        "echo $$ > $D/$AO_TURN_ID; test $(cat) = endless && exec yes; head -c 4999800 /dev/zero",
    );
    for input in ["endless", "large"] {
        let id = lab.send("", input);
        let pid = lab.file(&id);
        let (reason, text) = lab.failure(&id);
        assert_eq!(reason, Reason::TooLarge, "{input}");
        assert!(text.contains(&REPLY_MAX.to_string()), "{text}");
        assert!(!runs(&pid), "{input}");
    }
}

#[test]
fn a_program_that_never_reads_its_message_is_answered_all_the_same() {
    let lab = Lab::new();
    let _worker = lab.shell(&[], "echo read nothing");
    let id = lab.send("", &"x".repeat(1 << 20));
    assert_eq!(lab.reply(&id), "read nothing\n");
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let lab = Lab::new();
    let script = r"printf 'a\377\303'; sleep 0.3; printf '\251\342\202'; sleep 0.3; printf 'z\360'";
    let _worker = lab.shell(&[], script);
    let id = lab.send("", "x");
    assert_eq!(lab.reply(&id), "a\u{fffd}\u{e9}\u{fffd}z\u{fffd}");
    assert_eq!(lab.texts(&id, Kind::Delta).concat(), lab.reply(&id));
}

#[test]
fn a_process_that_is_left_behind_keeps_no_turn_open_and_does_not_outlive_it() {
    let lab = Lab::new();
    let script = "
        sh -c 'echo $$ > $D/child; exec sleep 1000' &
        setsid sh -c 'echo $$ > $D/escaped; exec sleep 1000' &
        while ! test -s $D/child || ! test -s $D/escaped; do sleep 0.02; done
        echo done";
    let _worker = lab.shell(&[], script);
    let id = lab.send("", "x");
    assert_eq!(lab.reply(&id), "done\n");
    for name in ["child", "escaped"] {
        let pid = lab.file(name);
        assert!(!runs(&pid), "{name}");
    }
}

#[test]
fn an_empty_output_is_an_empty_reply() {
    let lab = Lab::new();
    let _worker = lab.worker(&[], &["true"]);
    let id = lab.send("", "x");
    assert_eq!(lab.reply(&id), "");
}

#[test]
fn a_cancel_is_acted_upon_when_beats_get_no_answer() {
    let lab = Lab::new();
    let mut command = lab.command(&[], &["sh", "-c", "echo begun; sleep 1000"]);
    let worker = crate::support::Live::start(command.env("FAILPOINTS", "worker.beat=pause"));
    worker.until_printed("ready: worker ");
    let id = lab.send("", "x");
    lab.until_delta(&id, "begun");
    lab.cancel(&id);
    assert_eq!(lab.ended(&id).state, State::Cancelled);
}

#[test]
fn turns_of_one_conversation_are_answered_in_order_by_several_workers() {
    let lab = Lab::new();
    let script = "echo $(cat) >> $D/log; test -e $D/run && echo both > $D/beside; \
                  touch $D/run; sleep 0.05; rm $D/run";
    let _workers = [lab.shell(&[], script), lab.shell(&[], script), lab.shell(&[], script)];
    let ids: Vec<_> = (0..6).map(|num| lab.send("", &num.to_string())).collect();
    for id in &ids {
        assert_eq!(lab.reply(id), "");
    }
    assert_eq!(lab.file("log"), "0\n1\n2\n3\n4\n5");
    assert!(!lab.env.path("beside").exists());
}

#[test]
fn a_worker_needs_an_agent_that_exists() {
    let lab = Lab::new();
    let args = ["worker", "run", "--agent", "nobody", "--", "cat"];
    lab.env.refused(&args, 3, "AGENT_NOT_FOUND");
    lab.env.refused(&["worker", "run", "--agent", "a b", "--", "cat"], 2, "INVALID_ID");
}

#[test]
fn while_an_account_is_limited_no_program_is_started() {
    let lab = Lab::with_account("claude-code/work");
    let limited = "INSERT INTO account_limit (account, session_id, message, reported_at, ends_at) \
                   VALUES ('claude-code/work', '', 'no', 1, 9000000000000)";
    lab.env.sqlite(limited).unwrap();
    let _worker = lab.shell(&[], "echo x >> $D/log");
    let ids: Vec<_> = (0..3).map(|num| lab.send(&num.to_string(), "x")).collect();
    // The worker has looked at each of them when it has looked at a later commit.
    let until = Instant::now() + Duration::from_millis(500);
    wait_for("some time", || (Instant::now() > until).then_some(()));
    assert!(ids.iter().all(|id| lab.turn(id).state == State::Queued));
    assert!(!lab.env.path("log").exists());
    lab.env.sqlite("DELETE FROM account_limit").unwrap();
    ids.iter().for_each(|id| assert_eq!(lab.reply(id), ""));
}

#[test]
fn a_reply_is_whole_however_long_it_takes_to_store_it() {
    let lab = Lab::new();
    let id = lab.send("", &"a line of text\n".repeat(20_000));
    let mut command = lab.command(&[], &["cat"]);
    let _worker = Live::start(command.env("FAILPOINTS", "worker.appended=sleep(600)"));
    assert_eq!(lab.reply(&id).len(), 300_000);
}

#[test]
fn a_program_that_floods_when_it_is_cancelled_does_not_end_the_worker() {
    let lab = Lab::new();
    let script = "test $(cat) = other && exec echo done
        trap 'yes | head -c 9000000; sleep 60' TERM; echo $$ > $D/$AO_TURN_ID; while :; do sleep 0.1; done";
    let _worker = lab.shell(&[], script);
    let id = lab.send("", "flood");
    lab.file(&id);
    lab.cancel(&id);
    assert_eq!(lab.ended(&id).state, State::Cancelled);
    assert_eq!(lab.reply(&lab.send("", "other")), "done\n");
}
