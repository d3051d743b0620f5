//! The rows of turns.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{AgentId, OrgId};
use crate::model::label::check_label;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};
use crate::row::delivery;

text_enum! {
    /// Where a turn is. Nothing leaves one of the last four.
    State {
        /// It waits for the turns before it, or for a worker.
        Queued = "queued",
        /// A worker runs it.
        Running = "running",
        /// It was answered.
        Completed = "completed",
        /// It was not answered; the reason says why.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// No worker took it in time.
        Expired = "expired",
    } else Failed
}

impl State {
    /// Whether nothing follows.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        !matches!(self, State::Queued | State::Running)
    }
}

text_enum! {
    /// Why a turn was not answered.
    Reason {
        /// It did not fail.
        None = "",
        /// No worker took it in time.
        NoWorker = "no_worker",
        /// The program of the worker could not be started, or the message not be written to the session.
        NotStarted = "not_started",
        /// The program of the worker, or the agent of the session, ended without an answer.
        Exited = "exited",
        /// A signal ended the program of the worker.
        Killed = "killed",
        /// The worker ended, or its machine was started anew.
        WorkerDied = "worker_died",
        /// The worker made no progress in time.
        Unresponsive = "unresponsive",
        /// The worker was stopped. The message may be sent again.
        Interrupted = "interrupted",
        /// The agent reported a failure.
        AgentError = "agent_error",
        /// The account has reached a limit. The message may be sent again when that ends.
        Limited = "limited",
        /// The provider is overloaded.
        Overloaded = "overloaded",
        /// The provider refused the credential.
        Authentication = "authentication",
        /// The provider wants to be paid.
        Billing = "billing",
        /// The conversation is too long for the model.
        Context = "context",
        /// The model refused to answer.
        Refused = "refused",
        /// The answer or the snapshot is larger than its limit.
        TooLarge = "too_large",
        /// The snapshot does not continue the newest one.
        Diverged = "diverged",
        /// Whether the session got the message, or has answered it, is not known.
        Ambiguous = "ambiguous",
    } else AgentError
}

enum_columns!(State, Reason);

impl Reason {
    /// Whether the same message may succeed when it is sent again.
    #[must_use]
    pub const fn can_be_sent_again(self) -> bool {
        matches!(self, Reason::Limited | Reason::Interrupted | Reason::Overloaded)
    }
}

/// A turn.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table turn")]
pub struct Turn {
    pub id: String,
    pub conversation: String,
    pub org: OrgId,
    pub agent: AgentId,
    pub num: i64,
    pub key: String,
    pub input_bytes: i64,
    pub input_digest: String,
    pub accepted_at: Timestamp,
    pub state: State,
    pub reason: Reason,
    /// The instance that runs it or ran it; of a session the delivery that it is.
    pub owner: String,
    /// The snapshot that it began with.
    pub base_version: Option<i64>,
    pub cancel_requested_at: Option<Timestamp>,
    pub reply_bytes: Option<i64>,
    pub reply_digest: String,
    pub completion_digest: String,
    /// What it used: see [`Usage::parse`](crate::row::turn::usage::Usage::parse).
    pub usage: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

table! {
    Turn in "turn" {
        id, conversation = conversation_id, org = org_id, agent = agent_id, num, key, input_bytes,
        input_digest, accepted_at;
        state, reason, owner, base_version, cancel_requested_at, reply_bytes, reply_digest,
        completion_digest, usage, started_at, ended_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM turn ", $tail)
    };
}

/// The turn of this id.
pub(crate) fn get(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Turn>> {
    snapshot.one("read a turn", select!("WHERE id = ?1"), [id], Turn::read)
}

/// The turn of this id.
///
/// # Errors
/// `TURN_NOT_FOUND`; `INVALID_ID` for what cannot be an id.
pub fn require(snapshot: &Snapshot<'_>, id: &str) -> Result<Turn> {
    if let Some(found) = get(snapshot, id)? {
        return Ok(found);
    }
    check_label("id of a turn", id)?;
    Err(Error::TurnNotFound(id.to_owned()))
}

/// The newest `limit` turns that are wanted, of those that were accepted before one; newest first.
///
/// # Errors
/// When the database cannot be read.
pub fn list(
    snapshot: &Snapshot<'_>,
    before: Option<&Turn>,
    limit: usize,
    is_wanted: impl Fn(&Turn) -> bool,
) -> Result<Vec<Turn>> {
    let step = "list turns";
    match before {
        None => {
            snapshot.first(step, select!("ORDER BY rowid DESC"), [], (limit, is_wanted), Turn::read)
        }
        Some(turn) => {
            let sql =
                select!("WHERE rowid < (SELECT rowid FROM turn WHERE id = ?1) ORDER BY rowid DESC");
            snapshot.first(step, sql, [&turn.id], (limit, is_wanted), Turn::read)
        }
    }
}

/// The turns of a conversation, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn of_conversation(snapshot: &Snapshot<'_>, conversation: &str) -> Result<Vec<Turn>> {
    let sql = select!("WHERE conversation_id = ?1 ORDER BY num");
    snapshot.list("list turns of a conversation", sql, [conversation], Turn::read)
}

/// The turn of a conversation that has a key.
pub(crate) fn of_key(
    snapshot: &Snapshot<'_>,
    conversation: &str,
    key: &str,
) -> Result<Option<Turn>> {
    let sql = select!("WHERE conversation_id = ?1 AND key = ?2");
    snapshot.one("find a turn", sql, (conversation, key), Turn::read)
}

/// The oldest turn of a conversation that has not ended.
pub(crate) fn first_open(snapshot: &Snapshot<'_>, conversation: &str) -> Result<Option<Turn>> {
    let sql = select!("WHERE conversation_id = ?1 AND ended_at IS NULL ORDER BY num LIMIT 1");
    snapshot.one("find the next turn", sql, [conversation], Turn::read)
}

/// The running turns.
pub(crate) fn running(snapshot: &Snapshot<'_>) -> Result<Vec<Turn>> {
    let sql = select!("INDEXED BY turn_running WHERE state = 'running'");
    snapshot.list("list running turns", sql, [], Turn::read)
}

impl Turn {
    /// Whether the session that is its agent runs it: no process owns it then.
    pub(super) fn is_delivery(&self) -> bool {
        self.owner == delivery::id_of_turn(&self.id)
    }
}

const SELECT_INPUT: &str = "SELECT text FROM turn_input WHERE turn_id = ?1";

/// The message of a turn.
///
/// # Errors
/// When the database cannot be read.
pub fn input_of(snapshot: &Snapshot<'_>, id: &str) -> Result<String> {
    let found = snapshot.one("read a message", SELECT_INPUT, [id], |row| text(row, 0))?;
    Ok(found.unwrap_or_default())
}

/// Stores the values of a turn.
pub(crate) fn update(tx: &Tx<'_>, turn: &Turn) -> Result<()> {
    columns::update(tx, "record a turn", turn)
}
