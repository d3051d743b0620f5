//! Messages to agents, through a real tmux: they arrive exactly and once, in order, whatever is killed, and each
//! stage is proven.

mod feedback;
mod late;
mod refused;
mod reports;
mod turns;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ao_store::lease::Owner;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::documented;
use crate::sessions::Lab;
use crate::sessions::failpoints::MESSAGE;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::{Live, Output, finish, text};

/// An agent that notes every byte that it gets. It asks for pasted text in brackets.
const AGENT: &str = "#!/bin/sh
stty raw -echo
printf '\\033[?2004hready'
exec cat >> \"$AO_DATA_DIR/heard-$AO_SESSION_ID\"
";

/// A harness whose program is that agent, and whose hooks the tests call.
const HARNESS: &str = r#"
[scripted]
label = "Scripted"
programs = ["scripted"]
places = ["~/bin"]
start = []
prompt = "typed"

[scripted.hooks]
install = {}
events = [
  { on = "Ready", says = "ready" },
  { on = "Prompt", says = "turn_started", prompt = "prompt" },
  { on = "Tool", says = "tool_started" },
  { on = "Ask", says = "permission", tool = "tool", text = ["text"] },
  { on = "Decided", says = "decided" },
  { on = "Stop", says = "turn_ended", text = ["said"] },
  { on = "Fail", says = "turn_failed", text = ["said"] },
]
"#;

/// A lab with the scripted harness.
struct Post {
    lab: Lab,
}

