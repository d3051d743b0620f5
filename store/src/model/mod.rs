//! Values without I/O: ids, cursors, times, and what an observation says.

pub mod activity;
pub mod attribution;
pub(crate) mod branch;
pub(crate) mod check_set;
pub(crate) mod clock;
pub(crate) mod cursor;
pub mod git_url;
pub(crate) mod id;
pub(crate) mod label;
pub mod observation;
pub(crate) mod plain_text;
pub(crate) mod text_digest;
pub(crate) mod text_enum;
pub mod text_input;
pub(crate) mod time;
pub(crate) mod verdict;
