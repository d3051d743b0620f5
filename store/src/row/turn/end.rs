//! The end of a turn, by whatever ends it: state, last event and the release of the next turn are one commit.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::text_digest::Summary;
use crate::model::time::Timestamp;
use crate::row::account::{self, Limit};
use crate::row::delivery;
use crate::row::turn::conversation;
use crate::row::turn::event::{self, Kind, New};
use crate::row::turn::hand_over::hand_over;
use crate::row::turn::row::{self, Reason, State, Turn};
use crate::row::turn::{FAILURE_MAX, agent, clock};

/// The text of the last event of a turn that was cancelled.
pub(super) const CANCELLED: &str = "the turn was cancelled";

/// What a turn ends with.
pub(super) struct Ending<'a> {
    pub(super) state: State,
    pub(super) reason: Reason,
    /// The reply, or what failed.
    pub(super) text: &'a str,
    /// What is stored of the reply in its captured row; `None` if there is none.
    pub(super) reply: Option<&'a Summary>,
    /// When the limit of the account ends, if that is known.
    pub(super) limit_ends_at: Option<Timestamp>,
    /// The version of a new snapshot.
    pub(super) version: Option<i64>,
}

impl<'a> Ending<'a> {
    /// An answer that leaves what the agent remembers as it is.
    pub(super) fn reply(text: &'a str, summary: &'a Summary) -> Ending<'a> {
        let reply = Some(summary);
        Ending { reply, ..Ending::failure(State::Completed, Reason::None, text) }
    }

    /// A failure; or a turn that expired or was cancelled, which has no reason.
    pub(super) fn failure(state: State, reason: Reason, text: &'a str) -> Ending<'a> {
        Ending { state, reason, text, reply: None, limit_ends_at: None, version: None }
    }
}

/// Ends a turn that has not ended. The caller has checked that it may.
pub(super) fn end(tx: &Tx<'_>, mut turn: Turn, ending: &Ending<'_>) -> Result<()> {
    let Ending { state, reason, .. } = *ending;
    let (kind, text) = match ending.reply {
        Some((bytes, digest)) => {
            (turn.reply_bytes, turn.reply_digest) = (Some(*bytes), digest.clone());
            (Kind::Complete, ending.text)
        }
        None => (Kind::Error, cut(ending.text)),
    };
    (turn.state, turn.reason, turn.ended_at) = (state, reason, Some(tx.now()));
    row::update(tx, &turn)?;
    clock::delete(tx, &turn.id)?;
    let new = New { turn: &turn.id, kind, source: None, reason, text };
    let mut found = conversation::require(tx, &turn.conversation)?;
    found.head_seq = event::push(tx, &found.id, &new)?;
    found.head_version = ending.version.unwrap_or(found.head_version);
    conversation::store(tx, (&found, false))?;
    let agent = agent::require(tx, &turn.org, &turn.agent)?;
    if agent.session.is_some() {
        delivery::withdraw(tx, &turn.id)?;
    }
    record_account(tx, &turn, agent.account, ending)?;
    release(tx, &turn.conversation)
}

/// Makes the next turn of a conversation ready or hands it to its session, unless one runs.
pub(super) fn release(tx: &Tx<'_>, conversation: &str) -> Result<()> {
    match row::first_open(tx, conversation)? {
        Some(next) if next.state == State::Queued => hand_over(tx, &next),
        _ => Ok(()),
    }
}

/// A turn that met a limit stops the claims of its account, one that was answered ends that.
fn record_account(tx: &Tx<'_>, turn: &Turn, account: String, ending: &Ending<'_>) -> Result<()> {
    if account.is_empty() {
        return Ok(());
    }
    match (ending.state, turn.started_at) {
        (State::Completed, Some(began_at)) => account::works(tx, &account, began_at),
        (State::Failed, Some(_)) if ending.reason == Reason::Limited => account::store(
            tx,
            &Limit {
                account,
                session: SessionId::stored(String::new()),
                message: ending.text.to_owned(),
                reported_at: tx.now(),
                until: ending.limit_ends_at,
            },
        ),
        _ => Ok(()),
    }
}

/// The beginning of a text, up to [`FAILURE_MAX`].
fn cut(text: &str) -> &str {
    let mut end = text.len().min(FAILURE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