impl Post {
    fn new() -> Post {
        let lab = Lab::new();
        let program = lab.env.path("home/bin/scripted");
        let file = lab.env.path("home/.config/ao-store/harnesses.toml");
        for path in [&program, &file] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&program, AGENT).unwrap();
        set_executable(&program);
        fs::write(file, HARNESS).unwrap();
        Post { lab }
    }

    /// Spawns a session of the scripted harness, which is idle then; its id.
    fn spawn(&self, more: &[&str]) -> String {
        let first = ["spawn", "--project", "demo", "--harness", "scripted"];
        let id = self.lab.ok(&[&first[..], more].concat()).trim().to_owned();
        self.until_ready(&id);
        self.hook(&id, "Ready", "{}");
        assert_eq!(self.lab.get(&id)["activity"], "idle");
        id
    }

    /// Spawns a session of a harness without hooks that runs the same agent.
    fn spawn_without_hooks(&self) -> String {
        let agent = self.lab.env.path("home/bin/scripted");
        let args = ["spawn", "--project", "demo", "--harness", "custom", "--", text(&agent)];
        let id = self.lab.ok(&args).trim().to_owned();
        self.until_ready(&id);
        id
    }

    /// Its file is there once it notes what it gets.
    fn until_ready(&self, id: &str) {
        wait_until("the agent", || self.file(id).exists());
    }

    fn file(&self, id: &str) -> PathBuf {
        self.lab.env.path(&format!("data/heard-{id}"))
    }

    /// What the agent of a session got so far.
    fn heard(&self, id: &str) -> String {
        String::from_utf8(fs::read(self.file(id)).unwrap()).unwrap()
    }

    fn until_heard(&self, id: &str, wanted: &str) {
        let mut heard = String::new();
        let deadline = std::time::Instant::now() + crate::sessions::lab::SOON;
        while heard != wanted {
            heard = String::from_utf8_lossy(&fs::read(self.file(id)).unwrap()).into_owned();
            let is_over = std::time::Instant::now() > deadline;
            assert!(!is_over, "the agent got {heard:?} instead of {wanted:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Calls a hook of the newest launch of a session.
    fn hook(&self, id: &str, event: &str, payload: &str) {
        let launch = self.lab.sql(&format!("SELECT launch_id FROM session WHERE id = '{id}'"));
        let mut command = self.lab.command(&["hook", "scripted", event]);
        command.env("AO_SESSION_ID", id).env("AO_LAUNCH_ID", launch).stdin(Stdio::piped());
        assert_eq!(finish(&mut command, payload.as_bytes()).code, 0);
    }

    fn send(&self, args: &[&str]) -> String {
        self.lab.ok(&[&["send"], args].concat()).trim().to_owned()
    }

    fn json(&self, kind: &str, args: &[&str]) -> Value {
        let printed = self.lab.ok(&[args, &["--json"]].concat());
        let document: Value = serde_json::from_str(&printed).unwrap();
        documented::check(kind, &document["data"]);
        document["data"].clone()
    }

    /// The stages of the deliveries, in the order of their acceptance.
    fn stages(&self) -> String {
        self.lab.sql("SELECT coalesce(group_concat(stage), '') FROM (SELECT stage FROM delivery ORDER BY rowid)")
    }

    fn until_stages(&self, wanted: &str) {
        wait_until(wanted, || self.stages() == wanted);
    }

    /// Sends with a failpoint, in this process or in the one that writes, and waits for the end of both.
    fn send_failing(&self, args: &[&str], failpoint: &str) -> Output {
        let mut command = self.lab.command(&[&["send"], args].concat());
        let output = killable(command.env("FAILPOINTS", format!("{failpoint}=return(kill)")));
        self.until_no_runner();
        output
    }

    /// Waits until no process that writes messages runs.
    fn until_no_runner(&self) {
        let owners = || {
            self.lab.sql("SELECT group_concat(owner, char(10)) FROM instance WHERE command <> 'reads screens'")
        };
        wait_until("the end of the runner", || {
            owners().lines().all(Owner::is_gone) && self.runners().is_empty()
        });
    }

    /// The processes that write messages.
    fn runners(&self) -> Vec<u32> {
        let data = self.lab.env.path("data").canonicalize().unwrap();
        let is_runner = |pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = words.split(|byte| *byte == 0).collect();
            words.contains(&b"run".as_slice()) && words.contains(&text(&data).as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let all = all.filter_map(|it| it.file_name().to_str()?.parse().ok());
        all.filter(is_runner).collect()
    }

    /// The process that a failpoint has stopped.
    fn stopped_runner(&self) -> Option<u32> {
        self.runners().into_iter().find(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }
}

impl Drop for Post {
    /// After a test that fails, one may be stopped.
    fn drop(&mut self) {
        for pid in self.runners() {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Runs a command to its end, which may be by a signal.
fn killable(command: &mut Command) -> Output {
    let (status, stderr) = Live::start(command).status();
    Output { code: status.code().unwrap_or(-1), stdout: String::new(), stderr }
}

/// A text as the agent gets it.
fn pasted(text: &str) -> String {
    format!("\u{1b}[200~{text}\u{1b}[201~\r")
}

#[test]
fn a_text_arrives_exactly_and_in_copy_mode_too() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let (socket, pane) =
        (post.lab.get(&id)["runtime_socket"].clone(), post.lab.get(&id)["runtime_pane"].clone());
    let copy = ["-S", socket.as_str().unwrap(), "copy-mode", "-t", pane.as_str().unwrap()];
    assert!(Command::new("tmux").args(copy).status().unwrap().success());
    let mut wanted = String::new();
    for (args, arrives) in [
        (&["one\n\n  two\n\tthree \u{e9}\u{1f600}\n"][..], "one\n\n  two\n\tthree \u{e9}\u{1f600}"),
        (&["-x --wait"], "-x --wait"),
        (&["--", "--json"], "--json"),
        (&["ends;"], "ends;"),
        (
            &["#(touch marker) #{pane_id} $(touch marker) `touch marker`"],
            "#(touch marker) #{pane_id} $(touch marker) `touch marker`",
        ),
        (&["a\u{1b}[201~\rb\u{1b}]0;title\u{7}\u{7f}\u{9b}c"], "a[201~\nb]0;titlec"),
        (&["--file", &post.lab.env.file("message", "\u{feff}from\r\na file\r\n")], "from\na file"),
    ] {
        post.send(&[&[id.as_str()], args].concat());
        wanted += &pasted(arrives);
        post.until_heard(&id, &wanted);
    }
    let mut piped = post.lab.command(&["send", &id, "-"]);
    assert_eq!(finish(piped.stdin(Stdio::piped()), b"from\0 a pipe\n").code, 0);
    post.until_heard(&id, &(wanted + &pasted("from a pipe")));
    assert!(!post.lab.env.path("marker").exists());
    post.until_stages(&["written"; 8].join(","));
    let list = post.json("delivery.list", &["delivery", "ls", "--session", &id]);
    assert_eq!(list.as_array().unwrap().len(), 8);
}

#[test]
fn a_mebibyte_arrives_whole() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let mut whole: String = (0..).map(|n| format!("line {n} \u{e9}\n")).take(80_000).collect();
    whole.truncate(whole.floor_char_boundary(1 << 20));
    let whole = whole.trim_end().to_owned();
    assert!(whole.len() > (1 << 20) - 40);
    post.send(&[&id, "--file", &post.lab.env.file("large", &whole)]);
    post.send(&[&id, "after"]);
    let wanted = pasted(&whole) + &pasted("after");
    wait_until("both", || fs::metadata(post.file(&id)).unwrap().len() >= wanted.len() as u64);
    assert!(post.heard(&id) == wanted, "the text differs");
    let longer = post.lab.env.file("longer", "x".repeat((1 << 20) + 1));
    post.lab.refused(&["send", &id, "--file", &longer], 2, "INVALID_PROMPT");
}

#[test]
fn concurrent_senders_arrive_whole_and_in_the_order_of_acceptance() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let senders = 4;
    std::thread::scope(|scope| {
        for sender in 0..senders {
            let (post, id) = (&post, &id);
            scope.spawn(move || {
                for number in 0..3 {
                    post.send(&[id, &format!("{sender}.{number}\nof {sender}")]);
                }
            });
        }
    });
    let texts = "SELECT group_concat(text, '|') FROM (SELECT text FROM delivery
        JOIN delivery_text ON delivery_id = id ORDER BY delivery.rowid)";
    let accepted = post.lab.sql(texts);
    assert_eq!(accepted.split('|').count(), senders * 3);
    post.until_heard(&id, &accepted.split('|').map(pasted).collect::<String>());
    for sender in 0..senders {
        let of_it = accepted.split('|').filter(|it| it.starts_with(&format!("{sender}.")));
        let numbers: String = of_it.map(|it| &it[2..3]).collect();
        assert_eq!(numbers, "012", "the order of one sender");
    }
}

#[test]
fn what_a_killed_process_left_is_taken_over_or_ambiguous() {
    for step in MESSAGE {
        let post = Post::new();
        let id = post.spawn(&[]);
        let output = post.send_failing(&[&id, "first"], step);
        let is_sender = *step == "send.accepted";
        assert_eq!(output.code == 0, !is_sender, "{step}: {}", output.stderr);
        let is_before = matches!(*step, "send.accepted" | "deliver.begun" | "deliver.seen");
        assert_eq!(post.stages(), if is_before { "accepted" } else { "writing" }, "{step}");
        // Each of these takes over.
        if is_sender {
            post.lab.ok(&["reconcile"]);
        } else {
            post.send(&[&id, "second"]);
        }
        match *step {
            "send.accepted" => post.until_stages("written"),
            "deliver.begun" | "deliver.seen" => post.until_stages("written,written"),
            _ => post.until_stages("ambiguous,written"),
        }
        let first = match *step {
            "deliver.taken" => String::new(),
            // The text is in the composer, and what follows is appended to it.
            "deliver.pasted" => pasted("first").trim_end_matches('\r').to_owned(),
            _ => pasted("first"),
        };
        let second = if is_sender { String::new() } else { pasted("second") };
        post.until_heard(&id, &(first.clone() + &second));
        post.lab.ok(&["reconcile"]);
        post.until_no_runner();
        assert_eq!(post.heard(&id), first.clone() + &second, "{step}: nothing is sent again");
        if is_before {
            continue;
        }
        let first_id = post.lab.sql("SELECT id FROM delivery ORDER BY rowid LIMIT 1");
        post.json("delivery.resend", &["delivery", "resend", &first_id]);
        post.until_heard(&id, &(first + &second + &pasted("first")));
        post.until_stages("written,written");
        post.lab.refused(&["delivery", "resend", &first_id], 5, "DELIVERY_NOT_RESENDABLE");
    }
}

#[test]
fn a_delivery_goes_on_when_its_caller_is_killed() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let waits = Live::start(&mut post.lab.command(&["send", &id, "hello", "--wait", "finished"]));
    wait_until("its acceptance", || !post.stages().is_empty());
    waits.signal(Signal::KILL);
    drop(waits);
    post.until_heard(&id, &pasted("hello"));
    post.until_stages("written");
}

#[test]
fn each_stage_is_waited_for_and_proven() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let first = post.json("send", &["send", &id, "go on", "--key", "k", "--wait", "written"]);
    assert_eq!((&first["stage"], &first["is_new"]), (&"written".into(), &true.into()));
    assert!(first["cursor"].as_str().is_some_and(|it| it.contains('-')), "{first}");
    let delivery = first["id"].as_str().unwrap();
    let again = |stage: &str| {
        let args = ["send", &id, "go on", "--key", "k", "--wait", stage, "--timeout", "50ms"];
        post.lab.run(&args)
    };
    for (event, payload, reached, next) in [
        ("Prompt", r#"{"prompt": "go  on\n"}"#, "submitted", "started"),
        ("Tool", "{}", "started", "finished"),
        ("Stop", "{}", "finished", ""),
    ] {
        let Output { code, stderr, .. } = again(reached);
        assert!(code == 8 && stderr.contains("error[TIMED_OUT]"), "{reached}: {stderr}");
        // A prompt of another text proves nothing.
        if reached == "submitted" {
            post.hook(&id, "Prompt", r#"{"prompt": "go only"}"#);
        }
        let args = ["send", &id, "go on", "--key", "k", "--wait", reached, "--json"];
        let waits = Live::start(&mut post.lab.command(&args));
        post.hook(&id, event, payload);
        let ended = waits.end();
        assert_eq!(ended.code, 0, "{reached}: {}", ended.stderr);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["data"]["id"], delivery);
        assert_eq!(document["data"]["cursor"], first["cursor"], "a repetition has the same");
        assert_eq!(
            (&document["data"]["stage"], &document["data"]["is_new"]),
            (&reached.into(), &false.into())
        );
        assert_eq!(again(reached).code, 0);
        assert!(next.is_empty() || again(next).code == 8);
    }
    let shown = post.json("delivery.get", &["delivery", "get", delivery]);
    let stages: Vec<_> = shown["stages"].as_array().unwrap().iter().collect();
    let of = |name: &str| stages.iter().map(|it| it[name].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(of("stage"), ["accepted", "written", "submitted", "started", "finished"]);
    assert_eq!(of("proof"), ["store", "runner", "hook", "hook", "hook"]);
    assert_eq!((&shown["text"], &shown["last_stage"]), (&"go on".into(), &"finished".into()));
    assert_eq!(post.heard(&id), pasted("go on"), "it was written once");
}

/// The state before the message is idle, too, and does not count.
#[test]
fn a_script_waits_for_the_end_of_the_turn_that_its_message_begins() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let sent = post.json("send", &["send", &id, "go"]);
    let after = sent["cursor"].as_str().unwrap();
    let wait = ["session", "wait", &id, "--for", "idle", "--after", after];
    let early = post.lab.run(&[&wait[..], &["--timeout", "50ms"]].concat());
    assert_eq!(early.code, 8, "{}", early.stderr);
    let waits = Live::start(&mut post.lab.command(&wait));
    post.hook(&id, "Prompt", r#"{"prompt": "go"}"#);
    post.hook(&id, "Stop", "{}");
    let ended = waits.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_delivery_that_ends_otherwise_fails_the_wait() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let waits =
        |text: &str| Live::start(&mut post.lab.command(&["send", &id, text, "--wait", "finished"]));
    let failing = waits("fail");
    post.until_stages("written");
    post.hook(&id, "Prompt", r#"{"prompt": "fail"}"#);
    post.hook(&id, "Fail", "{}");
    let ended = failing.end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("error[DELIVERY_FAILED]"), "{}", ended.stderr);
    assert!(ended.stderr.contains("finished: failed_request"), "{}", ended.stderr);
    // The agent is killed before it reports the next one.
    let lost = waits("lost");
    post.until_stages("finished,written");
    let launch = post.lab.sql("SELECT launch_id FROM session");
    post.lab.ok(&["session", "kill", &id, "--grace", "1s"]);
    let ended = lost.end();
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("error[DELIVERY_AMBIGUOUS]"), "{}", ended.stderr);
    assert!(ended.stderr.contains("delivery resend m"), "{}", ended.stderr);
    assert_eq!(post.lab.sql("SELECT launch_id FROM delivery ORDER BY rowid LIMIT 1"), launch);
}

#[test]
fn a_harness_without_hooks_ends_at_written() {
    let post = Post::new();
    let id = post.spawn_without_hooks();
    let sent = post.json("send", &["send", &id, "hello", "--wait", "written"]);
    assert_eq!((&sent["stage"], &sent["last_stage"]), (&"written".into(), &"written".into()));
    post.until_heard(&id, &pasted("hello"));
    for stage in ["submitted", "started", "finished"] {
        post.lab.refused(&["send", &id, "x", "--wait", stage], 5, "STAGE_NOT_REPORTED");
    }
    let shown = post.lab.ok(&["delivery", "get", sent["id"].as_str().unwrap()]);
    assert!(shown.contains("last stage  written: the harness has no hook"), "{shown}");
    post.lab.ok(&["session", "kill", &id]);
    assert_eq!(post.stages(), "written", "nothing more is known after its end either");
}

#[test]
fn the_stream_has_words_for_messages() {
    let post = Post::new();
    let id = post.spawn(&[]);
    post.send(&[&id, "hello", "--wait", "written"]);
    let shown = post.lab.ok(&[
        "tail",
        "--from",
        "beginning",
        "--no-follow",
        "--format",
        "pretty",
        "--entity",
        "delivery",
    ]);
    assert!(shown.contains("message of 5 bytes  accepted"), "{shown}");
    assert!(shown.contains("delivery  written"), "{shown}");
    assert!(!post.lab.ok(&["tail", "--from", "beginning", "--no-follow"]).contains("hello"));
    let digest = post.json("digest.list", &["digest", "--since", "1h"]);
    let messages = digest.as_array().unwrap().iter().filter(|row| row["messages"] == 1);
    assert_eq!(messages.count(), 1, "{digest}");
}
