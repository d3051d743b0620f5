//! Launches: each is one run of the agent program of a session.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::log::as_of;
use crate::model::activity::{Activity, Source, State};
use crate::model::cursor::Cursor;
use crate::model::id::{ProjectId, SessionId};
use crate::model::plain_text::plain_text;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};
use crate::row::decision::{self, Resolution};
use crate::row::delivery;
use crate::row::session::{self, Session};

text_enum! {
    /// What the program was started from.
    LaunchKind {
        /// Nothing: it starts an empty conversation.
        Fresh = "fresh",
        /// The prompt of the session.
        Prompt = "prompt",
        /// Its own conversation of an earlier launch.
        Resume = "resume",
    } else Fresh
}

text_enum! {
    /// How far the prompt of the session got in a launch.
    PromptStage {
        /// The launch gives no prompt.
        None = "none",
        /// It is to be given.
        Pending = "pending",
        /// It was given to the program.
        Written = "written",
        /// There is proof that the program accepted it: it is never given again.
        Acknowledged = "acknowledged",
    } else None
}

text_enum! {
    /// Why a launch ended.
    EndCause {
        /// The program ended by itself, with an exit status.
        Exited = "exited",
        /// A verb stopped it.
        Stopped = "stopped",
        /// A signal that no verb sent ended it, or its supervisor alone disappeared. It is started again,
        /// but not for ever.
        Killed = "killed",
        /// Its runtime ended: the machine or the tmux server did, or SIGHUP or SIGTERM reached its
        /// supervisor in the 10 s before. It is started again.
        RuntimeLost = "runtime_lost",
        /// The program could not be executed.
        ExecFailed = "exec_failed",
    } else RuntimeLost
}

enum_columns!(LaunchKind, PromptStage);

/// A launch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table launch")]
pub struct Launch {
    pub id: String,
    pub session: SessionId,
    pub project: ProjectId,
    pub num: i64,
    pub kind: LaunchKind,
    pub instance: String,
    pub boot_id: String,
    pub created_at: Timestamp,
    pub native_id: String,
    pub prompt_stage: PromptStage,
    pub supervisor: String,
    pub agent_pid: Option<i64>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub exit_status: Option<i64>,
    pub signal: Option<i64>,
    /// Empty while it has not ended, else the name of an [`EndCause`].
    pub cause: String,
}

impl Launch {
    /// Why it ended; `None` while it has not.
    #[must_use]
    pub fn end_cause(&self) -> Option<EndCause> {
        self.ended_at.map(|_| EndCause::parse(&self.cause))
    }

    /// Whether it gives its program a prompt of which there is no proof yet that it was accepted.
    #[must_use]
    pub fn has_prompt(&self) -> bool {
        matches!(self.prompt_stage, PromptStage::Pending | PromptStage::Written)
    }
}

table! {
    Launch in "launch" {
        id, session = session_id, project = project_id, num, kind, instance, boot_id, created_at;
        native_id, prompt_stage, supervisor, agent_pid, started_at, ended_at, exit_status, signal,
        cause,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM launch ", $tail)
    };
}

/// The launch of this id.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Launch>> {
    snapshot.one("read a launch", select!("WHERE id = ?1"), [id], Launch::read)
}

/// The launch of this id as it was at a cursor.
///
/// # Errors
/// The cursor errors.
pub fn as_of(snapshot: &Snapshot<'_>, id: &str, cursor: Cursor) -> Result<Option<Launch>> {
    let rows = as_of::with_prefix(snapshot, "launch", cursor, id)?;
    let row = rows.first().map(|row| as_of::typed(snapshot, names!(), &row.image, Launch::read));
    row.transpose()
}

/// The launches of a session, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn of_session(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Vec<Launch>> {
    let sql = select!("WHERE session_id = ?1 ORDER BY num");
    snapshot.list("list launches", sql, [session.as_str()], Launch::read)
}

/// The first `limit` launches of a session after a number, in the order of numbers, which never change.
///
/// # Errors
/// When the database cannot be read.
pub fn page(
    snapshot: &Snapshot<'_>,
    session: &SessionId,
    after: i64,
    limit: usize,
) -> Result<Vec<Launch>> {
    let sql = select!("WHERE session_id = ?1 AND num > ?2 ORDER BY num");
    let (params, any) = ((session.as_str(), after), |_: &Launch| true);
    snapshot.first("list launches", sql, params, (limit, any), Launch::read)
}

