//! Workers, with real programs that answer, fail, hang, flood, and are killed.

mod examples;
mod held;
mod kills;
mod lab;
mod plain;
mod resident;
