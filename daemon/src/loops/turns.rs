//! Turns: every few seconds it ends those that no worker will end, and deletes old parts of answers.

use ao_session::worker::sweep_turns;
use ao_store::turn::sweep::{self, Swept};
use ao_store::{Cause, Store};

use super::{Reporter, reason};

/// Who makes the changes.
const ACTOR: &str = "daemon";

/// Sweeps until the daemon stops.
pub(crate) fn run(store: &Store, reporter: &Reporter) -> Result<(), String> {
    loop {
        let swept = sweep_turns(store, &Cause::now(ACTOR)).map_err(|error| reason(&error))?;
        reporter.report(describe(&swept));
        if reporter.pause(sweep::EVERY) {
            return Ok(());
        }
    }
}

fn describe(swept: &Swept) -> String {
    let Swept { ended, deltas, failures } = swept;
    let failed = failures.first().map(|first| format!(", failed: {}: {first}", failures.len()));
    format!(
        "turns ended: {}, parts of answers deleted: {deltas}{}",
        ended.len(),
        failed.unwrap_or_default()
    )
}
