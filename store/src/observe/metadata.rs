//! Merging observed metadata into the stored metadata. Pure, except for the freshness state.

use crate::model::observation::{Mergeable, Observation, PrFacts, PrState};
use crate::row::pr::Pr;

use super::{State, is_due, set_observed};

impl State {
    /// Merges the observed metadata, unless the stored metadata is newer.
    pub(super) fn merge_metadata(&mut self, pr: &mut Pr, observation: &Observation) {
        if pr.node_id.is_empty() {
            pr.node_id.clone_from(&observation.node_id);
        }
        if observation.facts == PrFacts::default() && observation.provider_at.is_none() {
            return;
        }
        // The provider's time does not change with every fact: if it is equal, the observation time decides.
        let times = self.after.meta_provider_at.zip(observation.provider_at);
        let is_older = self.after.meta_as_of.is_some_and(|stored| observation.as_of < stored);
        let is_stale = match times {
            Some((stored, seen)) => seen < stored || (seen == stored && is_older),
            None => is_older,
        };
        if is_stale {
            self.stale.push("metadata");
            return;
        }
        let before = pr.clone();
        relocate(pr, observation);
        merge(pr, &observation.facts);
        if observation.provider_at > self.after.meta_provider_at {
            self.after.meta_provider_at = observation.provider_at;
        }
        if before != *pr || is_due(self.after.meta_as_of, observation.as_of) {
            self.after.meta_as_of = self.after.meta_as_of.max(Some(observation.as_of));
        }
    }
}

/// The repository was renamed or transferred.
fn relocate(pr: &mut Pr, observation: &Observation) {
    let place = &observation.pr;
    if !pr.is_at(place) {
        pr.host.clone_from(&place.host);
        pr.repo.clone_from(&place.repo);
        pr.number = place.number;
        pr.url = place.url();
    }
}

fn merge(pr: &mut Pr, facts: &PrFacts) {
    let head_moved = facts.head_sha.as_ref().is_some_and(|sha| *sha != pr.head_sha);
    if matches!(facts.state, Some(PrState::Open | PrState::Draft)) {
        // It may have been reopened; the provider then no longer reports these times.
        (pr.closed_at, pr.merged_at) = (None, None);
    }
    set_observed(&mut pr.url, facts.url.as_ref());
    set_observed(&mut pr.title, facts.title.as_ref());
    set_observed(&mut pr.author, facts.author.as_ref());
    set_observed(&mut pr.is_author_bot, facts.is_author_bot.as_ref());
    set_observed(&mut pr.state, facts.state.as_ref());
    set_observed(&mut pr.head_ref, facts.head_ref.as_ref());
    set_observed(&mut pr.head_repo, facts.head_repo.as_ref());
    set_observed(&mut pr.head_sha, facts.head_sha.as_ref());
    set_observed(&mut pr.base_ref, facts.base_ref.as_ref());
    set_observed(&mut pr.base_sha, facts.base_sha.as_ref());
    set_observed(&mut pr.is_cross_repo, facts.is_cross_repo.as_ref());
    set_observed(&mut pr.additions, facts.additions.map(Some).as_ref());
    set_observed(&mut pr.deletions, facts.deletions.map(Some).as_ref());
    set_observed(&mut pr.changed_files, facts.changed_files.map(Some).as_ref());
    set_observed(&mut pr.ci, facts.ci.as_ref());
    set_observed(&mut pr.review_decision, facts.review_decision.as_ref());
    set_observed(&mut pr.is_in_merge_queue, facts.is_in_merge_queue.as_ref());
    set_observed(&mut pr.is_auto_merge, facts.is_auto_merge.as_ref());
    set_observed(&mut pr.merge_commit_sha, facts.merge_commit_sha.as_ref());
    set_observed(&mut pr.provider_created_at, facts.created_at.map(Some).as_ref());
    set_observed(&mut pr.merged_at, facts.merged_at.map(Some).as_ref());
    set_observed(&mut pr.closed_at, facts.closed_at.map(Some).as_ref());
    merge_mergeable(pr, facts, head_moved);
}

/// The provider computes this lazily and returns UNKNOWN meanwhile: the stored value stays, marked as
/// stale. Both fields come from one computation, so they change together.
fn merge_mergeable(pr: &mut Pr, facts: &PrFacts, head_moved: bool) {
    match facts.mergeable {
        Some(Mergeable::Unknown) if pr.mergeable != Mergeable::Unknown => {
            pr.is_mergeable_stale = true;
        }
        Some(known) => {
            pr.mergeable = known;
            pr.is_mergeable_stale = false;
            set_observed(&mut pr.merge_state, facts.merge_state.as_ref());
        }
        None => pr.is_mergeable_stale |= head_moved && pr.mergeable != Mergeable::Unknown,
    }
}
