//! Decisions: what a launch waits for a person to decide. A session has at most one open decision.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::activity::{DecisionKind, Source};
use crate::model::id::{ProjectId, SessionId};
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};
use crate::row::session::Session;

/// The most bytes of a text and of the options that are kept.
const TEXT_MAX: usize = 1 << 10;

text_enum! {
    /// How a decision ended.
    Resolution {
        /// It is open.
        Open = "",
        /// It was answered from here.
        Answered = "answered",
        /// The agent goes on: it was answered in its terminal, or is no longer needed.
        Released = "released",
        /// The launch ended.
        Ended = "ended",
    } else Released
}

enum_columns!(DecisionKind, Resolution);

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table decision")]
pub struct Decision {
    pub id: String,
    pub session: SessionId,
    pub project: ProjectId,
    pub launch: String,
    pub kind: DecisionKind,
    pub requested_at: Timestamp,
    pub tool: String,
    pub call: String,
    pub text: String,
    /// A JSON array of texts.
    pub options: String,
    pub source: Source,
    pub resolved_at: Option<Timestamp>,
    pub resolution: Resolution,
    pub answer: String,
    pub hook_ends_at: Option<Timestamp>,
}

impl Decision {
    /// What can be chosen.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        serde_json::from_str(&self.options).unwrap_or_default()
    }
}

table! {
    Decision in "decision" {
        id, session = session_id, project = project_id, launch = launch_id, kind, requested_at;
        tool, call, text, options, source, resolved_at, resolution, answer,
        hook_ends_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM decision ", $tail)
    };
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The tool; may be empty.
    pub tool: String,
    /// The text for people; may be empty.
    pub text: String,
    /// What can be chosen; may be empty.
    pub options: Vec<String>,
}

/// The open decision of a session.
///
/// # Errors
/// When the database cannot be read.
pub fn open(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Decision>> {
    let sql = select!("WHERE session_id = ?1 AND resolved_at IS NULL");
    snapshot.one("read a decision", sql, [session.as_str()], Decision::read)
}

/// The decision of this id.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Decision>> {
    snapshot.one("read a decision", select!("WHERE id = ?1"), [id], Decision::read)
}

/// The open decisions, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>) -> Result<Vec<Decision>> {
    let sql = select!("WHERE resolved_at IS NULL ORDER BY requested_at, id");
    snapshot.list("list decisions", sql, [], Decision::read)
}

/// The first `limit` of them after a session, in the order of sessions, each of which has one at most.
///
/// # Errors
/// When the database cannot be read.
pub fn page(snapshot: &Snapshot<'_>, after: &str, limit: usize) -> Result<Vec<Decision>> {
    let sql = select!("WHERE resolved_at IS NULL AND session_id > ?1 ORDER BY session_id");
    let first = (limit, |it: &Decision| it.session.as_str() > after);
    snapshot.first("list decisions", sql, [after], first, Decision::read)
}

const COUNT: &str = "SELECT count(*) FROM decision WHERE launch_id = ?1";

/// Opens a decision of the newest launch of a session; an open one is released.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn request(
    tx: &Tx<'_>,
    session: &Session,
    kind: DecisionKind,
    call: &str,
    source: Source,
    question: &Question,
) -> Result<()> {
    resolve(tx, &session.id, Resolution::Released, "")?;
    let count =
        tx.one("number a decision", COUNT, [&session.launch], |row| row.get::<_, i64>(0))?;
    let decision = Decision {
        id: format!("{}.{}", session.launch, count.unwrap_or(0).saturating_add(1)),
        session: session.id.clone(),
        project: session.project.clone(),
        launch: session.launch.clone(),
        kind,
        requested_at: tx.now(),
        tool: cut(&question.tool),
        call: call.to_owned(),
        text: cut(&question.text),
        options: options(&question.options),
        source,
        resolved_at: None,
        resolution: Resolution::Open,
        answer: String::new(),
        hook_ends_at: None,
    };
    columns::insert(tx, "insert a decision", &decision)
}

const DESCRIBE: &str = "UPDATE decision SET tool = ?2, text = ?3, options = ?4
    WHERE session_id = ?1 AND resolved_at IS NULL AND text = ''";

/// Adds what is asked to an open decision of which only the kind was known.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn describe(tx: &Tx<'_>, session: &SessionId, question: &Question) -> Result<()> {
    if question.text.is_empty() {
        return Ok(());
    }
    let (tool, text) = (cut(&question.tool), cut(&question.text));
    let params = (session.as_str(), tool, text, options(&question.options));
    tx.execute_captured("describe a decision", DESCRIBE, params).map(|_| ())
}

