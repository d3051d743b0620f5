//! Every error that can end a command, with its code, details and causes.

use std::path::{Path, PathBuf};

use ao_store::row::delivery::{Delivery, Stage};
use ao_store::turn::{State, Turn};
use ao_store::{Code, ConsumerName, Cursor, SessionId, io_code};
use serde_json::{Value, json};

/// The result of a command or a part of it.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    #[error(transparent)]
    Cdc(#[from] ao_cdc::Error),
    #[error(transparent)]
    Observer(#[from] ao_observer::Error),
    #[error(transparent)]
    Session(#[from] ao_session::Error),
    #[error(transparent)]
    Daemon(#[from] ao_daemon::Error),
    /// The daemon ended before it was ready.
    #[error("the daemon ended before it was ready: {last}")]
    DaemonFailed { log: PathBuf, last: String },
    #[error("the daemon was not ready in time: it is {state}")]
    DaemonNotReady { state: &'static str, log: PathBuf },
    #[error("the daemon did not end in time")]
    DaemonNotStopped { pid: Option<u32> },
    #[error("no project was named, and this directory is not in the repository of one")]
    ProjectRequired,
    /// The documents before this one stay applied.
    #[error("{source}")]
    Document { applied: u64, source: Box<Error> },
    /// The cursor of a consumer can no longer be resumed.
    #[error("{source}")]
    Stranded { name: ConsumerName, source: Box<Error> },
    /// With `--strict`: nothing of the observation was stored.
    #[error("{reason}")]
    NotApplied { reason: String, outcome: Value },
    /// The configuration file has an unknown key or an invalid value.
    #[error("{}, line {line}: {reason}", path.display())]
    Config { path: PathBuf, line: usize, reason: String },
    /// The configuration file exists and cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    ConfigFile { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Usage(String),
    /// What a command does needs a terminal.
    #[error("cannot {0}: no terminal is attached")]
    NoTerminal(&'static str),
    #[error("cannot ask whether to {0}: no terminal is attached")]
    Unconfirmed(String),
    #[error("delivery {number}: {source}")]
    Delivery { number: u64, source: ao_observer::Error },
    /// The host does not confirm that a pull request exists.
    #[error("{0}")]
    NotVerified(ao_observer::Error),
    #[error("{} cannot be used: {reason}", path.display())]
    InvalidPath { path: PathBuf, reason: String },
    #[error("{} is not inside the work tree of a git repository", .0.display())]
    NotAGitRepo(PathBuf),
    /// Its `.git` names a repository that does not exist.
    #[error("{} belongs to the git repository {repo}, which does not exist", path.display())]
    RepoMoved { path: PathBuf, repo: String },
    #[error("git does not trust {0}: another user owns it")]
    GitNotTrusted(String),
    #[error("git failed: {0}")]
    GitFailed(String),
    #[error("{} migration(s) pending: the database has schema {found}, this program needs {known}", known - found)]
    MigrationPending { found: u32, known: u32 },
    #[error("only {seen} of {wanted} changes arrived in time")]
    TimedOut { seen: u64, wanted: u64 },
    #[error("--for {wanted} was not met in time by {}", sessions.join(", "))]
    WaitTimedOut { sessions: Vec<String>, wanted: String },
    #[error("session {session} cannot become {wanted} any more: {reason}")]
    ConditionLost { session: SessionId, wanted: String, reason: String },
    /// A delivery ended before the stage that was waited for.
    #[error("{}", ended(.0))]
    DeliveryEnded(Box<Delivery>),
    #[error("delivery {} is {}: it did not become {wanted} in time", delivery.id, delivery.stage)]
    DeliveryNotReached { delivery: Box<Delivery>, wanted: Stage },
    /// The agent ended before a delivery was written.
    #[error("the agent of session {} has ended; delivery {} is written when it runs again", .0.session, .0.id)]
    DeliveryWaits(Box<Delivery>),
    /// A turn ended without an answer.
    #[error("{}", unanswered(turn, text))]
    TurnEnded { turn: Box<Turn>, text: String },
    /// It was waited for as long as the user wanted to.
    #[error("turn {} has not ended in time", .0.turn)]
    TurnNotEnded(At),
    /// What a turn sends could not be read or printed any more; the turn goes on.
    #[error("{source}")]
    TurnLost { at: At, source: Box<Error> },
    /// A command of `tail --exec` failed.
    #[error("the command {} at change {cursor} ({kind}), which is not acknowledged", outcome(*status, *signal))]
    CommandFailed {
        name: ConsumerName,
        cursor: Cursor,
        kind: String,
        status: Option<i32>,
        signal: Option<i32>,
    },
    #[error("cannot start a shell")]
    Command(#[source] ao_program::Error),
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
    /// The reader of the output closed it: the command ends without a message.
    #[error("the output was closed")]
    BrokenPipe,
}

/// Where the answer of a turn was left.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) turn: String,
    pub(crate) conversation: String,
    /// The position up to which it was printed.
    pub(crate) position: i64,
}

impl At {
    /// How to continue from there.
    pub(crate) fn hint(&self) -> String {
        let At { turn, conversation, position } = self;
        format!(
            "turn {turn} goes on; to continue from here: `ao-store conversation tail {conversation} \
                --from {position} -f`"
        )
    }

    fn details(&self) -> Value {
        let At { turn, conversation, position } = self;
        json!({"turn_id": turn, "conversation_id": conversation, "position": position})
    }
}

/// How a turn ended without an answer.
fn unanswered(turn: &Turn, text: &str) -> String {
    match turn.state {
        State::Cancelled => format!("turn {} was cancelled", turn.id),
        State::Expired => format!("no worker took turn {} in time", turn.id),
        _ => format!("Agent error: {text}"),
    }
}

impl From<ao_daemon::request::Error> for Error {
    fn from(error: ao_daemon::request::Error) -> Error {
        use ao_daemon::request::Error as Of;
        match error {
            Of::Store(error) => Error::Store(error),
            Of::Session(error) => Error::Session(error),
            Of::Observer(error) => Error::Observer(error),
            Of::NotVerified(error) => Error::NotVerified(error),
            Of::Invalid(reason) => Error::Usage(reason),
            Of::InvalidPath { path, reason } => Error::InvalidPath { path, reason },
            Of::NotAGitRepo(path) => Error::NotAGitRepo(path),
            Of::RepoMoved { path, repo } => Error::RepoMoved { path, repo },
            Of::GitNotTrusted(repo) => Error::GitNotTrusted(repo),
            Of::GitFailed(reason) => Error::GitFailed(reason),
        }
    }
}

/// How a delivery ended.
fn ended(delivery: &Delivery) -> String {
    let Delivery { id, stage, reason, .. } = delivery;
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("delivery {id} is {stage}{reason}")
}

/// How a command ended, as the rest of a sentence.
fn outcome(status: Option<i32>, signal: Option<i32>) -> String {
    match (status, signal) {
        (Some(status), _) => format!("ended with exit status {status}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::File { action, path: path.to_owned(), source }
    }

    /// Adds the consumer to an error about its cursor, which needs another hint.
    pub(crate) fn of_consumer(self, name: &ConsumerName) -> Error {
        match self.code() {
            Code::CursorExpired | Code::CursorEpoch => {
                Error::Stranded { name: name.clone(), source: Box::new(self) }
            }
            _ => self,
        }
    }

    /// The code in the registry.
    pub(crate) fn code(&self) -> Code {
        match self {
            Error::Store(error) => error.code(),
            Error::Cdc(error) => error.code(),
            Error::Observer(error) => error.code(),
            Error::Session(error) => error.code(),
            Error::Daemon(error) => error.code(),
            Error::DaemonFailed { .. } => Code::DaemonFailed,
            Error::DaemonNotReady { .. } | Error::DaemonNotStopped { .. } => Code::DaemonUnanswered,
            Error::ProjectRequired => Code::ProjectRequired,
            Error::Document { source, .. }
            | Error::Stranded { source, .. }
            | Error::TurnLost { source, .. } => source.code(),
            Error::TurnEnded { turn, .. } => match turn.state {
                State::Cancelled => Code::TurnCancelled,
                State::Expired => Code::TurnExpired,
                _ => Code::TurnFailed,
            },
            Error::Usage(_) | Error::Unconfirmed(_) => Code::Usage,
            Error::NoTerminal(_) => Code::NoTerminal,
            Error::Delivery { source, .. } | Error::NotVerified(source) => source.code(),
            Error::InvalidPath { .. } => Code::InvalidPath,
            Error::NotAGitRepo(_) | Error::RepoMoved { .. } => Code::NotAGitRepo,
            Error::GitNotTrusted(_) => Code::GitNotTrusted,
            Error::GitFailed(_) => Code::GitFailed,
            Error::NotApplied { .. } => Code::NotApplied,
            Error::MigrationPending { .. } => Code::MigrationPending,
            Error::TimedOut { .. }
            | Error::WaitTimedOut { .. }
            | Error::DeliveryNotReached { .. }
            | Error::TurnNotEnded(_) => Code::TimedOut,
            Error::ConditionLost { .. } => Code::ConditionLost,
            Error::DeliveryWaits(_) => Code::SessionNotRunning,
            Error::DeliveryEnded(delivery) if delivery.stage == Stage::Ambiguous => {
                Code::DeliveryAmbiguous
            }
            Error::DeliveryEnded(_) => Code::DeliveryFailed,
            Error::Config { .. } => Code::InvalidConfig,
            Error::File { source, .. }
            | Error::ConfigFile { source, .. }
            | Error::Stdout(source) => io_code(source),
            Error::CommandFailed { .. } | Error::Command(_) => Code::CommandFailed,
            Error::BrokenPipe => Code::Io,
        }
    }

    /// The exit status: that of the code, or of the signal that interrupted the command.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Session(ao_session::Error::Interrupted { signal }) => signal.saturating_add(128),
            _ => self.code().exit_code(),
        }
    }

    /// The causes of the error, outermost first, without those that repeat the message.
    pub(crate) fn causes(&self) -> Vec<String> {
        if let Error::Document { source, .. }
        | Error::Stranded { source, .. }
        | Error::TurnLost { source, .. } = self
        {
            return source.causes();
        }
        let mut shown = vec![self.to_string()];
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let text = cause.to_string();
            let repeats = shown.iter().any(|shown| text.ends_with(shown) || shown.ends_with(&text));
            if !repeats {
                shown.push(text);
            }
            source = cause.source();
        }
        shown.split_off(1)
    }

    /// Machine-readable fields of the error.
    pub(crate) fn details(&self) -> Value {
        match self {
            Error::Store(error) | Error::Cdc(ao_cdc::Error::Store(error)) => error.details(),
            Error::Session(error) => error.details(),
            Error::Document { applied, source } => {
                let mut details = source.details();
                details["applied"] = json!(applied);
                details
            }
            Error::Stranded { source, .. } => source.details(),
            Error::Daemon(ao_daemon::Error::Store(error)) => error.details(),
            Error::Daemon(ao_daemon::Error::NetworkFileSystem { path, name }) => {
                json!({"path": path.to_string_lossy(), "file_system": name})
            }
            Error::Daemon(ao_daemon::Error::Running { pid }) | Error::DaemonNotStopped { pid } => {
                json!({"pid": pid})
            }
            Error::DaemonFailed { log, .. } | Error::DaemonNotReady { log, .. } => {
                json!({"log": log.to_string_lossy()})
            }
            Error::Config { path, line, .. } => {
                json!({"path": path.to_string_lossy(), "line": line})
            }
            Error::NotApplied { outcome, .. } => outcome.clone(),
            Error::DeliveryEnded(delivery)
            | Error::DeliveryWaits(delivery)
            | Error::DeliveryNotReached { delivery, .. } => json!({
                "delivery_id": delivery.id, "stage": delivery.stage.as_str(),
                "reason": delivery.reason, "cursor": delivery.cursor,
            }),
            Error::TurnEnded { turn, .. } => json!({
                "turn_id": turn.id, "conversation_id": turn.conversation,
                "reason": turn.reason.as_str(),
            }),
            Error::TurnNotEnded(at) => at.details(),
            Error::TurnLost { at, source } => {
                let mut details = source.details();
                if let (Value::Object(details), Value::Object(more)) = (&mut details, at.details())
                {
                    details.extend(more);
                }
                details
            }
            Error::TimedOut { seen, wanted } => json!({"seen": seen, "wanted": wanted}),
            Error::WaitTimedOut { sessions, .. } => json!({"session_ids": sessions}),
            Error::ConditionLost { session, .. } => json!({"session_id": session.as_str()}),
            Error::CommandFailed { name, cursor, status, signal, .. } => json!({
                "consumer": name.as_str(),
                "cursor": cursor.to_string(),
                "status": status,
                "signal": signal,
            }),
            Error::MigrationPending { found, known } => json!({"found": found, "known": known}),
            _ => json!({}),
        }
    }
}
