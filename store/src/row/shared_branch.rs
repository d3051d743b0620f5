//! Sessions of one repository that work on one branch.

use std::collections::HashSet;

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::row::columns::Column;
use crate::row::project;
use crate::row::session::{Filter, Session};

/// Sessions that push to one repository and work on one branch, so that only one of them gets its pull
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedBranch {
    /// The branch.
    pub branch: String,
    /// The sessions that are not terminated, by project and number.
    pub sessions: Vec<SessionId>,
}

/// Projects with one origin share its branches; a project whose origin is not known has its own. No id of
/// a project contains a slash.
const SELECT_SHARED: &str = "WITH live AS (
        SELECT s.id, s.project_id, s.num, s.branch,
            iif(p.repo = '', p.id, lower(p.host || '/' || p.repo)) AS place
        FROM session s JOIN project p ON p.id = s.project_id
        WHERE s.is_terminated = 0 AND s.branch <> '' AND p.archived_at IS NULL)
    SELECT id, place, branch FROM
        (SELECT *, count(*) OVER (PARTITION BY place, branch) AS sharers FROM live)
    WHERE sharers > 1 ORDER BY place, branch, project_id, num";

/// The branches of a repository on which several sessions work that are not terminated.
///
/// # Errors
/// When the database cannot be read.
pub fn all(snapshot: &Snapshot<'_>) -> Result<Vec<SharedBranch>> {
    let rows = snapshot.list("find shared branches", SELECT_SHARED, [], |row| {
        let place: (String, String) = (text(row, 1)?, text(row, 2)?);
        Ok((place, SessionId::stored(text(row, 0)?)))
    })?;
    let groups = rows.chunk_by(|(a, _), (b, _)| a == b).map(|group| SharedBranch {
        branch: group[0].0.1.clone(),
        sessions: group.iter().map(|(_, session)| session.clone()).collect(),
    });
    Ok(groups.collect())
}

/// What [`all`] has, as far as these sessions of a filter can have a part in it.
///
/// # Errors
/// When the database cannot be read.
pub fn of_list<'a>(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    mut listed: impl Iterator<Item = &'a Session>,
) -> Result<Vec<SharedBranch>> {
    let mut branches = HashSet::new();
    let is_repeated = |session: &'a Session| {
        let is_live = !session.is_terminated && !session.branch.is_empty();
        is_live && !branches.insert(session.branch.as_str())
    };
    // Without a project, every session that can share is listed.
    if filter.project.is_none() && !listed.any(is_repeated) {
        return Ok(Vec::new());
    }
    all(snapshot)
}

macro_rules! select_sharers {
    ($from:literal) => {
        concat!(
            "SELECT s.id FROM ",
            $from,
            " AND s.branch <> '' AND s.is_terminated = 0 ORDER BY s.project_id, s.num"
        )
    };
}

/// What [`all`] has of a session.
///
/// # Errors
/// When the database cannot be read.
pub fn of(snapshot: &Snapshot<'_>, session: &Session) -> Result<Option<SharedBranch>> {
    let project = project::get(snapshot, &session.project)?;
    let project = project.filter(|project| project.archived_at.is_none());
    let (Some(project), false, false) = (project, session.is_terminated, session.branch.is_empty())
    else {
        return Ok(None);
    };
    let (step, branch) = ("find who shares a branch", &session.branch);
    let sessions: Vec<SessionId> = if project.repo.is_empty() {
        let sql = select_sharers!("session s WHERE s.project_id = ?1 AND s.branch = ?2");
        snapshot.list(step, sql, (project.id.as_str(), branch), |row| Column::read(row, 0))?
    } else {
        let sql = select_sharers!(
            "project p CROSS JOIN session s ON s.project_id = p.id
            WHERE p.repo = ?1 COLLATE NOCASE AND p.host = ?2 COLLATE NOCASE
                AND p.archived_at IS NULL AND s.branch = ?3"
        );
        let params = (&project.repo, &project.host, branch);
        snapshot.list(step, sql, params, |row| Column::read(row, 0))?
    };
    Ok((sessions.len() > 1).then(|| SharedBranch { branch: branch.clone(), sessions }))
}
