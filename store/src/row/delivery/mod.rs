//! Deliveries: messages to the agents of sessions. Each stage has its time and its proof.
//!
//! `writing` with its runner is stored before the first byte reaches the agent: a delivery that was only
//! accepted is taken over when its runner has ended, and one that was being written is ambiguous. Nothing
//! writes an ambiguous delivery again but a person. A session gets its messages in the order in which they
//! were accepted.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::activity::Activity;
use crate::model::id::{ProjectId, SessionId};
use crate::model::text_digest::summary;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};
use crate::row::decision::{self, Decision};
use crate::row::lifecycle::instance;
use crate::row::lifecycle::operation::{self, Operation};
use crate::row::session::{self, Session};

text_enum! {
    /// How far a delivery got.
    Stage {
        /// It is stored, and waits for its turn.
        Accepted = "accepted",
        /// It is being written to the agent.
        Writing = "writing",
        /// It was written to the terminal of the agent.
        Written = "written",
        /// The agent reported that it took it.
        Submitted = "submitted",
        /// The agent works on it.
        Started = "started",
        /// The turn that it began has ended.
        Finished = "finished",
        /// Whether the agent got it is not known.
        Ambiguous = "ambiguous",
        /// It was not written.
        Failed = "failed",
    } else Ambiguous
}

text_enum! {
    /// What a delivery is.
    DeliveryKind {
        /// A message of a person, a program or another session.
        Message = "message",
        /// The report that the turns of children have ended. It waits until the agent has nothing to do.
        Report = "report",
        /// The prompt of a launch whose program gets it typed.
        Prompt = "prompt",
        /// A turn of an agent that is the session. It ends with the turn of the session.
        Turn = "turn",
    } else Message
}

enum_columns!(DeliveryKind, Stage);

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table delivery")]
pub struct Delivery {
    pub id: String,
    pub session: SessionId,
    pub project: ProjectId,
    pub kind: DeliveryKind,
    pub key: String,
    pub sender: String,
    /// The last stage that the harness can prove: `written` or `finished`.
    pub last_stage: Stage,
    /// The head of the log before it was accepted: all evidence after it is newer than the delivery.
    pub cursor: String,
    pub accepted_at: Timestamp,
    pub bytes: i64,
    pub digest: String,
    pub stage: Stage,
    pub reason: String,
    pub runner: String,
    pub launch: String,
    pub written_at: Option<Timestamp>,
    pub submitted_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Delivery {
    /// Whether no stage follows.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let is_over = matches!(self.stage, Stage::Finished | Stage::Ambiguous | Stage::Failed);
        is_over || self.stage == self.last_stage
    }

    /// The same, as one that waits for its turn.
    fn again(self) -> Delivery {
        Delivery {
            stage: Stage::Accepted,
            reason: String::new(),
            runner: String::new(),
            launch: String::new(),
            written_at: None,
            submitted_at: None,
            started_at: None,
            finished_at: None,
            ..self
        }
    }

    /// Whether a runner writes it, the same that wrote this one.
    fn is_written_as(&self, taken: &Delivery) -> bool {
        self.stage == Stage::Writing && self.runner == taken.runner && self.launch == taken.launch
    }

    /// Whether a person may have it written again. What it is the turn of has ended with it.
    #[must_use]
    pub fn can_be_resent(&self) -> bool {
        let is_turn = self.kind == DeliveryKind::Turn;
        !is_turn && matches!(self.stage, Stage::Ambiguous | Stage::Failed)
    }

    /// The turn that it is.
    #[must_use]
    pub fn turn(&self) -> Option<&str> {
        self.key.strip_prefix(TURN_KEY).filter(|_| self.kind == DeliveryKind::Turn)
    }
}

table! {
    Delivery in "delivery" {
        id, session = session_id, project = project_id, kind, key, sender, cursor, accepted_at;
        last_stage, bytes, digest, stage, reason, runner, launch = launch_id, written_at, submitted_at, started_at, finished_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM delivery ", $tail)
    };
}

// Below the macro, which they use.
pub mod prompt;
pub mod proof;
pub(crate) mod report;
pub mod stage;

/// The reason of a delivery with whose turn the agent has ended.
pub(crate) const AGENT_ENDED: &str = "agent_ended";

/// The reason of a delivery whose turn has ended, as the screen shows, without a report of it.
pub const END_NOT_REPORTED: &str = "end_not_reported";

/// What the key of a delivery begins with that is a turn; the rest is the id of the turn.
const TURN_KEY: &str = "turn/";

/// The delivery of a turn to a session that is not written yet.
pub(crate) fn of_turn(turn: &str, text: String) -> NewDelivery {
    NewDelivery {
        id: id_of_turn(turn),
        kind: DeliveryKind::Turn,
        key: format!("{TURN_KEY}{turn}"),
        sender: String::new(),
        // What the harness can prove is recorded when it is written.
        last_stage: Stage::Finished,
        text,
    }
}

/// The id of the delivery that is a turn.
pub(crate) fn id_of_turn(turn: &str) -> String {
    format!("m-{turn}")
}

