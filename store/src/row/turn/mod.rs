//! Turns: each message to an agent that was accepted ends in exactly one visible outcome.
//!
//! The row of a turn is the obligation, the entry in the queue, and the result. Every operation is one
//! short transaction with a predicate, and what became of it is a value; an error means that the store
//! failed, never that a turn was lost to another process. That one turn of a conversation runs, that a
//! turn ends once, that a snapshot has one successor and that a key names one turn, are constraints of
//! the database. A turn is written only by the worker that holds it ([`Held`]), which
//! a claim alone gives.

pub mod admit;
pub mod agent;
pub mod append;
pub mod beat;
pub mod cancel;
pub mod claim;
pub(crate) mod clock;
pub mod conversation;
mod end;
pub mod event;
pub mod fail;
pub mod finish;
pub(crate) mod follow;
mod hand_over;
mod held;
pub mod org;
pub mod program;
pub mod reset;
mod row;
pub mod snapshot;
pub mod sweep;
pub mod usage;

pub use held::Held;
pub use row::{Reason, State, Turn, input_of, list, of_conversation, require};

use crate::error::{Error, Result};

/// The largest message, in bytes.
pub const INPUT_MAX: usize = 1 << 20;

/// The largest reply, and the largest text of one event, in bytes.
pub const REPLY_MAX: usize = 4 << 20;

/// The largest snapshot, in bytes.
pub const SNAPSHOT_MAX: usize = 4 << 20;

/// The longest text of a failure that is stored, in bytes; a longer one is cut.
pub const FAILURE_MAX: usize = 8 << 10;

/// Refuses a text that is larger than its bound.
fn check_size(what: &'static str, text: &str, limit: usize) -> Result<()> {
    let bytes = text.len();
    if bytes > limit { Err(Error::TextTooLarge { what, bytes, limit }) } else { Ok(()) }
}

/// Refuses an empty text, too.
fn check_text(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.is_empty() {
        return Err(Error::EmptyText(what));
    }
    check_size(what, text, limit)
}
