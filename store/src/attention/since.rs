//! When a pull request came into a state for which the provider has no time: from the change log, of
//! which only the newest part is read.

use std::collections::HashMap;

use crate::attention::{Attention, Kind};
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::log::info::LogInfo;
use crate::model::time::Timestamp;
use crate::row::columns::Column;

/// The number of newest changes that are read.
const READ_MAX: i64 = 50_000;

/// When a pull request last came into each state, as far as the log tells.
#[derive(Debug, Clone, Copy, Default)]
struct Transitions {
    failing: Option<Timestamp>,
    changes_requested: Option<Timestamp>,
    conflicting: Option<Timestamp>,
}

/// The change by which an item of this kind begins, for items without a time of the provider.
fn transition(kind: Kind) -> Option<fn(&Transitions) -> Option<Timestamp>> {
    match kind {
        Kind::CiFailing => Some(|found| found.failing),
        Kind::ChangesRequested => Some(|found| found.changes_requested),
        Kind::Conflicting => Some(|found| found.conflicting),
        _ => None,
    }
}

/// The times of changes never decrease, so the greatest is that of the last change.
const SELECT: &str = "SELECT json_extract(key, '$[0]'),
        max(iif(after ->> 'ci' = 'failing' AND before ->> 'ci' IS NOT 'failing', at, NULL)),
        max(iif(after ->> 'review_decision' = 'changes_requested'
            AND before ->> 'review_decision' IS NOT 'changes_requested', at, NULL)),
        max(iif(after ->> 'mergeability' = 'conflicting'
            AND before ->> 'mergeability' IS NOT 'conflicting', at, NULL))
    FROM change_log WHERE seq > ?1 AND entity = 'pr'
        AND key IN (SELECT json_array(value) FROM json_each(?2)) GROUP BY key";

/// Gives the items without a time the time of the change that they began with, if the log has it.
pub(super) fn complete(snapshot: &Snapshot<'_>, items: &mut [Attention]) -> Result<()> {
    let is_open = |item: &&mut Attention| item.since.is_none() && transition(item.kind).is_some();
    let mut open: Vec<_> = items.iter_mut().filter(is_open).collect();
    if open.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = open.iter().filter_map(|item| Some(item.pr.as_ref()?.as_str())).collect();
    let after = LogInfo::read(snapshot)?.head.0.saturating_sub(READ_MAX);
    let params = (after, serde_json::json!(ids).to_string());
    let found = snapshot.list("find when it became so", SELECT, params, |row| {
        let (failing, changes_requested) = (Column::read(row, 1)?, Column::read(row, 2)?);
        let conflicting = Column::read(row, 3)?;
        Ok((text(row, 0)?, Transitions { failing, changes_requested, conflicting }))
    })?;
    let found: HashMap<String, Transitions> = found.into_iter().collect();
    for item in &mut open {
        let found = item.pr.as_ref().and_then(|pr| found.get(pr.as_str()));
        item.since = found.zip(transition(item.kind)).and_then(|(found, of)| of(found));
    }
    Ok(())
}
