//! Reconciles the sessions with the machine once, when the daemon starts.

use ao_session::{Mode, Sessions};

use super::Reporter;
use crate::notice::{Notice, Notify};

/// Reconciles; what fails for one session does not stop the others.
pub(crate) fn run(sessions: &Sessions, notify: &Notify, reporter: &Reporter) -> Result<(), String> {
    let report = sessions.reconcile(Mode::Act).map_err(|error| error.to_string())?;
    let failed = report.actions.iter().filter(|action| action.error.is_some()).count();
    reporter.report(format!("{} sessions looked at, {failed} failed", report.actions.len()));
    notify(Notice::Reconciled(report));
    Ok(())
}
