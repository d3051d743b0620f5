//! The reaper: each second it looks at the processes and screens of the launches, and starts the writers of
//! accepted messages.

use std::time::Duration;

use ao_session::{Reaper, Sessions};

use super::Reporter;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes until the daemon stops.
pub(crate) fn run(sessions: &Sessions, reporter: &Reporter) {
    Reaper::new(sessions).run(|| {
        reporter.report("the launches were probed".to_owned());
        reporter.pause(INTERVAL)
    });
}
