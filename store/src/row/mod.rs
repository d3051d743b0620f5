//! Typed rows and their statements, one table (or one family of tables) a file.

pub mod change;
pub mod consumer;
pub mod facet;
pub mod log;
pub(crate) mod observed;
pub mod pr;
pub mod project;
pub mod reservation;
pub mod scm;
pub mod session;
