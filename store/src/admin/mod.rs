//! Operations on a whole store: create, prune, verify, repair, backup, restore, transfer, statistics.

pub(crate) mod backup;
pub(crate) mod ballast;
pub(crate) mod create;
pub(crate) mod new_file;
pub(crate) mod probe;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod rotation;
pub(crate) mod stats;
pub mod transfer;
pub mod verify;
