//! A store with an agent, messages to it, and workers that are real processes.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::turn::admit::{NewTurn, admit};
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::cancel::{Cancelled, cancel};
use ao_store::turn::conversation::{Caller, Place};
use ao_store::turn::event::{self, Event, Kind};
use ao_store::turn::{self, Reason, State, Turn, org};
use ao_store::{Cause, Options, Store};

use crate::support::{BOUND, Live, TestEnv};

/// The agent of these tests.
pub(super) const AGENT: &str = "coder";

/// A program that stays: what it does with a turn is the text of the message.
pub(super) const PROGRAM: &str = include_str!("agent.py");

pub(super) struct Lab {
    pub(super) env: TestEnv,
    pub(super) store: Store,
}

impl Lab {
    /// The agent has this account.
    pub(super) fn with_account(account: &str) -> Lab {
        let env = TestEnv::new();
        let store = Store::open(&env.database(), Options::default()).unwrap();
        let account = account.to_owned();
        let made = store.write(Cause::now("test"), move |tx| {
            let local = org::LOCAL.parse()?;
            org::ensure(tx, &local)?;
            agent::add(tx, &Agent { account, ..Agent::new(local, AGENT.parse()?, tx.now()) })
        });
        made.unwrap();
        Lab { env, store }
    }

    pub(super) fn new() -> Lab {
        Lab::with_account("")
    }

    /// Sends a message in a thread; the id of its turn.
    pub(super) fn send(&self, thread: &str, input: &str) -> String {
        let place = Place {
            org: org::LOCAL.parse().unwrap(),
            agent: AGENT.parse().unwrap(),
            member: Member::new("local", "ann").unwrap(),
            thread: thread.to_owned(),
        };
        let id = format!("t{:016x}", fastrand::u64(..));
        let new = NewTurn {
            id: id.clone(),
            place,
            conversation: format!("c{:016x}", fastrand::u64(..)),
            key: id.clone(),
            input: input.to_owned(),
            patience: Duration::from_secs(3600),
        };
        let admitted =
            self.store.write(Cause::now("test"), move |tx| admit(tx, &Caller::Operator, &new));
        admitted.unwrap();
        id
    }

    pub(super) fn cancel(&self, id: &str) -> Cancelled {
        let id = id.to_owned();
        let done =
            self.store.write(Cause::now("test"), move |tx| cancel(tx, &Caller::Operator, &id));
        done.unwrap().value
    }

    pub(super) fn turn(&self, id: &str) -> Turn {
        self.store.read(|snapshot| turn::require(snapshot, id)).unwrap()
    }

    /// Waits until a turn has ended.
    pub(super) fn ended(&self, id: &str) -> Turn {
        wait_for(&format!("the end of turn {id}"), || {
            Some(self.turn(id)).filter(|turn| turn.state.has_ended())
        })
    }

    /// The events of a turn.
    pub(super) fn events(&self, id: &str) -> Vec<Event> {
        let conversation = self.turn(id).conversation;
        let all = self.store.read(|snapshot| event::after(snapshot, &conversation, 0, 100_000));
        all.unwrap().into_iter().filter(|event| event.turn == id).collect()
    }

    /// The texts of the events of a kind of a turn.
    pub(super) fn texts(&self, id: &str, kind: Kind) -> Vec<String> {
        let all = self.events(id).into_iter();
        all.filter(|event| event.kind == kind).map(|event| event.text).collect()
    }

    /// Waits until the deltas of a turn have this.
    pub(super) fn until_delta(&self, id: &str, what: &str) {
        wait_for(&format!("the output {what:?} of turn {id}"), || {
            self.texts(id, Kind::Delta).concat().contains(what).then_some(())
        });
    }

    /// The reply of a turn, which must be answered.
    pub(super) fn reply(&self, id: &str) -> String {
        let turn = self.ended(id);
        let last = self.texts(id, Kind::Error);
        assert_eq!((turn.state, last), (State::Completed, Vec::new()));
        self.texts(id, Kind::Complete).concat()
    }

    /// The failure of a turn, which must have failed, once.
    pub(super) fn failure(&self, id: &str) -> (Reason, String) {
        let turn = self.ended(id);
        let texts = self.texts(id, Kind::Error);
        assert_eq!((turn.state, texts.len()), (State::Failed, 1), "{texts:?}");
        assert_eq!(self.texts(id, Kind::Complete), Vec::<String>::new());
        (turn.reason, texts.concat())
    }

    /// Sends a message by `turn send`, which must report a failure that begins so; what it prints of a reply.
    pub(super) fn refused(&self, failure: &str) -> String {
        let sent = self.env.run(&["turn", "send", "--agent", AGENT, "x"]);
        let expected = format!("error[TURN_FAILED]: Agent error: {failure}");
        assert!(
            sent.code == 1 && sent.stderr.starts_with(&expected),
            "{}: {}",
            sent.code,
            sent.stderr
        );
        sent.stdout
    }

    /// The command of a worker with these options, which runs a program.
    pub(super) fn command(&self, options: &[&str], argv: &[&str]) -> Command {
        let args = [&["worker", "run", "--agent", AGENT], options, &["--"], argv].concat();
        self.env.command(&args)
    }

    /// A worker that waits for turns.
    pub(super) fn worker(&self, options: &[&str], argv: &[&str]) -> Live {
        ready(&mut self.command(options, argv))
    }

    /// A worker whose agent is a shell script. In it `$D` is the directory of this test.
    pub(super) fn shell(&self, options: &[&str], script: &str) -> Live {
        ready(self.command(options, &["sh", "-c", script]).env("D", self.env.path("")))
    }

    /// Waits until a file exists, and has something; what it has.
    pub(super) fn file(&self, name: &str) -> String {
        let path = self.env.path(name);
        wait_for(&format!("the file {name}"), || {
            fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        })
        .trim()
        .to_owned()
    }

    /// The number of instances that are registered.
    pub(super) fn instances(&self) -> String {
        self.env.sqlite("SELECT count(*) FROM instance WHERE command = 'worker'").unwrap()
    }
}

/// A worker whose agent is [`PROGRAM`]. In it `D` is the directory of this test.
pub(super) fn agent(lab: &Lab, options: &[&str]) -> Live {
    let script = lab.env.file("agent.py", PROGRAM);
    let options = [&["--jsonl"], options].concat();
    ready(lab.command(&options, &["python3", &script]).env("D", lab.env.path("")))
}

pub(super) fn ready(command: &mut Command) -> Live {
    let live = Live::start(command);
    live.until_printed("ready: worker ");
    live
}

/// Waits until there is something.
pub(super) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come in time");
        sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; a zombie does not.
pub(super) fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}
