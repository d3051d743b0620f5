//! Recording the answer to a heartbeat query of 100 pull requests in which nothing is new, against
//! parsing its JSON.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use ao_benches::{Line, Run, Sample, at_most, cpu, median};
use ao_observer::github::call::{Call, Reply, Request};
use ao_observer::poll::{Config, Step};
use ao_store::Timestamp;
use serde_json::Value;

use crate::observe::observer::{Observer, Token};
use crate::observe::scene::Scene;

const PRS: usize = 100;
const ROUNDS: usize = 41;
/// Answers a round, of which the median counts: with one of twelve the state of the host is stored.
const ANSWERS: usize = 5;

/// An idle observer whose host is not asked twice for the same.
struct Idle {
    observer: Observer,
    answers: HashMap<String, Reply>,
    body: Vec<u8>,
}

impl Idle {
    fn new() -> Idle {
        // Looks come often, which costs virtual time only.
        let config = Config { interval: Duration::from_secs(5), ..Config::default() };
        let observer = Observer::tracking(Scene::new(PRS), Token::User, config);
        Idle { observer, answers: HashMap::new(), body: Vec::new() }
    }

    /// Works until the answer to a whole heartbeat query was recorded; returns the CPU time of that.
    fn receive(&mut self) -> f64 {
        loop {
            let call = match self.observer.step() {
                Step::FindCredentials => {
                    self.observer.probe();
                    continue;
                }
                Step::Wait(until) => {
                    self.observer.scene.advance(until.0);
                    continue;
                }
                Step::Send(call) => call,
            };
            let reply = self.answer(&call);
            let now = Timestamp(self.observer.scene.now());
            let sample = cpu(|| {
                self.observer.poller.receive(&reply, now);
                1
            });
            if let Request::Graphql { body } = &call.request
                && body.starts_with("{\"query\":\"query Heartbeat")
                && body.matches("\"PR_").count() == PRS
                && let Reply::Answer(answer) = &reply
            {
                self.body.clone_from(&answer.body);
                return sample.nanos as f64;
            }
        }
    }

    fn answer(&mut self, call: &Call) -> Reply {
        let Request::Graphql { body } = &call.request else { return self.observer.answer(call) };
        if let Some(known) = self.answers.get(body) {
            let known = known.clone();
            if let Reply::Answer(answer) = &known {
                let latency = i64::try_from(answer.latency.as_millis()).expect("a latency");
                let now = self.observer.scene.now();
                self.observer.scene.advance(now + latency);
            }
            return known;
        }
        let reply = self.observer.answer(call);
        self.answers.insert(body.clone(), reply.clone());
        reply
    }
}

/// Receive: at most twice the CPU time of parsing the body.
pub(crate) fn compare(run: &mut Run) {
    if !run.is_selected("16") {
        return;
    }
    let mut idle = Idle::new();
    for _ in 0..ANSWERS {
        idle.receive();
    }
    let idle = RefCell::new(idle);
    let of = |mut nanos: Vec<f64>| Sample { units: 1, nanos: median(&mut nanos) as u64 };
    run.compare(
        Line::ratio("16", "an answer about 100 pull requests", "parsing its JSON", at_most(0.7)),
        ROUNDS,
        || {
            let body = &idle.borrow().body;
            let parse = || {
                let parsed: Value = serde_json::from_slice(body).expect("JSON");
                black_box(parsed);
                1
            };
            of((0..ANSWERS).map(|_| cpu(parse).nanos as f64).collect())
        },
        || of((0..ANSWERS).map(|_| idle.borrow_mut().receive()).collect()),
    );
    let idle = idle.into_inner();
    run.note(format_args!(
        "note   an answer about 100 pull requests has {} bytes with a listing of ten repositories",
        idle.body.len()
    ));
}
