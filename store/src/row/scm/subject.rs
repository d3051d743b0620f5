//! What an observer observes at a host: the tracked pull requests of active projects, and the
//! branches of sessions whose pull requests are not tracked yet.

use std::collections::{BTreeSet, HashMap};

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::attribution::Candidate;
use crate::model::id::{PrId, ProjectId, SessionId};
use crate::model::time::Timestamp;
use crate::row::pr::{self, OfHost, Pr};
use crate::row::project::{self, Project};
use crate::row::session;

/// What an observer observes at one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    /// The tracked pull requests, merged and closed ones included, by repository and number.
    pub prs: Vec<SubjectPr>,
    /// The active projects whose origin is at the host, by id.
    pub scans: Vec<SubjectProject>,
}

/// A tracked pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPr {
    /// The pull request.
    pub pr: Pr,
    /// Whether its session is not terminated.
    pub is_session_live: bool,
    /// The provider's own time of the metadata that is stored.
    pub provider_at: Option<Timestamp>,
}

/// A project whose repository may have pull requests that are not tracked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectProject {
    /// The project.
    pub project: Project,
    /// Its workers with a branch that may own pull requests, by session number.
    pub candidates: Vec<Candidate>,
}

/// What an observer observes at a host, in three reads whatever the number of sessions. It omits
/// the merged and closed pull requests whose final state was confirmed before `ended_before`, and the
/// terminated sessions that changed last before it.
///
/// # Errors
/// When the database cannot be read.
pub fn subjects(snapshot: &Snapshot<'_>, host: &str, ended_before: Timestamp) -> Result<Subjects> {
    let prs = tracked(snapshot, host, OfHost::All, ended_before)?;
    Ok(Subjects { prs, scans: scans(snapshot, host, ended_before)? })
}

/// Of the tracked pull requests those with these ids and those of these sessions.
///
/// # Errors
/// When the database cannot be read.
pub fn subject_prs(
    snapshot: &Snapshot<'_>,
    host: &str,
    prs: &BTreeSet<PrId>,
    sessions: &BTreeSet<SessionId>,
    ended_before: Timestamp,
) -> Result<Vec<SubjectPr>> {
    let which = prs.iter().map(OfHost::Pr).chain(sessions.iter().map(OfHost::Session));
    let found = which.map(|which| tracked(snapshot, host, which, ended_before));
    Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn tracked(
    snapshot: &Snapshot<'_>,
    host: &str,
    which: OfHost<'_>,
    ended_before: Timestamp,
) -> Result<Vec<SubjectPr>> {
    let prs = pr::of_host(snapshot, host, which, ended_before)?;
    let subject =
        |(pr, is_session_live, provider_at)| SubjectPr { pr, is_session_live, provider_at };
    Ok(prs.into_iter().map(subject).collect())
}

/// The projects of [`subjects`].
///
/// # Errors
/// When the database cannot be read.
pub fn scans(
    snapshot: &Snapshot<'_>,
    host: &str,
    ended_before: Timestamp,
) -> Result<Vec<SubjectProject>> {
    let mut candidates: HashMap<ProjectId, Vec<Candidate>> = HashMap::new();
    for candidate in session::candidates_of_host(snapshot, host, ended_before)? {
        candidates.entry(candidate.project.clone()).or_default().push(candidate);
    }
    let scans = project::of_host(snapshot, host)?.into_iter().map(|project| {
        let candidates = candidates.remove(&project.id).unwrap_or_default();
        SubjectProject { project, candidates }
    });
    Ok(scans.collect())
}
