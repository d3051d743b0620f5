//! What prevents the observation: hosts, repositories and pull requests that cannot be read, facts that
//! are stale, and pull requests that are not tracked.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Row;

use crate::attention::{Attention, Kind};
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::{PrId, PrRef, SessionId};
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::pr::{self, Filter, Pr};
use crate::row::scm::{self, Credential, FactAge, HostState, SkippedPr};
use crate::row::{project, session};

/// The most unreadable repositories or pull requests that are listed.
const UNREAD_MAX: i64 = 1_000;

/// Adds what prevents the observation of all pull requests, or of those of a session.
pub(super) fn push(
    snapshot: &Snapshot<'_>,
    session: Option<&SessionId>,
    now: Timestamp,
    items: &mut Vec<Attention>,
) -> Result<()> {
    let prs = pr::open(snapshot, session)?;
    let unreadable = unreadable(snapshot, session, items)?;
    let filter = Filter { session: session.cloned(), ..Filter::default() };
    let ages = scm::pr_ages(snapshot, &filter, now)?;
    let mut hosts: BTreeMap<String, Vec<&Pr>> = BTreeMap::new();
    for project in project::list(snapshot, false)?.into_iter().filter(|it| !it.host.is_empty()) {
        hosts.entry(project.host.to_ascii_lowercase()).or_default();
    }
    for pr in &prs {
        hosts.entry(pr.host.to_ascii_lowercase()).or_default().push(pr);
    }
    for (host, prs) in hosts {
        let state = scm::host(snapshot, &host)?;
        let readable = prs.into_iter().filter(|pr| !unreadable.contains(&pr.id));
        let item = state.and_then(|state| of_state(&state, now));
        items.extend(item.or_else(|| stale(&host, readable, &ages)));
    }
    push_repos(snapshot, items)?;
    push_skipped(snapshot, session, items)
}

fn about(kind: Kind, host: &str) -> Attention {
    Attention { host: host.to_owned(), ..Attention::new(kind, host) }
}

/// The worst problem of a host: a credential needs an action, a backoff ends without one.
fn of_state(state: &HostState, now: Timestamp) -> Option<Attention> {
    let HostState { host, source, since, reason, failure, .. } = state;
    let text = match state.credential {
        Credential::Missing => "no credential was found".to_owned(),
        Credential::Invalid => format!("the host rejects the credential from {source}"),
        Credential::Unknown | Credential::Ok => {
            let text = match state.block(now) {
                Some(_) if failure.is_empty() => reason,
                Some(_) => &format!("{reason}: {failure}"),
                None => failure,
            };
            let item = Attention { text: text.clone(), ..about(Kind::HostUnreachable, host) };
            return (!text.is_empty()).then_some(item);
        }
    };
    Some(Attention { text, since: *since, ..about(Kind::ObserverDisabled, host) })
}

/// The open pull requests of a host whose facts are stale.
fn stale<'a>(
    host: &str,
    prs: impl Iterator<Item = &'a Pr>,
    ages: &HashMap<PrId, FactAge>,
) -> Option<Attention> {
    let old: Vec<_> = prs.filter_map(|pr| ages.get(&pr.id)).filter(|age| age.is_stale).collect();
    let first = old.iter().map(|age| age.stale_since()).collect::<Option<Vec<_>>>();
    (!old.is_empty()).then(|| Attention {
        count: Some(old.len() as u64),
        text: "no observer reads its pull requests".to_owned(),
        since: first.and_then(|times| times.into_iter().min()),
        ..about(Kind::FactsStale, host)
    })
}

macro_rules! select_prs {
    ($condition:literal) => {
        concat!(
            "SELECT p.id, o.problem, o.problem_since
            FROM pr_poll o JOIN pr p ON p.id = o.pr_id JOIN project j ON j.id = p.project_id
            WHERE ",
            $condition,
            " o.problem <> '' AND p.state NOT IN ('merged', 'closed') AND j.archived_at IS NULL
            ORDER BY o.problem_since DESC, p.id LIMIT ?1"
        )
    };
}

