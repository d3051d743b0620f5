//! Deliveries: each second it starts the processes that write messages which are due and that no process writes.

use std::time::Duration;

use ao_session::{Due, Sessions, Writers};

use super::{ELSEWHERE, Reporter, reason};

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts them until the daemon stops. `writers` outlives a loop that failed.
pub(crate) fn run(
    sessions: &Sessions,
    writers: &mut Writers,
    reporter: &Reporter,
) -> Result<(), String> {
    loop {
        reporter.report(describe(writers.start(sessions).map_err(|error| reason(&error))?));
        if reporter.pause(INTERVAL) {
            return Ok(());
        }
    }
}

fn describe(due: Due) -> String {
    let Due { sessions, started, is_elsewhere } = due;
    if is_elsewhere {
        return ELSEWHERE.to_owned();
    }
    format!(
        "messages of {sessions} sessions are due and not being written, {started} writers started"
    )
}
