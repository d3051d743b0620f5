//! The change log: writing, reading, verification, consumer retention and pruning.

pub(crate) mod age;
pub(crate) mod anew;
pub mod as_of;
pub(crate) mod base;
pub(crate) mod capture;
pub mod change;
pub mod changed;
pub mod consumer;
pub(crate) mod digest;
pub mod field;
pub(crate) mod head_file;
pub(crate) mod info;
pub mod newest;
pub(crate) mod pruning;
pub mod reservation;
pub mod retention;
pub(crate) mod seal;
