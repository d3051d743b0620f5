//! Typed rows and their statements, one table or family of tables per file.

pub mod account;
pub(crate) mod columns;
pub mod decision;
pub mod delivery;
pub mod evidence;
pub mod facet;
pub mod launch;
pub mod lifecycle;
pub(crate) mod observed;
pub mod pr;
pub mod project;
pub mod scm;
pub mod session;
pub(crate) mod set;
pub mod shared_branch;
pub mod turn;
