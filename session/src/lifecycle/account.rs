//! What a limit of an account stops: nothing new is given to its agents while it holds.

use ao_store::row::account;

use super::Sessions;
use crate::error::{Error, Result};

impl Sessions {
    /// Refuses while an account of this harness has reached a limit.
    ///
    /// # Errors
    /// `ACCOUNT_LIMITED` with the end of the limit.
    pub fn check_account(&self, harness: &str) -> Result<()> {
        let now = self.now();
        let limit = self.store.read(|snapshot| account::limit_of(snapshot, harness, now))?;
        limit.map_or(Ok(()), |limit| {
            Err(Error::AccountLimited { account: limit.account, until: limit.until })
        })
    }
}
