//! What the store promises, shown on real database files.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at the first surprise, and says why it was skipped"
)]

mod attention;
mod attribution;
mod background;
mod backup;
mod capture_complete;
mod checks;
mod claims;
mod clock;
mod copies;
mod delivery;
mod disk_full;
mod equal_times;
mod faults;
mod foreign;
mod invalid_text;
mod kill;
mod lifecycle;
mod migration;
mod observation;
mod observation_property;
mod order;
mod pages;
mod processes;
mod prune;
mod repair;
mod replace;
mod replay_property;
mod restore;
mod restore_journal;
mod schema_guard;
mod scm;
mod sessions;
mod staleness;
mod status;
mod status_property;
mod support;
mod transfer;
mod turn_races;
mod turns;
mod upstream;
mod upstream_file;
mod upstream_random;
mod upstream_skipped;
mod verify;
mod write_queue;
mod writer;
