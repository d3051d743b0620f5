//! Records a webhook delivery: its id, its facts, and the refresh requests for what it is about, in
//! one transaction. A failure undoes all of it, so that the webhook delivery can be sent again.
//!
//! A webhook delivery may be lost, late or out of order. Its facts are applied at once, and a
//! refresh request makes an observer poll what it is about: that poll reads the present state.

use ao_store::attribution::{Reason, Unattributed};
use ao_store::row::{pr, project, scm};
use ao_store::{Outcome, PrRef, Result, Tx, apply_observation};

use super::{CommitFacts, Delivery};

/// The outcome of recording a webhook delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// One of this id was recorded before: nothing was done.
    Duplicate,
    /// The outcome for each pull request.
    Applied(Vec<Outcome>),
    /// The facts are about no tracked pull request, and why.
    Unattributed(Unattributed),
    /// It carries no fact, and why.
    Ignored(&'static str),
}

/// Records a webhook delivery that [`read`](super::read) has read. `id` is that of its
/// `X-GitHub-Delivery` header, when it is known.
///
/// # Errors
/// Those of applying an observation; `INVALID_ID` for the id.
pub fn record(tx: &Tx<'_>, delivery: &Delivery, id: Option<&str>) -> Result<Recorded> {
    if let Some(id) = id
        && !scm::record_webhook_delivery(tx, id, tx.now())?
    {
        return Ok(Recorded::Duplicate);
    }
    let recorded = apply(tx, delivery)?;
    if let Some(id) = id
        && recorded.has_unknown_owner()
    {
        scm::forget_webhook_delivery(tx, id)?;
    }
    Ok(recorded)
}

impl Recorded {
    /// Whether it stored nothing because no session owns what it is about, which may change.
    fn has_unknown_owner(&self) -> bool {
        match self {
            Recorded::Unattributed(_) => true,
            Recorded::Applied(outcomes) => {
                !outcomes.is_empty()
                    && outcomes.iter().all(|it| matches!(it, Outcome::Unattributed { .. }))
            }
            Recorded::Duplicate | Recorded::Ignored(_) => false,
        }
    }
}

fn apply(tx: &Tx<'_>, delivery: &Delivery) -> Result<Recorded> {
    match delivery {
        Delivery::Prs(observations) => {
            let mut outcomes = Vec::new();
            for observation in observations {
                outcomes.push(apply_observation(tx, observation)?);
                let PrRef { host, repo, number } = &observation.pr;
                if pr::at(tx, &observation.pr)?.is_some() {
                    scm::request_refresh(tx, host, repo, *number, tx.now())?;
                } else {
                    refresh_repo(tx, host, repo, *number)?;
                }
            }
            Ok(Recorded::Applied(outcomes))
        }
        Delivery::Commit(facts) => record_commit(tx, facts),
        Delivery::Ignored { reason, location } => {
            if let Some(location) = location {
                refresh_repo(tx, &location.host, &location.repo, 0)?;
            }
            Ok(Recorded::Ignored(reason))
        }
    }
}

/// Facts of a commit go to every stored pull request that has it as its head.
fn record_commit(tx: &Tx<'_>, facts: &CommitFacts) -> Result<Recorded> {
    let CommitFacts { host, repo, sha, .. } = facts;
    let prs = pr::with_head(tx, host, repo, sha)?;
    if prs.is_empty() {
        refresh_repo(tx, host, repo, 0)?;
        let text = format!("no tracked pull request of {host}/{repo} has the head {sha}");
        return Ok(Recorded::Unattributed(Unattributed {
            reason: Reason::NoPullRequest,
            text,
            session: None,
        }));
    }
    let mut outcomes = Vec::new();
    for pr in prs {
        outcomes.push(apply_observation(tx, &facts.for_pr(&pr))?);
        scm::request_refresh(tx, &pr.host, &pr.repo, pr.number, tx.now())?;
    }
    Ok(Recorded::Applied(outcomes))
}

/// Requests a refresh of a pull request (0: of all) in the repository of a project. No observer
/// polls any other repository.
fn refresh_repo(tx: &Tx<'_>, host: &str, repo: &str, number: i64) -> Result<()> {
    if !project::of_repo(tx, host, repo)?.is_empty() {
        scm::request_refresh(tx, host, repo, number, tx.now())?;
    }
    Ok(())
}
