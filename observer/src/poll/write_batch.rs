//! What one answer changes in the store, written in one transaction: facts, which of them count as
//! read, and the state of the observer. The writer thread gets plain values and returns plain values.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use ao_store::observation::Observation;
use ao_store::row::scm::{self, HostState, PrPoll, RefreshRequest, RepoState, SkippedPr};
use ao_store::row::{facet, project};
use ao_store::{Applied, Delta, Outcome as Observed, PrId, Result, Tx, apply_observation};

use crate::poll::discussion::Discussion;

/// What is to be stored of one tracked pull request.
#[derive(Debug, Clone)]
pub(crate) struct PrWrite {
    pub(crate) pr: PrId,
    pub(crate) observation: Option<Observation>,
    /// Threads and comments, which are combined with the stored ones in the transaction.
    pub(crate) discussion: Option<Discussion>,
    /// The jobs of the checks, by the id of the check.
    pub(crate) jobs: BTreeMap<String, i64>,
    /// Stored when nothing stored is newer than the observation.
    pub(crate) poll: PrPoll,
}

/// One thing to store.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// A pull request that was just found.
    Found(Box<Observation>),
    /// A tracked pull request.
    Pr(Box<PrWrite>),
    /// What is known of a repository.
    Repo(RepoState),
    /// The pull requests of a repository that are not tracked although they are on the branch of a session.
    Skipped { repo: String, prs: Vec<SkippedPr> },
    /// A repository was renamed or transferred.
    Renamed { old: String, new: String },
    /// The end of the log of a failed check.
    Log { pr: PrId, external_id: String, tail: String },
}

/// What one answer changes.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    pub(crate) writes: Vec<Write>,
    pub(crate) host: Option<HostState>,
    /// Refresh requests that were answered.
    pub(crate) served: Vec<RefreshRequest>,
}

/// What the observer must know about a batch that was written.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) written: Written,
    /// The pull requests of which facts changed.
    pub(crate) changed: Vec<PrId>,
    /// The pull requests of which something newer is stored.
    pub(crate) outdated: Vec<PrId>,
    /// The pull requests with jobs of failed checks whose logs are not stored.
    pub(crate) logs: Vec<(PrId, BTreeMap<String, i64>)>,
}

/// What writing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of facts that were inserted, updated or deleted.
    pub rows_changed: u64,
    /// Rows of facts that stayed as they were.
    pub rows_unchanged: u64,
    /// Pull requests that were not stored before.
    pub found: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Written) {
        self.rows_changed += other.rows_changed;
        self.rows_unchanged += other.rows_unchanged;
        self.found += other.found;
    }
}

impl Written {
    fn add(&mut self, applied: &Applied) {
        let Applied { checks, threads, reviews, comments, is_new, is_updated, .. } = applied;
        for Delta { inserted, updated, deleted, unchanged } in [checks, threads, reviews, comments]
        {
            self.rows_changed += inserted + updated + deleted;
            self.rows_unchanged += unchanged;
        }
        let is_changed = *is_new || *is_updated;
        self.rows_changed += u64::from(is_changed);
        self.rows_unchanged += u64::from(!is_changed);
        self.found += u64::from(*is_new);
    }
}

impl Write {
    /// The tracked pull request that it is about.
    pub(crate) fn pr(&self) -> Option<&PrId> {
        match self {
            Write::Pr(write) => Some(&write.pr),
            Write::Log { pr, .. } => Some(pr),
            Write::Found(_) | Write::Repo(_) | Write::Skipped { .. } | Write::Renamed { .. } => {
                None
            }
        }
    }

    /// The repository whose listing it is from.
    pub(crate) fn listed_repo(&self) -> Option<&str> {
        match self {
            Write::Found(observation) => Some(&observation.pr.repo),
            Write::Repo(state) => Some(&state.repo),
            Write::Skipped { repo, .. } | Write::Renamed { old: repo, .. } => Some(repo),
            Write::Pr(_) | Write::Log { .. } => None,
        }
    }

