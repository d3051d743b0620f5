//! Workers, with real programs that answer, fail, hang, flood, and are killed.

mod examples;
mod lab;
mod plain;
mod resident;
