//! What reconciliation does about a session: a pure function of rows and of what was found on the machine.

use ao_store::Timestamp;
use ao_store::row::launch::{EndCause, Launch};
use ao_store::row::session::Session;

/// How many launches may be killed in [`WINDOW_MS`] before the session stays as it is.
const RELAUNCHES: usize = 3;
const WINDOW_MS: i64 = 600_000;

/// From this number of sessions on, the end of more than half of them at once is one event.
const MANY: usize = 5;

/// What was found of the newest launch of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Processes of it run.
    Alive,
    /// None does.
    Dead,
}

/// What is done about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It runs, as it should.
    Adopt,
    /// Its agent ended by itself, so it stays as it is.
    Leave,
    /// Its agent should run, so it is started again.
    Relaunch,
    /// Its agent was killed too often, so it stays as it is.
    TooOften,
    /// It is terminated, but something of it runs: that is stopped.
    Stop,
    /// Its row has produced nothing, and what created it has ended: it is removed.
    Remove,
}

impl Decision {
    /// Its name in documents.
    #[must_use]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Decision::Adopt => "adopted",
            Decision::Leave => "left",
            Decision::Relaunch => "relaunched",
            Decision::TooOften => "left_killed",
            Decision::Stop => "stopped",
            Decision::Remove => "removed",
        }
    }
}

/// Whether the end of so many launches at once is one event.
pub(in crate::lifecycle) fn is_mass(dead: usize, open: usize) -> bool {
    dead >= MANY && dead * 2 > open
}

/// Decides about one session that no operation runs on.
pub(super) fn decide(
    session: &Session,
    launches: &[Launch],
    found: Found,
    now: Timestamp,
) -> Decision {
    match (session.is_terminated, session.spawned_at, found) {
        (true, _, Found::Alive) => Decision::Stop,
        (true, _, Found::Dead) => Decision::Leave,
        (false, None, _) => Decision::Remove,
        (false, Some(_), _) => match ended(launches) {
            Some(EndCause::Exited | EndCause::ExecFailed) => Decision::Leave,
            None if found == Found::Alive => Decision::Adopt,
            _ if killed_lately(launches, now) >= RELAUNCHES => Decision::TooOften,
            _ => Decision::Relaunch,
        },
    }
}

/// Why the newest launch ended. One that a verb stopped says nothing about the program: a relaunch that
/// failed leaves an agent that ended by itself as one that did.
fn ended(launches: &[Launch]) -> Option<EndCause> {
    let causes = || launches.iter().rev().map(Launch::end_cause);
    let told = causes().find(|cause| *cause != Some(EndCause::Stopped));
    told.unwrap_or_else(|| causes().next().flatten())
}

fn killed_lately(launches: &[Launch], now: Timestamp) -> usize {
    let is_late = |at: Timestamp| at.0 > now.0.saturating_sub(WINDOW_MS);
    // One whose launcher was killed before the program started says nothing about the program.
    let is_killed = |launch: &&Launch| {
        launch.end_cause() == Some(EndCause::Killed)
            && launch.started_at.is_some()
            && launch.ended_at.is_some_and(is_late)
    };
    launches.iter().filter(is_killed).count()
}
