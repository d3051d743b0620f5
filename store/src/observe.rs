//! Applying an observation: one transaction, by set-diff, with every guard inside it.
//!
//! An observation never moves a pull request to another session, never lets an older fact win over
//! a newer one, never deletes on the word of an incomplete listing, and writes nothing at all when
//! it repeats what is stored.

use rusqlite::types::Value;

use crate::error::{Error, Result};
use crate::id::{PrId, PrRef, ProjectId, SessionId};
use crate::observation::{
    Check, CheckStatus, Comment, Completeness, Facet, Mergeable, Mode, Observation, PrFacts,
    Review, Thread,
};
use crate::row::observed::{self, FacetName, Observed, Seen};
use crate::row::pr::{self, Pr};
use crate::row::{facet, project, session};
use crate::set::{self, Delta, SetRow};
use crate::time::Timestamp;
use crate::tx::{Snapshot, Tx};
use crate::verdict::{self, MergeFacts};

/// An unchanged facet is not written at all while its stored time is at most this old, so that a
/// poll that finds nothing new costs no write.
const FRESHNESS_STEP_MS: i64 = 60_000;

/// What became of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied (and may have changed nothing).
    Applied(Applied),
    /// No session is known to own the pull request; nothing was stored.
    Unattributed {
        /// The pull request.
        pr: PrRef,
        /// Why no session was found.
        reason: String,
    },
}

/// What applying an observation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The pull request.
    pub pr: PrId,
    /// Its owner.
    pub session: SessionId,
    /// Whether it was not stored before.
    pub is_new: bool,
    /// Whether its metadata changed.
    pub is_updated: bool,
    /// What happened to the checks.
    pub checks: Delta,
    /// What happened to the review threads.
    pub threads: Delta,
    /// What happened to the reviews.
    pub reviews: Delta,
    /// What happened to the comments.
    pub comments: Delta,
    /// The facets that were ignored because what is stored is newer.
    pub stale: Vec<&'static str>,
}

/// Applies one observation.
///
/// # Errors
/// `PR_OWNED_BY_OTHER_SESSION`, `PR_IDENTITY_MISMATCH`, `SESSION_NOT_FOUND`, `INVALID_OBSERVATION`.
/// The transaction is then rolled back by the writer.
pub fn apply_observation(tx: &Tx<'_>, observation: &Observation) -> Result<Outcome> {
    check(observation)?;
    let stored = find(tx, observation)?;
    let (mut pr, is_new) = match &stored {
        Some(stored) => (stored.clone(), false),
        None => match attribute(tx, observation)? {
            Ok((session, project)) => {
                let id = pr::new_id(tx, &observation.pr)?;
                (Pr::unobserved(id, &observation.pr, session, project, tx.now()), true)
            }
            Err(reason) => {
                return Ok(Outcome::Unattributed { pr: observation.pr.clone(), reason });
            }
        },
    };
    let before = observed::get(tx, &pr.id)?;
    let mut state = State { after: before.clone().unwrap_or_default(), stale: Vec::new() };
    state.merge_facts(&mut pr, observation);
    let mut before = before.unwrap_or_default();
    if is_new {
        state.insert(tx, &mut pr, observation)?;
    }
    if state.after.seed == 0 {
        before = observed::create(tx, &pr.id)?;
        state.after.seed = before.seed;
    }
    let mut applied = state.apply_facets(tx, &mut pr, observation)?;
    applied.is_new = is_new;
    if let Some(stored) = &stored {
        let is_rolled_up = observation.facts.ci.is_some();
        if !is_rolled_up && (applied.checks.is_change() || pr.head_sha != stored.head_sha) {
            pr.ci = verdict::ci(of_head(&facet::checks(tx, &pr.id)?, &pr.head_sha));
        }
        judge(&mut pr);
        applied.is_updated = pr::update(tx, stored, &pr)?;
    }
    if before != state.after {
        observed::set(tx, &pr.id, &state.after)?;
    }
    applied.stale = state.stale;
    Ok(Outcome::Applied(applied))
}

