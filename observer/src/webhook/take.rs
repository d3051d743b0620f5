//! A delivery taken: its id, its facts, and whom to ask for a look, in one transaction. What fails is
//! undone as a whole, so that the delivery can be sent again.
//!
//! A delivery may be lost, late or out of order. Its facts are applied at once, and an observer is
//! asked to look at what it is about: that look tells what is so.

use ao_store::row::{pr, project, scm};
use ao_store::{Outcome, PrRef, Result, Tx, apply_observation};

use super::{CommitFacts, Delivery};

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// One of this id was taken before: nothing was done.
    Duplicate,
    /// What became of the facts about each pull request.
    Applied(Vec<Outcome>),
    /// The facts are about no tracked pull request, and why.
    Unattributed(String),
    /// It carries no fact, and why.
    Ignored(&'static str),
}

/// Takes a delivery that was read by [`deliver`](super::deliver). `id` is that of its
/// `X-GitHub-Delivery` header, when it is known.
///
/// # Errors
/// Those of applying an observation; `INVALID_ID` for the id.
pub fn take(tx: &Tx<'_>, delivery: &Delivery, id: Option<&str>) -> Result<Taken> {
    if let Some(id) = id
        && !scm::record_webhook_delivery(tx, id, tx.now())?
    {
        return Ok(Taken::Duplicate);
    }
    match delivery {
        Delivery::Prs(observations) => {
            let mut outcomes = Vec::new();
            for observation in observations {
                outcomes.push(apply_observation(tx, observation)?);
                poke_pr(tx, &observation.pr)?;
            }
            Ok(Taken::Applied(outcomes))
        }
        Delivery::Commit(facts) => take_commit(tx, facts),
        Delivery::Ignored { reason, place } => {
            if let Some(place) = place {
                poke_repo(tx, &place.host, &place.repo)?;
            }
            Ok(Taken::Ignored(reason))
        }
    }
}

/// Facts of a commit go to every stored pull request that has it as its head.
fn take_commit(tx: &Tx<'_>, facts: &CommitFacts) -> Result<Taken> {
    let CommitFacts { host, repo, sha, .. } = facts;
    let prs = pr::with_head(tx, host, repo, sha)?;
    if prs.is_empty() {
        poke_repo(tx, host, repo)?;
        let reason = format!("no tracked pull request of {host}/{repo} has the head {sha}");
        return Ok(Taken::Unattributed(reason));
    }
    let mut outcomes = Vec::new();
    for pr in prs {
        outcomes.push(apply_observation(tx, &facts.for_pr(&pr))?);
        scm::request_refresh(tx, &pr.host, &pr.repo, pr.number, tx.now())?;
    }
    Ok(Taken::Applied(outcomes))
}

/// Asks for a look at a pull request that is tracked, or may be found to belong to a project.
fn poke_pr(tx: &Tx<'_>, place: &PrRef) -> Result<()> {
    let PrRef { host, repo, number } = place;
    if pr::at(tx, place)?.is_some() || is_of_project(tx, host, repo)? {
        scm::request_refresh(tx, host, repo, *number, tx.now())?;
    }
    Ok(())
}

/// Asks for a look at the repository of a project; nobody would look at any other.
fn poke_repo(tx: &Tx<'_>, host: &str, repo: &str) -> Result<()> {
    if is_of_project(tx, host, repo)? {
        scm::request_refresh(tx, host, repo, 0, tx.now())?;
    }
    Ok(())
}

fn is_of_project(tx: &Tx<'_>, host: &str, repo: &str) -> Result<bool> {
    Ok(!project::of_repo(tx, host, repo)?.is_empty())
}
