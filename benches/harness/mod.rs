//! How benches measure, judge and report.

mod budget;
mod clock;
mod daemon;
mod process;
mod report;
mod run;
mod suite;

pub use budget::{Budget, Line, at_least, at_most};
pub use clock::{Sample, cpu, median, monotonic, percentile, process_cpu, wall};
pub use daemon::Daemon;
pub use process::{child_cpu, children_cpu, program, respawn};
pub use run::Run;
pub use suite::{File, suite};
