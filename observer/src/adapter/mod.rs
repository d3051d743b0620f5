//! Programs beside the observer. Only here is a process started.

pub(crate) mod program;
