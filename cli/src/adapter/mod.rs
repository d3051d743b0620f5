//! Programs beside the store. Only here is a process started.

pub(crate) mod git;
pub(crate) mod version;
