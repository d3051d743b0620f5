//! Applying an observation: by set-diff and with every guard, in one transaction.
//!
//! An observation never moves a pull request to another session, never replaces a newer fact by an
//! older one, never deletes items because of an incomplete listing, and writes nothing if it repeats the
//! stored facts.

pub(crate) mod claim;
mod find;
mod item;
mod metadata;
mod sets;
mod validate;
mod zero_time;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::attribution::{Attribution, Unattributed};
use crate::model::id::{PrId, PrRef, SessionId};
use crate::model::observation::{Check, CheckKind, CheckStatus, Facet, Mode, Observation};
use crate::model::time::Timestamp;
use crate::model::verdict::{self, MergeFacts};
use crate::row::facet;
use crate::row::observed::{self, Observed, Seen};
use crate::row::pr::{self, Pr};
use crate::row::scm;
use crate::row::set::{self, Delta};

/// The maximum age of a stored observation time: until then an unchanged observation is not written, so
/// that a poll that finds nothing new costs no write.
const FRESHNESS_STEP_MS: i64 = 60_000;

/// The outcome of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied (and may have changed nothing).
    Applied(Applied),
    /// No session is known to own the pull request; nothing was stored.
    Unattributed {
        /// The pull request.
        pr: PrRef,
        /// Why no session was found.
        why: Unattributed,
    },
    /// Another pull request is stored at this location, as when a repository was recreated under an old
    /// name; nothing was stored.
    Mismatched {
        /// The pull request.
        pr: PrRef,
        /// The stored node id.
        stored: String,
        /// The observed node id.
        observed: String,
    },
}

/// The result of applying an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The pull request.
    pub pr: PrId,
    /// Its owner.
    pub session: SessionId,
    /// Whether it is newly stored.
    pub is_new: bool,
    /// Whether its metadata changed.
    pub is_updated: bool,
    /// The changes of the checks.
    pub checks: Delta,
    /// The changes of the review threads.
    pub threads: Delta,
    /// The changes of the reviews.
    pub reviews: Delta,
    /// The changes of the comments.
    pub comments: Delta,
    /// The facets that were ignored, in whole or in part, because the stored facts are newer.
    pub stale: Vec<&'static str>,
}

/// Applies one observation.
///
/// # Errors
/// `PR_OWNED_BY_OTHER_SESSION`, `SESSION_NOT_FOUND`, `INVALID_OBSERVATION`.
/// The transaction is then rolled back by the writer.
pub fn apply_observation(tx: &Tx<'_>, observation: &Observation) -> Result<Outcome> {
    let observation = &*zero_time::without(observation);
    if let Some(applied) = repeated(tx, observation)? {
        return Ok(Outcome::Applied(applied));
    }
    validate::validate(observation, tx.now())?;
    let stored = find::stored(tx, observation)?;
    if let Some(stored) = &stored
        && let Some(another) = find::another(tx, stored, observation)?
    {
        return Ok(Outcome::Mismatched {
            pr: observation.pr.clone(),
            stored: another,
            observed: observation.node_id.clone(),
        });
    }
    let (mut pr, attribution) = match &stored {
        Some(stored) => (stored.clone(), None),
        None => match find::owner(tx, observation)? {
            Ok(Attribution { session, project, reason }) => {
                let id = pr::new_id(tx, &observation.pr)?;
                let mut pr = Pr::unobserved(id, &observation.pr, session, project, tx.now());
                set_observed(&mut pr.head_ref, observation.branch.as_ref());
                (pr, Some(reason))
            }
            Err(why) => {
                return Ok(Outcome::Unattributed { pr: observation.pr.clone(), why });
            }
        },
    };
    let before = observed::get(tx, &pr.id)?.map(|before| before.trusted(tx));
    let mut state = State { after: before.clone().unwrap_or_default(), stale: Vec::new() };
    state.merge_metadata(&mut pr, observation);
    let mut before = before.unwrap_or_default();
    if let Some(reason) = &attribution {
        state.insert(tx, &mut pr, observation)?;
        scm::set_attribution(tx, &pr.id, reason)?;
    }
    if state.after.seed == 0 {
        before = observed::create(tx, &pr.id)?;
        state.after.seed = before.seed;
    }
    let mut applied = state.apply_sets(tx, &mut pr, observation)?;
    applied.is_new = attribution.is_some();
    if let Some(stored) = &stored {
        let is_rolled_up = observation.facts.ci.is_some() && !state.stale.contains(&"metadata");
        if !is_rolled_up && (applied.checks.is_change() || pr.head_sha != stored.head_sha) {
            let checks = facet::checks(tx, &pr.id)?;
            pr.ci = verdict::ci(&statuses(&checks, &pr.head_sha));
        }
        judge(&mut pr);
        applied.is_updated = pr::update(tx, stored, &pr)?;
    }
    // Ignored facts may apply when they are observed again with a newer time.
    let last = state.stale.is_empty().then(|| digest(observation, state.after.seed));
    state.after.last = Seen { as_of: Some(observation.as_of), digest: last };
    if before != state.after {
        observed::set(tx, &pr.id, &state.after)?;
    }
    applied.stale = state.stale;
    Ok(Outcome::Applied(applied))
}

