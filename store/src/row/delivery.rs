//! Deliveries: messages to the agents of sessions. Each stage has its time and its proof.
//!
//! `writing` with its runner is stored before the first byte reaches the agent: a delivery that was only
//! accepted is taken over when its runner has ended, and one that was being written is ambiguous. Nothing
//! writes an ambiguous delivery again but a person.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{ProjectId, SessionId};
use crate::model::text_digest::summary;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};
use crate::row::lifecycle::instance;
use crate::row::session::Session;

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

enum_columns!(Stage);

impl Stage {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Stage::Finished | Stage::Ambiguous | Stage::Failed)
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table delivery")]
pub struct Delivery {
    pub id: String,
    pub session: SessionId,
    pub project: ProjectId,
    pub key: String,
    pub sender: String,
    pub bytes: i64,
    pub digest: String,
    pub accepted_at: Timestamp,
    pub stage: Stage,
    pub reason: String,
    pub runner: String,
    pub launch: String,
    pub written_at: Option<Timestamp>,
    pub submitted_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

table! {
    Delivery in "delivery" {
        id, session = session_id, project = project_id, key, sender, bytes, digest, accepted_at;
        stage, reason, runner, launch = launch_id, written_at, submitted_at, started_at, finished_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM delivery ", $tail)
    };
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id, unique for ever.
    pub id: String,
    /// The key that makes a repeated request the same delivery.
    pub key: String,
    /// The session that sends it; or empty.
    pub sender: String,
    /// The text.
    pub text: String,
}

/// The delivery of this id.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, id: &str) -> Result<Delivery> {
    let found = snapshot.one("read a delivery", select!("WHERE id = ?1"), [id], Delivery::read)?;
    found.ok_or_else(|| Error::DeliveryNotFound(id.to_owned()))
}

/// The deliveries of a session, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn of_session(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Vec<Delivery>> {
    let sql = select!("WHERE session_id = ?1 ORDER BY accepted_at, rowid");
    snapshot.list("list deliveries", sql, [session.as_str()], Delivery::read)
}

/// All deliveries, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn all(snapshot: &Snapshot<'_>) -> Result<Vec<Delivery>> {
    snapshot.list("list deliveries", select!("ORDER BY accepted_at, rowid"), [], Delivery::read)
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

/// Stores a delivery, or finds the one that has its key. Returns whether it is new.
///
/// # Errors
/// `SESSION_TERMINATED`; `DELIVERY_KEY_USED` by another text.
pub fn accept(tx: &Tx<'_>, session: &Session, new: &NewDelivery) -> Result<(Delivery, bool)> {
    let (bytes, digest) = summary(&new.text);
    let sql = select!("WHERE session_id = ?1 AND key = ?2");
    let params = (session.id.as_str(), new.key.as_str());
    if let Some(found) = tx.one("find a delivery", sql, params, Delivery::read)? {
        if found.digest != digest {
            return Err(Error::DeliveryKeyUsed(found.id));
        }
        return Ok((found, false));
    }
    if session.is_terminated {
        return Err(Error::SessionTerminated(session.id.clone()));
    }
    let delivery = Delivery {
        id: new.id.clone(),
        session: session.id.clone(),
        project: session.project.clone(),
        key: new.key.clone(),
        sender: new.sender.clone(),
        bytes,
        digest,
        accepted_at: tx.now(),
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
    Ok((delivery, true))
}

/// What a runner may do next for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// To write this delivery, which is recorded as being written.
    Write(Box<Delivery>),
    /// To wait: another runner writes.
    Wait,
    /// Nothing is to be written.
    Nothing,
}

/// Takes the oldest accepted delivery of a session for a runner, before its first byte is written. What a
/// runner that ended was writing becomes ambiguous.
///
/// # Errors
/// When the database cannot be written.
pub fn take(tx: &Tx<'_>, session: &Session, runner: &str) -> Result<Turn> {
    let writing = select!("WHERE session_id = ?1 AND stage = 'writing'");
    let id = session.id.as_str();
    if let Some(other) = tx.one("find what is written", writing, [id], Delivery::read)? {
        if instance::get(tx, &other.runner)?.is_some_and(|runner| !runner.is_dead()) {
            return Ok(Turn::Wait);
        }
        update(
            tx,
            Delivery {
                stage: Stage::Ambiguous,
                reason: "the process that wrote it ended".to_owned(),
                ..other
            },
        )?;
    }
    let next =
        select!("WHERE session_id = ?1 AND stage = 'accepted' ORDER BY accepted_at, rowid LIMIT 1");
    let Some(found) = tx.one("find the next delivery", next, [id], Delivery::read)? else {
        return Ok(Turn::Nothing);
    };
    let (runner, launch) = (runner.to_owned(), session.launch.clone());
    update(tx, Delivery { stage: Stage::Writing, runner, launch, ..found })
        .map(|it| Turn::Write(Box::new(it)))
}

