//! Typed rows and their statements, one table or family of tables per file.

mod columns;
pub mod facet;
pub(crate) mod observed;
pub mod pr;
pub mod project;
pub mod scm;
pub mod session;
pub(crate) mod set;
