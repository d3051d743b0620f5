//! The lifecycle of agent sessions: git worktrees, runtimes (tmux, plain processes) and agent programs.
//!
//! What this crate guarantees:
//!
//! * A verb is all-or-nothing: it ends with every effect, or with none; what a killed process left
//!   behind is finished or undone by the next verb or by `reconcile`, from rows alone.
//! * User work is never destroyed: what is dirty or not reachable elsewhere is captured or kept.
//! * Nothing is touched that is not recorded in the store.
//! * A turn that a worker has claimed ends in one outcome, whatever its program does.

mod error;
mod exclusive;
mod failpoint;
pub mod harness;
pub mod hook;
mod lifecycle;
pub mod runtime;
mod supervisor;
mod turns;
pub mod worker;
pub mod worktree;

pub use error::{Error, Result};
pub use lifecycle::{
    Action, Cleaned, Config, Due, Ensured, Killed, MESSAGE_MAX, Message, Mode, Piped, Probed,
    Reaper, Recording, Report, Restored, Sent, Sessions, Shown, ShownFrom, SpawnRequest, Spawned,
    Writers, start_runner,
};
pub use runtime::processes::LAUNCH_VARIABLES;
pub use supervisor::{Spec, supervise};
pub use turns::{SentTurn, TurnRequest, ensure_org, local_member, send_turn};