const RESOLVE: &str = "UPDATE decision SET resolved_at = ?2, resolution = ?3, answer = ?4
    WHERE session_id = ?1 AND resolved_at IS NULL";

/// Closes the open decision of a session, if there is one. Returns whether there was.
///
/// # Errors
/// When the database cannot be written.
pub fn resolve(
    tx: &Tx<'_>,
    session: &SessionId,
    resolution: Resolution,
    answer: &str,
) -> Result<bool> {
    // Most often there is none, and an update of a captured table takes longer to prepare than most reads to run.
    if open(tx, session)?.is_none() {
        return Ok(false);
    }
    let params = (session.as_str(), tx.now().0, resolution.as_str(), cut(answer));
    Ok(tx.execute_captured("resolve a decision", RESOLVE, params)? > 0)
}

const ANSWERED: &str = "UPDATE decision
    SET resolved_at = coalesce(resolved_at, ?3), resolution = 'answered', answer = ?4
    WHERE id = ?1 AND (resolved_at IS NULL OR (resolution = 'released' AND resolved_at >= ?2))";

/// Records that an answer was given from here at a time. A decision that was released since then was so by
/// the answer; one that ended before stays as it is. Returns whether it was the answer.
///
/// # Errors
/// When the database cannot be written.
pub fn answered(tx: &Tx<'_>, id: &str, given_at: Timestamp, answer: &str) -> Result<bool> {
    let params = (id, given_at.0, tx.now().0, cut(answer));
    Ok(tx.execute_captured("record the answer to a decision", ANSWERED, params)? > 0)
}

const WAITS: &str = "SELECT id FROM decision
    WHERE launch_id = ?1 AND call = ?2 AND kind = 'permission' AND resolved_at IS NULL";

const WAIT: &str = "UPDATE decision SET hook_ends_at = ?2 WHERE id = ?1";

/// Records until when a hook of a launch waits for the answer about a call. Returns the decision; `None` when
/// it is not open. Of several hooks only the last one waits.
///
/// # Errors
/// When the database cannot be written.
pub fn wait_for_answer(
    tx: &Tx<'_>,
    launch: &str,
    call: &str,
    until: Timestamp,
) -> Result<Option<String>> {
    let found = tx.one("find a decision", WAITS, [launch, call], |row| row.get::<_, String>(0))?;
    if let Some(id) = &found {
        tx.execute_captured("let a hook wait for an answer", WAIT, (id, until.0))?;
    }
    Ok(found)
}

const OFFER: &str = "UPDATE decision SET answer = ?2
    WHERE id = ?1 AND resolved_at IS NULL AND hook_ends_at > ?3";

/// Offers an answer to the hook that waits for it. Returns whether one does.
///
/// # Errors
/// When the database cannot be written.
pub fn offer(tx: &Tx<'_>, id: &str, answer: &str) -> Result<bool> {
    let params = (id, cut(answer), tx.now().0);
    Ok(tx.execute_captured("offer an answer", OFFER, params)? > 0)
}

const TAKE: &str = "UPDATE decision SET resolved_at = ?3, resolution = 'answered'
    WHERE id = ?1 AND resolved_at IS NULL AND hook_ends_at = ?2 AND answer <> ''";

/// Takes the answer that is offered to the hook that waits until a time: from then on it is given. Returns
/// whether there was one.
///
/// # Errors
/// When the database cannot be written.
pub fn take(tx: &Tx<'_>, id: &str, until: Timestamp) -> Result<bool> {
    let params = (id, until.0, tx.now().0);
    Ok(tx.execute_captured("take an answer", TAKE, params)? > 0)
}

const WITHDRAW: &str = "UPDATE decision SET answer = '', hook_ends_at = NULL
    WHERE id = ?1 AND resolved_at IS NULL";

/// Withdraws an offered answer that no hook has taken; none can take it afterwards. Returns whether the
/// decision is still open.
///
/// # Errors
/// When the database cannot be written.
pub fn withdraw(tx: &Tx<'_>, id: &str) -> Result<bool> {
    Ok(tx.execute_captured("withdraw an answer", WITHDRAW, [id])? > 0)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX)].to_owned()
}

/// The options as a JSON array, as many as there is room for.
fn options(all: &[String]) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut bytes = 0;
    for option in all {
        let option = cut(option);
        bytes += option.len();
        if bytes > TEXT_MAX {
            break;
        }
        kept.push(option);
    }
    serde_json::Value::from(kept).to_string()
}
