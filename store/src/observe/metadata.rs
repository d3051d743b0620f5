//! Merging observed metadata into the stored metadata. Pure, except for the freshness state.

use std::cmp::Ordering;

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
        if self.is_stale(pr, observation) {
            self.stale.push("metadata");
            return;
        }
        let before = pr.clone();
        relocate(pr, observation);
        merge(pr, &observation.facts);
        let is_newer = observation.provider_at > self.after.meta_provider_at;
        if is_newer {
            self.after.meta_provider_at = observation.provider_at;
        }
        if is_newer || before != *pr || is_due(self.after.meta_as_of, observation.as_of) {
            self.after.meta_as_of = self.after.meta_as_of.max(Some(observation.as_of));
        }
    }

    /// Whether the stored metadata is newer. The provider's time is a whole second and does not change
    /// with every fact: if it is equal, a merge is newer than everything, and a closure than what was read
    /// before that second was over; then the observation time decides, then the later stage.
    fn is_stale(&self, pr: &Pr, observation: &Observation) -> bool {
        let stored_at = self.after.meta_as_of.unwrap_or(observation.as_of);
        let by_observation = observation.as_of.cmp(&stored_at);
        let by_provider = self.after.meta_provider_at.zip(observation.provider_at);
        let by_provider = by_provider.map(|(stored, seen)| seen.cmp(&stored));
        let stages = observation.facts.state.map(|state| (stage(state), stage(pr.state)));
        // What was read a second after the closure and is open was reopened within the second.
        let was_read_later =
            observation.provider_at.is_some_and(|at| stored_at.0 >= at.0.saturating_add(1_000));
        let is_end = stages.is_some_and(|(seen, was)| {
            seen > was && (seen > ENDED || seen == ENDED && !was_read_later)
        });
        match by_provider {
            Some(Ordering::Equal) if is_end => false,
            Some(Ordering::Greater) => false,
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) | None => match by_observation {
                Ordering::Equal => stages.is_some_and(|(seen, was)| seen < was),
                order => order.is_lt(),
            },
        }
    }
}

/// How far a pull request of this state is in its life.
fn stage(state: PrState) -> u8 {
    match state {
        PrState::Unknown => 0,
        PrState::Draft => 1,
        PrState::Open => 2,
        PrState::Closed => ENDED,
        PrState::Merged => ENDED + 1,
    }
}

const ENDED: u8 = 3;

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
    // Nothing follows a merge, whatever the times of the clocks are.
    let state = facts.state.filter(|_| pr.state != PrState::Merged);
    if matches!(state, Some(PrState::Open | PrState::Draft)) {
        // It may have been reopened; the provider then no longer reports these times.
        (pr.closed_at, pr.merged_at) = (None, None);
    }
    set_observed(&mut pr.url, facts.url.as_ref());
    set_observed(&mut pr.title, facts.title.as_ref());
    set_observed(&mut pr.author, facts.author.as_ref());
    set_observed(&mut pr.is_author_bot, facts.is_author_bot.as_ref());
    set_observed(&mut pr.state, state.as_ref());
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
    if matches!(pr.state, PrState::Merged | PrState::Closed) {
        // A delivery of the end does not contain these; what has ended waits for nothing.
        (pr.is_in_merge_queue, pr.is_auto_merge) = (false, false);
    }
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
