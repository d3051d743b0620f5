//! Why a program gave no answer, grouped by what a caller can do about it.

use std::io;
use std::time::Duration;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No directory of `PATH` contains an executable file of this name.
    #[error("{0} is not on PATH")]
    NotOnPath(String),
    /// The program ran longer than this, and was killed.
    #[error("it did not end within {0:?}")]
    TimedOut(Duration),
    /// Its caller no longer waits for it, so it was killed.
    #[error("it was stopped")]
    Stopped,
    /// The program printed more than this many bytes, and was killed.
    #[error("it printed more than {0} bytes")]
    OutputTooLong(usize),
    /// A signal killed the program, so its exit status is no answer.
    #[error("it was ended by {0}")]
    Signalled(String),
    /// The directory is not inside the work tree of a git repository.
    #[error("it is not in the work tree of a git repository")]
    NotAWorkTree,
    /// git does not read this repository because another user owns it.
    #[error("git does not trust {0}: another user owns it")]
    NotTrusted(String),
    /// The file `.git` names this repository, which does not exist.
    #[error("its file .git names {0}, which is no git repository")]
    Dangling(String),
    /// git failed, with the first line that it printed.
    #[error("{0}")]
    Git(String),
    /// ssh ended with this status, or did not print its configuration.
    #[error("ssh does not name the host: it ended with status {0}")]
    Ssh(u32),
    /// The operating system could not run the program.
    #[error(transparent)]
    Io(#[from] io::Error),
}
