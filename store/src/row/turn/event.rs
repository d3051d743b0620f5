//! The stream of a conversation: what a client shows. `seq` is dense, so a client that comes back asks for
//! what follows the last event that it has, in whichever process.
//!
//! Every turn has an event when it is accepted, one when it starts, and one last event with its whole reply
//! or its failure. The deltas of a turn that was answered are deleted some minutes later: its last event has what
//! they said. Those of another turn are kept for a day.

use rusqlite::Row;

use crate::db::text::{optional_text, text, with};
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Context, Error, Result};
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::turn::row::{Reason, Turn};

text_enum! {
    /// What an event is.
    Kind {
        /// A part of the reply, which follows the parts before.
        Delta = "delta",
        /// A text for the user beside the reply.
        Content = "content",
        /// A text that is of use only now.
        Ephemeral = "ephemeral",
        /// What happens to the turn.
        Status = "status",
        /// The last event of a turn that was not answered.
        Error = "error",
        /// The last event of a turn that was answered: the whole reply.
        Complete = "complete",
    } else Status
}

impl Kind {
    /// Whether it is the last event of a turn.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Kind::Error | Kind::Complete)
    }
}

/// An event of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position in the conversation.
    pub seq: i64,
    /// The turn; empty for a reset.
    pub turn: String,
    /// What it is.
    pub kind: Kind,
    /// Why the turn failed; only of an error.
    pub reason: Reason,
    /// Its text: of a status that every turn has, `accepted`, `running`, `cancelling` or `reset`.
    pub text: String,
    /// When it was stored.
    pub at: Timestamp,
}

/// An event to store.
pub(super) struct New<'a> {
    pub(super) turn: &'a str,
    pub(super) kind: Kind,
    pub(super) source: Option<&'a str>,
    pub(super) reason: Reason,
    pub(super) text: &'a str,
}

impl<'a> New<'a> {
    /// A status of a turn.
    pub(super) fn status(turn: &'a str, text: &'a str) -> New<'a> {
        New { turn, kind: Kind::Status, source: None, reason: Reason::None, text }
    }
}

const SELECT_HEAD: &str =
    "SELECT coalesce(max(seq), 0) FROM conversation_event WHERE conversation_id = ?1";

/// The position of the newest event; 0 if there is none.
///
/// # Errors
/// When the database cannot be read.
pub fn head(snapshot: &Snapshot<'_>, conversation: &str) -> Result<i64> {
    let found =
        snapshot.one("find the newest event", SELECT_HEAD, [conversation], |row| row.get(0))?;
    Ok(found.unwrap_or(0))
}

const INSERT: &str = "INSERT INTO conversation_event
    (conversation_id, seq, turn_id, kind, source, reason, text, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Stores an event; returns its position.
pub(super) fn push(tx: &Tx<'_>, conversation: &str, new: &New<'_>) -> Result<i64> {
    let seq = head(tx, conversation)? + 1;
    let New { turn, kind, source, reason, text } = new;
    let (kind, reason) = (kind.as_str(), reason.as_str());
    let params = (conversation, seq, turn, kind, source, reason, text, tx.now().0);
    tx.execute_uncaptured("store an event", INSERT, params)?;
    tx.request_wakeup();
    Ok(seq)
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT seq, turn_id, kind, reason, text, at FROM conversation_event ", $tail)
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get(0)?,
        turn: text(row, 1)?,
        kind: with(row, 2, Kind::parse)?,
        reason: with(row, 3, Reason::parse)?,
        text: text(row, 4)?,
        at: Timestamp(row.get(5)?),
    })
}

/// The most text of one batch, in bytes, unless the first event has more.
pub const BATCH_MAX: usize = 1 << 20;

/// At most `limit` events after a position, in their order.
///
/// # Errors
/// `CURSOR_IN_FUTURE` for a position beyond the newest event.
pub fn after(
    snapshot: &Snapshot<'_>,
    conversation: &str,
    seq: i64,
    limit: usize,
) -> Result<Vec<Event>> {
    read_after(snapshot, conversation, seq, (limit, usize::MAX))
}

/// The same for a reader that goes on: fewer if they have more than [`BATCH_MAX`], at least one if there is one.
///
/// # Errors
/// `CURSOR_IN_FUTURE` for a position beyond the newest event.
pub fn batch(
    snapshot: &Snapshot<'_>,
    conversation: &str,
    seq: i64,
    limit: usize,
) -> Result<Vec<Event>> {
    read_after(snapshot, conversation, seq, (limit, BATCH_MAX))
}