const WITHDRAW: &str = "UPDATE delivery SET stage = 'failed', reason = 'its turn has ended'
    WHERE id = ?1 AND stage = 'accepted'";

/// What is not written of a turn that has ended is not written any more.
pub(crate) fn withdraw(tx: &Tx<'_>, turn: &str) -> Result<()> {
    tx.execute_captured("withdraw a delivery", WITHDRAW, [id_of_turn(turn)]).map(|_| ())
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id, unique for ever.
    pub id: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// The key that makes a repeated request the same delivery.
    pub key: String,
    /// The session that sends it; or empty.
    pub sender: String,
    /// The last stage that the harness of the receiver can prove.
    pub last_stage: Stage,
    /// The text.
    pub text: String,
}

/// Why nothing is sent to a session for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is terminated.
    Terminated,
    /// Another program runs it.
    External,
    /// It runs without a terminal.
    NoTerminal,
    /// A verb runs on it.
    Busy(Operation),
    /// Its agent has ended.
    AgentEnded,
    /// Its agent waits for a decision: what is written now would answer it.
    Decision(Box<Decision>),
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is a new delivery.
    New(Delivery),
    /// The same message was accepted before.
    Known(Delivery),
    /// It was refused.
    Refused(Refusal),
}

/// Whether text can be written to the agent of a session.
#[must_use]
pub fn has_terminal(session: &Session) -> bool {
    session.runtime_kind == "tmux"
}

const SELECT_RUNS: &str = "SELECT ended_at IS NULL FROM launch WHERE id = ?1";

/// Why nothing can be written to the agent of a session for now; `None` where something can. This is the
/// one place that decides it: for a new message, one that is sent again, and one that waits.
///
/// # Errors
/// When the database cannot be read.
pub fn refusal(snapshot: &Snapshot<'_>, session: &Session) -> Result<Option<Refusal>> {
    if session.is_terminated {
        return Ok(Some(Refusal::Terminated));
    }
    if session.is_external() {
        return Ok(Some(Refusal::External));
    }
    if !has_terminal(session) {
        return Ok(Some(Refusal::NoTerminal));
    }
    if let Some(running) = operation::get(snapshot, &session.id)? {
        return Ok(Some(Refusal::Busy(running)));
    }
    let key = [session.launch.as_str()];
    if !snapshot.one("find a launch", SELECT_RUNS, key, |row| row.get(0))?.unwrap_or(false) {
        return Ok(Some(Refusal::AgentEnded));
    }
    let decision = decision::open(snapshot, &session.id)?;
    Ok(decision.map(|decision| Refusal::Decision(Box::new(decision))))
}

/// The delivery of this id.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, id: &str) -> Result<Delivery> {
    get(snapshot, id)?.ok_or_else(|| Error::DeliveryNotFound(id.to_owned()))
}

/// The same; `None` if there is none.
///
/// # Errors
/// When the database cannot be read.
pub(crate) fn get(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Delivery>> {
    snapshot.one("read a delivery", select!("WHERE id = ?1"), [id], Delivery::read)
}

/// The deliveries of a session, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn of_session(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Vec<Delivery>> {
    let sql = select!("WHERE session_id = ?1 ORDER BY rowid");
    snapshot.list("list deliveries", sql, [session.as_str()], Delivery::read)
}

/// All deliveries, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn all(snapshot: &Snapshot<'_>) -> Result<Vec<Delivery>> {
    snapshot.list("list deliveries", select!("ORDER BY rowid"), [], Delivery::read)
}

/// The first `limit` deliveries after an id, or of those to a session, in the order of ids, which never
/// change.
///
/// # Errors
/// When the database cannot be read.
pub fn page(
    snapshot: &Snapshot<'_>,
    session: Option<&SessionId>,
    after: &str,
    limit: usize,
) -> Result<Vec<Delivery>> {
    let (step, first) = ("list deliveries", (limit, |it: &Delivery| it.id.as_str() > after));
    match session {
        None => {
            let sql = select!("WHERE id > ?1 ORDER BY id");
            snapshot.first(step, sql, [after], first, Delivery::read)
        }
        Some(session) => {
            let sql = select!("WHERE session_id = ?1 AND id > ?2 ORDER BY id");
            snapshot.first(step, sql, (session.as_str(), after), first, Delivery::read)
        }
    }
}

/// The delivery to a session that has a key.
///
/// # Errors
/// When the database cannot be read.
pub fn of_key(snapshot: &Snapshot<'_>, to: &SessionId, key: &str) -> Result<Option<Delivery>> {
    let sql = select!("WHERE session_id = ?1 AND key = ?2");
    snapshot.one("find a delivery", sql, (to.as_str(), key), Delivery::read)
}

const SELECT_TEXT: &str = "SELECT text FROM delivery_text WHERE delivery_id = ?1";

/// The text of a delivery.
///
/// # Errors
/// When the database cannot be read.
pub fn text_of(snapshot: &Snapshot<'_>, id: &str) -> Result<String> {
    let found =
        snapshot.one("read the text of a delivery", SELECT_TEXT, [id], |row| text(row, 0))?;
    Ok(found.unwrap_or_default())
}

