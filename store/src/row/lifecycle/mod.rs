//! What the verbs of the session lifecycle write: seeds, operations, the processes that run them, and
//! what became of worktrees.

pub mod cleanup;
pub mod instance;
pub mod machine;
pub mod operation;
pub mod spawn;
