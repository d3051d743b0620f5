//! Sessions of one repository that work on one branch: what to do about it.

use ao_daemon::document::session::shared_branch_message;
use ao_store::Store;
use ao_store::row::shared_branch;

use crate::doctor::Finding;

/// What to do about it.
pub(crate) const FIX: &str =
    "give each session a branch of its own: `ao-store session set SESSION --branch NAME`";

/// Whether every session has a branch of its own.
pub(crate) fn check(store: &Store) -> Finding {
    let id = "session.branches";
    match store.read(shared_branch::all) {
        Err(error) => Finding::fail(id, error.to_string(), "`ao-store verify`"),
        Ok(shared) if shared.is_empty() => Finding::ok(id, "no two sessions work on one branch"),
        Ok(shared) => {
            let messages: Vec<_> = shared.iter().map(shared_branch_message).collect();
            Finding::warn(id, messages.join("; "), FIX)
        }
    }
}
