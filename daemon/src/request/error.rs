//! Why a request cannot be done.

use std::path::PathBuf;

use ao_store::Code;
use serde_json::{Value, json};

/// The result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    /// An error of sessions.
    #[error(transparent)]
    Session(#[from] ao_session::Error),
    /// An error of the observer.
    #[error(transparent)]
    Observer(#[from] ao_observer::Error),
    /// The host does not confirm that a pull request exists.
    #[error("{0}")]
    NotVerified(ao_observer::Error),
    /// A value that is not possible.
    #[error("{0}")]
    Invalid(String),
    /// A path that cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A path that is in no repository.
    #[error("{} is not inside the work tree of a git repository", .0.display())]
    NotAGitRepo(PathBuf),
    /// Its `.git` names a repository that does not exist.
    #[error("{} belongs to the git repository {repo}, which does not exist", path.display())]
    RepoMoved {
        /// The path.
        path: PathBuf,
        /// What it names.
        repo: String,
    },
    /// Another user owns the repository.
    #[error("git does not trust {0}: another user owns it")]
    GitNotTrusted(String),
    /// Git cannot be run, or fails.
    #[error("git failed: {0}")]
    GitFailed(String),
}

impl Error {
    /// The code of the error in the registry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Store(error) => error.code(),
            Error::Session(error) => error.code(),
            Error::Observer(error) | Error::NotVerified(error) => error.code(),
            Error::Invalid(_) => Code::Usage,
            Error::InvalidPath { .. } => Code::InvalidPath,
            Error::NotAGitRepo(_) | Error::RepoMoved { .. } => Code::NotAGitRepo,
            Error::GitNotTrusted(_) => Code::GitNotTrusted,
            Error::GitFailed(_) => Code::GitFailed,
        }
    }

    /// Machine-readable fields of the error.
    #[must_use]
    pub fn details(&self) -> Value {
        match self {
            Error::Store(error) => error.details(),
            Error::Session(error) => error.details(),
            _ => json!({}),
        }
    }
}
