//! Reconciles the sessions with the machine when the daemon starts, and again when launches have lost their runtime:
//! their tmux server has ended, or their terminals have.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ao_session::{Mode, Sessions};

use super::{LoopState, Reporter, reason};
use crate::notice::{Notice, Notify};

/// How often it is looked whether launches have lost their runtime.
const LOOK: Duration = Duration::from_secs(1);
/// The pause before that is reconciled: the supervisors record one after the other that they have. It doubles while
/// one loss follows another.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A loss so long after the last one does not follow it.
const STEADY: Duration = Duration::from_secs(600);

/// Reconciles until the daemon stops.
pub(crate) fn run(sessions: &Sessions, notify: &Notify, reporter: &Reporter) -> Result<(), String> {
    let mut pause = PAUSE;
    loop {
        reporter.set(LoopState::Running);
        let tried = lost(sessions)?;
        reconcile(sessions, notify, reporter)?;
        reporter.set(LoopState::Done);
        let since = Instant::now();
        while lost(sessions)?.is_subset(&tried) {
            if reporter.pause(LOOK) {
                return Ok(());
            }
        }
        pause = if since.elapsed() >= STEADY { PAUSE } else { pause };
        if reporter.pause(pause) {
            return Ok(());
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What one pass has tried is not tried again.
fn lost(sessions: &Sessions) -> Result<HashSet<String>, String> {
    sessions.lost_launches().map_err(|error| reason(&error))
}

/// What fails for one session does not stop the others.
fn reconcile(sessions: &Sessions, notify: &Notify, reporter: &Reporter) -> Result<(), String> {
    let report = sessions.reconcile(Mode::Act).map_err(|error| reason(&error))?;
    let failed = report.actions.iter().filter(|action| action.error.is_some()).count();
    reporter.report(format!("{} sessions looked at, {failed} failed", report.actions.len()));
    notify(Notice::Reconciled(report));
    Ok(())
}
