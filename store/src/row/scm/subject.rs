//! What an observer observes at a host: the tracked pull requests of active projects, and the
//! branches of sessions whose pull requests are not tracked yet.

use std::collections::HashMap;

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::{ProjectId, SessionId};
use crate::model::time::Timestamp;
use crate::row::pr::{self, Pr};
use crate::row::project::{self, Project};

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
    /// The branches of its workers that are not terminated, by session number.
    pub branches: Vec<Branch>,
}

/// The branch of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The session.
    pub session: SessionId,
    /// Its branch.
    pub name: String,
}

const SELECT_BRANCHES: &str = "SELECT s.project_id, s.id, s.branch FROM session s
    JOIN project p ON p.id = s.project_id
    WHERE p.host = ?1 COLLATE NOCASE AND p.repo <> '' AND p.archived_at IS NULL
        AND s.kind = 'worker' AND s.is_terminated = 0 AND s.branch <> ''
    ORDER BY s.project_id, s.num";

/// What an observer observes at a host, in three reads whatever the number of sessions. It omits
/// the merged and closed pull requests whose final state was confirmed before `ended_before`.
///
/// # Errors
/// When the database cannot be read.
pub fn subjects(snapshot: &Snapshot<'_>, host: &str, ended_before: Timestamp) -> Result<Subjects> {
    let prs = pr::of_host(snapshot, host, ended_before)?;
    let prs = prs.into_iter().map(|(pr, is_session_live, provider_at)| SubjectPr {
        pr,
        is_session_live,
        provider_at,
    });
    let mut branches: HashMap<ProjectId, Vec<Branch>> = HashMap::new();
    let found = snapshot.list("list branches", SELECT_BRANCHES, [host], |row| {
        let branch = Branch { session: SessionId::stored(row.get(1)?), name: row.get(2)? };
        Ok((ProjectId::stored(row.get(0)?), branch))
    })?;
    for (project, branch) in found {
        branches.entry(project).or_default().push(branch);
    }
    let scans = project::of_host(snapshot, host)?.into_iter().map(|project| {
        let branches = branches.remove(&project.id).unwrap_or_default();
        SubjectProject { project, branches }
    });
    Ok(Subjects { prs: prs.collect(), scans: scans.collect() })
}
