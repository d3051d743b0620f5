//! Git worktrees of sessions.
//!
//! What this module guarantees:
//!
//! * Nothing that a repository configures is run, and a name from outside is never an option of git.
//! * A directory is removed only below the managed root, without symlinks on the way, and only when its
//!   content is in git. Only the undoing of a spawn removes what that spawn made.
//! * A branch is removed only when another ref reaches its tip, and only while its tip is that commit.
//! * Of our processes, one at a time creates and deletes branches and worktree records of a repository.
//! * One record of a worktree is removed at a time; `git worktree prune` is never used.

mod add;
mod branch;
mod capture;
mod copy;
mod diff;
mod inspect;
mod lease;
mod list;
mod plan;
mod private;
mod refresh;
mod remove;
mod removed;
mod repository;
mod root;
mod setup;
mod submodule;
mod undo;

pub use capture::Applied;
pub use copy::{Copied, check_glob, copy_files};
pub(crate) use diff::DIFF_TIMEOUT;
pub use diff::{Changed, Diff};
pub use inspect::State;
pub(crate) use list::is_missing;
pub use plan::{Plan, Request};
pub use removed::Removed;
pub use repository::Repository;
pub(crate) use repository::argument;
pub use root::Root;
pub use setup::run_setup;