/// Refuses what could not be stored or found again.
fn check(observation: &Observation) -> Result<()> {
    let empty = |what: &str| Err(Error::InvalidObservation(format!("{what} has an empty id")));
    if observation.threads.items.iter().any(|thread| thread.id.is_empty()) {
        return empty("a review thread");
    }
    if observation.reviews.items.iter().any(|review| review.id.is_empty()) {
        return empty("a review");
    }
    if observation.comments.items.iter().any(|comment| comment.id.is_empty()) {
        return empty("a comment");
    }
    let checks = &observation.checks.items;
    if checks.iter().any(|check| check.name.is_empty() || check.head_sha.is_empty()) {
        return Err(Error::InvalidObservation("a check has no name or no head_sha".to_owned()));
    }
    Ok(())
}

/// The stored pull request: by node id first, so that a rename or transfer keeps the row.
fn find(tx: &Tx<'_>, observation: &Observation) -> Result<Option<Pr>> {
    let by_node = pr::by_node(tx, &observation.node_id)?;
    let found = match by_node {
        Some(pr) => Some(pr),
        None => pr::at(tx, &observation.pr)?,
    };
    let Some(pr) = found else { return Ok(None) };
    let (stored, seen) = (&pr.node_id, &observation.node_id);
    if !stored.is_empty() && !seen.is_empty() && stored != seen {
        return Err(Error::PrIdentity {
            pr: pr.place(),
            stored: stored.clone(),
            observed: seen.clone(),
        });
    }
    match &observation.session {
        Some(named) if *named != pr.session => Err(Error::PrOwnedByOther {
            pr: pr.place(),
            owner: pr.session,
            named: named.clone(),
        }),
        _ => Ok(Some(pr)),
    }
}

/// The session that a pull request not stored yet belongs to, or why none does.
fn attribute(
    snapshot: &Snapshot<'_>,
    observation: &Observation,
) -> Result<std::result::Result<(SessionId, ProjectId), String>> {
    if let Some(id) = &observation.session {
        let session = session::require(snapshot, id)?;
        return Ok(Ok((session.id, session.project)));
    }
    let place = &observation.pr;
    let projects = project::of_repo(snapshot, &place.host, &place.repo)?;
    if projects.is_empty() {
        return Ok(Err(format!("no project has the origin {}/{}", place.host, place.repo)));
    }
    let Some(branch) = observation.facts.head_ref.as_deref().filter(|branch| !branch.is_empty())
    else {
        return Ok(Err("its head branch is not known".to_owned()));
    };
    for project in projects {
        if let Some(session) = session::on_branch(snapshot, &project, branch)? {
            return Ok(Ok((session, project)));
        }
    }
    Ok(Err(format!("no session works on the branch {branch}")))
}

fn of_head<'a>(checks: &'a [Check], head_sha: &'a str) -> impl Iterator<Item = CheckStatus> + 'a {
    checks.iter().filter(move |check| check.head_sha == head_sha).map(|check| check.status)
}

/// Sets what follows from the other facts.
fn judge(pr: &mut Pr) {
    pr.mergeability = verdict::mergeability(MergeFacts {
        mergeable: pr.mergeable,
        merge_state: &pr.merge_state,
        ci: pr.ci,
        review: pr.review_decision,
        state: pr.state,
    });
}

/// The bookkeeping of one application.
struct State {
    after: Observed,
    stale: Vec<&'static str>,
}

