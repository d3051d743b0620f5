//! How benches measure, judge and report.

mod budget;
mod clock;
mod process;
mod report;
mod run;

pub use budget::{Budget, Line, at_least, at_most};
pub use clock::{Sample, cpu, median, monotonic, percentile, process_cpu, wall};
pub use process::{child_cpu, child_role, children_cpu, program, respawn};
pub use run::Run;