    /// What it is about, for people.
    pub(crate) fn about(&self) -> String {
        match self {
            Write::Found(observation) => observation.pr.to_string(),
            Write::Pr(write) => write.pr.to_string(),
            Write::Log { pr, .. } => pr.to_string(),
            Write::Repo(RepoState { repo, .. })
            | Write::Skipped { repo, .. }
            | Write::Renamed { old: repo, .. } => repo.clone(),
        }
    }
}

impl WriteBatch {
    /// Whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.host.is_none() && self.served.is_empty()
    }

    /// Takes it apart into one batch for each write, so that one that the store rejects does not hold
    /// back the others; `None` when it is a single write.
    pub(crate) fn split(&self) -> Option<Vec<WriteBatch>> {
        let rest =
            WriteBatch { writes: Vec::new(), host: self.host.clone(), served: self.served.clone() };
        let each = self.writes.iter().map(|write| vec![write.clone()]);
        let mut parts: Vec<_> =
            each.map(|writes| WriteBatch { writes, ..WriteBatch::default() }).collect();
        parts.extend((!rest.is_empty()).then_some(rest));
        (parts.len() > 1).then_some(parts)
    }

    /// Stores it.
    ///
    /// # Errors
    /// Those of the store; nothing is written then.
    pub(crate) fn apply(&self, tx: &Tx<'_>, host: &str) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        // What is found belongs to a session only if its author is the owner of these credentials.
        if let Some(state) = &self.host {
            scm::set_host(tx, state)?;
        }
        for write in &self.writes {
            match write {
                Write::Found(observation) => {
                    let poll = PrPoll::default();
                    store_observation(tx, observation, &poll, &mut outcome)?;
                }
                Write::Pr(write) => store_pr(tx, write, &mut outcome)?,
                Write::Repo(state) => {
                    scm::set_repo(tx, state)?;
                }
                Write::Skipped { repo, prs } => scm::set_skipped_prs(tx, host, repo, prs)?,
                Write::Renamed { old, new } => {
                    outcome.written.rows_changed += project::relocate(tx, host, old, new)?;
                }
                Write::Log { pr, external_id, tail } => {
                    facet::set_log_tail(tx, pr, external_id, tail)?;
                }
            }
        }
        scm::delete_refresh_requests(tx, &self.served)?;
        Ok(outcome)
    }
}

fn store_pr(tx: &Tx<'_>, write: &PrWrite, outcome: &mut Outcome) -> Result<()> {
    let PrWrite { pr, observation, discussion, jobs, poll } = write;
    let Some(mut observation) = observation.clone() else {
        return scm::set_poll(tx, pr, poll).map(|_| ());
    };
    if let Some(discussion) = discussion {
        observation.threads = discussion.compose_threads(facet::threads(tx, pr)?);
        observation.comments = discussion.compose_comments(facet::comments(tx, pr)?);
    }
    if !store_observation(tx, &observation, poll, outcome)? {
        outcome.outdated.push(pr.clone());
    }
    if !jobs.is_empty() {
        let failed = facet::failed_without_log(tx, pr)?;
        let mut jobs = jobs.clone();
        jobs.retain(|external_id, _| failed.contains(external_id));
        outcome.logs.push((pr.clone(), jobs));
    }
    Ok(())
}

/// Applies one observation, and stores with `poll` that it was read unless something newer is stored.
/// Returns whether nothing is newer.
fn store_observation(
    tx: &Tx<'_>,
    observation: &Observation,
    poll: &PrPoll,
    outcome: &mut Outcome,
) -> Result<bool> {
    let applied = match apply_observation(tx, observation)? {
        Observed::Applied(applied) => applied,
        Observed::Unattributed { pr, why } => {
            tracing::debug!(%pr, reason = %why, "it no longer belongs to any session");
            return Ok(false);
        }
        Observed::Mismatched { pr, stored, observed } => {
            tracing::warn!(%pr, stored, observed, "another pull request is stored at this location");
            return Ok(false);
        }
    };
    let before = outcome.written.rows_changed;
    outcome.written.add(&applied);
    if outcome.written.rows_changed > before {
        outcome.changed.push(applied.pr.clone());
    }
    let is_newest = applied.stale.is_empty();
    if is_newest {
        scm::set_poll(tx, &applied.pr, poll)?;
    }
    Ok(is_newest)
}
