//! What the reports of an agent, and the end of its launch, prove about deliveries.

use super::{Delivery, Stage, text_of, update};
use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::row::columns::Columns;
use crate::row::session::Session;

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
    let taken = open(tx, session)?.into_iter().filter(|it| it.stage == Stage::Submitted);
    for delivery in taken {
        update(tx, Delivery { stage: Stage::Started, started_at: Some(tx.now()), ..delivery })?;
    }
    Ok(())
}

/// The turn of the agent ended, perhaps by a failure: what it had taken is finished.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn finished(tx: &Tx<'_>, session: &Session, failure: &str) -> Result<()> {
    let is_taken = |it: &Delivery| matches!(it.stage, Stage::Submitted | Stage::Started);
    for delivery in open(tx, session)?.into_iter().filter(is_taken) {
        let (started_at, finished_at) = (delivery.started_at.or(Some(tx.now())), Some(tx.now()));
        let (stage, reason) = (Stage::Finished, failure.to_owned());
        update(tx, Delivery { stage, reason, started_at, finished_at, ..delivery })?;
    }
    Ok(())
}

/// The launch of a session ended, and with it the turn of what it had taken. Of what was only written it
/// is not known whether the agent took it; where that is never known, nothing changes.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn launch_ended(tx: &Tx<'_>, session: &Session) -> Result<()> {
    finished(tx, session, "agent_ended")?;
    for delivery in open(tx, session)?.into_iter().filter(|it| !it.has_ended()) {
        let reason = "the agent ended before it reported that it took it".to_owned();
        update(tx, Delivery { stage: Stage::Ambiguous, reason, ..delivery })?;
    }
    Ok(())
}

const FAIL_ACCEPTED: &str = "UPDATE delivery
    SET stage = 'failed', reason = 'the session was terminated'
    WHERE session_id = ?1 AND stage = 'accepted'";

/// A session was terminated: what waits for it is not written.
///
/// # Errors
/// When the database cannot be written.
pub fn session_ended(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    tx.execute_captured("fail deliveries", FAIL_ACCEPTED, [session.as_str()]).map(|_| ())
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
