//! Claiming: a session becomes the owner of a pull request, in one guarded transaction.

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{PrId, PrName, PrRef, ProjectId, SessionId};
use crate::model::observation::{Observation, PrState};
use crate::row::pr::{self, Pr};
use crate::row::project::{self, Project};
use crate::row::scm;
use crate::row::session::{self, Session, SessionKind};

use super::{Outcome, apply_observation, find};

/// Whether a pull request may be taken from an active session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// It may.
    Allow,
    /// It may not; from a terminated session it still may.
    Refuse,
}

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The pull request.
    pub pr: PrId,
    /// Its new owner.
    pub session: SessionId,
    /// Its previous owner: `None` if it was not stored, the claimant itself if the owner is unchanged.
    pub previous: Option<SessionId>,
    /// Whether the previous owner was terminated.
    pub was_previous_terminated: bool,
}

/// A pull request to claim, with what its host reported of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PrClaim {
    /// How the caller named it.
    pub name: PrName,
    /// What the host reported; `None` if the host was not asked.
    pub seen: Option<Observation>,
    /// Whether it may be taken from an active session.
    pub takeover: Takeover,
}

impl PrClaim {
    /// Claims it for a session. A rename of its repository that the observation shows is followed.
    ///
    /// # Errors
    /// Those of [`claim_pr`] and [`claim_observed`]. Nothing is written then.
    pub fn apply(&self, tx: &Tx<'_>, session: &SessionId) -> Result<Claim> {
        let Some(seen) = &self.seen else {
            return claim_pr(tx, session, &self.name, self.takeover);
        };
        let asked = pr::locate(tx, &self.name)?;
        if !asked.repo.eq_ignore_ascii_case(&seen.pr.repo) {
            project::relocate(tx, &asked.host, &asked.repo, &seen.pr.repo)?;
        }
        claim_observed(tx, session, seen, self.takeover)
    }
}

/// Checks that a new session of a project could claim a pull request, before there is one.
///
/// # Errors
/// `SESSION_NOT_CLAIMABLE`, `PR_PROJECT_MISMATCH`, `PR_NOT_OPEN`, `PR_CLAIMED_BY_ACTIVE_SESSION`,
/// `PR_NOT_FOUND`.
pub fn check_claim(
    snapshot: &Snapshot<'_>,
    project: &ProjectId,
    kind: SessionKind,
    claim: &PrClaim,
) -> Result<()> {
    if kind == SessionKind::Orchestrator {
        return Err(Error::SessionNotClaimable(None));
    }
    if let Some(seen) = &claim.seen
        && let Some(state @ (PrState::Merged | PrState::Closed)) = seen.facts.state
    {
        return Err(Error::PrNotOpen { pr: seen.pr.to_string(), state: state.as_str() });
    }
    let location = claim.seen.as_ref().map(|seen| &seen.pr).or(claim.name.location.as_ref());
    match (pr::named(snapshot, &claim.name)?, location) {
        (Some(stored), _) => {
            let owner = session::require(snapshot, &stored.session)?;
            check_stored(&stored, project)?;
            check_owner(&stored, owner, claim.takeover).map(|_| ())
        }
        (None, Some(location)) => {
            check_location(&project::require_active(snapshot, project)?, location)
        }
        (None, None) => Err(Error::PrNotFound(claim.name.to_string())),
    }
}

/// Why a claimed pull request belongs to its session.
const CLAIMED: &str = "it was claimed";

/// Makes `session` the owner of a pull request, and stores the pull request if necessary.
///
/// # Errors
/// `SESSION_NOT_FOUND`, `SESSION_TERMINATED`, `SESSION_NOT_CLAIMABLE`, `PR_PROJECT_MISMATCH`,
/// `PR_NOT_OPEN`, `PR_CLAIMED_BY_ACTIVE_SESSION`, `PR_NOT_FOUND` for an unknown id. Nothing is written then.
pub fn claim_pr(
    tx: &Tx<'_>,
    session: &SessionId,
    name: &PrName,
    takeover: Takeover,
) -> Result<Claim> {
    let claimant = claimant(tx, session)?;
    match (pr::named(tx, name)?, &name.location) {
        (Some(stored), _) => claim_stored(tx, claimant, stored, takeover),
        (None, Some(location)) => claim_new(tx, claimant, location),
        (None, None) => Err(Error::PrNotFound(name.to_string())),
    }
}

