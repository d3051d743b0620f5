//! The daemon of ao-store: one process per data directory that runs the loops (observer, reaper, deliveries, turns, reconcile) and
//! serves the store to programs over HTTP.
//!
//! What this crate guarantees:
//!
//! * One daemon serves a data directory at a time, by a lock that the kernel releases. The run-file only tells
//!   where it is.
//! * A loop that fails is started again, disturbs no other, and what happened stays visible.
//! * Stopping, however it happens, touches no session. Everything that matters is in the store.

mod app;
mod browser;
mod client;
mod client_limits;
mod commits;
mod daemon;
pub mod disk;
pub mod document;
mod error;
pub mod hooks;
mod http;
mod listen;
mod lock;
mod loops;
mod named_token;
mod notice;
pub mod request;
mod run_file;
mod secret;
mod serve;
mod state;
mod supervisor;
mod terminals;
mod token;
pub mod wal_reader;
mod webhooks;

pub use client::{describe, is_ready, shut_down};
pub use client_limits::ClientLimits;
pub use daemon::{CancellationToken, Daemon, Settings, create_store};
pub use error::{Error, Result};
pub use loops::{LoopState, LoopStatus};
pub use named_token::{NamedToken, NamedTokens, TokenName};
pub use notice::{Notice, Notify};
pub use run_file::RunFile;
pub use state::{Found, State};
pub use token::Tokens;
