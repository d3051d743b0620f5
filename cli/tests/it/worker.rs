//! Workers, with real programs that answer, fail, hang, flood, and are killed.

mod lab;
mod plain;
