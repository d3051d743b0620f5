//! What the pull requests of a session say about it: the worst one decides. One that is stacked on another
//! one of the session says only what somebody must do about it.

use std::collections::HashSet;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::{PrId, SessionId};
use crate::model::observation::{Ci, Mergeability, PrState, ReviewDecision};
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::session::{Filter, of_filter};

use super::{Found, OfSession};

/// The facts of a pull request that count.
#[derive(Debug, Clone)]
pub(super) struct PrFacts {
    id: PrId,
    created_at: Timestamp,
    host: String,
    repo: String,
    number: i64,
    state: PrState,
    ci: Ci,
    review: ReviewDecision,
    mergeability: Mergeability,
    head_ref: String,
    base_ref: String,
    is_cross_repo: bool,
    merged_at: Option<Timestamp>,
    /// Whether it is based on the branch of another open pull request of its session.
    is_stacked: bool,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT p.id, p.host, p.repo, p.number, p.state, p.ci, p.review_decision,
            p.mergeability, p.head_ref, p.base_ref, p.is_cross_repo, p.merged_at, p.created_at",
            $tail
        )
    };
}

pub(super) const STEP: &str = "read what pull requests say";

/// Those of a session, oldest first.
pub(super) fn of_session(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Vec<PrFacts>> {
    let sql = select!(" FROM pr p WHERE p.session_id = ?1");
    let mut prs = snapshot.list(STEP, sql, [session.as_str()], PrFacts::read)?;
    complete(&mut prs);
    Ok(prs)
}

/// A query of the sessions of a filter, each with the facts of its pull requests, or once with NULLs.
pub(super) fn list_sql(filter: &Filter) -> &'static str {
    of_filter!(filter, select!(", s.id FROM session s LEFT JOIN pr p ON p.session_id = s.id"))
}

/// A row of that query.
pub(super) fn read_of_list(row: &Row<'_>) -> rusqlite::Result<OfSession<PrFacts>> {
    let has_pr = row.get_ref(0)? != ValueRef::Null;
    let pr = has_pr.then(|| PrFacts::read(row)).transpose()?;
    Ok((Column::read(row, 13)?, pr))
}

/// Sorts all pull requests of a session, and finds the stacked ones. To let SQLite sort the few of each
/// session would take a third of the time of the query.
pub(super) fn complete(prs: &mut [PrFacts]) {
    if prs.len() < 2 {
        return;
    }
    prs.sort_unstable_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let is_below = |pr: &&PrFacts| pr.is_open() && !pr.is_cross_repo && !pr.head_ref.is_empty();
    let heads: HashSet<_> = prs.iter().filter(is_below).map(|pr| pr.branch(&pr.head_ref)).collect();
    let is_stacked = |pr: &PrFacts| {
        // One between two branches of one name is not based on itself.
        pr.base_ref != pr.head_ref && heads.contains(&pr.branch(&pr.base_ref))
    };
    let stacked: Vec<_> = prs.iter().map(is_stacked).collect();
    prs.iter_mut().zip(stacked).for_each(|(pr, is_stacked)| pr.is_stacked = is_stacked);
}

impl PrFacts {
    fn read(row: &Row<'_>) -> rusqlite::Result<PrFacts> {
        Ok(PrFacts {
            id: Column::read(row, 0)?,
            host: text(row, 1)?,
            repo: text(row, 2)?,
            number: Column::read(row, 3)?,
            state: Column::read(row, 4)?,
            ci: Column::read(row, 5)?,
            review: Column::read(row, 6)?,
            mergeability: Column::read(row, 7)?,
            head_ref: text(row, 8)?,
            base_ref: text(row, 9)?,
            is_cross_repo: Column::read(row, 10)?,
            merged_at: Column::read(row, 11)?,
            created_at: Column::read(row, 12)?,
            is_stacked: false,
        })
    }

    fn is_open(&self) -> bool {
        matches!(self.state, PrState::Open | PrState::Draft)
    }

    /// A branch of its repository.
    fn branch<'a>(&'a self, name: &'a str) -> (String, String, &'a str) {
        (self.host.to_ascii_lowercase(), self.repo.to_ascii_lowercase(), name)
    }

    fn is_mergeable(&self) -> bool {
        self.mergeability == Mergeability::Mergeable
    }

    fn place(&self) -> String {
        format!("{}#{}", self.repo, self.number)
    }
}

/// The first open pull request of which this holds.
fn first(all: &[PrFacts], what: &str, holds: impl Fn(&PrFacts) -> bool) -> Found {
    let found = all.iter().filter(|pr| pr.is_open()).find(|pr| holds(pr))?;
    Some((format!("{}: {what}", found.place()), None))
}

pub(super) fn ci_failed(all: &[PrFacts]) -> Found {
    first(all, "checks failed", |pr| pr.ci == Ci::Failing)
}

pub(super) fn changes_requested(all: &[PrFacts]) -> Found {
    first(all, "changes requested", |pr| pr.review == ReviewDecision::ChangesRequested)
}

pub(super) fn draft(all: &[PrFacts]) -> Found {
    first(all, "a draft", |pr| pr.state == PrState::Draft)
}

pub(super) fn review_pending(all: &[PrFacts]) -> Found {
    first(all, "a review is required", |pr| {
        !pr.is_stacked && pr.review == ReviewDecision::ReviewRequired
    })
}

pub(super) fn open(all: &[PrFacts]) -> Found {
    first(all, "open", |pr| {
        !pr.is_stacked && !pr.is_mergeable() && pr.review != ReviewDecision::Approved
    })
}

pub(super) fn approved(all: &[PrFacts]) -> Found {
    first(all, "approved", |pr| !pr.is_stacked && !pr.is_mergeable())
}

pub(super) fn mergeable(all: &[PrFacts]) -> Found {
    first(all, "mergeable", |pr| !pr.is_stacked)
}

pub(super) fn merged(all: &[PrFacts]) -> Found {
    if all.iter().any(PrFacts::is_open) {
        return None;
    }
    let merged = all.iter().rev().find(|pr| pr.state == PrState::Merged)?;
    Some((format!("{}: merged", merged.place()), merged.merged_at))
}
