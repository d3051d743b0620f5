//! Open pull requests that need attention: failing checks, requested changes, conflicts, threads.

use std::collections::HashMap;

use crate::attention::{Attention, Kind, QUOTED_MAX, since};
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::observation::{CheckStatus, Ci, Mergeability, ReviewDecision, ReviewState};
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::pr::{self, Pr};

/// How many failing checks are named.
const NAMED_MAX: usize = 5;

/// Adds the items of all pull requests, or of those of a session.
pub(super) fn push(
    snapshot: &Snapshot<'_>,
    session: Option<&SessionId>,
    items: &mut Vec<Attention>,
) -> Result<()> {
    let first = items.len();
    for pr in pr::open(snapshot, session)? {
        if pr.ci == Ci::Failing {
            items.push(failing(snapshot, &pr)?);
        }
        if pr.review_decision == ReviewDecision::ChangesRequested {
            items.push(changes_requested(snapshot, &pr)?);
        }
        if pr.mergeability == Mergeability::Conflicting {
            let into = if pr.base_ref.is_empty() { "its base" } else { &pr.base_ref };
            let text = format!("conflicts with {into}");
            items.push(Attention { text, ..about(Kind::Conflicting, &pr) });
        }
        items.extend(unresolved(snapshot, &pr)?);
    }
    since::complete(snapshot, &mut items[first..])
}

fn about(kind: Kind, pr: &Pr) -> Attention {
    Attention {
        project: Some(pr.project.clone()),
        session: Some(pr.session.clone()),
        pr: Some(pr.id.clone()),
        host: pr.host.clone(),
        url: pr.url.clone(),
        title: pr.title.clone(),
        ..Attention::new(kind, pr.place())
    }
}

/// Suites and workflows repeat what their runs say.
const SELECT_FAILED: &str = "SELECT name, url, completed_at, kind IN ('run', 'status'), status
    FROM pr_check WHERE pr_id = ?1 AND head_sha = ?2 AND status IN ('failed', 'cancelled')
    ORDER BY 4 DESC, 5 DESC, completed_at, name";

struct FailedCheck {
    name: String,
    url: String,
    completed_at: Option<Timestamp>,
    is_single: bool,
    status: CheckStatus,
}

/// The checks have failed since the first of those that fail now did.
fn failing(snapshot: &Snapshot<'_>, pr: &Pr) -> Result<Attention> {
    let params = (pr.id.as_str(), &pr.head_sha);
    let mut failed = snapshot.list("list failed checks", SELECT_FAILED, params, |row| {
        Ok(FailedCheck {
            name: text(row, 0)?,
            url: text(row, 1)?,
            completed_at: Column::read(row, 2)?,
            is_single: Column::read(row, 3)?,
            status: Column::read(row, 4)?,
        })
    })?;
    if failed.iter().any(|check| check.is_single) {
        failed.retain(|check| check.is_single);
    }
    let ends: Option<Vec<_>> = failed.iter().map(|check| check.completed_at).collect();
    let name = |check: &FailedCheck| match check.status {
        CheckStatus::Cancelled => format!("{} (cancelled)", check.name),
        _ => check.name.clone(),
    };
    let mut names: Vec<_> = failed.iter().take(NAMED_MAX).map(name).collect();
    if failed.len() > NAMED_MAX {
        names.push(format!("{} more", failed.len() - NAMED_MAX));
    }
    let item = about(Kind::CiFailing, pr);
    let url = failed.iter().map(|check| &check.url).find(|url| !url.is_empty());
    Ok(Attention {
        count: (!failed.is_empty()).then_some(failed.len() as u64),
        text: names.join(", "),
        url: url.cloned().unwrap_or(item.url),
        since: ends.and_then(|ends| ends.into_iter().min()),
        ..item
    })
}

/// Only these reviews decide.
const SELECT_REVIEWS: &str = "SELECT author, state, submitted_at, substr(body, 1, 500), url
    FROM pr_review WHERE pr_id = ?1 AND state IN ('approved', 'changes_requested', 'dismissed')
    ORDER BY submitted_at, id";

