//! Turns on the command line: what is sent, how it is answered and printed, and how waiting ends.

mod refused;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use ao_store::row::lifecycle::instance::Instance;
use ao_store::turn::append::{Appended, Response, append};
use ao_store::turn::claim::{Claim, Claimed, claim};
use ao_store::turn::finish::{Completion, Finished, Outcome, finish};
use ao_store::turn::usage::{Count, Usage};
use ao_store::turn::{Held, Reason, org};
use ao_store::{Cause, Error, Options, Store};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pty;
use crate::support::{BOUND, TestEnv, parsed};

/// The store of an environment, opened by the test itself.
pub(crate) fn stored(env: &TestEnv) -> Store {
    Store::open(&env.database(), Options::default()).unwrap()
}

/// A worker of the default agent that does what a test says.
pub(crate) struct Worker {
    store: Store,
    claim: Claim,
}

impl Worker {
    pub(crate) fn of(env: &TestEnv) -> Worker {
        let now = Cause::now("test").at;
        let claim = Claim {
            org: org::local(),
            agent: org::default_agent(),
            worker: Instance::of_this_process("w1", "test", now),
            silence: Duration::from_secs(600),
        };
        Worker { store: stored(env), claim }
    }

    /// Waits for a turn and takes it.
    pub(crate) fn claim(self) -> Turn {
        let mut listener = self.store.listen().unwrap();
        let deadline = std::time::Instant::now() + BOUND;
        loop {
            let wanted = self.claim.clone();
            let done = self.store.write(Cause::now("test"), move |tx| claim(tx, &wanted));
            match done.map(|done| done.value) {
                Ok(Claimed::Got(work)) => {
                    return Turn { store: self.store, held: Arc::new(work.held) };
                }
                // The first turn makes the agent.
                Ok(_) | Err(Error::AgentUnknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(std::time::Instant::now() < deadline, "no turn comes");
            listener.wait(Duration::from_millis(200)).unwrap();
        }
    }
}

/// A turn that the test runs.
pub(crate) struct Turn {
    store: Store,
    held: Arc<Held>,
}

impl Turn {
    fn say(&self, name: &'static str, response: Response) {
        let held = Arc::clone(&self.held);
        let cause = Cause::now("test");
        let done = self.store.write(cause, move |tx| append(tx, &held, name, &response)).unwrap();
        assert!(matches!(done.value, Appended::Stored(_)), "{:?}", done.value);
    }

    pub(crate) fn finish(self, outcome: Outcome) {
        let usage = Usage { input: Count::Reported(7), ..Usage::default() };
        let prepared = Completion { outcome, usage }.prepare().unwrap();
        let (held, cause) = (self.held, Cause::now("test"));
        let done = self.store.write(cause, move |tx| finish(tx, &held, &prepared)).unwrap();
        assert_eq!(done.value, Finished::Won);
    }

    fn answer(self, text: &str) {
        self.finish(Outcome::Reply { text: text.to_owned(), snapshot: None });
    }
}

fn delta(text: &str) -> Response {
    Response::Delta(text.to_owned())
}

/// The id of the newest turn.
fn newest(env: &TestEnv) -> String {
    env.ok(&["turn", "ls", "--limit", "1", "-o", "name"]).trim().to_owned()
}

fn conversation(env: &TestEnv) -> String {
    env.ok(&["conversation", "ls", "-o", "name"]).trim().to_owned()
}

fn state(env: &TestEnv, id: &str) -> Value {
    env.json("turn.get", &["turn", "get", id])["state"].clone()
}

#[test]
fn an_answer_is_printed_as_it_comes_and_only_it_on_standard_output() {
    let env = TestEnv::new();
    let live = env.spawn(&["turn", "send", "How many?"]);
    let turn = Worker::of(&env).claim();
    turn.say("1", delta("One, "));
    turn.say("2", delta("two\nthr"));
    assert_eq!(live.line(), "One, two");
    turn.say("3", Response::Content("a picture".to_owned()));
    live.until_printed("a picture");
    turn.say("4", Response::Ephemeral("thinking".to_owned()));
    live.until_printed("thinking");
    turn.answer("One, two\nthree, four");
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (0, "three, four\n"));
    // Nothing of what every turn has.
    assert_eq!(output.stderr, "");
}

#[test]
fn an_answer_that_its_parts_contradict_is_printed_whole() {
    let env = TestEnv::new();
    let live = env.spawn(&["turn", "send", "x"]);
    let turn = Worker::of(&env).claim();
    turn.say("1", delta("Perha"));
    turn.answer("No.");
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (0, "Perha\nNo.\n"));
}

