//! The calls of a round: random verbs with random arguments, of which some are killed.

use std::fmt;
use std::io::Read;
use std::process::Child;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::state::State;
use crate::sessions::Lab;
use crate::sessions::lab::SOON;
use crate::support::text;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Spawn,
    Kill,
    Restore,
    Relaunch,
    Ensure,
    Replace,
    Reconcile,
    Cleanup,
}

/// How often each verb is called.
const VERBS: [Verb; 16] = [
    Verb::Spawn,
    Verb::Spawn,
    Verb::Spawn,
    Verb::Spawn,
    Verb::Kill,
    Verb::Kill,
    Verb::Kill,
    Verb::Restore,
    Verb::Restore,
    Verb::Restore,
    Verb::Relaunch,
    Verb::Ensure,
    Verb::Replace,
    Verb::Replace,
    Verb::Reconcile,
    Verb::Cleanup,
];

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was killed; nothing is known of what it did.
    Killed,
    /// It did it, and printed this.
    Done(String),
    /// It was refused with this code.
    Refused(String),
}

/// One call of the binary.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// The session that it names; empty if none.
    pub(super) target: String,
    args: Vec<String>,
    start_after: Duration,
    kill_after: Option<Duration>,
    pub(super) answer: Answer,
    /// Its standard error.
    pub(super) printed: String,
}

impl Call {
    pub(super) fn random(lab: &Lab, state: &State, random: &mut Rng) -> Call {
        let verb = *random.choice(&VERBS).unwrap();
        let target = match verb {
            Verb::Kill | Verb::Restore | Verb::Relaunch => state.any(random),
            _ => String::new(),
        };
        let words: Vec<&str> = match verb {
            Verb::Spawn => {
                let args = spawning(lab, random);
                return Call::new(verb, target, args, random);
            }
            Verb::Kill => vec!["session", "kill", &target],
            Verb::Restore => vec!["session", "restore", &target],
            Verb::Relaunch => vec!["session", "relaunch", &target],
            Verb::Ensure => [&ENSURE[..], &["--", &lab.agent]].concat(),
            Verb::Replace => [&ENSURE[..], &["--replace", "--", &lab.agent]].concat(),
            Verb::Reconcile => vec!["reconcile"],
            Verb::Cleanup => vec!["session", "cleanup", "--yes"],
        };
        let args = words.into_iter().map(str::to_owned).collect();
        Call::new(verb, target, args, random)
    }

    fn new(verb: Verb, target: String, args: Vec<String>, random: &mut Rng) -> Call {
        let millis = |random: &mut Rng, most: u64| Duration::from_millis(random.u64(0..most));
        let start_after = millis(random, 100);
        let kill_after = (random.u8(0..3) == 0).then(|| millis(random, 500));
        let (answer, printed) = (Answer::Killed, String::new());
        Call { verb, target, args, start_after, kill_after, answer, printed }
    }

    /// Whether it did something, or may have.
    pub(super) fn may_have(&self, verb: Verb) -> bool {
        self.verb == verb && !matches!(self.answer, Answer::Refused(_))
    }

    fn run(&mut self, lab: &Lab) {
        sleep(self.start_after);
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        let mut child = lab.command(&args).spawn().unwrap();
        let read = |mut stream: Box<dyn Read + Send>| {
            thread::spawn(move || {
                let mut printed = String::new();
                stream.read_to_string(&mut printed).map(|_| printed).unwrap()
            })
        };
        let stdout = read(Box::new(child.stdout.take().unwrap()));
        let stderr = read(Box::new(child.stderr.take().unwrap()));
        let code = self.wait(&mut child);
        let stdout = stdout.join().unwrap();
        self.printed = stderr.join().unwrap();
        self.answer = match code {
            None => Answer::Killed,
            Some(0) => Answer::Done(stdout.trim().to_owned()),
            Some(_) => Answer::Refused(code_of(&self.printed)),
        };
    }

    /// Waits for its end, or kills it; its exit status.
    fn wait(&self, child: &mut Child) -> Option<i32> {
        let (begun, mut is_killed) = (Instant::now(), false);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if self.kill_after.is_some_and(|after| begun.elapsed() >= after) && !is_killed {
                child.kill().unwrap();
                is_killed = true;
            }
            assert!(begun.elapsed() < SOON * 2, "{self} did not end in time");
            sleep(Duration::from_millis(2));
        }
    }
}

const ENSURE: [&str; 6] = ["orchestrator", "ensure", "--project", "demo", "--harness", "custom"];

fn spawning(lab: &Lab, random: &mut Rng) -> Vec<String> {
    let mut words = vec!["spawn", "--project", "demo", "--harness", "custom"];
    words.extend(match random.u8(0..6) {
        0 => &["--branch", "old"][..],
        1 => &["--branch", "new"],
        2 => &["--branch", "new", "--create-branch"],
        3 => &["--kind", "orchestrator"],
        _ => &[],
    });
    if random.bool() {
        words.push("--no-fetch");
    }
    if random.u8(0..4) > 0 {
        words.extend(["--prompt", "p"]);
    }
    let done = lab.env.path("done.sh");
    words.push("--");
    words.push(if random.u8(0..5) == 0 { text(&done) } else { &lab.agent });
    words.into_iter().map(str::to_owned).collect()
}

fn code_of(printed: &str) -> String {
    let code = printed.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
    code.unwrap_or_else(|| panic!("an error without a code: {printed}")).0.to_owned()
}

/// Runs the calls at once; they have their answers then.
pub(super) fn run_all(lab: &Lab, mut calls: Vec<Call>) -> Vec<Call> {
    thread::scope(|scope| {
        for call in &mut calls {
            scope.spawn(|| call.run(lab));
        }
    });
    calls
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {:?}", self.args, self.start_after)?;
        if let Some(after) = self.kill_after {
            write!(f, ", killed after {after:?}")?;
        }
        write!(f, ": {:?} {:?}", self.answer, self.printed)
    }
}
