//! Finding the stored pull request of an observation, and the session that owns a new one.

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::attribution::{self, Attribution, Unattributed};
use crate::model::id::SessionId;
use crate::model::observation::Observation;
use crate::row::pr::{self, Pr};
use crate::row::project;
use crate::row::scm::{self, HostState};
use crate::row::session::{self, SessionKind};

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

/// The owner of a pull request that is not stored yet, or why there is none.
pub(super) fn owner(
    snapshot: &Snapshot<'_>,
    observation: &Observation,
) -> Result<std::result::Result<Attribution, Unattributed>> {
    if let Some(id) = &observation.session {
        return named_owner(snapshot, observation, id).map(Ok);
    }
    let host = &observation.pr.host;
    let candidates = match attribution::head_repo(observation) {
        Some(repo) => session::candidates(snapshot, host, repo)?,
        None => Vec::new(),
    };
    let state = scm::host(snapshot, host)?;
    let person = state.as_ref().and_then(HostState::person);
    Ok(attribution::attribute(observation, &candidates, person))
}

/// The session that the observation names, checked by the rules of a claim.
fn named_owner(
    snapshot: &Snapshot<'_>,
    observation: &Observation,
    id: &SessionId,
) -> Result<Attribution> {
    let session = session::require(snapshot, id)?;
    if session.kind == SessionKind::Orchestrator {
        return Err(Error::SessionNotClaimable(Some(session.id)));
    }
    let project = project::require_active(snapshot, &session.project)?;
    let (place, head_repo) = (&observation.pr, observation.facts.head_repo.as_deref());
    let is_origin = |repo: &str| project.repo.eq_ignore_ascii_case(repo);
    let is_ours = is_origin(&place.repo) || head_repo.is_some_and(is_origin);
    if !project.repo.is_empty() && !is_ours {
        return Err(Error::PrProjectMismatch { pr: place.to_string(), project: project.id });
    }
    let reason = "the observation names the session".to_owned();
    Ok(Attribution { session: session.id, project: session.project, reason })
}