fn read_after(
    snapshot: &Snapshot<'_>,
    conversation: &str,
    seq: i64,
    (limit, size): (usize, usize),
) -> Result<Vec<Event>> {
    let head = head(snapshot, conversation)?;
    if seq > head {
        return Err(Error::EventFuture { asked: seq, head });
    }
    let (step, sql) =
        ("read events", select!("WHERE conversation_id = ?1 AND seq > ?2 ORDER BY seq"));
    let mut statement = snapshot.prepare(step, sql)?;
    let mut rows = statement.query((conversation, seq)).context(step)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit {
        let Some(row) = rows.next().context(step)? else { break };
        let event = read(row).context(step)?;
        bytes += event.text.len();
        if bytes > size && !found.is_empty() {
            break;
        }
        found.push(event);
    }
    Ok(found)
}

/// The last event of a turn that has ended.
///
/// # Errors
/// When the database cannot be read.
pub fn last_of(snapshot: &Snapshot<'_>, turn: &str) -> Result<Option<Event>> {
    let sql = select!("WHERE turn_id = ?1 AND kind IN ('error', 'complete')");
    snapshot.one("read the last event of a turn", sql, [turn], read)
}

const SELECT_SOURCE: &str = "SELECT kind, text FROM conversation_event
    WHERE turn_id = ?1 AND source = ?2";

const FIRST: &str = "SELECT min(seq) FROM (
    SELECT seq FROM conversation_event WHERE turn_id = ?1 AND source IS NOT NULL
    UNION ALL SELECT seq FROM conversation_event WHERE turn_id = ?1 AND kind IN ('error', 'complete'))";

/// The position after which the answer of a turn comes: all that its worker said, and its last event.
///
/// # Errors
/// When the database cannot be read.
pub fn before_answer(snapshot: &Snapshot<'_>, turn: &Turn) -> Result<i64> {
    let first = snapshot.one("find the first event", FIRST, [&turn.id], |row| row.get(0))?;
    match first.flatten() {
        Some(first) => Ok(i64::saturating_sub(first, 1)),
        None => head(snapshot, &turn.conversation),
    }
}

/// The event of a turn to which its sender gave this name.
pub(super) fn of_source(
    snapshot: &Snapshot<'_>,
    turn: &str,
    source: &str,
) -> Result<Option<(Kind, String)>> {
    snapshot.one("find an event", SELECT_SOURCE, (turn, source), |row| {
        Ok((with(row, 0, Kind::parse)?, text(row, 1)?))
    })
}

const NEXT_WITH_DELTAS: &str = "SELECT min(turn_id) FROM conversation_event
    WHERE kind = 'delta' AND turn_id > ?1";

const ENDED: &str = "SELECT 1 FROM turn
    WHERE id = ?1 AND ended_at <= CASE state WHEN 'completed' THEN ?2 ELSE ?3 END";

/// At most `limit` turns that still have deltas and were answered before the first time, or ended otherwise
/// before the second one.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn with_old_deltas(
    snapshot: &Snapshot<'_>,
    before: [Timestamp; 2],
    limit: usize,
) -> Result<Vec<String>> {
    let (mut found, mut last) = (Vec::new(), String::new());
    while found.len() < limit {
        let next = snapshot
            .one("find deltas", NEXT_WITH_DELTAS, [&last], |row| optional_text(row, 0))?
            .flatten();
        let Some(next) = next else { break };
        let has_ended =
            snapshot.one("find a turn", ENDED, (&next, before[0].0, before[1].0), |_| Ok(()))?;
        if has_ended.is_some() {
            found.push(next.clone());
        }
        last = next;
    }
    Ok(found)
}

const PRUNE: &str = "DELETE FROM conversation_event WHERE (conversation_id, seq) IN
    (SELECT conversation_id, seq FROM conversation_event WHERE turn_id = ?1 AND kind = 'delta' LIMIT ?2)";

/// Deletes at most `limit` deltas of a turn; returns how many.
pub(super) fn prune_deltas(tx: &Tx<'_>, turn: &str, limit: i64) -> Result<usize> {
    tx.execute_uncaptured("delete deltas", PRUNE, (turn, limit))
}