/// A request for changes that its author has not withdrawn.
struct Request {
    author: String,
    /// When the author first requested changes without approving them since.
    since: Option<Timestamp>,
    body: String,
    url: String,
}

fn changes_requested(snapshot: &Snapshot<'_>, pr: &Pr) -> Result<Attention> {
    let mut open: Vec<Request> = Vec::new();
    let step = "list reviews that decide";
    for (author, state, at, body, url) in
        snapshot.list(step, SELECT_REVIEWS, [pr.id.as_str()], |row| {
            let (author, body): (String, String) = (text(row, 0)?, text(row, 3)?);
            let state: ReviewState = Column::read(row, 1)?;
            Ok((author, state, Column::read(row, 2)?, body, text(row, 4)?))
        })?
    {
        let before = open.iter().position(|request| request.author == author);
        let before = before.map(|at| open.remove(at));
        if state == ReviewState::ChangesRequested {
            let since = before.map_or(at, |before| before.since);
            open.push(Request { author, since, body, url });
        }
    }
    let item = about(Kind::ChangesRequested, pr);
    let Some(newest) = open.last() else { return Ok(item) };
    let times: Option<Vec<_>> = open.iter().map(|request| request.since).collect();
    Ok(Attention {
        count: Some(open.len() as u64),
        text: quote(&newest.author, &newest.body),
        url: if newest.url.is_empty() { item.url } else { newest.url.clone() },
        since: times.and_then(|times| times.into_iter().min()),
        ..item
    })
}

const SELECT_THREADS: &str = "SELECT id, path, line FROM pr_review_thread
    WHERE pr_id = ?1 AND is_resolved = 0";

const SELECT_COMMENTS: &str = "SELECT thread_id, author, created_at, substr(body, 1, 500), url
    FROM pr_comment WHERE pr_id = ?1 AND thread_id <> '' ORDER BY created_at DESC, id DESC";

/// How a thread begins.
struct Opening {
    author: String,
    at: Option<Timestamp>,
    body: String,
    url: String,
}

/// The unresolved threads, shown by the newest of them.
fn unresolved(snapshot: &Snapshot<'_>, pr: &Pr) -> Result<Option<Attention>> {
    let id = [pr.id.as_str()];
    let threads = snapshot.list("list unresolved threads", SELECT_THREADS, id, |row| {
        let line: Option<i64> = Column::read(row, 2)?;
        Ok((text(row, 0)?, text(row, 1)?, line))
    })?;
    if threads.is_empty() {
        return Ok(None);
    }
    // In descending order, so that the first comment of each thread stays.
    let openings: HashMap<String, Opening> = snapshot
        .list("read how threads begin", SELECT_COMMENTS, id, |row| {
            let at = Column::read(row, 2)?;
            let (author, body, url) = (text(row, 1)?, text(row, 3)?, text(row, 4)?);
            Ok((text(row, 0)?, Opening { author, at, body, url }))
        })?
        .into_iter()
        .collect();
    let opening = |id: &String| openings.get(id);
    let begun = |id: &String| opening(id).and_then(|opening| opening.at);
    let times: Option<Vec<_>> = threads.iter().map(|(id, ..)| begun(id)).collect();
    let newest = threads.iter().max_by_key(|(id, ..)| begun(id));
    let item = about(Kind::ThreadsUnresolved, pr);
    let (mut shown, mut url) = (String::new(), String::new());
    if let Some((id, path, line)) = newest {
        shown = line.map_or(path.clone(), |line| format!("{path}:{line}"));
        if let Some(opening) = opening(id) {
            shown = format!("{shown} {}", quote(&opening.author, &opening.body));
            url.clone_from(&opening.url);
        }
    }
    Ok(Some(Attention {
        count: Some(threads.len() as u64),
        text: shown.trim().to_owned(),
        url: if url.is_empty() { item.url } else { url },
        since: times.and_then(|times| times.into_iter().max()),
        ..item
    }))
}

/// Who said what: the first line that has text.
fn quote(author: &str, body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().take(QUOTED_MAX).collect();
    match (author, line.as_str()) {
        ("", line) => line.to_owned(),
        (author, "") => author.to_owned(),
        (author, line) => format!("{author}: {line}"),
    }
}
