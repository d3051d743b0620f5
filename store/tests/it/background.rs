//! What the writer does in the background is shown with what came of it.

use std::time::{Duration, Instant};

use ao_store::{Pass, Store};

use crate::prune::{wait_for_floor, with_stored_rules};
use crate::support::{T0, raw, rename};

/// Waits until the last pass of retention is as wanted.
fn wait_for_pass(store: &Store, is_wanted: impl Fn(&Pass) -> bool) -> Pass {
    let started = Instant::now();
    loop {
        let pass = store.background().retention;
        if is_wanted(&pass) {
            return pass;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{pass:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_retention_did_last_is_shown_and_so_is_a_failure() {
    let (dir, store) = with_stored_rules();
    assert!(store.background().retention.at.is_none());
    rename(&store, "demo-2", 1, T0);
    let pass = wait_for_pass(&store, |pass| pass.outcome.starts_with("pruned up to change "));
    assert!(pass.at.is_some() && !pass.is_failed && pass.failures == 0, "{pass:?}");
    wait_for_floor(&store, 1);
    // A foreign change is to be sealed, which is refused.
    let sabotage = "DROP TRIGGER capture_session_update; UPDATE project SET name = 'foreign'";
    raw(&dir.path().join("ao.db")).execute_batch(sabotage).unwrap();
    let pass = wait_for_pass(&store, |pass| pass.is_failed);
    assert!(pass.outcome.contains("capture_session_update is missing"), "{pass:?}");
    assert!(pass.failures > 0);
}