/// The same with what the provider just reported of the pull request, which is stored, too. Its head may
/// also be in the repository of the session.
///
/// # Errors
/// Those of [`claim_pr`] and of applying an observation. Nothing is written then.
pub fn claim_observed(
    tx: &Tx<'_>,
    session: &SessionId,
    observation: &Observation,
    takeover: Takeover,
) -> Result<Claim> {
    let claimant = claimant(tx, session)?;
    if let Some(state @ (PrState::Merged | PrState::Closed)) = observation.facts.state {
        return Err(Error::PrNotOpen { pr: observation.pr.to_string(), state: state.as_str() });
    }
    let unnamed = Observation { session: None, ..observation.clone() };
    if let Some(stored) = find::stored(tx, &unnamed)? {
        let claim = claim_stored(tx, claimant, stored, takeover)?;
        apply_observation(tx, &unnamed)?;
        return Ok(claim);
    }
    let named = Observation { session: Some(claimant.id.clone()), ..unnamed };
    match apply_observation(tx, &named)? {
        Outcome::Applied(applied) => {
            scm::set_attribution(tx, &applied.pr, CLAIMED)?;
            let (pr, session) = (applied.pr, claimant.id);
            Ok(Claim { pr, session, previous: None, was_previous_terminated: false })
        }
        // With a named session the owner is known, and nothing is stored that could differ.
        Outcome::Unattributed { pr, .. } | Outcome::Mismatched { pr, .. } => {
            Err(Error::PrProjectMismatch { pr: pr.to_string(), project: claimant.project })
        }
    }
}

/// The session, if it may claim pull requests.
fn claimant(tx: &Tx<'_>, session: &SessionId) -> Result<Session> {
    let claimant = session::require(tx, session)?;
    if claimant.is_terminated {
        return Err(Error::SessionTerminated(claimant.id));
    }
    match claimant.kind {
        SessionKind::Orchestrator => Err(Error::SessionNotClaimable(Some(claimant.id))),
        SessionKind::Worker => Ok(claimant),
    }
}

fn claim_new(tx: &Tx<'_>, claimant: Session, location: &PrRef) -> Result<Claim> {
    let project = project::require_active(tx, &claimant.project)?;
    check_location(&project, location)?;
    let id = pr::new_id(tx, location)?;
    let session = claimant.id;
    let row = Pr::unobserved(id.clone(), location, session.clone(), project.id, tx.now());
    pr::insert(tx, &row)?;
    scm::set_attribution(tx, &id, CLAIMED)?;
    Ok(Claim { pr: id, session, previous: None, was_previous_terminated: false })
}

fn claim_stored(tx: &Tx<'_>, claimant: Session, stored: Pr, takeover: Takeover) -> Result<Claim> {
    check_stored(&stored, &claimant.project)?;
    let owner = session::require(tx, &stored.session)?;
    let is_same = owner.id == claimant.id;
    let owner = if is_same { owner } else { check_owner(&stored, owner, takeover)? };
    if !is_same {
        pr::set_session(tx, &stored.id, &claimant.id)?;
        scm::set_attribution(tx, &stored.id, CLAIMED)?;
    }
    Ok(Claim {
        pr: stored.id,
        session: claimant.id,
        previous: Some(owner.id),
        was_previous_terminated: owner.is_terminated,
    })
}

/// A project whose origin is not known may claim pull requests of any repository.
fn check_location(project: &Project, location: &PrRef) -> Result<()> {
    let is_here = project.repo.eq_ignore_ascii_case(&location.repo)
        && project.host.eq_ignore_ascii_case(&location.host);
    if project.repo.is_empty() || is_here {
        return Ok(());
    }
    Err(Error::PrProjectMismatch { pr: location.to_string(), project: project.id.clone() })
}

/// Checks that a stored pull request is one of the project, and open.
fn check_stored(stored: &Pr, project: &ProjectId) -> Result<()> {
    if stored.project != *project {
        return Err(Error::PrProjectMismatch { pr: stored.place(), project: project.clone() });
    }
    if matches!(stored.state, PrState::Merged | PrState::Closed) {
        return Err(Error::PrNotOpen { pr: stored.place(), state: stored.state.as_str() });
    }
    Ok(())
}

/// Checks that another session may take a pull request from its owner.
fn check_owner(stored: &Pr, owner: Session, takeover: Takeover) -> Result<Session> {
    if !owner.is_terminated && takeover == Takeover::Refuse {
        return Err(Error::PrClaimed { pr: stored.place(), owner: owner.id });
    }
    Ok(owner)
}
