//! Sessions that wait for a person: their agents ended, were lost, cannot continue, wait for input, or have not
//! been heard of for long.
//!
//! The derived status decides. A session on which a verb runs needs nobody.

use crate::attention::{Attention, Kind, QUOTED_MAX};
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::activity::Activity;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::row::lifecycle::instance;
use crate::row::session::{self, Session};
use crate::row::{decision, launch};
use crate::status::{self, Derived, Status};

/// How long an agent may be unknown.
const UNKNOWN_MS: i64 = 10 * 60_000;

/// How long an agent may start.
const STARTING_MS: i64 = 60_000;

/// Adds all of them, or only this one.
pub(super) fn push(
    snapshot: &Snapshot<'_>,
    only: Option<&SessionId>,
    now: Timestamp,
    items: &mut Vec<Attention>,
) -> Result<()> {
    for session in session::stopped(snapshot, only)? {
        let derived = status::of(snapshot, &session)?;
        let kind = match derived.status {
            Status::Lost | Status::Exited => Kind::SessionExited,
            Status::NeedsInput if session.activity == Activity::Blocked => Kind::SessionBlocked,
            Status::NeedsInput => Kind::SessionWaiting,
            Status::Limited => Kind::SessionLimited,
            _ => continue,
        };
        let words = in_words(snapshot, &session, kind, &derived)?;
        let decision = decision::open(snapshot, &session.id)?.map(|open| open.kind);
        let item = item(session, kind, words, derived.since);
        items.push(Attention { decision, ..item });
    }
    for session in unknown(snapshot, only, now)? {
        let since = Some(session.activity_at);
        let words = "its agent runs, but nothing says what it does".to_owned();
        items.push(item(session, Kind::SessionUnknown, words, since));
    }
    let starting = starting(snapshot, only, now)?;
    if !starting.is_empty() && !instance::has_screen_reader(snapshot)? {
        for session in starting {
            let since = Some(session.activity_at);
            let words = "its agent has reported nothing since its start, and `up`, which reads \
                screens, does not run";
            items.push(item(session, Kind::SessionUnread, words.to_owned(), since));
        }
    }
    Ok(())
}

macro_rules! select {
    ($condition:literal, $state:literal, $launch:literal) => {
        concat!(
            "SELECT id FROM session WHERE ",
            $condition,
            " is_terminated = 0 AND activity_at <= ?1 AND ",
            $state,
            " AND EXISTS (SELECT 1 FROM launch l WHERE l.id = launch_id AND l.ended_at IS NULL",
            $launch,
            ") AND NOT EXISTS (SELECT 1 FROM session_operation o WHERE o.session_id = session.id)
                AND project_id IN (SELECT id FROM project WHERE archived_at IS NULL)
            ORDER BY project_id, num"
        )
    };
}

macro_rules! select_unknown {
    ($condition:literal) => {
        select!($condition, "activity = 'unknown'", " AND l.created_at < activity_at")
    };
}

macro_rules! select_starting {
    ($condition:literal) => {
        select!($condition, "activity = 'starting'", "")
    };
}

/// The sessions whose agent runs, and has not been known to do anything for long, but was before: of some
/// programs nothing is ever known.
fn unknown(
    snapshot: &Snapshot<'_>,
    only: Option<&SessionId>,
    now: Timestamp,
) -> Result<Vec<Session>> {
    let sql = [select_unknown!(""), select_unknown!("id = ?2 AND")];
    quiet(snapshot, only, sql, now.0.saturating_sub(UNKNOWN_MS))
}

/// The sessions whose agent has reported nothing since its start.
fn starting(
    snapshot: &Snapshot<'_>,
    only: Option<&SessionId>,
    now: Timestamp,
) -> Result<Vec<Session>> {
    let sql = [select_starting!(""), select_starting!("id = ?2 AND")];
    quiet(snapshot, only, sql, now.0.saturating_sub(STARTING_MS))
}

/// Those that the first query finds, or by the second one only this.
fn quiet(
    snapshot: &Snapshot<'_>,
    only: Option<&SessionId>,
    [all, one]: [&'static str; 2],
    since: i64,
) -> Result<Vec<Session>> {
    let step = "list sessions that are quiet";
    let id = |row: &rusqlite::Row<'_>| Ok(SessionId::stored(text(row, 0)?));
    let ids = match only {
        None => snapshot.list(step, all, [since], id),
        Some(only) => snapshot.list(step, one, (since, only.as_str()), id),
    };
    let found = ids?.into_iter().map(|id| session::get(snapshot, &id));
    found.filter_map(Result::transpose).collect()
}

fn item(session: Session, kind: Kind, words: String, since: Option<Timestamp>) -> Attention {
    let is_external = session.is_external();
    let Session { id, project, name, harness, .. } = session;
    Attention {
        project: Some(project),
        title: name,
        text: words,
        since,
        session: Some(id.clone()),
        is_external,
        harness,
        ..Attention::new(kind, id.to_string())
    }
}

/// How an agent ended, with the last line of what it wrote.
fn in_words(
    snapshot: &Snapshot<'_>,
    session: &Session,
    kind: Kind,
    derived: &Derived,
) -> Result<String> {
    if kind != Kind::SessionExited {
        return Ok(derived.reason.clone());
    }
    if session.is_external() {
        return Ok("its agent ended; the session is not terminated".to_owned());
    }
    let output = launch::output(snapshot, &session.launch)?.unwrap_or_default();
    Ok(match last_line(&output) {
        Some(line) => format!("{}: {line}", derived.reason),
        None => derived.reason.clone(),
    })
}

/// The last line that has text.
fn last_line(output: &str) -> Option<String> {
    let line = output.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(QUOTED_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_the_agent_wrote_last() {
        for (output, line) in [
            ("", None),
            (" \n\n", None),
            ("a\nerror: no such flag\n\n", Some("error: no such flag")),
        ] {
            assert_eq!(last_line(output).as_deref(), line, "{output:?}");
        }
        assert_eq!(last_line(&"é".repeat(1000)).map(|line| line.chars().count()), Some(QUOTED_MAX));
    }
}
