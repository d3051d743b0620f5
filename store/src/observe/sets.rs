//! The four sets of a pull request under the three modes, and the rules of freshness.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::PrId;
use crate::model::observation::{Completeness, Facet, Mode, Observation};
use crate::model::time::Timestamp;
use crate::model::verdict;
use crate::row::observed::{self, Seen};
use crate::row::pr::{self, Pr};
use crate::row::set::{self, Delta};

use super::item::Item;
use super::{Applied, State, is_due, judge, set_observed, statuses};

impl State {
    /// Stores a new pull request with all of its known facts, so that this is one change.
    pub(super) fn insert(&self, tx: &Tx<'_>, pr: &mut Pr, observation: &Observation) -> Result<()> {
        set_observed(&mut pr.checks_state, observed_completeness(&observation.checks).as_ref());
        set_observed(&mut pr.threads_state, observed_completeness(&observation.threads).as_ref());
        set_observed(&mut pr.reviews_state, observed_completeness(&observation.reviews).as_ref());
        set_observed(&mut pr.comments_state, observed_completeness(&observation.comments).as_ref());
        let checks = &observation.checks;
        if observation.facts.ci.is_none() && checks.mode != Mode::Preserve {
            pr.ci = verdict::ci(&statuses(&Item::settle(&checks.items), &pr.head_sha));
        }
        judge(pr);
        pr::insert(tx, pr)
    }

    pub(super) fn apply_sets(
        &mut self,
        tx: &Tx<'_>,
        pr: &mut Pr,
        observation: &Observation,
    ) -> Result<Applied> {
        let as_of = observation.sets_as_of.unwrap_or(observation.as_of);
        let id = pr.id.clone();
        Ok(Applied {
            session: pr.session.clone(),
            is_new: false,
            is_updated: false,
            checks: self.apply(tx, &id, &observation.checks, as_of, &mut pr.checks_state)?,
            threads: self.apply(tx, &id, &observation.threads, as_of, &mut pr.threads_state)?,
            reviews: self.apply(tx, &id, &observation.reviews, as_of, &mut pr.reviews_state)?,
            comments: self.apply(tx, &id, &observation.comments, as_of, &mut pr.comments_state)?,
            stale: Vec::new(),
            pr: id,
        })
    }

    /// Applies one facet, unless the stored one is newer.
    fn apply<R: Item>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
        completeness: &mut Completeness,
    ) -> Result<Delta> {
        let seen = self.after.facet(R::NAME);
        if seen.as_of.is_some_and(|stored| as_of < stored) {
            if facet.mode != Mode::Preserve {
                self.stale.push(R::NAME.as_str());
            }
            return Ok(Delta::default());
        }
        set_observed(completeness, observed_completeness(facet).as_ref());
        match facet.mode {
            Mode::Preserve => Ok(Delta::default()),
            Mode::Merge => self.merge(tx, pr, facet, as_of),
            Mode::Replace => self.replace(tx, pr, facet, as_of),
        }
    }

    /// Replaces the set; its digest identifies an unchanged set without reading it.
    fn replace<R: Item>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
    ) -> Result<Delta> {
        let seen = self.after.facet(R::NAME);
        let mut digest = Some(set::digest(&facet.items, self.after.seed));
        let is_same = seen.digest == digest;
        if !is_same && !is_distinct(&facet.items) {
            // The digest ignores order, but of items with one key the last counts.
            digest = None;
        }
        if seen.digest != digest || is_due(seen.as_of, as_of) {
            self.after.set_facet(R::NAME, Seen { as_of: Some(as_of), digest });
        }
        if is_same {
            return Ok(Delta { unchanged: facet.items.len() as u64, ..Delta::default() });
        }
        let known = observed::items(tx, pr, R::NAME)?;
        let delta = if known.iter().all(|(_, stored)| *stored <= Some(as_of)) {
            set::make_equal(tx, pr, &R::settle(&facet.items))?
        } else {
            // Items of a later webhook delivery stay.
            self.stale.push(R::NAME.as_str());
            self.after.set_facet(R::NAME, Seen { as_of: Some(as_of), digest: None });
            let is_newer = |item: &R| {
                let key = item.key();
                known.iter().any(|(known, stored)| *stored > Some(as_of) && *known == key)
            };
            let mut items = facet.items.clone();
            items.retain(|item| !is_newer(item));
            items.extend(R::stored(tx, pr)?.into_iter().filter(is_newer));
            set::make_equal(tx, pr, &R::settle(&items))?
        };
        R::keep_extras(tx, pr, &facet.items)?;
        if !known.is_empty() {
            observed::delete_items(tx, pr, R::NAME, as_of)?;
        }
        Ok(delta)
    }

    /// Merges a part of the set or single items, each unless its stored state is newer.
    fn merge<R: Item>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
    ) -> Result<Delta> {
        let mut fresh = Vec::new();
        for item in &facet.items {
            let completed = item.complete(tx, pr)?;
            if is_fresh(tx, pr, item, &completed.key(), as_of)? {
                fresh.push(completed);
            }
        }
        let mut gone = Vec::new();
        for id in &facet.removed {
            if observed::item(tx, pr, R::NAME, id)?.is_none_or(|stored| as_of >= stored) {
                gone.push(id.clone());
            }
        }
        if fresh.len() < facet.items.len() || gone.len() < facet.removed.len() {
            self.stale.push(R::NAME.as_str());
        }
        let delta = R::merge(tx, pr, &fresh, &gone)?;
        R::keep_extras(tx, pr, &fresh)?;
        // The times of the items of a webhook delivery are always stored; those of a listing, which is
        // repeated, only if it changed something.
        let is_delivery = facet.completeness.is_none();
        if delta.is_change() || is_delivery {
            for key in fresh.iter().map(Item::key).chain(gone.into_iter().map(Cow::Owned)) {
                observed::set_item(tx, pr, R::NAME, &key, as_of)?;
            }
        }
        if delta.is_change() {
            let seen = self.after.facet(R::NAME);
            self.after.set_facet(R::NAME, Seen { digest: None, ..seen });
        }
        Ok(delta)
    }
}

/// Whether no two items have one key.
fn is_distinct<R: Item>(items: &[R]) -> bool {
    items.is_sorted_by(|a, b| a.key() < b.key())
        || items.iter().map(Item::key).collect::<HashSet<_>>().len() == items.len()
}

/// The completeness of a facet after this observation, if it was observed.
fn observed_completeness<R>(facet: &Facet<R>) -> Option<Completeness> {
    let implied = (facet.mode == Mode::Replace).then_some(Completeness::Complete);
    facet.completeness.or(implied)
}

/// Whether the fact about an item is not older than the stored one of this key. Of equal times the
/// later stage is newer, and the last stage of every item is its removal.
fn is_fresh<R: Item>(
    tx: &Tx<'_>,
    pr: &PrId,
    item: &R,
    key: &str,
    as_of: Timestamp,
) -> Result<bool> {
    match observed::item(tx, pr, R::NAME, key)? {
        Some(stored_at) if stored_at == as_of => {
            let stored = R::stored(tx, pr)?.into_iter().find(|stored| stored.key() == key);
            Ok(stored.is_some_and(|stored| item.stage() >= stored.stage()))
        }
        stored_at => Ok(stored_at.is_none_or(|stored_at| as_of > stored_at)),
    }
}
