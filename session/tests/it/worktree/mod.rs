//! Worktrees with real git.

mod add;
mod branch;
mod capture;
mod fixture;
mod hostile;
mod plan;
mod prepare;
mod refresh;
mod remove;
