//! Responses while a turn runs: its reply part by part, and texts beside it.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::label::check_label;
use crate::row::turn::event::{self, Kind, New};
use crate::row::turn::held::Held;
use crate::row::turn::row::Reason;
use crate::row::turn::{REPLY_MAX, beat, check_text, clock};

/// What a worker sends before the last event. Each has a text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A part of the reply.
    Delta(String),
    /// A text for the user beside the reply.
    Content(String),
    /// A text that is of use only now.
    Ephemeral(String),
    /// What the agent does.
    Status(String),
}

impl Response {
    fn parts(&self) -> (Kind, &str) {
        match self {
            Response::Delta(text) => (Kind::Delta, text),
            Response::Content(text) => (Kind::Content, text),
            Response::Ephemeral(text) => (Kind::Ephemeral, text),
            Response::Status(text) => (Kind::Status, text),
        }
    }
}

/// What became of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored at this position.
    Stored(i64),
    /// The same was stored before under its name.
    Known,
    /// Another one was stored under its name, so it was refused.
    Conflict,
    /// It was not stored, since the turn is to be cancelled.
    Cancel,
    /// It was refused: the turn has ended, or is another's.
    Lost,
}

/// Stores a response, which is progress. `source` is the worker's own name of it in the turn: a repeated one
/// is stored once.
///
/// # Errors
/// `INVALID_PROMPT` for an empty text, `INPUT_TOO_LARGE`, `INVALID_ID` for a name that is no plain text.
pub fn append(tx: &Tx<'_>, held: &Held, source: &str, response: &Response) -> Result<Appended> {
    let (kind, text) = response.parts();
    check_text("the response", text, REPLY_MAX)?;
    check_label("name of a response", source)?;
    let Some(turn) = beat::running(tx, held)? else { return Ok(Appended::Lost) };
    if let Some(stored) = event::of_source(tx, &turn.id, source)? {
        let is_same = (stored.0, stored.1.as_str()) == (kind, text);
        return Ok(if is_same { Appended::Known } else { Appended::Conflict });
    }
    if turn.cancel_requested_at.is_some() {
        return Ok(Appended::Cancel);
    }
    let source = Some(source);
    let new = New { turn: &turn.id, kind, source, reason: Reason::None, text };
    let seq = event::push(tx, &turn.conversation, &new)?;
    clock::extend(tx, &turn.id)?;
    Ok(Appended::Stored(seq))
}
