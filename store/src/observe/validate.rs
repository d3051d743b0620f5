//! Validation: refuses an observation that cannot be stored or later corrected.

use crate::error::{Error, Result};
use crate::model::observation::{Completeness, Facet, Mode, Observation};
use crate::model::time::Timestamp;

use super::item::{Item, row_key};

/// How far the clock of an observer may be ahead. A fact with a later time would make all others look
/// old until that time.
const AHEAD_MS: i64 = 86_400_000;

pub(super) fn validate(observation: &Observation, now: Timestamp) -> Result<()> {
    let limit = now.0.saturating_add(AHEAD_MS);
    let newest = observation.provider_at.map_or(observation.as_of, |at| at.max(observation.as_of));
    if newest.0 > limit {
        return refuse("its time is more than a day ahead");
    }
    validate_facet(&observation.checks)?;
    validate_facet(&observation.threads)?;
    validate_facet(&observation.reviews)?;
    validate_facet(&observation.comments)?;
    let checks = &observation.checks;
    if checks.items.iter().any(|check| check.name.is_empty() || check.head_sha.is_empty()) {
        return refuse("a check has no name or no head_sha");
    }
    if checks.items.iter().any(|check| row_key(check).concat().contains('\0')) {
        return refuse("a check has a NUL character in its identity");
    }
    if !checks.removed.is_empty() {
        return refuse("a check has no id by which it could be removed");
    }
    Ok(())
}

fn validate_facet<R: Item>(facet: &Facet<R>) -> Result<()> {
    let name = R::NAME.as_str();
    let is_whole = matches!(facet.completeness, None | Some(Completeness::Complete));
    if facet.mode == Mode::Replace && !is_whole {
        return refuse("an incomplete listing cannot replace a set");
    }
    if facet.mode != Mode::Merge && !facet.removed.is_empty() {
        return refuse("items can be removed in mode merge only");
    }
    // SQL functions stop at a NUL character, so a key with one could not be found again.
    let is_bad = |key: &str| key.is_empty() || key.contains('\0');
    if facet.items.iter().any(|item| is_bad(&item.key())) {
        return refuse(&format!("one of the {name} has an empty id, or one with a NUL character"));
    }
    let is_there = |id: &String| facet.items.iter().any(|item| item.key() == *id);
    if facet.removed.iter().any(|id| is_bad(id) || is_there(id)) {
        return refuse(&format!(
            "an entry of `removed` in {name} has no id, or is also in `items`"
        ));
    }
    Ok(())
}

fn refuse(why: &str) -> Result<()> {
    Err(Error::InvalidObservation(why.to_owned()))
}
