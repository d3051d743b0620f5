//! The error type, grouped by what the caller can do; every variant has one [`Code`].
//!
//! `Display` is a lower-case fragment without the cause in `source()`. Only `sqlite.rs` translates SQLite's codes.

mod codes;
mod details;
mod sqlite;

use std::io;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::id::{ConsumerName, ProjectId, SessionId};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An id, a name or a branch has an invalid form.
    #[error("{what} {value:?} is not allowed: {reason}")]
    InvalidId {
        /// What was parsed, such as "project id".
        what: &'static str,
        /// The text given, shortened.
        value: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Neither a pull request URL nor `owner/repo#number`.
    #[error("{0:?} is not a pull request reference")]
    InvalidPrRef(String),
    /// Not `<epoch>-<seq>`.
    #[error("{0:?} is not a cursor")]
    InvalidCursor(String),
    /// An observation contradicts itself.
    #[error("the observation is invalid: {0}")]
    InvalidObservation(String),
    /// There is no database file.
    #[error("there is no store at {}", .0.display())]
    StoreNotFound(PathBuf),
    /// No project has this id.
    #[error("there is no project {0}")]
    ProjectNotFound(ProjectId),
    /// No session has this id.
    #[error("there is no session {0}")]
    SessionNotFound(SessionId),
    /// No tracked pull request has this reference.
    #[error("there is no tracked pull request {0}")]
    PrNotFound(String),
    /// Another project has this id.
    #[error("project {0} is already registered")]
    IdAlreadyRegistered(ProjectId),
    /// Another active project has this path.
    #[error("{path} is already registered as project {owner}")]
    PathAlreadyRegistered {
        /// The canonical path.
        path: String,
        /// The project that has it.
        owner: ProjectId,
    },
    /// The project is archived.
    #[error("project {0} is archived")]
    ProjectArchived(ProjectId),
    /// The project has sessions that are not terminated.
    #[error("project {id} has {live} live session(s)")]
    ProjectHasLiveSessions {
        /// The project.
        id: ProjectId,
        /// How many sessions are not terminated.
        live: u64,
    },
    /// The project already has an active orchestrator.
    #[error("project {project} already has an active orchestrator: {session}")]
    OrchestratorActive {
        /// The project.
        project: ProjectId,
        /// Its active orchestrator.
        session: SessionId,
    },
    /// The session is not a seed row, so it cannot be deleted.
    #[error("session {0} has already produced something, so it cannot be deleted")]
    SessionNotSeed(SessionId),
    /// The session is terminated.
    #[error("session {0} is terminated")]
    SessionTerminated(SessionId),
    /// Another instance runs a verb on the session.
    #[error("another process runs {verb} on session {session}")]
    SessionBusy {
        /// The session.
        session: SessionId,
        /// What runs.
        verb: &'static str,
    },
    /// No delivery has this id.
    #[error("there is no delivery {0}")]
    DeliveryNotFound(String),
    /// The delivery that has this key has another text.
    #[error("delivery {0} has this key and another text")]
    DeliveryKeyUsed(String),
    /// The project has as many live sessions as its limit allows.
    #[error("project {project} has {live} live session(s), and its limit is {limit}")]
    AdmissionLimit {
        /// The project.
        project: ProjectId,
        /// How many sessions are not terminated.
        live: i64,
        /// The limit.
        limit: i64,
    },
    /// No organisation has this name.
    #[error("there is no organisation {0}")]
    OrgNotFound(String),
    /// No agent has this name, or it is not the caller's. Which, is not told.
    #[error("there is no agent {agent} of organisation {org}, or it may not be used")]
    AgentUnknown {
        /// The organisation.
        org: String,
        /// The agent.
        agent: String,
    },
    /// The agent is a session, so no worker answers for it.
    #[error("agent {agent} is session {session}, which takes its turns itself")]
    AgentIsSession {
        /// The agent.
        agent: String,
        /// The session.
        session: SessionId,
    },
    /// No conversation has this id, or it is not the caller's.
    #[error("there is no conversation {0}, or it may not be seen")]
    ConversationNotFound(String),
    /// No turn has this id, or it is not the caller's.
    #[error("there is no turn {0}, or it may not be seen")]
    TurnNotFound(String),
    /// Another organisation or agent has this name.
    #[error("{what} {name} exists")]
    NameTaken {
        /// What exists.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The turn that has this key has another text.
    #[error("turn {0} has this key and another text")]
    TurnKeyUsed(String),
    /// A turn of the conversation has not ended.
    #[error("turn {turn} of conversation {conversation} has not ended")]
    ConversationBusy {
        /// The conversation.
        conversation: String,
        /// The turn.
        turn: String,
    },
    /// A text is empty.
    #[error("{0} is empty")]
    EmptyText(&'static str),
    /// A text is larger than its bound.
    #[error("{what} has {bytes} bytes, and its limit is {limit}")]
    TextTooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// Orchestrators own no pull requests; `None` for one that is not created yet.
    #[error("{}", not_claimable(.0.as_ref()))]
    SessionNotClaimable(Option<SessionId>),
    /// An active session owns the pull request.
    #[error("{pr} is claimed by the active session {owner}")]
    PrClaimed {
        /// The pull request.
        pr: String,
        /// Its owner.
        owner: SessionId,
    },
    /// The pull request is merged or closed.
    #[error("{pr} is {state}")]
    PrNotOpen {
        /// The pull request.
        pr: String,
        /// Its state.
        state: &'static str,
    },
    /// The pull request belongs to another repository or project than the session.
    #[error("{pr} does not belong to project {project}")]
    PrProjectMismatch {
        /// The pull request.
        pr: String,
        /// The project of the session.
        project: ProjectId,
    },
    /// The ownership guard: an observation never moves a pull request.
    #[error("{pr} is owned by session {owner}, not by {named}")]
    PrOwnedByOther {
        /// The pull request.
        pr: String,
        /// Its owner.
        owner: SessionId,
        /// The session that the observation names.
        named: SessionId,
    },
    /// No consumer has this name.
    #[error("there is no consumer {name}")]
    ConsumerNotFound {
        /// The name given.
        name: String,
        /// The existing names, at most a hundred.
        known: Vec<String>,
    },
    /// A consumer of this name already exists.
    #[error("consumer {0} already exists, with the policy {1}")]
    ConsumerExists(ConsumerName, String),
    /// The filter of a consumer is fixed.
    #[error("consumer {name} was created with another filter: {stored}")]
    ConsumerFilter {
        /// The consumer.
        name: ConsumerName,
        /// Its filter.
        stored: String,
    },
    /// Another owner holds the lease.
    #[error("consumer {name} is leased to {owner} for {left_ms} ms more")]
    LeaseHeld {
        /// The consumer.
        name: ConsumerName,
        /// The owner of the lease.
        owner: String,
        /// The remaining time unless it is renewed, in milliseconds.
        left_ms: i64,
    },
    /// The lease is lost.
    #[error("the lease on consumer {name} was lost: another owner has it, or it was moved")]
    LeaseLost {
        /// The consumer.
        name: ConsumerName,
    },
    /// The file to write already exists.
    #[error("{} already exists", .0.display())]
    TargetExists(PathBuf),
    /// Another process has the store open.
    #[error("another process has {} open", .0.display())]
    StoreInUse(PathBuf),
    /// The database file was replaced, as by a restore.
    #[error("{} was replaced while it was open", .0.display())]
    StoreReplaced(PathBuf),
    /// The database file has a second name.
    #[error("{} has a second name (a hard link)", .0.display())]
    StoreHardLinked(PathBuf),
    /// A name that belongs to SQLite or to this program.
    #[error("the name {} is reserved for the files beside a database", .0.display())]
    ReservedName(PathBuf),
    /// A database file is damaged.
    #[error("{} is damaged: {finding}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first finding.
        finding: String,
    },
    /// A line of an export is damaged, missing, or contradicts the others.
    #[error("{}: {reason}{}", place_in_export(*line), and_more(*more))]
    InvalidExport {
        /// The number of the line, from 1; 0 for the export as a whole.
        line: u64,
        /// What is wrong.
        reason: String,
        /// The number of further bad lines.
        more: u64,
    },
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The input cannot be read.
    #[error("cannot read the input")]
    Input(#[source] io::Error),
    /// The file is not a database, or a database of another application.
    #[error("{} is not a database of ao-store", .0.display())]
    NotAStore(PathBuf),
    /// The file has no content, or its tables were dropped.
    #[error("{} contains no tables: it is empty, or was emptied", .0.display())]
    Emptied(PathBuf),
    /// There is no file to import.
    #[error("there is no file {}", .0.display())]
    SourceNotFound(PathBuf),
    /// The file to import is not a database of the tool `ao`.
    #[error("{} is not a database of ao", .0.display())]
    NotUpstream(PathBuf),
    /// The last commits cannot be read without changing the file to import.
    #[error("{} was not closed, or is in use: open it once with ao, or stop ao", .0.display())]
    SourceUnsettled(PathBuf),
    /// An import needs an empty store.
    #[error("the store already contains facts: its head is {0}")]
    StoreNotEmpty(Cursor),
    /// The database was written by a newer program.
    #[error("the database has schema {found}, this program supports schema {known}")]
    SchemaTooNew {
        /// The version of the database.
        found: u32,
        /// The newest version of this program.
        known: u32,
    },
    /// The database needs a migration.
    #[error("the database has schema {found} and needs {known}")]
    SchemaOutdated {
        /// The version of the database.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The database was created by another draft of the schema, with this version.
    #[error(
        "the database was created by an unreleased draft of ao-store (schema {0}) and cannot be migrated"
    )]
    SchemaDraft(u32),
    /// The live schema differs from that of the migrations.
    #[error("the schema differs from that of the migrations: {0}")]
    SchemaMismatch(String),
    /// A change that was not pruned is missing.
    #[error("change {missing} is missing from the log")]
    LogHole {
        /// The first seq that is missing.
        missing: Seq,
    },
    /// The changes after the cursor were pruned.
    #[error("cursor {asked} has expired: the oldest resumable cursor is {oldest}, the head {head}")]
    CursorExpired {
        /// The cursor given.
        asked: Cursor,
        /// The oldest cursor that can be resumed.
        oldest: Cursor,
        /// The newest change.
        head: Cursor,
    },
    /// The cursor belongs to another epoch.
    #[error("cursor {asked} belongs to another epoch: the log is in epoch {epoch}")]
    CursorEpoch {
        /// The cursor given.
        asked: Cursor,
        /// The epoch of the log.
        epoch: Epoch,
        /// The newest change.
        head: Cursor,
    },
    /// The cursor is beyond the head.
    #[error("cursor {asked} is beyond the head {head}")]
    CursorFuture {
        /// The cursor given.
        asked: Cursor,
        /// The newest change.
        head: Cursor,
    },
    /// The position is beyond the newest event of the stream.
    #[error("position {asked} is beyond the newest event {head} of the conversation")]
    EventFuture {
        /// The position given.
        asked: i64,
        /// The newest event.
        head: i64,
    },
    /// Another writer held the database longer than the bound.
    #[error("the database was busy for {waited_ms} ms")]
    Busy {
        /// How long the caller waited.
        waited_ms: u64,
    },
    /// The writer halted after a failed write to the file and acknowledges nothing more.
    #[error("the writer halted after a failed write: {0}")]
    Halted(String),
    /// The transaction of this write was rolled back because of another write in it.
    #[error("the transaction of this write was rolled back: {reason}")]
    BatchLost {
        /// The code of the cause.
        code: Code,
        /// The cause.
        reason: String,
    },
    /// A job of the writer panicked and was rolled back.
    #[error("a write panicked and was rolled back: {0}")]
    Panicked(String),
    /// A job continued after an error had ended its transaction.
    #[error("an earlier error that the write ignored has ended the transaction")]
    GivenUp,
    /// A write inside a write, which would wait for itself, or a read inside a read of the same reader.
    #[error("a read or write was requested inside another")]
    Nested,
    /// The writer could not return to synced commits.
    #[error("the writer could not return to durable commits")]
    Unsynced,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A file operation beside SQLite failed.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// The operation, such as "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// SQLite failed; [`Error::code`] classifies the failure.
    #[error("cannot {0}")]
    Sqlite(&'static str, #[source] rusqlite::Error),
    /// The migration runner failed.
    #[error("the migration failed")]
    Migration(#[source] Box<refinery_core::Error>),
}

impl Error {
    /// A failed file operation.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::File { action, path: path.to_owned(), source }
    }

    /// A refused reference to a pull request; a long one is shortened.
    pub(crate) fn invalid_pr_ref(text: &str) -> Error {
        Error::InvalidPrRef(text.chars().take(200).collect())
    }

    /// A refused id or label; a long value is shortened.
    pub(crate) fn invalid_id(what: &'static str, value: &str, reason: &'static str) -> Error {
        Error::InvalidId { what, value: value.chars().take(80).collect(), reason }
    }

    /// The same failure for another job of the same batch.
    pub(crate) fn shared(&self) -> Error {
        match self {
            Error::Sqlite(step, source) => Error::Sqlite(step, sqlite::copy(source)),
            Error::StoreReplaced(path) => Error::StoreReplaced(path.clone()),
            Error::SchemaMismatch(difference) => Error::SchemaMismatch(difference.clone()),
            Error::StoreHardLinked(path) => Error::StoreHardLinked(path.clone()),
            other => Error::BatchLost { code: other.code(), reason: other.chain() },
        }
    }

    /// Whether a write to the database file failed, after which nothing is known to be on disk.
    pub(crate) fn is_failed_write(&self) -> bool {
        matches!(self, Error::Unsynced)
            || matches!(self, Error::Sqlite(_, source) if sqlite::is_failed_write(source))
    }

    /// Whether SQLite cannot read the file, so that only a backup helps.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Error::Sqlite(_, source) if sqlite::is_unreadable(source))
    }

    /// The error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

fn not_claimable(session: Option<&SessionId>) -> String {
    let who = session.map(|id| format!("session {id} is an orchestrator and"));
    format!("{} cannot own a pull request", who.as_deref().unwrap_or("an orchestrator"))
}

fn place_in_export(line: u64) -> String {
    if line == 0 { "the export".to_owned() } else { format!("line {line} of the export") }
}

fn and_more(more: u64) -> String {
    if more == 0 { String::new() } else { format!(", and {more} more line(s)") }
}

/// Names the failed statement or step: `.context("read project")`.
pub(crate) trait Context<T> {
    fn context(self, step: &'static str) -> Result<T>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, step: &'static str) -> Result<T> {
        self.map_err(|source| Error::Sqlite(step, source))
    }
}

/// Whether an I/O error means a full disk, a read-only place, or something else.
#[must_use]
pub fn io_code(error: &io::Error) -> Code {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::DiskFull,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Code::ReadOnly,
        _ => Code::Io,
    }
}
