//! A program that stays for several turns, by the statements of the design whose numbers they are named after.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use ao_store::turn::event::Kind;
use ao_store::turn::usage::{Count, Usage};
use ao_store::turn::{REPLY_MAX, Reason, SNAPSHOT_MAX, State};
use rustix::process::Signal;

use super::lab::{Lab, PROGRAM, agent, ready, runs, wait_for};

#[test]
fn a_program_remembers_what_is_in_the_snapshot_of_its_conversation() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let first = lab.send("a", "remember one");
    assert_eq!(lab.reply(&first), "I know one");
    let (second, other) = (lab.send("a", "remember two"), lab.send("b", "remember three"));
    assert_eq!(lab.reply(&second), "I know one and two");
    assert_eq!(lab.reply(&other), "I know three");
    let shown: Vec<_> =
        lab.events(&second).into_iter().skip(2).map(|event| (event.kind, event.text)).collect();
    let expected = [
        (Kind::Delta, "I know "),
        (Kind::Status, "thinking"),
        (Kind::Content, "a card"),
        (Kind::Ephemeral, "a hint"),
        (Kind::Delta, "one and two"),
        (Kind::Complete, "I know one and two"),
    ];
    assert_eq!(shown, expected.map(|(kind, text)| (kind, text.to_owned())));
    let usage = Usage {
        input: Count::Reported(7),
        output: Count::Derived(3),
        reasoning: Count::Unsupported,
        ..Usage::default()
    };
    assert_eq!(Usage::parse(&lab.turn(&second).usage), usage);
}

#[test]
fn b12_the_program_stays_for_the_next_turn() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    for count in 1..=3 {
        assert_eq!(lab.reply(&lab.send("", "count")), count.to_string());
    }
}

#[test]
fn c5_a_line_that_is_not_understood_fails_the_turn_and_ends_the_program() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    for line in ["", "no json", "{}", r#"{"type":"delta","turn_id":"t","text":"x"}"#] {
        let id = lab.send("", &format!("raw {line}"));
        let (reason, text) = lab.failure(&id);
        assert_eq!(reason, Reason::AgentError, "{line}");
        assert!(text.starts_with("line 1 of the program is refused: "), "{text}");
        assert!(text.ends_with(line), "{text}");
        assert_eq!(lab.reply(&lab.send("", "leave 0")), "bye");
    }
    let id = lab.send("", r#"raw {"type":"delta","turn_id":"x","text":""}"#);
    assert!(lab.failure(&id).1.contains("line 1 of the program"));
}

#[test]
fn a_line_over_the_limit_fails_the_turn_and_ends_the_program() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let id = lab.send("", "long 40000000");
    let (reason, text) = lab.failure(&id);
    assert_eq!((reason, text.contains("longer than")), (Reason::AgentError, true), "{text}");
    assert!(!runs(&lab.file("pid")));
    assert_eq!(lab.reply(&lab.send("", "count")), "1");
}

#[test]
fn c8_an_exit_with_an_open_turn_is_a_failure_whatever_its_status() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    for status in [0, 3] {
        let id = lab.send("", &format!("exit {status}"));
        let expected = format!("the program ended with exit status {status}: why it ended");
        assert_eq!(lab.failure(&id), (Reason::Exited, expected));
        assert_eq!(lab.texts(&id, Kind::Delta), ["part"]);
    }
    let id = lab.send("", "kill");
    assert_eq!(lab.failure(&id).0, Reason::Killed);
    assert_eq!(lab.reply(&lab.send("", "count")), "1");
}

#[test]
fn c10_a_crash_fails_the_turn_that_runs_and_no_other() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let ids = ["count", "count", "exit 1", "count"].map(|input| lab.send("", input));
    assert_eq!(lab.reply(&ids[0]), "1");
    assert_eq!(lab.reply(&ids[1]), "2");
    assert_eq!(lab.failure(&ids[2]).0, Reason::Exited);
    assert_eq!(lab.reply(&ids[3]), "1");
}

#[test]
fn b12_and_c12_an_exit_between_turns_is_silent() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    for status in [0, 7] {
        let id = lab.send("", &format!("leave {status}"));
        assert_eq!(lab.reply(&id), "bye");
        let pid = lab.file("pid");
        wait_for("the end of the program", || (!runs(&pid)).then_some(()));
        assert_eq!(lab.reply(&lab.send("", "count")), "1");
    }
}

#[test]
fn what_a_program_says_after_the_end_of_its_turn_is_dropped() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let first = lab.send("", "late");
    assert_eq!(lab.reply(&first), "first");
    for text in ["one", "two"] {
        let id = lab.send("", &format!("echo {text}"));
        assert_eq!(lab.reply(&id), text);
        assert_eq!(lab.texts(&id, Kind::Delta), [text]);
    }
    assert_eq!(lab.texts(&first, Kind::Delta), Vec::<String>::new());
    assert_eq!(lab.reply(&lab.send("", "count")), "4", "it is the same program");
}