impl State {
    /// Takes over the metadata that was learned, unless what is stored is newer.
    fn merge_facts(&mut self, pr: &mut Pr, observation: &Observation) {
        let stored = self.after.meta_provider_at.zip(observation.provider_at);
        let is_stale = match stored {
            Some((stored, seen)) => seen < stored,
            None => self.after.meta_as_of.is_some_and(|stored| observation.as_of < stored),
        };
        if is_stale {
            self.stale.push("metadata");
            return;
        }
        let before = pr.clone();
        if !observation.node_id.is_empty() {
            pr.node_id.clone_from(&observation.node_id);
        }
        let place = &observation.pr;
        if !(pr.host.eq_ignore_ascii_case(&place.host)
            && pr.repo.eq_ignore_ascii_case(&place.repo)
            && pr.number == place.number)
        {
            pr.host.clone_from(&place.host);
            pr.repo.clone_from(&place.repo);
            pr.number = place.number;
            pr.url = place.url();
        }
        merge_facts(pr, &observation.facts);
        if observation.provider_at > self.after.meta_provider_at {
            self.after.meta_provider_at = observation.provider_at;
        }
        if before != *pr || is_due(self.after.meta_as_of, observation.as_of) {
            self.after.meta_as_of = self.after.meta_as_of.max(Some(observation.as_of));
        }
    }

    /// Stores a pull request that was not, with all that is known of it, so that it is one change.
    fn insert(&self, tx: &Tx<'_>, pr: &mut Pr, observation: &Observation) -> Result<()> {
        set(&mut pr.checks_state, learned(&observation.checks).as_ref());
        set(&mut pr.threads_state, learned(&observation.threads).as_ref());
        set(&mut pr.reviews_state, learned(&observation.reviews).as_ref());
        set(&mut pr.comments_state, learned(&observation.comments).as_ref());
        if observation.facts.ci.is_none() {
            pr.ci = verdict::ci(of_head(&observation.checks.items, &pr.head_sha));
        }
        judge(pr);
        pr::insert(tx, pr)
    }

    fn apply_facets(
        &mut self,
        tx: &Tx<'_>,
        pr: &mut Pr,
        observation: &Observation,
    ) -> Result<Applied> {
        let as_of = observation.as_of;
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

    /// One facet, unless what is stored of it is newer.
    fn apply<R: FacetRow>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
        completeness: &mut Completeness,
    ) -> Result<Delta> {
        let seen = self.after.facet(R::NAME);
        if facet.mode != Mode::Preserve && seen.as_of.is_some_and(|stored| as_of < stored) {
            self.stale.push(R::NAME.as_str());
            return Ok(Delta::default());
        }
        set(completeness, learned(facet).as_ref());
        match facet.mode {
            Mode::Preserve => Ok(Delta::default()),
            Mode::Merge => self.merge_window(tx, pr, facet, as_of),
            Mode::Replace => self.replace(tx, pr, facet, as_of),
        }
    }

    /// The complete set; its digest tells an unchanged one without reading it.
    fn replace<R: FacetRow>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
    ) -> Result<Delta> {
        let seen = self.after.facet(R::NAME);
        let digest = set::digest(&facet.items, self.after.seed);
        let is_same = seen.digest == Some(digest);
        if !is_same || is_due(seen.as_of, as_of) {
            self.after.set_facet(R::NAME, Seen { as_of: Some(as_of), digest: Some(digest) });
        }
        if is_same {
            return Ok(Delta { unchanged: facet.items.len() as u64, ..Delta::default() });
        }
        let delta = set::make_equal(tx, pr, &facet.items)?;
        R::keep_extras(tx, pr, &facet.items)?;
        observed::forget_items(tx, pr, R::NAME, as_of)?;
        Ok(delta)
    }

    /// A window: item by item, each only when it is not older than what is known of it.
    fn merge_window<R: FacetRow>(
        &mut self,
        tx: &Tx<'_>,
        pr: &PrId,
        facet: &Facet<R>,
        as_of: Timestamp,
    ) -> Result<Delta> {
        let mut fresh = Vec::new();
        for item in &facet.items {
            if is_item_fresh(tx, pr, R::NAME, &item.item_key(), as_of)? {
                fresh.push(item.resolve(tx, pr)?);
            }
        }
        let mut gone = Vec::new();
        for id in &facet.removed {
            if is_item_fresh(tx, pr, R::NAME, id, as_of)? {
                gone.push(vec![Value::Text(id.clone())]);
            }
        }
        if fresh.len() < facet.items.len() || gone.len() < facet.removed.len() {
            self.stale.push(R::NAME.as_str());
        }
        let delta = set::merge(tx, pr, &fresh, &gone)?;
        if delta.is_change() {
            for key in fresh.iter().map(FacetRow::item_key).chain(facet.removed.iter().cloned()) {
                observed::set_item(tx, pr, R::NAME, &key, as_of)?;
            }
            R::keep_extras(tx, pr, &fresh)?;
            let seen = self.after.facet(R::NAME);
            self.after.set_facet(R::NAME, Seen { digest: None, ..seen });
        }
        Ok(delta)
    }
}