#[test]
fn a_repeated_key_prints_the_stored_outcome_whatever_it_is() {
    let env = TestEnv::new();
    let send = |text, key| env.run(&["turn", "send", text, "--key", key]);
    env.ok(&["turn", "send", "a", "--key", "1", "--no-wait"]);
    let turn = Worker::of(&env).claim();
    for (name, response) in [
        ("1", Response::Content("a card".to_owned())),
        ("2", delta("An ")),
        ("3", Response::Ephemeral("soon".to_owned())),
        ("4", Response::Content("a picture".to_owned())),
        ("5", delta("answer")),
    ] {
        turn.say(name, response);
    }
    turn.answer("An answer\n");
    for _ in 0..2 {
        let output = send("a", "1");
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (0, "An answer\n", "a card\na picture\n")
        );
    }
    let data = env.json("turn.send", &["turn", "send", "a", "--key", "1"]);
    assert_eq!(data["content"], json!(["a card", "a picture"]));
    assert_eq!(
        (&data["text"], &data["is_new"], &data["state"]),
        (&json!("An answer\n"), &json!(false), &json!("completed"))
    );
    assert_eq!(data["usage"]["input"], json!({"tokens": 7, "provenance": "reported"}));
    env.ok(&["turn", "send", "b", "--key", "2", "--no-wait"]);
    let (reason, text) = (Reason::Limited, "come back later".to_owned());
    Worker::of(&env).claim().finish(Outcome::Failure { reason, text, limit_ends_at: None });
    let output = send("b", "2");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.starts_with("error[TURN_FAILED]: Agent error: come back later\n"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("may be sent again, under another key"), "{}", output.stderr);
    env.refused(&["turn", "send", "other", "--key", "2"], 5, "TURN_KEY_USED");
    // Nothing was run again.
    assert_eq!(env.ok(&["turn", "ls", "-o", "name"]).lines().count(), 2);
}

#[test]
fn one_that_joins_a_running_turn_gets_all_of_its_answer() {
    let env = TestEnv::new();
    let send = ["turn", "send", "x", "--key", "k"];
    env.ok(&[&send[..], &["--no-wait"]].concat());
    let turn = Worker::of(&env).claim();
    turn.say("1", Response::Content("a card".to_owned()));
    turn.say("2", delta("early\n"));
    turn.say("3", Response::Content("a picture".to_owned()));
    let live = env.spawn(&send);
    assert_eq!(live.line(), "early");
    turn.answer("early\nlate");
    let output = live.end();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("late\n", "a card\na picture\n"));
}

#[test]
fn ctrl_c_cancels_a_turn_and_another_signal_leaves_it() {
    let env = TestEnv::new();
    let waits = |text| {
        let live = env.spawn(&["turn", "send", text, "--key", text, "-v"]);
        let known = || env.ok(&["turn", "ls", "--limit", "1", "--columns", "key"]).contains(text);
        let deadline = std::time::Instant::now() + BOUND;
        while !known() {
            assert!(std::time::Instant::now() < deadline, "the turn is not accepted");
        }
        live
    };
    let live = waits("first");
    let id = newest(&env);
    live.signal(Signal::INT);
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("turn {id}: cancelled")), "{}", output.stderr);
    assert_eq!(state(&env, &id), "cancelled");

    let live = waits("second");
    let id = newest(&env);
    live.signal(Signal::TERM);
    let output = live.end();
    assert_eq!(output.code, 143, "{}", output.stderr);
    let next = format!("`ao-store conversation tail {} --from ", conversation(&env));
    assert!(output.stderr.contains(&next), "{}", output.stderr);
    assert_eq!(state(&env, &id), "queued");
    // Of a running one, the worker is asked to stop.
    let turn = Worker::of(&env).claim();
    let live = env.spawn(&["turn", "send", "second", "--key", "second"]);
    turn.say("1", delta("part\n"));
    assert_eq!(live.line(), "part");
    live.signal(Signal::INT);
    assert_eq!(live.end().code, 130);
    assert!(env.json("turn.get", &["turn", "get", &id])["cancel_requested_at"].is_string());
    turn.answer("too late");
    env.refused(&["turn", "send", "second", "--key", "second"], 5, "TURN_CANCELLED");
}

