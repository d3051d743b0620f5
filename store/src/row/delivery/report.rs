//! Reports to the sessions that spawned others: each end of a turn of a child, once. Those that come while
//! the parent is busy are one delivery.

use super::stage::update;
use super::{Delivery, DeliveryKind, NewDelivery, Stage, has_terminal, store, text_of};
use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::text_digest::summary;
use crate::row::columns::Columns;
use crate::row::session::{self, Session};

const SET_TEXT: &str = "UPDATE delivery_text SET text = ?2 WHERE delivery_id = ?1";

/// Records that the turn of a session ended, perhaps by a failure, for the session that spawned it. Returns
/// that session, if it gets a report.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn turn_ended(tx: &Tx<'_>, child: &Session, failure: &str) -> Result<Option<SessionId>> {
    let Some(parent) = receiver(tx, child)? else { return Ok(None) };
    let line = line(child, failure);
    let waiting = select!(
        "WHERE session_id = ?1 AND stage = 'accepted' AND kind = 'report' ORDER BY rowid LIMIT 1"
    );
    let key = [parent.id.as_str()];
    match tx.one("find the report that waits", waiting, key, Delivery::read)? {
        Some(report) => add(tx, child, report, &line)?,
        None => {
            let turn = format!("{}/{}", child.id, child.activity_revision);
            let new = NewDelivery {
                id: format!("m-turn-{}", turn.replace('/', "-")),
                kind: DeliveryKind::Report,
                key: format!("turn/{turn}"),
                sender: child.id.to_string(),
                last_stage: Stage::Finished,
                text: line,
            };
            store(tx, &parent, &new)?;
        }
    }
    Ok(Some(parent.id))
}

const SELECT_IS_REPORTED: &str = "SELECT is_reported FROM session_start WHERE session_id = ?1";

/// The session that gets the reports of this one.
fn receiver(tx: &Tx<'_>, child: &Session) -> Result<Option<Session>> {
    let Ok(parent) = child.parent.parse::<SessionId>() else { return Ok(None) };
    let key = [child.id.as_str()];
    let is_reported =
        tx.one("find what a session reports", SELECT_IS_REPORTED, key, |row| row.get(0))?;
    if !is_reported.unwrap_or(false) {
        return Ok(None);
    }
    let can_get =
        |parent: &Session| !parent.is_terminated && !parent.is_external() && has_terminal(parent);
    Ok(session::get(tx, &parent)?.filter(can_get))
}

/// Adds a line to a report that is not written yet, in the place of the earlier one of the same child.
fn add(tx: &Tx<'_>, child: &Session, report: Delivery, line: &str) -> Result<()> {
    let before = text_of(tx, &report.id)?;
    let prefix = beginning(child);
    let kept = before.lines().filter(|it| !it.starts_with(&prefix));
    let text = kept.chain([line]).collect::<Vec<_>>().join("\n");
    tx.execute_uncaptured("store the text of a delivery", SET_TEXT, (&report.id, &text))?;
    let (bytes, digest) = summary(&text);
    update(tx, Delivery { bytes, digest, ..report }).map(|_| ())
}

fn beginning(child: &Session) -> String {
    format!("Session {} ", child.id)
}

fn line(child: &Session, failure: &str) -> String {
    let how = match failure {
        "" => "has ended its turn".to_owned(),
        cause => format!("has ended its turn by a failure ({cause})"),
    };
    let id = &child.id;
    format!("{}{how}; its state: ao-store session get {id}", beginning(child))
}
