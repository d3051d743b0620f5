//! Tests of the public interface with real git repositories, tmux servers and processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod harness;
mod runtime;
mod worktree;
