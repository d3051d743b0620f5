//! Workers, with real programs that answer, fail, hang, flood, and are killed.

mod busy;
mod delivery;
mod examples;
mod held;
mod kills;
mod lab;
mod memory;
mod plain;
mod resident;