#[test]
fn a_failure_of_an_agent_has_its_reason() {
    let lab = Lab::with_account("claude-code/work");
    let _worker = agent(&lab, &[]);
    for (said, reason) in [
        ("", Reason::AgentError),
        ("agent_error", Reason::AgentError),
        ("overloaded", Reason::Overloaded),
        ("authentication", Reason::Authentication),
        ("billing", Reason::Billing),
        ("context", Reason::Context),
        ("refused", Reason::Refused),
    ] {
        let part = if said.is_empty() { String::new() } else { format!(r#","reason":"{said}""#) };
        let id = lab.send("", &format!(r#"fail {{"text":"why"{part}}}"#));
        assert_eq!(lab.failure(&id), (reason, "why".to_owned()));
    }
    assert_eq!(lab.reply(&lab.send("", "count")), "8", "it is the same program");
}

#[test]
fn a_quota_refusal_at_turn_1_of_100_starts_no_second_program() {
    let lab = Lab::with_account("claude-code/work");
    let refusal =
        r#"fail {"text":"5-hour limit","reason":"limited","limit_ends_at":"2199-01-01T00:00:00Z"}"#;
    let script = lab.env.file("agent.py", PROGRAM);
    let started = format!("echo x >> $D/started; exec python3 {script}");
    let ids: Vec<_> = (0..100).map(|num| lab.send(&num.to_string(), refusal)).collect();
    let mut command = lab.command(&["--jsonl"], &["sh", "-c", &started]);
    command.env("D", lab.env.path(""));
    let first = ready(&mut command);
    assert_eq!(lab.failure(&ids[0]), (Reason::Limited, "5-hour limit".to_owned()));
    let second = ready(&mut command);
    sleep(Duration::from_millis(500));
    for worker in [first, second] {
        worker.signal(Signal::TERM);
        assert_eq!(worker.end().code, 143);
    }
    let left = ids.iter().filter(|id| lab.turn(id).state == State::Queued).count();
    let started = fs::read_to_string(lab.env.path("started")).unwrap().lines().count();
    assert_eq!((left, started), (99, 1));
}

#[test]
fn a_snapshot_over_the_limit_fails_its_turn_and_no_other() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    assert_eq!(lab.reply(&lab.send("", "remember one")), "I know one");
    let id = lab.send("", &format!("large {}", SNAPSHOT_MAX + 1));
    let (reason, text) = lab.failure(&id);
    assert_eq!(reason, Reason::TooLarge);
    assert!(text.contains(&SNAPSHOT_MAX.to_string()), "{text}");
    assert_eq!(lab.reply(&lab.send("", "remember two")), "I know one and two");
    assert_eq!(lab.reply(&lab.send("", &format!("large {SNAPSHOT_MAX}"))), "x");
}

#[test]
fn an_endless_reply_fails_the_turn_and_ends_the_program() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let id = lab.send("", "flood");
    let (reason, text) = lab.failure(&id);
    assert_eq!(reason, Reason::TooLarge);
    assert!(text.contains(&REPLY_MAX.to_string()), "{text}");
    assert!(!runs(&lab.file("pid")));
    assert_eq!(lab.reply(&lab.send("", "count")), "1");
}

#[test]
fn c15_a_program_is_told_to_cancel_and_killed_if_it_does_not() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let id = lab.send("", "cancel");
    lab.until_delta(&id, "begun");
    lab.cancel(&id);
    assert_eq!(lab.ended(&id).state, State::Cancelled);
    assert_eq!(lab.file("told"), format!(r#"{{"type": "cancel", "turn_id": "{id}"}}"#));
    assert_eq!(lab.reply(&lab.send("", "count")), "2", "it is the same program");
    let id = lab.send("", "ignore");
    lab.until_delta(&id, "begun");
    let pid = lab.file("pid");
    lab.cancel(&id);
    assert_eq!((lab.ended(&id).state, runs(&pid)), (State::Cancelled, false));
    assert_eq!(lab.reply(&lab.send("", "count")), "1");
}

#[test]
fn c16_the_program_of_a_killed_worker_does_not_run_beside_the_next_turn() {
    let lab = Lab::new();
    let worker = agent(&lab, &[]);
    let (first, second) = (lab.send("", "hang"), lab.send("", "count"));
    lab.until_delta(&first, "begun");
    let pid = lab.file("pid");
    worker.signal(Signal::KILL);
    worker.status();
    let _successor = agent(&lab, &[]);
    assert_eq!(lab.failure(&first).0, Reason::WorkerDied);
    assert!(!runs(&pid));
    assert_eq!(lab.reply(&second), "1");
}

#[test]
fn c17_progress_and_waiting_keep_a_turn_open_and_silence_does_not() {
    let lab = Lab::new();
    let _worker = agent(&lab, &["--silence", "4s"]);
    assert_eq!(lab.reply(&lab.send("", "progress")), "done");
    assert_eq!(lab.reply(&lab.send("", "ask 6")), "asked");
    let id = lab.send("", "hang");
    assert_eq!(lab.failure(&id).0, Reason::Unresponsive);
    assert!(!runs(&lab.file("pid")));
}

#[test]
fn c13_and_c14_a_worker_that_is_stopped_ends_its_program_and_turn() {
    let lab = Lab::new();
    let worker = agent(&lab, &[]);
    let id = lab.send("", "hang");
    lab.until_delta(&id, "begun");
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code, 143);
    assert_eq!(lab.failure(&id).0, Reason::Interrupted);
    assert!(!runs(&lab.file("pid")));
    // Between turns, nothing has failed.
    let worker = agent(&lab, &[]);
    assert_eq!(lab.reply(&lab.send("", "count")), "1");
    worker.signal(Signal::TERM);
    assert_eq!(worker.end().code, 143);
    assert!(!runs(&lab.file("pid")));
    assert_eq!(lab.instances().trim(), "0");
}
