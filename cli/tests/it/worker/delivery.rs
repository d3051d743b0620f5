//! What reaches the client of a turn, whatever becomes of the process that shows it.

use ao_store::turn::event::Kind;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::lab::Lab;
use crate::support::{Live, parsed};

/// A client that follows a conversation after a position.
fn follow(lab: &Lab, conversation: &str, from: i64) -> Live {
    let from = from.to_string();
    lab.env.spawn(&["conversation", "tail", conversation, "-f", "--json", "--from", &from])
}

/// The next event that a client prints.
fn next(client: &Live) -> Value {
    loop {
        let line = parsed(&client.line()).remove(0);
        if line["seq"].is_i64() {
            return line;
        }
    }
}

#[test]
fn e6_a_client_that_missed_a_part_of_the_reply_gets_it_from_the_last_event() {
    let lab = Lab::new();
    let wait = |name: &str| format!("while ! test -e $D/{name}; do sleep 0.02; done");
    let script = format!("echo early; {}; echo middle; {}; echo late", wait("a"), wait("b"));
    let _worker = lab.shell(&[], &script);
    let client = lab.env.spawn(&["turn", "send", "x", "--agent", "coder", "--key", "k"]);
    assert_eq!(client.line(), "early");
    client.signal(Signal::STOP);
    let id = lab.env.ok(&["turn", "ls", "-o", "name"]).trim().to_owned();
    lab.env.file("a", "");
    lab.until_delta(&id, "middle");
    lab.env.file("b", "");
    assert_eq!(lab.reply(&id), "early\nmiddle\nlate\n");
    let lost = "DELETE FROM conversation_event WHERE text = 'middle' || char(10)";
    lab.env.sqlite(lost).unwrap();
    client.signal(Signal::CONT);
    let output = client.end();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.ends_with("early\nmiddle\nlate\n"), "{}", output.stdout);
}

#[test]
fn e8_a_client_that_is_killed_again_and_again_gets_every_event_once_and_in_order() {
    let lab = Lab::new();
    let script = "for i in $(seq 1 25); do echo $i; sleep 0.12; done";
    let _worker = lab.shell(&[], script);
    let id = lab.send("", "x");
    let conversation = lab.turn(&id).conversation;
    let mut seen: Vec<Value> = Vec::new();
    let mut clients = 0;
    while !seen.last().is_some_and(|event| event["kind"] == "complete") {
        let last = seen.last().map_or(0, |event| event["seq"].as_i64().unwrap());
        let client = follow(&lab, &conversation, last);
        clients += 1;
        for _ in 0..2 {
            seen.push(next(&client));
            if seen.last().unwrap()["kind"] == "complete" {
                break;
            }
        }
        client.signal(Signal::KILL);
    }
    let seqs: Vec<_> = seen.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>());
    assert!(clients > 3, "{clients}");
    let deltas = seen.iter().filter(|event| event["kind"] == "delta");
    let text: String = deltas.map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(text, lab.reply(&id));
}

#[test]
fn e9_what_was_deleted_by_another_program_is_shown_to_no_client() {
    let lab = Lab::new();
    let _worker = lab.shell(&[], "cat");
    let id = lab.send("", "secret");
    assert_eq!(lab.reply(&id), "secret");
    let conversation = lab.turn(&id).conversation;
    let client = follow(&lab, &conversation, 0);
    while next(&client)["kind"] != "complete" {}
    let sql = format!(
        "BEGIN IMMEDIATE; DELETE FROM turn; DELETE FROM conversation WHERE id = '{conversation}'; COMMIT;"
    );
    lab.env.sqlite(&sql).unwrap();
    let output = client.end();
    assert_ne!(output.code, 0, "{}", output.stderr);
    assert_eq!(output.stdout.matches("secret").count(), 0, "{}", output.stdout);
    let tail = ["conversation", "tail", &conversation];
    lab.env.refused(&tail, 3, "CONVERSATION_NOT_FOUND");
    lab.env.refused(&["turn", "get", &id], 3, "TURN_NOT_FOUND");
}

#[test]
fn e11_a_large_event_reaches_a_client_in_another_process() {
    let lab = Lab::new();
    let _worker = lab.shell(&[], "cat");
    let text = "\u{20ac}".repeat(300_000);
    let id = lab.send("", &text);
    let conversation = lab.turn(&id).conversation;
    let client = follow(&lab, &conversation, 0);
    let last = loop {
        let event = next(&client);
        if event["kind"] == "complete" {
            break event;
        }
    };
    assert_eq!(last["text"], json!(text));
    assert_eq!(lab.texts(&id, Kind::Complete), [text]);
}
