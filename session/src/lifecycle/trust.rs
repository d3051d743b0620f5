//! Programs that ask before they work in a new directory are told that a worktree is trusted, for as long as
//! it exists. Where that cannot be recorded, the program asks: nothing fails.

use std::path::Path;

use ao_store::row::session::Session;

use super::Sessions;
use crate::error::Result;
use crate::harness::Trust;

impl Sessions {
    /// Before a program starts in a worktree.
    pub(super) fn trust_worktree(&self, session: &Session) {
        self.change_trust(session, |trust, path| trust.record(path, &self.config.environment));
    }

    /// After a worktree has been removed.
    pub(super) fn forget_worktree(&self, session: &Session) {
        self.change_trust(session, |trust, path| trust.forget(path, &self.config.environment));
    }

    fn change_trust(&self, session: &Session, change: impl Fn(&Trust, &Path) -> Result<()>) {
        let path = Path::new(&session.worktree_path);
        let harness = self.harnesses.get(&session.harness).ok();
        let Some(trust) = harness.and_then(|it| it.trust()) else { return };
        if let Err(error) = change(trust, path) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(session = %session.id, error, "the trust of a worktree is not recorded");
        }
    }
}
