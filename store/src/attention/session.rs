//! Sessions that wait for a person: their agents ended, were lost, cannot continue, or wait for input.
//!
//! The derived status decides. A session on which a verb runs needs nobody.

use crate::attention::{Attention, Kind, QUOTED_MAX};
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::activity::Activity;
use crate::model::id::SessionId;
use crate::row::launch;
use crate::row::session::{self, Session};
use crate::status::{self, Derived, Status};

/// Adds all of them, or only this one.
pub(super) fn push(
    snapshot: &Snapshot<'_>,
    only: Option<&SessionId>,
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
        let text = in_words(snapshot, &session, kind, &derived)?;
        let is_external = session.is_external();
        let Session { id, project, name, .. } = session;
        items.push(Attention {
            project: Some(project),
            title: name,
            text,
            since: derived.since,
            session: Some(id.clone()),
            is_external,
            ..Attention::new(kind, id.to_string())
        });
    }
    Ok(())
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