/// Records that a runner has written a delivery, whose stage may have been passed by the agent's report
/// already.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn written(tx: &Tx<'_>, id: &str) -> Result<Delivery> {
    let found = require(tx, id)?;
    if found.stage != Stage::Writing {
        return Ok(found);
    }
    update(tx, Delivery { stage: Stage::Written, written_at: Some(tx.now()), ..found })
}

/// Ends a delivery that was not written, or of which that is not known. One that has ended stays as it is.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn give_up(tx: &Tx<'_>, id: &str, stage: Stage, reason: &str) -> Result<Delivery> {
    let found = require(tx, id)?;
    if !matches!(found.stage, Stage::Accepted | Stage::Writing) {
        return Ok(found);
    }
    update(tx, Delivery { stage, reason: reason.to_owned(), ..found })
}

fn update(tx: &Tx<'_>, delivery: Delivery) -> Result<Delivery> {
    columns::update(tx, "record the stage of a delivery", &delivery)?;
    Ok(delivery)
}

const OPEN: &str = select!(
    "WHERE session_id = ?1 AND launch_id = ?2
        AND stage IN ('writing', 'written', 'submitted', 'started')
     ORDER BY accepted_at, rowid"
);

fn open(tx: &Tx<'_>, session: &Session) -> Result<Vec<Delivery>> {
    let params = (session.id.as_str(), session.launch.as_str());
    tx.list("list open deliveries", OPEN, params, Delivery::read)
}

/// The agent reported that it took a prompt. It proves the deliveries whose text the prompt contains; where
/// the report has no text, the oldest one.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn submitted(tx: &Tx<'_>, session: &Session, prompt: &str) -> Result<()> {
    let is_waiting = |it: &Delivery| matches!(it.stage, Stage::Writing | Stage::Written);
    let prompt = words(prompt);
    for delivery in open(tx, session)?.into_iter().filter(is_waiting) {
        if !prompt.is_empty() && !prompt.contains(&words(&text_of(tx, &delivery.id)?)) {
            continue;
        }
        let written_at = delivery.written_at.or(Some(tx.now()));
        let submitted_at = Some(tx.now());
        update(tx, Delivery { stage: Stage::Submitted, written_at, submitted_at, ..delivery })?;
        if prompt.is_empty() {
            break;
        }
    }
    Ok(())
}

/// A text as its words: a program may break lines and drop spaces at the ends.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The agent works: what it has taken is started.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn started(tx: &Tx<'_>, session: &Session) -> Result<()> {
    let taken = open(tx, session)?.into_iter().filter(|it| it.stage == Stage::Submitted);
    for delivery in taken {
        update(tx, Delivery { stage: Stage::Started, started_at: Some(tx.now()), ..delivery })?;
    }
    Ok(())
}

/// The turn of the agent ended, perhaps by a failure: what it had taken is finished.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn finished(tx: &Tx<'_>, session: &Session, failure: &str) -> Result<()> {
    let is_taken = |it: &Delivery| matches!(it.stage, Stage::Submitted | Stage::Started);
    for delivery in open(tx, session)?.into_iter().filter(is_taken) {
        let (started_at, finished_at) = (delivery.started_at.or(Some(tx.now())), Some(tx.now()));
        let (stage, reason) = (Stage::Finished, failure.to_owned());
        update(tx, Delivery { stage, reason, started_at, finished_at, ..delivery })?;
    }
    Ok(())
}

/// The launch of a session ended: what it had not finished never will be.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn launch_ended(tx: &Tx<'_>, session: &Session) -> Result<()> {
    for delivery in open(tx, session)? {
        let reason = "the agent ended before it had finished".to_owned();
        update(tx, Delivery { stage: Stage::Ambiguous, reason, ..delivery })?;
    }
    Ok(())
}

const FAIL_ACCEPTED: &str = "UPDATE delivery
    SET stage = 'failed', reason = 'the session was terminated'
    WHERE session_id = ?1 AND stage = 'accepted'";

/// A session was terminated: what waits for it is not written.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn session_ended(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    tx.execute_captured("fail deliveries", FAIL_ACCEPTED, [session.as_str()]).map(|_| ())
}
