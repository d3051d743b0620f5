//! Who sent a request, for the routes of what organisations own.

use ao_store::turn::conversation::{self, Caller, Conversation};
use ao_store::turn::{self, Turn};
use ao_store::{OrgId, Result, Snapshot};

/// Who sent the request, as [`guard`](super::guard) found it.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Caller);

impl Asked {
    /// The only organisation that the caller may see; `None` for one who may see all.
    pub(crate) fn own(&self) -> Option<&OrgId> {
        match &self.0 {
            Caller::Operator => None,
            Caller::Org(org) => Some(org),
            Caller::User { org, .. } => org.as_ref(),
        }
    }

    /// Refuses an organisation that is not the caller's, as if it did not exist.
    pub(crate) fn check(&self, org: &OrgId) -> Result<()> {
        match self.own().is_none_or(|own| own == org) {
            true => Ok(()),
            false => Err(ao_store::Error::OrgNotFound(org.to_string())),
        }
    }

    /// The conversation of this id.
    pub(crate) fn conversation(&self, snapshot: &Snapshot<'_>, id: &str) -> Result<Conversation> {
        let found = conversation::require(snapshot, id)?;
        conversation::authorize(snapshot, &self.0, &found)?;
        Ok(found)
    }

    /// The turn of this id.
    pub(crate) fn turn(&self, snapshot: &Snapshot<'_>, id: &str) -> Result<Turn> {
        let turn = turn::require(snapshot, id)?;
        conversation::of_turn(snapshot, &self.0, &turn)?;
        Ok(turn)
    }
}
