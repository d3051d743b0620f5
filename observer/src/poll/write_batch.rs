//! Storing what one answer taught, in one transaction: facts, what counts as read, and the state of
//! the observer.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use ao_store::observation::{Comment, Completeness, Observation};
use ao_store::row::scm::{self, HostState, PrPoll, RefreshRequest, RepoState};
use ao_store::row::{facet, project};
use ao_store::{Applied, Delta, Outcome, PrId, Result, Tx, apply_observation};

use crate::github::node::ThreadState;
use crate::poll::detail_fetch::FetchedThread;

/// What was read of the threads and comments of a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Discussion {
    /// The threads that are there, and their states.
    pub(crate) states: Vec<ThreadState>,
    /// Whether these are all.
    pub(crate) threads: Completeness,
    /// Those that were read.
    pub(crate) bodies: BTreeMap<String, FetchedThread>,
    /// The comments of the conversation, when they were read, and how completely.
    pub(crate) comments: Option<(Completeness, Vec<Comment>)>,
}

/// What is to be stored of one pull request.
#[derive(Debug, Clone)]
pub(crate) struct PrWrite {
    /// The row; `None` for one that was just found.
    pub(crate) pr: Option<PrId>,
    pub(crate) observation: Option<Observation>,
    pub(crate) discussion: Option<Discussion>,
    pub(crate) poll: PrPoll,
}

/// One thing to store.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// Facts about a pull request.
    Pr(Box<PrWrite>),
    /// What is known of a repository.
    Repo(RepoState),
    /// A repository has another name now.
    Renamed { old: String, new: String },
    /// The end of the log of a failed check.
    Log { pr: PrId, external_id: String, tail: String },
}

/// What one answer taught.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    pub(crate) writes: Vec<Write>,
    pub(crate) host: Option<HostState>,
    pokes: Vec<RefreshRequest>,
}

/// What storing it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of facts that were inserted, changed or deleted.
    pub rows_changed: u64,
    /// Rows of facts that were the same.
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

impl WriteBatch {
    /// Whether there is nothing to store.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.host.is_none() && self.pokes.is_empty()
    }

    pub(crate) fn forget_pokes(&mut self, pokes: Vec<RefreshRequest>) {
        self.pokes = pokes;
    }

    pub(crate) fn prs(&self) -> impl Iterator<Item = &PrId> {
        self.writes.iter().filter_map(|write| match write {
            Write::Pr(write) => write.pr.as_ref(),
            Write::Log { pr, .. } => Some(pr),
            Write::Repo(_) | Write::Renamed { .. } => None,
        })
    }

    /// The node ids of pull requests that were just found.
    pub(crate) fn found(&self) -> impl Iterator<Item = &str> {
        self.writes.iter().filter_map(|write| match write {
            Write::Pr(write) if write.pr.is_none() => {
                write.observation.as_ref().map(|found| found.node_id.as_str())
            }
            _ => None,
        })
    }

    /// What it is about, in words.
    pub(crate) fn about(&self) -> impl Iterator<Item = String> {
        self.writes.iter().map(|write| match write {
            Write::Pr(write) => match (&write.pr, &write.observation) {
                (Some(pr), _) => pr.to_string(),
                (None, found) => found.as_ref().map(|it| it.pr.to_string()).unwrap_or_default(),
            },
            Write::Log { pr, .. } => pr.to_string(),
            Write::Repo(state) => state.repo.clone(),
            Write::Renamed { old, .. } => old.clone(),
        })
    }

    /// Whether a repository got another name.
    pub(crate) fn renames(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Renamed { .. }))
    }

    /// The repositories that it is about, of which a pull request was found among others.
    pub(crate) fn repos(&self) -> impl Iterator<Item = &str> {
        self.writes.iter().filter_map(|write| match write {
            Write::Repo(state) => Some(state.repo.as_str()),
            Write::Renamed { old, .. } => Some(old),
            Write::Pr(write) if write.pr.is_none() => {
                write.observation.as_ref().map(|found| found.pr.repo.as_str())
            }
            Write::Pr(_) | Write::Log { .. } => None,
        })
    }

    /// One batch for each thing, so that one that the store refuses does not keep back the others.
    pub(crate) fn split(&self) -> Vec<WriteBatch> {
        let rest =
            WriteBatch { host: self.host.clone(), pokes: self.pokes.clone(), writes: Vec::new() };
        let each =
            |write: &Write| WriteBatch { writes: vec![write.clone()], ..WriteBatch::default() };
        self.writes.iter().map(each).chain([rest]).collect()
    }

    /// Stores it.
    ///
    /// # Errors
    /// Those of the store; nothing is written then.
    pub(crate) fn apply(&self, tx: &Tx<'_>, host: &str) -> Result<(Written, Vec<PrId>)> {
        let (mut written, mut outdated) = (Written::default(), Vec::new());
        for write in &self.writes {
            match write {
                Write::Pr(write) => {
                    let is_newest = write_pr(tx, write, &mut written)?;
                    outdated.extend(write.pr.clone().filter(|_| !is_newest));
                }
                Write::Repo(state) => {
                    scm::set_repo(tx, state)?;
                }
                Write::Renamed { old, new } => {
                    written.rows_changed += project::relocate(tx, host, old, new)?;
                }
                Write::Log { pr, external_id, tail } => {
                    facet::set_log_tail(tx, pr, external_id, tail)?;
                }
            }
        }
        scm::delete_refresh_requests(tx, &self.pokes)?;
        if let Some(state) = &self.host {
            scm::set_host(tx, state)?;
        }
        Ok((written, outdated))
    }
}

