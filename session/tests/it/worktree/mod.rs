//! Worktrees with real git.

mod add;
mod branch;
mod capture;
mod diff;
mod fixture;
mod hostile;
mod plan;
mod prepare;
mod private;
mod refresh;
mod remove;
