//! The shared parts of the benches: how they measure, and the fixtures.
//!
//! A claim is a ratio of two measurements of one run, never an absolute time: machines and their
//! load differ more than versions of the code. See [`Run::compare`] for the method.
//!
//! `cargo bench -p ao-benches` prints the table of budgets and criterion's statistics of both sides;
//! `AO_RATIOS_ONLY=1` only the table. It fails if a budget is missed by more than its measured noise. A word
//! on the command line selects a budget by its number, or those of one file. `AO_WRITE_BENCHMARKS=1` writes
//! the table into `docs/BENCHMARKS.md`.

mod baseline;
mod fixture;
mod harness;

pub use baseline::baseline;
pub use fixture::{
    AS_OF, Fixture, NewFixture, apply_all, cause, close_context, observation, open_context,
    session_of, threads,
};
pub use harness::{
    Budget, Daemon, File, Line, Run, Sample, at_least, at_most, child_cpu, children_cpu, cpu,
    median, monotonic, percentile, process_cpu, program, respawn, suite, wall,
};