#[test]
fn waiting_ends_after_its_time_and_says_where_to_continue() {
    let env = TestEnv::new();
    let output = env.run(&["turn", "send", "x", "--timeout", "10ms", "--json"]);
    assert_eq!((output.code, output.stdout.as_str()), (8, ""));
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    crate::documented::check_error(&error);
    let details = &error["error"]["details"];
    assert_eq!((&details["turn_id"], &details["position"]), (&json!(newest(&env)), &json!(1)));
    Worker::of(&env).claim().answer("there");
    let from = details["position"].to_string();
    let lines = parsed(&env.ok(&["conversation", "tail", &conversation(&env), "--from", &from]));
    let texts: Vec<_> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["running", "there"]);
}

#[test]
fn a_turn_whose_worker_has_ended_is_ended_by_who_waits_for_it() {
    let env = TestEnv::new();
    let live = env.spawn(&["turn", "send", "x"]);
    let mut worker = Worker::of(&env);
    worker.claim.worker.boot_id = "another".to_owned();
    let turn = worker.claim();
    turn.say("1", delta("half\n"));
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (1, "half\n"));
    let expected = "error[TURN_FAILED]: Agent error: the worker of the turn ended\n";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
}

#[test]
fn a_message_is_a_text_of_at_most_one_mebibyte() {
    let env = TestEnv::new();
    let send = ["turn", "send", "-", "--no-wait"];
    for bad in [&b""[..], b"ab\0c", b"\xff\xfe", b"a\xffb", &[b'x'; (1 << 20) + 1]] {
        let output = env.feed(&send, bad);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{:?}", bad.first());
        assert!(output.stderr.contains("error[INVALID_PROMPT]"), "{}", output.stderr);
    }
    assert_eq!(env.ok(&["org", "ls", "-o", "name"]), "", "a refused message makes nothing");
    let text = "é\n".repeat(1 << 18);
    assert_eq!(env.feed(&send, &text).code, 0);
    assert_eq!(env.json("turn.get", &["turn", "get", &newest(&env)])["input"], json!(text));
}

#[test]
fn a_conversation_is_named_by_its_id_or_by_a_thread() {
    let env = TestEnv::new();
    env.ok(&["agent", "add", "other"]);
    let send = |more: &[&str]| {
        env.ok(&[&["turn", "send", "x", "--no-wait"], more].concat());
        env.json("turn.get", &["turn", "get", &newest(&env)])
    };
    let first = send(&[])["conversation_id"].clone();
    assert_eq!(send(&[])["conversation_id"], first);
    assert_eq!(send(&["--conversation", first.as_str().unwrap()])["conversation_id"], first);
    let thread = send(&["--conversation", "release 2"])["conversation_id"].clone();
    assert_ne!(thread, first);
    assert_eq!(send(&["--conversation", "release 2"])["conversation_id"], thread);
    let other = send(&["--agent", "other", "--conversation", "release 2"]);
    assert_ne!(other["conversation_id"], thread);
    // The agent is that of the conversation, and no other one.
    let id = other["conversation_id"].as_str().unwrap();
    assert_eq!(send(&["--conversation", id])["agent_id"], "other");
    for more in [&["--agent", "default"][..], &["--org", "acme"]] {
        let args = [&["turn", "send", "x", "--conversation", id], more].concat();
        env.refused(&args, 3, "CONVERSATION_NOT_FOUND");
    }
    let unknown = ["turn", "send", "x", "--conversation", "c0000000000000000"];
    env.refused(&unknown, 3, "CONVERSATION_NOT_FOUND");
    env.refused(&["turn", "send", "x", "--org", "acme"], 3, "ORG_NOT_FOUND");
    env.refused(&["turn", "send", "x", "--expires", "0s"], 2, "USAGE");
    env.refused(&["worker", "run", "--agent", "a", "--silence", "0s", "--", "cat"], 2, "USAGE");
    env.refused(&["turn", "send", "x", "--agent", "nope"], 3, "AGENT_NOT_FOUND");
}

