//! Finishing: the worker that holds a turn ends it, with its reply and its snapshot, or with its failure.

use serde_json::{Value, json};

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::text_digest::{Summary, summary};
use crate::model::time::Timestamp;
use crate::row::turn::beat;
use crate::row::turn::conversation;
use crate::row::turn::end::{CANCELLED, Ending, end};
use crate::row::turn::held::Held;
use crate::row::turn::row::{self, Reason, State};
use crate::row::turn::usage::Usage;
use crate::row::turn::{REPLY_MAX, SNAPSHOT_MAX, check_size, check_text, snapshot};

/// What a turn ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Reply {
        /// The whole reply, which may be empty.
        text: String,
        /// What the agent now remembers of the conversation, if that changed.
        snapshot: Option<String>,
    },
    /// It was not.
    Failure {
        /// Why.
        reason: Reason,
        /// The same for people.
        text: String,
        /// When the limit of the account ends, if it is that and known.
        limit_ends_at: Option<Timestamp>,
    },
}

/// An outcome with what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What the turn ends with.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
}

impl Completion {
    fn json(&self) -> Value {
        let usage = self.usage.json();
        match &self.outcome {
            Outcome::Reply { text, snapshot } => {
                json!({"reply": text, "snapshot": snapshot, "usage": usage})
            }
            Outcome::Failure { reason, text, limit_ends_at } => json!({
                "reason": reason.as_str(), "failure": text,
                "limit_ends_at": limit_ends_at.map(|at| at.0), "usage": usage,
            }),
        }
    }

    /// Checks it, and computes what is stored with it: before the transaction, since that takes the longer the
    /// larger it is.
    ///
    /// # Errors
    /// `INPUT_TOO_LARGE` for a reply or a snapshot over its limit, and `INVALID_PROMPT` for a failure without a
    /// reason or a text.
    pub fn prepare(self) -> Result<Prepared> {
        check(&self.outcome)?;
        let json = self.json().to_string();
        let (reply, snapshot) = match &self.outcome {
            Outcome::Reply { text, snapshot } => (Some(summary(text)), snapshot.as_deref()),
            Outcome::Failure { .. } => (None, None),
        };
        let (snapshot, digest) = (snapshot.map(summary), summary(&json).1);
        Ok(Prepared { completion: self, json, digest, reply, snapshot })
    }
}

/// A completion that can be stored: see [`Completion::prepare`].
#[derive(Debug)]
pub struct Prepared {
    completion: Completion,
    json: String,
    /// Tells one completion from another.
    digest: String,
    reply: Option<Summary>,
    snapshot: Option<Summary>,
}

/// What became of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It ended the turn.
    Won,
    /// The same one ended the turn before.
    Known,
    /// Another one of the same claim ended the turn before. This one was refused, and kept as evidence.
    Conflict,
    /// It was refused: the turn was ended by something else, or is another's.
    Lost,
    /// Nothing was stored: the snapshot does not continue the newest one.
    Diverged,
}

/// Ends a turn that is held. One that was to be cancelled ends as cancelled, unless it failed.
///
/// # Errors
/// When the database cannot be written; the turn then goes on.
pub fn finish(tx: &Tx<'_>, held: &Held, prepared: &Prepared) -> Result<Finished> {
    let Some(mut turn) = beat::running(tx, held)? else {
        return late(tx, held, prepared);
    };
    let completion = &prepared.completion;
    turn.completion_digest.clone_from(&prepared.digest);
    turn.usage = completion.usage.stored();
    let base = turn.base_version.unwrap_or(0);
    let is_cancelled = turn.cancel_requested_at.is_some();
    match &completion.outcome {
        Outcome::Reply { snapshot: Some(_), .. }
            if conversation::require(tx, &turn.conversation)?.head_version != base =>
        {
            return Ok(Finished::Diverged);
        }
        Outcome::Reply { .. } if is_cancelled => {
            end(tx, turn, &Ending::failure(State::Cancelled, Reason::None, CANCELLED))?;
        }
        Outcome::Reply { text, snapshot } => {
            if let Some(remembered) = snapshot.as_deref().zip(prepared.snapshot.as_ref()) {
                snapshot::push(tx, &turn.conversation, base + 1, &turn.id, remembered)?;
            }
            let version = snapshot.as_ref().map(|_| base + 1);
            let (state, reason) = (State::Completed, Reason::None);
            let reply = prepared.reply.as_ref();
            end(tx, turn, &Ending { state, reason, text, reply, limit_ends_at: None, version })?;
        }
        Outcome::Failure { reason, text, limit_ends_at } => {
            let failure = Ending::failure(State::Failed, *reason, text);
            end(tx, turn, &Ending { limit_ends_at: *limit_ends_at, ..failure })?;
        }
    }
    Ok(Finished::Won)
}

fn check(outcome: &Outcome) -> Result<()> {
    match outcome {
        Outcome::Reply { text, snapshot } => {
            check_size("the reply", text, REPLY_MAX)?;
            check_size("the snapshot", snapshot.as_deref().unwrap_or_default(), SNAPSHOT_MAX)
        }
        Outcome::Failure { reason: Reason::None, .. } => Err(Error::EmptyText("the reason")),
        Outcome::Failure { text, .. } => check_text("the failure", text, REPLY_MAX),
    }
}

const REFUSE: &str = "INSERT INTO turn_refused_completion (turn_id, digest, text, at)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

/// A completion of a turn that is not held any more.
fn late(tx: &Tx<'_>, held: &Held, prepared: &Prepared) -> Result<Finished> {
    let Prepared { json, digest, .. } = prepared;
    // Another program may have deleted it.
    let Some(turn) = row::get(tx, held.turn())? else { return Ok(Finished::Lost) };
    if turn.owner != held.owner() || turn.completion_digest.is_empty() {
        return Ok(Finished::Lost);
    }
    if turn.completion_digest == *digest {
        return Ok(Finished::Known);
    }
    let params = (&turn.id, digest, json, tx.now().0);
    tx.execute_uncaptured("keep a refused completion", REFUSE, params)?;
    Ok(Finished::Conflict)
}

/// A completion that was refused, since another one had ended the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its digest.
    pub digest: String,
    /// What it was, as JSON.
    pub text: String,
    /// When it came.
    pub at: Timestamp,
}

const SELECT_REFUSED: &str = "SELECT digest, text, at FROM turn_refused_completion
    WHERE turn_id = ?1 ORDER BY at, digest";

/// The completions of a turn that were refused, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub fn refused(snapshot: &Snapshot<'_>, turn: &str) -> Result<Vec<Refused>> {
    snapshot.list("list refused completions", SELECT_REFUSED, [turn], |row| {
        Ok(Refused { digest: text(row, 0)?, text: text(row, 1)?, at: Timestamp(row.get(2)?) })
    })
}