/// Recognizes an observation that repeats the last applied one, by one short read.
fn repeated(snapshot: &Snapshot<'_>, observation: &Observation) -> Result<Option<Applied>> {
    let Some(last) = observed::last(snapshot, &observation.node_id, &observation.pr)? else {
        return Ok(None);
    };
    let is_owner = observation.session.as_ref().is_none_or(|session| *session == last.session);
    // The time of a repeated webhook delivery is stored, since an older one may still arrive.
    let is_newer = last.seen.as_of.is_none_or(|stored| stored < observation.as_of);
    let is_same = is_owner
        && !is_due(last.seen.as_of, observation.as_of)
        && !(is_newer && has_delivery(observation))
        && last.seen.digest.is_some_and(|stored| stored == digest(observation, last.seed));
    let unchanged = |count: usize| Delta { unchanged: count as u64, ..Delta::default() };
    Ok(is_same.then(|| Applied {
        pr: last.pr,
        session: last.session,
        is_new: false,
        is_updated: false,
        checks: unchanged(observation.checks.items.len()),
        threads: unchanged(observation.threads.items.len()),
        reviews: unchanged(observation.reviews.items.len()),
        comments: unchanged(observation.comments.items.len()),
        stale: Vec::new(),
    }))
}

fn has_delivery(observation: &Observation) -> bool {
    fn is_delivery<R>(facet: &Facet<R>) -> bool {
        facet.mode == Mode::Merge && facet.completeness.is_none()
    }
    is_delivery(&observation.checks)
        || is_delivery(&observation.threads)
        || is_delivery(&observation.reviews)
        || is_delivery(&observation.comments)
}

/// Identifies an observation by everything but its time.
fn digest(observation: &Observation, seed: u64) -> [u8; 16] {
    let Observation { pr, node_id, session, provider_at, facts, .. } = observation;
    let Observation { checks, threads, reviews, comments, .. } = observation;
    let facets = (checks, threads, reviews, comments);
    set::digest_of(&(pr, node_id, session, provider_at, facts, facets), seed)
}

/// The relevant check statuses of a commit. Suites and workflows repeat the statuses of their runs, and
/// some suites stay queued forever, so they count only if there are no runs and statuses. A workflow that
/// waits has no runs yet.
fn statuses(checks: &[Check], head_sha: &str) -> Vec<CheckStatus> {
    let of_head = || checks.iter().filter(|check| check.head_sha == head_sha);
    let is_single = |check: &Check| matches!(check.kind, CheckKind::Run | CheckKind::Status);
    let waits =
        |check: &Check| check.kind == CheckKind::Workflow && check.status == CheckStatus::Queued;
    let has_single = of_head().any(is_single);
    let counts = |check: &&Check| !has_single || is_single(check) || waits(check);
    of_head().filter(counts).map(|check| check.status).collect()
}

/// Sets the facts derived from the others.
fn judge(pr: &mut Pr) {
    pr.mergeability = verdict::mergeability(MergeFacts {
        mergeable: pr.mergeable,
        merge_state: &pr.merge_state,
        ci: pr.ci,
        review: pr.review_decision,
        state: pr.state,
        is_in_merge_queue: pr.is_in_merge_queue,
    });
}

/// Sets a field to its observed value, if there is one.
fn set_observed<T: Clone>(field: &mut T, observed: Option<&T>) {
    if let Some(observed) = observed {
        field.clone_from(observed);
    }
}

/// Whether the stored time of an unchanged fact is to be written again: it is old, or that of a clock that
/// was ahead.
fn is_due(stored: Option<Timestamp>, as_of: Timestamp) -> bool {
    let age = |stored: Timestamp| as_of.0.saturating_sub(stored.0);
    stored.is_none_or(|stored| !(-observed::WRONG_MS..FRESHNESS_STEP_MS).contains(&age(stored)))
}

/// The freshness state during one application.
struct State {
    after: Observed,
    /// The facets that were ignored, in whole or in part.
    stale: Vec<&'static str>,
}