/// How complete a facet is after this observation of it, when that was learned.
fn learned<R>(facet: &Facet<R>) -> Option<Completeness> {
    let implied = (facet.mode == Mode::Replace).then_some(Completeness::Complete);
    facet.completeness.or(implied)
}

/// Takes a learned value over.
fn set<T: Clone>(field: &mut T, learned: Option<&T>) {
    if let Some(learned) = learned {
        field.clone_from(learned);
    }
}

fn is_due(stored: Option<Timestamp>, as_of: Timestamp) -> bool {
    stored.is_none_or(|stored| as_of.0.saturating_sub(stored.0) >= FRESHNESS_STEP_MS)
}

fn is_item_fresh(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    key: &str,
    as_of: Timestamp,
) -> Result<bool> {
    Ok(observed::item(tx, pr, facet, key)?.is_none_or(|stored| as_of >= stored))
}

/// Takes over each fact that was learned.
fn merge_facts(pr: &mut Pr, facts: &PrFacts) {
    let head_moved = facts.head_sha.as_ref().is_some_and(|sha| *sha != pr.head_sha);
    set(&mut pr.url, facts.url.as_ref());
    set(&mut pr.title, facts.title.as_ref());
    set(&mut pr.author, facts.author.as_ref());
    set(&mut pr.is_author_bot, facts.is_author_bot.as_ref());
    set(&mut pr.state, facts.state.as_ref());
    set(&mut pr.head_ref, facts.head_ref.as_ref());
    set(&mut pr.head_repo, facts.head_repo.as_ref());
    set(&mut pr.head_sha, facts.head_sha.as_ref());
    set(&mut pr.base_ref, facts.base_ref.as_ref());
    set(&mut pr.base_sha, facts.base_sha.as_ref());
    set(&mut pr.is_cross_repo, facts.is_cross_repo.as_ref());
    set(&mut pr.additions, facts.additions.map(Some).as_ref());
    set(&mut pr.deletions, facts.deletions.map(Some).as_ref());
    set(&mut pr.changed_files, facts.changed_files.map(Some).as_ref());
    set(&mut pr.ci, facts.ci.as_ref());
    set(&mut pr.review_decision, facts.review_decision.as_ref());
    set(&mut pr.is_in_merge_queue, facts.is_in_merge_queue.as_ref());
    set(&mut pr.is_auto_merge, facts.is_auto_merge.as_ref());
    set(&mut pr.merge_commit_sha, facts.merge_commit_sha.as_ref());
    set(&mut pr.provider_created_at, facts.created_at.map(Some).as_ref());
    set(&mut pr.merged_at, facts.merged_at.map(Some).as_ref());
    set(&mut pr.closed_at, facts.closed_at.map(Some).as_ref());
    merge_mergeable(pr, facts, head_moved);
}

