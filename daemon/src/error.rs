//! Why the daemon cannot start, or cannot be asked.

use std::io;
use std::path::PathBuf;

use ao_store::Code;

/// The result of what the daemon does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the daemon cannot start, or cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves the data directory.
    #[error("a daemon already serves this data directory{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Running {
        /// Its process id, if it has published it.
        pid: Option<u32>,
    },
    /// SQLite in WAL mode and the locks of the daemon need one host.
    #[error("{} is on a network file system ({name}), where file locks and shared memory do not work reliably", path.display())]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// The name of the file system.
        name: String,
    },
    /// A file or socket of the daemon cannot be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No address of this machine can be listened on.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// A thread or the runtime cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The daemon does not answer.
    #[error("the daemon does not answer on {}", socket.display())]
    Unanswered {
        /// Its socket.
        socket: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A token of this name exists.
    #[error("a token named {0} already exists")]
    TokenExists(String),
    /// No token has this name.
    #[error("no token is named {0}")]
    TokenNotFound(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    /// The stream of changes cannot be followed.
    #[error(transparent)]
    Cdc(#[from] ao_cdc::Error),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error::File { action, path: path.into(), source }
    }

    /// The code of the error in the registry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Running { .. } => Code::DaemonRunning,
            Error::NetworkFileSystem { .. } => Code::InvalidPath,
            Error::Unanswered { .. } => Code::DaemonUnanswered,
            Error::TokenExists(_) => Code::TokenExists,
            Error::TokenNotFound(_) => Code::TokenNotFound,
            Error::File { source, .. } | Error::Listen(source) | Error::Thread(source) => {
                ao_store::io_code(source)
            }
            Error::Store(error) => error.code(),
            Error::Cdc(error) => error.code(),
        }
    }
}