/// All launches, those of a session oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn all(snapshot: &Snapshot<'_>) -> Result<Vec<Launch>> {
    snapshot.list("list launches", select!("ORDER BY session_id, num"), [], Launch::read)
}

const SELECT_LOST: &str =
    "SELECT session.id, launch.id FROM session JOIN launch ON launch.id = session.launch_id
     WHERE session.is_terminated = 0 AND launch.cause = 'runtime_lost'";

/// The sessions that are not terminated and whose newest launch, which is returned too, ended with its runtime.
///
/// # Errors
/// When the database cannot be read.
pub fn lost(snapshot: &Snapshot<'_>) -> Result<Vec<(SessionId, String)>> {
    snapshot.list("list lost launches", SELECT_LOST, [], |row| {
        Ok((SessionId::stored(text(row, 0)?), text(row, 1)?))
    })
}

/// What a new launch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLaunch {
    /// Its id: letters and digits, unique for ever.
    pub id: String,
    /// What the program is started from.
    pub kind: LaunchKind,
    /// The instance that starts it.
    pub instance: String,
    /// The boot of the machine.
    pub boot_id: String,
    /// The id of the conversation in the harness, where it is known before the start; or empty.
    pub native_id: String,
    /// Whether the prompt of the session is to be given.
    pub prompt_stage: PromptStage,
    /// Whether anything will report what the program does.
    pub reports: bool,
}

const SELECT_LAST: &str = "SELECT coalesce(max(num), 0) FROM launch WHERE session_id = ?1";

/// Records a launch before anything of it exists. From now on it is the only one of its session whose
/// evidence counts.
///
/// # Errors
/// When the database cannot be written.
pub fn begin(tx: &Tx<'_>, session: &Session, new: &NewLaunch) -> Result<Launch> {
    let id = session.id.as_str();
    let last = tx.one("number a launch", SELECT_LAST, [id], |row| row.get::<_, i64>(0))?;
    let launch = Launch {
        id: new.id.clone(),
        session: session.id.clone(),
        project: session.project.clone(),
        num: last.unwrap_or(0).saturating_add(1),
        kind: new.kind,
        instance: new.instance.clone(),
        boot_id: new.boot_id.clone(),
        created_at: tx.now(),
        native_id: new.native_id.clone(),
        prompt_stage: new.prompt_stage,
        supervisor: String::new(),
        agent_pid: None,
        started_at: None,
        ended_at: None,
        exit_status: None,
        signal: None,
        cause: String::new(),
    };
    columns::insert(tx, "insert a launch", &launch)?;
    let activity = if new.reports { Activity::Starting } else { Activity::Unknown };
    let state = of_process(&session.state(), activity, tx.now());
    session::set_state(tx, &session.id, &launch.id, &state)?;
    Ok(launch)
}

/// The state that follows from what its process does.
fn of_process(stored: &State, activity: Activity, at: Timestamp) -> State {
    let revision = stored.revision.saturating_add(1);
    State { activity, source: Source::Process, at, revision, ..State::default() }
}

const STARTED: &str = "UPDATE launch SET supervisor = ?2, agent_pid = ?3, started_at = ?4
    WHERE id = ?1 AND started_at IS NULL AND ended_at IS NULL";

/// Records that the program runs. Returns whether that was news: an ended launch does not start again.
///
/// # Errors
/// When the database cannot be written.
pub fn started(tx: &Tx<'_>, id: &str, supervisor: &str, agent_pid: u32) -> Result<bool> {
    let params = (id, supervisor, agent_pid, tx.now().0);
    Ok(tx.execute_captured("record the start of a launch", STARTED, params)? > 0)
}

/// The session whose newest launch this is.
fn session_of(tx: &Tx<'_>, id: &str) -> Result<Option<Session>> {
    let Some(launch) = get(tx, id)? else { return Ok(None) };
    Ok(session::get(tx, &launch.session)?.filter(|session| session.launch == id))
}

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The exit status of the program, if it had one.
    pub exit_status: Option<i32>,
    /// The signal that ended the program, if one did.
    pub signal: Option<i32>,
    /// Why.
    pub cause: EndCause,
}