const INSERT_TEXT: &str = "INSERT INTO delivery_text (delivery_id, text) VALUES (?1, ?2)";

/// Stores a message, or finds the delivery that has its key.
///
/// # Errors
/// `DELIVERY_KEY_USED` by another text.
pub fn accept(tx: &Tx<'_>, session: &Session, new: &NewDelivery) -> Result<Accepted> {
    let (_, digest) = summary(&new.text);
    if let Some(found) = of_key(tx, &session.id, &new.key)? {
        if found.digest != digest {
            return Err(Error::DeliveryKeyUsed(found.id));
        }
        return Ok(Accepted::Known(found));
    }
    match refusal(tx, session)? {
        Some(refusal) => Ok(Accepted::Refused(refusal)),
        None => store(tx, session, new).map(Accepted::New),
    }
}

/// Stores a new delivery.
pub(crate) fn store(tx: &Tx<'_>, session: &Session, new: &NewDelivery) -> Result<Delivery> {
    let (bytes, digest) = summary(&new.text);
    let delivery = Delivery {
        id: new.id.clone(),
        session: session.id.clone(),
        project: session.project.clone(),
        kind: new.kind,
        key: new.key.clone(),
        sender: new.sender.clone(),
        last_stage: new.last_stage,
        cursor: tx.head()?.to_string(),
        accepted_at: tx.now(),
        bytes,
        digest,
        stage: Stage::Accepted,
        reason: String::new(),
        runner: String::new(),
        launch: String::new(),
        written_at: None,
        submitted_at: None,
        started_at: None,
        finished_at: None,
    };
    columns::insert(tx, "insert a delivery", &delivery)?;
    tx.execute_uncaptured("store the text of a delivery", INSERT_TEXT, (&new.id, &new.text))?;
    Ok(delivery)
}

/// What is written to a session, perhaps by a process that ended.
fn being_written(snapshot: &Snapshot<'_>, id: &SessionId) -> Result<Option<(Delivery, bool)>> {
    let sql = select!("WHERE session_id = ?1 AND stage = 'writing'");
    let found = snapshot.one("find what is written", sql, [id.as_str()], Delivery::read)?;
    let Some(found) = found else { return Ok(None) };
    let is_dead = instance::get(snapshot, &found.runner)?.is_none_or(|runner| runner.is_dead());
    Ok(Some((found, is_dead)))
}

const SELECT_RUNS_TURN: &str = "SELECT EXISTS (SELECT 1 FROM turn
    JOIN delivery ON delivery.id = turn.owner
    WHERE turn.state = 'running' AND delivery.session_id = ?1)";

/// Whether a session runs a turn, of any conversation.
///
/// # Errors
/// When the database cannot be read.
pub(crate) fn runs_turn(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<bool> {
    let step = "find the turn of a session";
    let found = snapshot.one(step, SELECT_RUNS_TURN, [session.as_str()], |row| row.get(0))?;
    Ok(found.unwrap_or(false))
}

/// The oldest accepted delivery of a session that can be written now. Reports wait until the agent has
/// nothing to do, and delay no message; the turn of a conversation waits for that of another one, since an
/// answer says only of which session it is.
///
/// # Errors
/// When the database cannot be read.
pub fn due(snapshot: &Snapshot<'_>, session: &Session) -> Result<Option<Delivery>> {
    let accepted = select!("WHERE session_id = ?1 AND stage = 'accepted' ORDER BY rowid");
    let key = [session.id.as_str()];
    let accepted = snapshot.list("list accepted deliveries", accepted, key, Delivery::read)?;
    if accepted.is_empty() || refusal(snapshot, session)?.is_some() {
        return Ok(None);
    }
    let is_free = matches!(session.activity, Activity::Idle | Activity::Unknown);
    let has_turn = accepted.iter().any(|it| it.kind == DeliveryKind::Turn);
    let is_taken = has_turn && runs_turn(snapshot, &session.id)?;
    Ok(accepted.into_iter().find(|it| match it.kind {
        DeliveryKind::Report => is_free,
        DeliveryKind::Turn => !is_taken,
        DeliveryKind::Message | DeliveryKind::Prompt => true,
    }))
}

const SELECT_WAITING: &str =
    "SELECT DISTINCT session_id FROM delivery WHERE stage IN ('accepted', 'writing')";

/// The sessions for which a runner has something to do: a delivery can be written now, or one was being
/// written by a process that ended.
///
/// # Errors
/// When the database cannot be read.
pub fn unattended(snapshot: &Snapshot<'_>) -> Result<Vec<SessionId>> {
    let step = "list sessions with deliveries";
    let all = snapshot.list(step, SELECT_WAITING, [], |row| text(row, 0).map(SessionId::stored))?;
    let mut found = Vec::new();
    for id in all {
        let is_due = match being_written(snapshot, &id)? {
            Some((_, is_dead)) => is_dead,
            None => due(snapshot, &session::require(snapshot, &id)?)?.is_some(),
        };
        if is_due {
            found.push(id);
        }
    }
    Ok(found)
}
