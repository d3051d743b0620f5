//! Typed rows and their statements, one table (or one family of tables) a file.

pub mod facet;
pub(crate) mod observed;
pub mod pr;
pub mod project;
pub mod scm;
pub mod session;
pub(crate) mod set;