/// Says whether nothing that is stored is newer. Where something is, what was read does not count as
/// read.
fn write_pr(tx: &Tx<'_>, write: &PrWrite, written: &mut Written) -> Result<bool> {
    let PrWrite { pr, observation, discussion, poll } = write;
    let Some(observation) = observation else {
        return match pr {
            Some(id) => scm::set_poll(tx, id, poll).map(|_| true),
            None => Ok(true),
        };
    };
    let Some(applied) = observe(tx, pr.as_ref(), observation, discussion.as_ref())? else {
        return Ok(false);
    };
    count(written, &applied);
    let is_newest = applied.stale.is_empty();
    if is_newest {
        scm::set_poll(tx, &applied.pr, poll)?;
    }
    Ok(is_newest)
}

/// Applies one observation; `None` when it is about no pull request that is stored.
fn observe(
    tx: &Tx<'_>,
    pr: Option<&PrId>,
    observation: &Observation,
    discussion: Option<&Discussion>,
) -> Result<Option<Applied>> {
    let mut observation = observation.clone();
    if let (Some(pr), Some(discussion)) = (pr, discussion) {
        let (threads, comments) = (facet::threads(tx, pr)?, facet::comments(tx, pr)?);
        (observation.threads, observation.comments) = discussion.compose(threads, comments);
    }
    match apply_observation(tx, &observation)? {
        Outcome::Applied(applied) => Ok(Some(applied)),
        Outcome::Unattributed { pr, reason } => {
            tracing::debug!(%pr, reason, "it belongs to no session any more");
            Ok(None)
        }
        Outcome::Mismatched { pr, stored, observed } => {
            tracing::warn!(%pr, stored, observed, "another pull request is stored at this location");
            Ok(None)
        }
    }
}

fn count(written: &mut Written, applied: &Applied) {
    let Applied { checks, threads, reviews, comments, is_new, is_updated, .. } = applied;
    for Delta { inserted, updated, deleted, unchanged } in [checks, threads, reviews, comments] {
        written.rows_changed += inserted + updated + deleted;
        written.rows_unchanged += unchanged;
    }
    written.rows_changed += u64::from(*is_new) + u64::from(*is_updated && !is_new);
    written.rows_unchanged += u64::from(!is_new && !is_updated);
    written.found += u64::from(*is_new);
}
