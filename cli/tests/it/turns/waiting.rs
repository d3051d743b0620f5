//! What happens while `turn send` waits.

use std::process::Stdio;
use std::time::Instant;

use super::Worker;
use crate::support::{BOUND, Live, TestEnv};

#[test]
fn a_sweep_that_cannot_go_on_does_not_delay_the_end_of_waiting() {
    let env = TestEnv::new();
    env.ok(&["turn", "send", "x", "--no-wait"]);
    let mut worker = Worker::of(&env);
    worker.claim.worker.boot_id = "another".to_owned();
    let abandoned = worker.claim();
    // Long enough for a sweep, which then waits for the lock until after the end of the test.
    let send = ["turn", "send", "y", "--timeout", "7s", "--busy-timeout", "1h"];
    let live = env.spawn(&send);
    let deadline = Instant::now() + BOUND;
    while env.ok(&["turn", "ls", "-o", "name"]).lines().count() < 2 {
        assert!(Instant::now() < deadline, "the turn is not accepted");
    }
    let mut shell = Live::start(env.sqlite_shell().stdin(Stdio::piped()));
    shell.say("BEGIN IMMEDIATE;\n.print locked\n");
    assert_eq!(shell.line(), "locked");
    assert_eq!(live.end().code, 8);
    drop((shell, abandoned));
}
