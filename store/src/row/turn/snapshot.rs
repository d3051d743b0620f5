//! What an agent remembers of a conversation: one line of snapshots, each of which continues the one before.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_digest::Summary;

const SELECT_HEAD: &str = "SELECT text FROM conversation_snapshot
    WHERE conversation_id = ?1 AND version = ?2 AND text IS NOT NULL";

/// The text of a version; `None` for one that is not the newest, and for version 0.
pub(super) fn text_of(
    snapshot: &Snapshot<'_>,
    conversation: &str,
    version: i64,
) -> Result<Option<String>> {
    let key = (conversation, version);
    snapshot.one("read a snapshot", SELECT_HEAD, key, |row| text(row, 0))
}

const INSERT: &str = "INSERT INTO conversation_snapshot
    (conversation_id, version, turn_id, bytes, digest, text, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const FORGET: &str = "UPDATE conversation_snapshot SET text = NULL
    WHERE conversation_id = ?1 AND version = ?2";

/// Stores the snapshot of a version, whose predecessor loses its text. A second one of the same version is
/// refused by the database.
pub(super) fn push(
    tx: &Tx<'_>,
    conversation: &str,
    version: i64,
    turn: &str,
    (text, (bytes, digest)): (&str, &Summary),
) -> Result<()> {
    let params = (conversation, version, turn, bytes, digest, text, tx.now().0);
    tx.execute_uncaptured("store a snapshot", INSERT, params)?;
    tx.execute_uncaptured("forget a snapshot", FORGET, (conversation, version - 1)).map(|_| ())
}
