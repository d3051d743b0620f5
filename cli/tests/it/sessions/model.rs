//! Many processes run random verbs on the same sessions at once, and some of them are killed. After each
//! round and one reconciliation, rows, git, tmux and processes agree with each other and with what the
//! callers were answered.
//!
//! `AO_SESSION_ROUNDS=n` runs this many rounds, and `AO_SESSION_SEED=n` other verbs. What the processes do
//! at the same time depends on the machine too.

mod calls;
mod state;

use fastrand::Rng;

use crate::sessions::Lab;
use calls::{Call, run_all};
use state::State;

/// How many processes run at once.
const CALLERS: usize = 8;

/// An agent that ends by itself.
const DONE: &str = "#!/bin/sh\nexit 0\n";

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect(name))
}

/// A lab with the agent `done.sh`, and branches to compete for.
fn lab() -> Lab {
    let lab = Lab::new();
    let done = lab.env.file("done.sh", DONE);
    crate::sessions::lab::set_executable(done.as_ref());
    lab.git(&["branch", "old"]);
    lab
}

#[test]
fn random_verbs_at_once_leave_what_the_callers_were_answered() {
    let rounds = given("AO_SESSION_ROUNDS").unwrap_or(3);
    let seed = given("AO_SESSION_SEED").unwrap_or(1);
    let (lab, mut random) = (lab(), Rng::with_seed(seed));
    let mut state = State::read(&lab);
    for round in 1..=rounds {
        let calls: Vec<Call> =
            (0..CALLERS).map(|_| Call::random(&lab, &state, &mut random)).collect();
        let answered = run_all(&lab, calls);
        // Shown when the test fails.
        println!("AO_SESSION_SEED={seed}, round {round} of {rounds}:");
        answered.iter().for_each(|call| println!("  {call}"));
        answered.iter().for_each(|call| state.check_answer(call, &answered));
        state.reconcile(&lab);
        state.check(&lab, &answered);
    }
}
