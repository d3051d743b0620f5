//! Observing one host: when to ask what, and what the answers mean. All of it is pure but [`Poller`],
//! which joins it to a store.

mod attribution;
mod budget;
mod config;
mod engine;
mod gate;
mod pace;
mod pokes;
mod poller;
mod report;
mod round;
mod scan;
mod size;
mod tier;
mod totals;
mod watch;
mod write;

pub use config::{Config, INTERVAL_MAX, INTERVAL_MIN};
pub use engine::{Found, Step};
pub use gate::Reason;
pub use poller::{Poller, Remotes};
pub use report::Report;
pub use totals::Totals;
pub use write::Written;
