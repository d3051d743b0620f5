//! Finding the stored pull request of an observation, and the session that owns a new one.

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{ProjectId, SessionId};
use crate::model::observation::Observation;
use crate::row::pr::{self, Pr};
use crate::row::session::SessionKind;
use crate::row::{project, session};

/// The stored pull request: by node id first, so that a rename or transfer keeps the row.
pub(super) fn stored(tx: &Tx<'_>, observation: &Observation) -> Result<Option<Pr>> {
    let by_node = pr::by_node(tx, &observation.node_id)?;
    let found = match by_node {
        Some(pr) => Some(pr),
        None => pr::at(tx, &observation.pr)?,
    };
    let Some(pr) = found else { return Ok(None) };
    match &observation.session {
        Some(named) if *named != pr.session => {
            let named = session::require(tx, named)?.id;
            Err(Error::PrOwnedByOther { pr: pr.place(), owner: pr.session, named })
        }
        _ => Ok(Some(pr)),
    }
}

/// The node id of another pull request in conflict with the observation: the one stored at its location
/// if that is not the observed one, or if the observed one, known by its node id, has moved there.
pub(super) fn another(
    tx: &Tx<'_>,
    stored: &Pr,
    observation: &Observation,
) -> Result<Option<String>> {
    let is_observed = |pr: &Pr| {
        pr.node_id.is_empty() || observation.node_id.is_empty() || pr.node_id == observation.node_id
    };
    if !is_observed(stored) {
        return Ok(Some(stored.node_id.clone()));
    }
    let there = if stored.is_at(&observation.pr) { None } else { pr::at(tx, &observation.pr)? };
    Ok(there.map(|there| there.node_id))
}

/// The session that owns a pull request which is not stored yet, or why there is none. A session pushes
/// to the origin of its project, so the head must be there: a branch of the same name in a fork does
/// not belong to the session.
pub(super) fn owner(
    snapshot: &Snapshot<'_>,
    observation: &Observation,
) -> Result<std::result::Result<(SessionId, ProjectId), String>> {
    if let Some(id) = &observation.session {
        return named_owner(snapshot, observation, id).map(Ok);
    }
    let (host, facts) = (&observation.pr.host, &observation.facts);
    let head_repo = match facts.head_repo.as_deref().filter(|repo| !repo.is_empty()) {
        Some(repo) => repo,
        None if facts.is_cross_repo == Some(true) => {
            return Ok(Err("its head is in a fork that is not known".to_owned()));
        }
        None => &observation.pr.repo,
    };
    let projects = project::of_repo(snapshot, host, head_repo)?;
    if projects.is_empty() {
        return Ok(Err(format!("no project has the origin {host}/{head_repo}")));
    }
    let branch = facts.head_ref.as_deref().or(observation.branch.as_deref());
    let Some(branch) = branch.filter(|branch| !branch.is_empty()) else {
        return Ok(Err("its head branch is not known".to_owned()));
    };
    let ended_at = facts.merged_at.or(facts.closed_at);
    for project in projects {
        if let Some(session) = session::on_branch(snapshot, &project, branch, ended_at)? {
            return Ok(Ok((session, project)));
        }
    }
    Ok(Err(match ended_at {
        None => format!("no session works on the branch {branch}"),
        Some(_) => format!("no session worked on the branch {branch} when it ended"),
    }))
}

/// The session that the observation names, checked by the rules of a claim.
fn named_owner(
    snapshot: &Snapshot<'_>,
    observation: &Observation,
    id: &SessionId,
) -> Result<(SessionId, ProjectId)> {
    let session = session::require(snapshot, id)?;
    if session.kind == SessionKind::Orchestrator {
        return Err(Error::SessionNotClaimable(session.id));
    }
    let project = project::require_active(snapshot, &session.project)?;
    let (place, head_repo) = (&observation.pr, observation.facts.head_repo.as_deref());
    let is_origin = |repo: &str| project.repo.eq_ignore_ascii_case(repo);
    let is_ours = is_origin(&place.repo) || head_repo.is_some_and(is_origin);
    if !project.repo.is_empty() && !is_ours {
        return Err(Error::PrProjectMismatch { pr: place.to_string(), project: project.id });
    }
    Ok((session.id, session.project))
}
