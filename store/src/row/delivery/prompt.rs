//! The prompt of a session, as a delivery, where its program gets it typed. A session has one: each launch that
//! is to get the prompt makes it due again.

use super::stage::update;
use super::{Delivery, DeliveryKind, NewDelivery, Stage, store};
use crate::db::tx::Tx;
use crate::error::Result;
use crate::row::columns::Columns;
use crate::row::session::Session;

/// Has the prompt of a session written to its newest launch, before any message. `id` is that of the delivery
/// if it is the first one, and `last_stage` the last one that the harness can prove.
///
/// # Errors
/// When the database cannot be written.
pub fn owe_prompt(
    tx: &Tx<'_>,
    session: &Session,
    id: &str,
    last_stage: Stage,
    prompt: &str,
) -> Result<()> {
    let sql = select!("WHERE session_id = ?1 AND kind = 'prompt'");
    let key = [session.id.as_str()];
    if let Some(found) = tx.one("find the prompt of a session", sql, key, Delivery::read)? {
        return update(tx, found.again()).map(|_| ());
    }
    let new = NewDelivery {
        id: id.to_owned(),
        kind: DeliveryKind::Prompt,
        key: format!("prompt/{}", session.id),
        sender: String::new(),
        last_stage,
        text: prompt.to_owned(),
    };
    store(tx, session, &new).map(|_| ())
}
