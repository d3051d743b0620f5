//! Runtimes: one suite for all of them, and what only tmux can show.

mod conformance;
mod supervisor;
mod tmux;
mod world;
