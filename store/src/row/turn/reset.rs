//! Resetting a conversation: its agent begins without a memory. Nothing is deleted.

use crate::db::tx::Tx;
use crate::error::{Error, Result};
use crate::model::text_digest::summary;
use crate::row::turn::conversation::{self, Caller};
use crate::row::turn::event::{self, New};
use crate::row::turn::{row, snapshot};

/// Adds an empty snapshot to a conversation; returns its version.
///
/// # Errors
/// `CONVERSATION_NOT_FOUND`; `CONVERSATION_BUSY` while a turn has not ended.
pub fn reset(tx: &Tx<'_>, caller: &Caller, id: &str) -> Result<i64> {
    let mut found = conversation::require(tx, id)?;
    conversation::authorize(tx, caller, &found)?;
    if let Some(open) = row::first_open(tx, id)? {
        return Err(Error::ConversationBusy { conversation: found.id, turn: open.id });
    }
    found.head_version += 1;
    snapshot::push(tx, id, found.head_version, "", ("", &summary("")))?;
    found.head_seq = event::push(tx, id, &New::status("", "reset"))?;
    conversation::store(tx, (&found, false))?;
    Ok(found.head_version)
}
