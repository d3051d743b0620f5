//! Every error that can end a command, with its code, details and causes.

use std::path::{Path, PathBuf};

use ao_store::{Code, ConsumerName, io_code};
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
    /// The documents before this one stay applied.
    #[error("{source}")]
    Document { applied: u64, source: Box<Error> },
    /// The cursor of a consumer can no longer be resumed.
    #[error("{source}")]
    Stranded { name: ConsumerName, source: Box<Error> },
    #[error("{0}")]
    Usage(String),
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
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
    /// The reader of the output closed it: the command ends without a message.
    #[error("the output was closed")]
    BrokenPipe,
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
            Error::Document { source, .. } | Error::Stranded { source, .. } => source.code(),
            Error::Usage(_) | Error::Unconfirmed(_) => Code::Usage,
            Error::Delivery { source, .. } | Error::NotVerified(source) => source.code(),
            Error::InvalidPath { .. } => Code::InvalidPath,
            Error::NotAGitRepo(_) | Error::RepoMoved { .. } => Code::NotAGitRepo,
            Error::GitNotTrusted(_) => Code::GitNotTrusted,
            Error::GitFailed(_) => Code::GitFailed,
            Error::MigrationPending { .. } => Code::MigrationPending,
            Error::TimedOut { .. } => Code::TimedOut,
            Error::File { source, .. } | Error::Stdout(source) => io_code(source),
            Error::BrokenPipe => Code::Io,
        }
    }

    /// The causes of the error, outermost first, without those that repeat the message.
    pub(crate) fn causes(&self) -> Vec<String> {
        if let Error::Document { source, .. } | Error::Stranded { source, .. } = self {
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
            Error::Document { applied, source } => {
                let mut details = source.details();
                details["applied"] = json!(applied);
                details
            }
            Error::Stranded { source, .. } => source.details(),
            Error::TimedOut { seen, wanted } => json!({"seen": seen, "wanted": wanted}),
            Error::MigrationPending { found, known } => json!({"found": found, "known": known}),
            _ => json!({}),
        }
    }
}
