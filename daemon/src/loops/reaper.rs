//! The reaper: each second it looks at the processes and screens of the launches, and at the limits of accounts.

use std::time::Duration;

use ao_session::{Probed, Reaper, Sessions};

use super::{ELSEWHERE, Reporter, reason};

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes until the daemon stops.
pub(crate) fn run(sessions: &Sessions, reporter: &Reporter) -> Result<(), String> {
    let ended = Reaper::new(sessions).run(|probed| {
        reporter.report(describe(probed));
        reporter.pause(INTERVAL)
    });
    ended.map_err(|error| reason(&error))
}

fn describe(probed: Probed) -> String {
    let Probed { launches, unanswered, screens, changes, limits, is_elsewhere } = probed;
    if is_elsewhere {
        return ELSEWHERE.to_owned();
    }
    format!(
        "{launches} launches probed, {unanswered} without an answer, {screens} screens read, {changes} changes; \
         {limits} limits of accounts hold"
    )
}