/// Adds the open pull requests that cannot be read; returns them.
fn unreadable(
    snapshot: &Snapshot<'_>,
    session: Option<&SessionId>,
    items: &mut Vec<Attention>,
) -> Result<HashSet<PrId>> {
    let step = "list what cannot be read";
    let read = |row: &Row<'_>| {
        let (id, since): (PrId, _) = (Column::read(row, 0)?, Column::read(row, 2)?);
        Ok((id, text(row, 1)?, since))
    };
    let found = match session {
        None => snapshot.list(step, select_prs!(""), [UNREAD_MAX], read)?,
        Some(id) => {
            let sql = select_prs!("p.session_id = ?2 AND");
            snapshot.list(step, sql, (UNREAD_MAX, id.as_str()), read)?
        }
    };
    for (id, problem, since) in &found {
        let Some(pr) = pr::by_id(snapshot, id)? else { continue };
        items.push(Attention {
            pr: Some(pr.id.clone()),
            name: pr.place(),
            project: Some(pr.project),
            session: Some(pr.session),
            url: pr.url,
            title: pr.title,
            text: in_words(problem).to_owned(),
            since: *since,
            ..about(Kind::PrUnreadable, &pr.host)
        });
    }
    Ok(found.into_iter().map(|(id, ..)| id).collect())
}

/// A renamed repository may be requested under several names.
const SELECT_REPOS: &str = "SELECT r.host, iif(r.name <> '', r.name, r.repo) AS current,
        min(r.access), min(r.access_since), min(p.id), count(*)
    FROM scm_repo r JOIN project p ON p.host = r.host COLLATE NOCASE
        AND p.repo = r.repo COLLATE NOCASE AND p.archived_at IS NULL
    WHERE r.access IN ('partial', 'forbidden', 'missing')
    GROUP BY r.host, current COLLATE NOCASE LIMIT ?1";

const SELECT_CURRENT: &str =
    "SELECT name FROM scm_repo WHERE host = ?1 AND repo = ?2 AND name <> ''";

/// The current name of a repository.
pub(super) fn current_name(snapshot: &Snapshot<'_>, host: &str, repo: &str) -> Result<String> {
    let step = "read the name of a repository";
    let name = snapshot.one(step, SELECT_CURRENT, (host, repo), |row| text(row, 0))?;
    Ok(name.unwrap_or_else(|| repo.to_owned()))
}

fn push_repos(snapshot: &Snapshot<'_>, items: &mut Vec<Attention>) -> Result<()> {
    let found =
        snapshot.list("list unreadable repositories", SELECT_REPOS, [UNREAD_MAX], |row| {
            let (host, repo): (String, String) = (text(row, 0)?, text(row, 1)?);
            let name = if is_default(&host) { repo.clone() } else { format!("{host}/{repo}") };
            let is_one = row.get::<_, i64>(5)? == 1;
            Ok(Attention {
                text: in_words(&text(row, 2)?).to_owned(),
                since: Column::read(row, 3)?,
                project: Some(Column::read(row, 4)?).filter(|_| is_one),
                url: format!("https://{host}/{repo}"),
                name,
                ..about(Kind::RepoUnreadable, &host)
            })
        })?;
    items.extend(found);
    Ok(())
}

fn push_skipped(
    snapshot: &Snapshot<'_>,
    session: Option<&SessionId>,
    items: &mut Vec<Attention>,
) -> Result<()> {
    for skipped in scm::skipped_prs(snapshot, session)? {
        let project = session::get(snapshot, &skipped.session)?.map(|session| session.project);
        let SkippedPr { host, repo, number, since, session, author, .. } = skipped;
        let place = PrRef { host, repo, number };
        let PrRef { host, repo, .. } = &place;
        let name = format!("{repo}#{number}");
        let author = if author.is_empty() { "a deleted account" } else { &author };
        items.push(Attention {
            project,
            text: format!("not tracked: its author is {author}"),
            session: Some(session),
            url: place.url(),
            name: if is_default(host) { name } else { format!("{host}/{name}") },
            since: Some(since),
            ..about(Kind::PrSkipped, host)
        });
    }
    Ok(())
}

/// Why a repository or a pull request cannot be read.
fn in_words(reason: &str) -> &str {
    match reason {
        "forbidden" => "the token may not read it",
        "missing" => "the host does not know it, or the token may not see it",
        "unreachable" => "the host has not known it for long",
        "partial" => "some of its open pull requests could not be listed",
        "invalid" => "the store rejects what the host reports about it",
        "failed" => "the host did not answer, or its answer could not be read",
        "incomplete" => "a part of it could not be read",
        other => other,
    }
}

/// Whether the host is omitted where people read a location.
fn is_default(host: &str) -> bool {
    host.eq_ignore_ascii_case("github.com")
}