const ENDED: &str = "UPDATE launch
    SET ended_at = ?2, exit_status = ?3, signal = ?4, cause = ?5
    WHERE id = ?1 AND ended_at IS NULL";

/// What is known of the end of the program reaches a launch that a verb has stopped, too.
const COMPLETED: &str = "UPDATE launch SET exit_status = ?2, signal = ?3
    WHERE id = ?1 AND cause = 'stopped' AND exit_status IS NULL AND signal IS NULL";

const KEEP_OUTPUT: &str = "INSERT INTO launch_output (launch_id, tail) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET tail = excluded.tail";

/// The most bytes of the end of the output that are kept.
pub const OUTPUT_MAX: usize = 8 << 10;

/// Records that a launch ended, with the tail of its output, of which the plain text is kept.
/// The first recorded cause stays. Returns whether the end was news.
///
/// # Errors
/// When the database cannot be written.
pub fn ended(tx: &Tx<'_>, id: &str, end: End, tail: &str) -> Result<bool> {
    let End { exit_status, signal, cause } = end;
    let params = (id, tx.now().0, exit_status, signal, cause.as_str());
    let is_news = tx.execute_captured("record the end of a launch", ENDED, params)? > 0;
    if is_news && let Some(session) = session_of(tx, id)? {
        end_of_session(tx, &session, cause)?;
    }
    if !is_news && (exit_status.is_some() || signal.is_some()) {
        tx.execute_captured("complete the end of a launch", COMPLETED, (id, exit_status, signal))?;
    }
    let tail = plain_text(tail);
    if !tail.is_empty() && get(tx, id)?.is_some() {
        let tail = &tail[tail.ceil_char_boundary(tail.len().saturating_sub(OUTPUT_MAX))..];
        tx.execute_uncaptured("keep the output of a launch", KEEP_OUTPUT, (id, tail))?;
    }
    Ok(is_news)
}

/// What the end of its newest launch means for a session. Evidence of an earlier launch does not count, and
/// of a launch that a verb stops the verb records what follows.
fn end_of_session(tx: &Tx<'_>, session: &Session, cause: EndCause) -> Result<()> {
    let activity = match cause {
        EndCause::Exited | EndCause::ExecFailed => Activity::Exited,
        EndCause::Killed | EndCause::RuntimeLost => Activity::Unknown,
        EndCause::Stopped => session.activity,
    };
    if !session.is_terminated && activity != session.activity {
        let state = of_process(&session.state(), activity, tx.now());
        session::set_state(tx, &session.id, &session.launch, &state)?;
    }
    decision::resolve(tx, &session.id, Resolution::Ended, "")?;
    delivery::proof::launch_ended(tx, session)
}

const SELECT_OUTPUT: &str = "SELECT tail FROM launch_output WHERE launch_id = ?1";

/// The tail of the output of a launch that ended.
///
/// # Errors
/// When the database cannot be read.
pub fn output(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<String>> {
    snapshot.one("read the output of a launch", SELECT_OUTPUT, [id], |row| text(row, 0))
}

const SET_STAGE: &str = "UPDATE launch SET prompt_stage = ?2 WHERE id = ?1 AND prompt_stage <> ?2";

/// Records how far the prompt got.
///
/// # Errors
/// When the database cannot be written.
pub fn set_prompt_stage(tx: &Tx<'_>, id: &str, stage: PromptStage) -> Result<()> {
    let params = (id, stage.as_str());
    tx.execute_captured("record the stage of a prompt", SET_STAGE, params).map(|_| ())
}

const SET_NATIVE_ID: &str = "UPDATE launch SET native_id = ?2 WHERE id = ?1";

/// Records the id of the conversation that the program reported. An empty or equal one writes nothing.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn set_native_id(tx: &Tx<'_>, launch: &Launch, native_id: &str) -> Result<()> {
    if native_id.is_empty() || native_id == launch.native_id {
        return Ok(());
    }
    let params = (launch.id.as_str(), native_id);
    tx.execute_captured("record the id of a conversation", SET_NATIVE_ID, params).map(|_| ())
}
