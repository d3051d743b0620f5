//! Probes the launches of the store once, for tests.

use ao_session::{Probed, Reaper};

use crate::context::Context;
use crate::error::Result;
use crate::output;

/// Probes once.
pub(crate) fn run(context: &Context) -> Result<()> {
    let sessions = context.sessions_to_look_at()?;
    let Probed { launches, unanswered, screens, changes, .. } = Reaper::new(&sessions).probe()?;
    output::line(&format!(
        "launches {launches}, unanswered {unanswered}, screens {screens}, changes {changes}"
    ))
}