/// The provider computes this lazily and says UNKNOWN meanwhile: what was known stays, marked stale.
/// Both words are of one reading, so they move together.
fn merge_mergeable(pr: &mut Pr, facts: &PrFacts, head_moved: bool) {
    match facts.mergeable {
        Some(Mergeable::Unknown) if pr.mergeable != Mergeable::Unknown => {
            pr.is_mergeable_stale = true;
        }
        Some(known) => {
            pr.mergeable = known;
            pr.is_mergeable_stale = false;
            if let Some(state) = &facts.merge_state {
                pr.merge_state.clone_from(state);
            }
        }
        None => pr.is_mergeable_stale |= head_moved && pr.mergeable != Mergeable::Unknown,
    }
}

/// What the four kinds of item need beyond the set-diff.
trait FacetRow: SetRow + Clone {
    const NAME: FacetName;

    /// Names the item in the bookkeeping.
    fn item_key(&self) -> String;

    /// Completes what a partial observation does not know from what is stored.
    fn resolve(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Self>;

    /// Stores what is kept beside the facts.
    fn keep_extras(_tx: &Tx<'_>, _pr: &PrId, _items: &[Self]) -> Result<()> {
        Ok(())
    }
}

const SELECT_CHECK_IDENTITY: &str = "SELECT app, workflow, event, name FROM pr_check
    WHERE pr_id = ?1 AND head_sha = ?2 AND kind = ?3 AND external_id = ?4 AND external_id <> ''";

const UPSERT_LOG: &str = "INSERT INTO pr_check_log (pr_id, external_id, tail) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET tail = excluded.tail WHERE tail <> excluded.tail";

impl FacetRow for Check {
    const NAME: FacetName = FacetName::Checks;

    fn item_key(&self) -> String {
        let (kind, sha) = (self.kind.as_str(), &self.head_sha);
        format!("{sha} {kind} {} {} {} {}", self.app, self.workflow, self.event, self.name)
    }

    /// A delivery does not know workflow and event; the stored check of the same id does.
    fn resolve(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Check> {
        let params = (pr.as_str(), &self.head_sha, self.kind.as_str(), &self.external_id);
        let known = tx.one("find a check by its id", SELECT_CHECK_IDENTITY, params, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let mut check = self.clone();
        if let Some(known) = known {
            (check.app, check.workflow, check.event, check.name) = known;
        }
        Ok(check)
    }

    fn keep_extras(tx: &Tx<'_>, pr: &PrId, checks: &[Check]) -> Result<()> {
        for check in checks {
            if let Some(tail) = &check.log_tail {
                tx.note("store a log tail", UPSERT_LOG, (pr.as_str(), &check.external_id, tail))?;
            }
        }
        Ok(())
    }
}

impl FacetRow for Thread {
    const NAME: FacetName = FacetName::Threads;

    fn item_key(&self) -> String {
        self.id.clone()
    }

    fn resolve(&self, _tx: &Tx<'_>, _pr: &PrId) -> Result<Thread> {
        Ok(self.clone())
    }
}

impl FacetRow for Review {
    const NAME: FacetName = FacetName::Reviews;

    fn item_key(&self) -> String {
        self.id.clone()
    }

    fn resolve(&self, _tx: &Tx<'_>, _pr: &PrId) -> Result<Review> {
        Ok(self.clone())
    }
}

const SELECT_COMMENT_THREAD: &str = "SELECT thread_id FROM pr_comment
    WHERE pr_id = ?1 AND id IN (?2, ?3) AND thread_id <> '' LIMIT 1";

impl FacetRow for Comment {
    const NAME: FacetName = FacetName::Comments;

    fn item_key(&self) -> String {
        self.id.clone()
    }

    /// A delivery of a comment does not name its thread; the stored comment, or the one it answers,
    /// does.
    fn resolve(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Comment> {
        let mut comment = self.clone();
        if comment.thread_id.is_empty() {
            let params = (pr.as_str(), &self.id, &self.reply_to);
            let thread = tx.one("find a thread", SELECT_COMMENT_THREAD, params, |row| row.get(0))?;
            comment.thread_id = thread.unwrap_or_default();
        }
        Ok(comment)
    }
}
