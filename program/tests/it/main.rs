//! What the crate guarantees, shown on real programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod environment;
mod git;
mod run;
