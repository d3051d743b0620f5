//! Runs external programs: the only crate of the workspace that starts a process.
//!
//! What this crate guarantees:
//!
//! * A program has a bound of time and of output. When it exceeds one, it and its whole process
//!   group are killed.
//! * A program receives exactly the variables that its caller passes, without those of git, and
//!   runs in the C locale. It inherits no input and no terminal.
//! * What is meant for this process alone, such as the secret of the webhook and the socket of the service
//!   manager, is in no [`Environment`] of it, and reaches no program that outlives it but a daemon.
//! * The command line of a user ([`CommandLine`]) is the exception: it belongs to the terminal of the user,
//!   with its process group and outputs, and runs as long as it likes.
//! * A program is found in absolute directories of `PATH` only.
//! * git reads and changes a repository without running anything that the repository configures.
//!
//! ```
//! use std::{path::Path, time::Duration};
//!
//! use ao_program::{Environment, Program};
//!
//! let environment = Environment::of_process();
//! let output = Program {
//!     name: "echo",
//!     args: &["hello"],
//!     input: "",
//!     dir: Path::new("/"),
//!     environment: &environment,
//!     variables: &[],
//!     timeout: Duration::from_secs(5),
//! }
//! .run()?;
//! assert_eq!(output.stdout, b"hello\n");
//! # Ok::<_, ao_program::Error>(())
//! ```

mod command_line;
mod detached;
mod environment;
mod error;
mod git;
mod git_config;
mod git_write;
mod interactive;
mod piped;
mod program;
mod ssh;
mod tail;

pub use command_line::CommandLine;
pub use detached::start_detached;
pub use environment::Environment;
pub use error::{Error, Result};
pub use git::{Git, WorkTree};
pub use git_write::{GitCommand, GuardedGit};
pub use interactive::{
    Interactive, replace_process, run_apart, start_apart, start_background, start_logged,
};
pub use piped::Piped;
pub use program::{Output, Program};
pub use ssh::host_of_alias;
pub use tail::Tail;