#[test]
fn the_events_of_a_conversation_continue_after_any_position() {
    let env = TestEnv::new();
    env.ok(&["turn", "send", "x", "--no-wait"]);
    let id = conversation(&env);
    let tail = |from: &str, more: &[&str]| {
        parsed(&env.ok(&[&["conversation", "tail", &id, "--from", from], more].concat()))
    };
    let live = env.spawn(&["conversation", "tail", &id, "-f", "--heartbeat", "50ms"]);
    let control: Value = serde_json::from_str(&live.line()).unwrap();
    assert_eq!((&control["control"], &control["position"]), (&json!("hello"), &json!(0)));
    let turn = Worker::of(&env).claim();
    turn.say("1", delta("a\u{1b}[31m"));
    turn.answer("a\u{1b}[31m");
    let (mut seqs, mut bookmarks) = (Vec::new(), 0);
    while seqs.len() < 4 || bookmarks == 0 {
        let line = live.line();
        assert!(!line.contains('\u{1b}'), "{line}");
        let line = &parsed(&line)[0];
        match line["seq"].as_i64() {
            Some(seq) => seqs.push(seq),
            None => bookmarks += i32::from(line["control"] == "bookmark"),
        }
    }
    assert_eq!(seqs, [1, 2, 3, 4]);
    live.signal(Signal::INT);
    let output = live.end();
    assert_eq!(output.code, 130);
    assert_eq!(parsed(&output.stdout).last().unwrap()["control"], "bye");
    for from in 0..=4 {
        assert_eq!(tail(&from.to_string(), &[]).len(), 4 - from);
    }
    let kinds = tail("0", &[]);
    let kinds: Vec<_> = kinds.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["status", "status", "delta", "complete"]);
    let beyond = ["conversation", "tail", &id, "--from", "5"];
    env.refused(&beyond, 2, "CURSOR_IN_FUTURE");
    let error = env.run(&[&beyond[..], &["--json"]].concat()).stderr;
    crate::documented::check_error(&serde_json::from_str(&error).unwrap());
    env.refused_usage(&["conversation", "tail", &id, "--from", "-1"]);
    let shown = pty::run(&env, &["conversation", "tail", &id], &[], 60);
    assert!(shown.contains("complete") && !shown.contains("[31m\r"), "{shown}");
    env.ok(&["conversation", "reset", &id]);
    assert_eq!(tail("4", &[])[0]["text"], "reset");
}

#[test]
fn turns_are_listed_newest_first_and_by_state() {
    let env = TestEnv::new();
    for number in 1..=53 {
        env.ok(&["turn", "send", "x", "--no-wait", "--key", &number.to_string()]);
    }
    env.ok(&["turn", "cancel", &newest(&env)]);
    let list = |more: &[&str]| env.json("turn.list", &[&["turn", "ls"], more].concat());
    let keys = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned()).collect()
    };
    let all = keys(&list(&[]));
    assert_eq!((all.len(), all[0].as_str(), all[49].as_str()), (50, "53", "4"));
    assert_eq!(keys(&list(&["--limit", "60"])).len(), 53);
    assert_eq!(keys(&list(&["--state", "cancelled,failed"])), ["53"]);
    assert_eq!(keys(&list(&["--state", "queued", "--limit", "1"])), ["52"]);
    assert_eq!(
        keys(&list(&[
            "--conversation",
            &conversation(&env),
            "--agent",
            "default",
            "--org",
            "local",
            "--limit",
            "2"
        ])),
        ["53", "52"]
    );
    assert_eq!(keys(&list(&["--agent", "nope"])).len(), 0);
    let shown = env.run(&["turn", "ls"]);
    assert_eq!(shown.stderr, "the newest 50; for more: --limit\n");
    env.refused(&["turn", "ls", "--org", "nope"], 3, "ORG_NOT_FOUND");
    env.refused(&["turn", "ls", "--conversation", "nope"], 3, "CONVERSATION_NOT_FOUND");
    env.refused(&["turn", "ls", "--state", "limited"], 2, "USAGE");
    for args in [&["turn", "ls"][..], &["conversation", "ls"], &["agent", "ls"], &["org", "ls"]] {
        for columns in [40, 60, 120] {
            let shown = crate::support::without_colours(&pty::run(&env, args, &[], columns));
            let is_row =
                |line: &&str| !line.starts_with("not shown") && !line.starts_with("the newest");
            let rows = shown.lines().filter(is_row);
            let widest = rows.map(|line| line.trim_end().chars().count()).max();
            assert!(widest <= Some(columns.into()), "{args:?} at {columns}: {shown}");
        }
    }
    let page = env.ok(&["turn", "get", &newest(&env)]);
    assert!(
        page.contains("cancelled · turn 53 of ")
            && page.ends_with("Error\nthe turn was cancelled\n"),
        "{page}"
    );
}

