//! What the writer of the store does in the background, shown like the loops of the daemon. It is no loop of the
//! daemon: every process that writes does it.

use ao_store::{Background, Pass, Store};

use super::{LoopState, LoopStatus};

/// Retention and checkpoints. One that failed is tried again by the writer, unless the writer has ended.
pub(crate) fn statuses(store: &Store) -> [LoopStatus; 2] {
    let Background { retention, checkpoint } = store.background();
    [of("retention", retention), of("checkpoint", checkpoint)]
}

fn of(name: &'static str, pass: Pass) -> LoopStatus {
    let Pass { at, outcome, is_failed, failures } = pass;
    let state = if is_failed { LoopState::Failed } else { LoopState::Running };
    LoopStatus { name, state, at, outcome, restarts: failures }
}
