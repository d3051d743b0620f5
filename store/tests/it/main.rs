//! What the store promises, shown on real database files.

mod attribution;
mod capture_complete;
mod claims;
mod disk_full;
mod foreign;
mod kill;
mod migration;
mod observation;
mod observation_property;
mod order;
mod processes;
mod replace;
mod replay_property;
mod sessions;
mod support;
mod writer;