#[test]
fn organisations_have_agents_and_agents_have_members() {
    let env = TestEnv::new();
    env.json("org.add", &["org", "add", "acme"]);
    env.refused(&["org", "add", "acme"], 5, "ID_ALREADY_REGISTERED");
    env.refused(&["org", "add", "a/b"], 2, "INVALID_ID");
    env.json("agent.add", &["agent", "add", "writer", "--org", "acme", "--account", "codex/work"]);
    env.refused(&["agent", "add", "writer", "--org", "acme"], 5, "ID_ALREADY_REGISTERED");
    env.refused(&["agent", "add", "writer", "--org", "nope"], 3, "ORG_NOT_FOUND");
    let members = |more: &[&str]| {
        let args = [&["agent", "members", "writer", "--org", "acme"], more].concat();
        env.json("member.list", &args)
    };
    assert_eq!(members(&[]), json!([]));
    let alice = json!([{"platform": "slack", "user_id": "a/lice"}]);
    assert_eq!(members(&["--add", "slack/a/lice", "--add", "x/bob"])[0], alice[0]);
    assert_eq!(members(&["--remove", "x/bob", "--remove", "x/nobody"]), alice);
    let agent = env.json("agent.get", &["agent", "get", "writer", "--org", "acme"]);
    assert_eq!((&agent["members"], &agent["account"]), (&alice, &json!("codex/work")));
    let args = ["agent", "members", "writer", "--org", "acme", "--add"];
    for bad in ["slack", "/u", "slack/"] {
        assert_eq!(env.run(&[&args[..], &[bad]].concat()).code, 2, "{bad}");
    }
    env.refused(&[&args[..], &["x/y", "--remove", "x/y"]].concat(), 2, "USAGE");
    // The agent of an organisation is made once.
    env.ok(&["turn", "send", "x", "--no-wait"]);
    let agents = |org| env.json("agent.list", &["agent", "ls", "--org", org]);
    assert_eq!(agents("local").as_array().unwrap().len(), 1);
    assert_eq!(agents("acme").as_array().unwrap().len(), 2);
    env.json("conversation.get", &["conversation", "get", &conversation(&env)]);
    env.json("conversation.list", &["conversation", "ls", "--agent", "default", "--org", "local"]);
    env.json("org.list", &["org", "ls"]);
    env.json("turn.cancel", &["turn", "cancel", &newest(&env)]);
    env.json("conversation.reset", &["conversation", "reset", &conversation(&env)]);
}

#[test]
fn the_tokens_of_an_organisation_are_its_own() {
    let env = TestEnv::new();
    fn token<'a>(verb: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        [&["org", "token", verb], args].concat()
    }
    env.refused(&token("ls", &["acme"]), 3, "ORG_NOT_FOUND");
    env.ok(&["org", "add", "acme"]);
    env.ok(&["org", "add", "other"]);
    let made = env.json("token.create", &token("create", &["acme", "web"]));
    assert_eq!((&made["scope"], &made["org_id"]), (&json!("org"), &json!("acme")));
    assert_eq!(made["token"].as_str().unwrap().len(), 64);
    env.refused(&token("create", &["acme", "web"]), 5, "TOKEN_EXISTS");
    env.ok(&token("create", &["other", "web"]));
    let listed = env.json("token.list", &token("ls", &["acme"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("web")));
    // They are none of those that only read.
    assert_eq!(env.json("token.list", &["token", "ls"]), json!([]));
    env.json("token.revoke", &token("revoke", &["acme", "web"]));
    env.refused(&token("revoke", &["acme", "web"]), 3, "TOKEN_NOT_FOUND");
    assert_eq!(env.json("token.list", &token("ls", &["other"])).as_array().unwrap().len(), 1);
}

#[test]
fn the_leases_of_consumers_are_listed() {
    let env = TestEnv::new();
    assert_eq!(env.json("lease.list", &["lease", "ls"]), json!([]));
    env.ok(&["consumer", "create", "indexer"]);
    env.ok(&["consumer", "pull", "indexer", "--lease", "60s"]);
    let leases = env.json("lease.list", &["lease", "ls"]);
    assert_eq!(leases[0]["name"], "indexer");
    assert!(env.ok(&["lease", "ls"]).contains("indexer"));
}

#[test]
fn a_reader_that_closes_the_output_ends_waiting_but_not_the_turn() {
    let env = TestEnv::new();
    env.ok(&["turn", "send", "x", "--key", "k", "--no-wait"]);
    Worker::of(&env).claim().answer(&"line\n".repeat(100_000));
    let output = env.shell("\"$0\" turn send x --key k | head -1");
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "line\n", ""));
}
