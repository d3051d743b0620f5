//! What the reports of an agent, and the end of its launch, prove about deliveries.

use super::stage::{finish, update};
use super::{AGENT_ENDED, Delivery, Stage, text_of};
use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::row::columns::Columns;
use crate::row::session::Session;
use crate::row::turn::follow;

const OPEN: &str = select!(
    "WHERE session_id = ?1 AND launch_id = ?2
        AND stage IN ('writing', 'written', 'submitted', 'started')
     ORDER BY rowid"
);

/// What the newest launch of a session was given and has not finished.
fn open(tx: &Tx<'_>, session: &Session) -> Result<Vec<Delivery>> {
    let params = (session.id.as_str(), session.launch.as_str());
    tx.list("list open deliveries", OPEN, params, Delivery::read)
}

/// The agent reported that it took a prompt. It proves the deliveries of which the prompt contains the text,
/// in their order, each as often as the text is there; where the report has no text, the oldest one.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn submitted(tx: &Tx<'_>, session: &Session, prompt: &str) -> Result<()> {
    let is_waiting = |it: &Delivery| matches!(it.stage, Stage::Writing | Stage::Written);
    let all = words(prompt);
    let mut rest = all.as_str();
    for delivery in open(tx, session)?.into_iter().filter(is_waiting) {
        if !prompt.is_empty() {
            match after(rest, &words(&text_of(tx, &delivery.id)?)) {
                Some(after) => rest = after,
                None => continue,
            }
        }
        let written_at = delivery.written_at.or(Some(tx.now()));
        let submitted_at = Some(tx.now());
        update(tx, Delivery { stage: Stage::Submitted, written_at, submitted_at, ..delivery })?;
        if prompt.is_empty() {
            break;
        }
    }
    Ok(())
}

/// A text as its words, each with a space before it and the last one with a space after it: a program may
/// break lines and drop spaces at the ends.
fn words(text: &str) -> String {
    let mut words: String = text.split_whitespace().flat_map(|word| [" ", word]).collect();
    words.push(' ');
    words
}

/// What follows these words in a text, with the space that separates it.
fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let at = text.find(words)?;
    text.get(at + words.len() - 1..)
}

/// The agent works: what it has taken is started.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn started(tx: &Tx<'_>, session: &Session) -> Result<()> {
    for delivery in open(tx, session)? {
        match delivery.stage {
            Stage::Submitted => {
                let (stage, started_at) = (Stage::Started, Some(tx.now()));
                update(tx, Delivery { stage, started_at, ..delivery })?;
            }
            Stage::Started => follow::works(tx, &delivery)?,
            _ => {}
        }
    }
    Ok(())
}

/// The turn of the agent ended, perhaps by a failure: what it had taken is finished. `reply` is what the agent
/// said at its end, or why it failed, as far as that was reported.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn finished(tx: &Tx<'_>, session: &Session, failure: &str, reply: &str) -> Result<()> {
    let is_taken = |it: &Delivery| matches!(it.stage, Stage::Submitted | Stage::Started);
    for delivery in open(tx, session)?.into_iter().filter(is_taken) {
        let (started_at, finished_at) = (delivery.started_at.or(Some(tx.now())), Some(tx.now()));
        let (stage, reason) = (Stage::Finished, failure.to_owned());
        finish(tx, Delivery { stage, reason, started_at, finished_at, ..delivery }, reply)?;
    }
    Ok(())
}

/// The account of the agent has reached a limit. What it had taken may go on when that ends, but the turns that
/// are among it have failed.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn limited(
    tx: &Tx<'_>,
    session: &Session,
    message: &str,
    until: Option<Timestamp>,
) -> Result<()> {
    open(tx, session)?.iter().try_for_each(|it| follow::limited(tx, it, message, until))
}

/// The launch of a session ended, and with it the turn of what it had taken. Of what was only written it
/// is not known whether the agent took it; where that is never known, nothing changes.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn launch_ended(tx: &Tx<'_>, session: &Session) -> Result<()> {
    finished(tx, session, AGENT_ENDED, "")?;
    for delivery in open(tx, session)?.into_iter().filter(|it| !it.has_ended()) {
        let reason = "the agent ended before it reported that it took it".to_owned();
        update(tx, Delivery { stage: Stage::Ambiguous, reason, ..delivery })?;
    }
    Ok(())
}

const ACCEPTED: &str = select!("WHERE session_id = ?1 AND stage = 'accepted' ORDER BY rowid");

/// A session was terminated: what waits for it is not written.
///
/// # Errors
/// When the database cannot be written.
pub fn session_ended(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    for delivery in
        tx.list("list accepted deliveries", ACCEPTED, [session.as_str()], Delivery::read)?
    {
        let reason = "the session was terminated".to_owned();
        update(tx, Delivery { stage: Stage::Failed, reason, ..delivery })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_proves_a_text_as_often_as_it_contains_its_words() {
        let count = |prompt: &str, text: &str| {
            let (all, text) = (words(prompt), words(text));
            let (mut rest, mut count) = (all.as_str(), 0);
            while let Some(found) = after(rest, &text) {
                (rest, count) = (found, count + 1);
            }
            count
        };
        for (prompt, text, expected) in [
            ("go on", "go on", 1),
            ("go\non\n", " go  on", 1),
            ("go on go on", "go on", 2),
            ("go on", "on", 1),
            ("gone on", "go", 0),
            ("", "go", 0),
            ("\u{e9} x", "\u{e9}", 1),
        ] {
            assert_eq!(count(prompt, text), expected, "{prompt:?} {text:?}");
        }
    }
}
