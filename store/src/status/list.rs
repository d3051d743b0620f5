//! Sessions with their statuses, read side by side by three queries in one order, and not further than the
//! last session that is asked for: a page costs what its sessions cost, whatever is after it.

use std::collections::HashMap;
use std::iter::Peekable;

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::model::id::SessionId;
use crate::row::columns::Columns;
use crate::row::lifecycle::operation;
use crate::row::session::{self, Filter, Key, START, Session};

use super::{Derived, Facts, OfSession, Running, launches, pulls, running};

/// The sessions of a filter with their statuses, in the order of project and number.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<(Session, Derived)>> {
    page(snapshot, filter, START, usize::MAX, |_, _| true)
}

/// The first `limit` of them that are after a key and wanted. Keys never change, so that no page depends on
/// what was created or deleted since the one before.
///
/// # Errors
/// When the database cannot be read.
pub fn page(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    after: Key<'_>,
    limit: usize,
    is_wanted: impl Fn(&Session, &Derived) -> bool,
) -> Result<Vec<(Session, Derived)>> {
    let operations = operations(snapshot)?;
    let params = filter.params(after);
    let mut statement = snapshot.prepare(session::LIST, session::list_sql(filter))?;
    let mut sessions = statement.query_map(params, Session::read).context(session::LIST)?;
    let mut statement = snapshot.prepare(launches::STEP, launches::list_sql(filter))?;
    let launches = statement.query_map(params, launches::read_of_list).context(launches::STEP)?;
    let mut launches = launches.peekable();
    let mut statement = snapshot.prepare(pulls::STEP, pulls::list_sql(filter))?;
    let prs = statement.query_map(params, pulls::read_of_list).context(pulls::STEP)?;
    let mut prs = prs.peekable();
    let (mut found, mut of_session) = (Vec::new(), Vec::new());
    while found.len() < limit
        && let Some(session) = sessions.next().transpose().context(session::LIST)?
    {
        let launch = take(&mut launches, &session.id).context(launches::STEP)?;
        of_session.clear();
        while let Some(pr) = take(&mut prs, &session.id).context(pulls::STEP)? {
            of_session.push(pr);
        }
        pulls::complete(&mut of_session);
        let operation = operations.get(&session.id);
        let facts =
            Facts { session: &session, launch: launch.as_ref(), operation, prs: &of_session };
        let derived = facts.derive();
        // An id that is not UTF-8 is read as another one: nothing is on two pages all the same.
        let is_after = (session.project.as_str(), session.num) > after;
        if is_after && is_wanted(&session, &derived) {
            found.push((session, derived));
        }
    }
    Ok(found)
}

/// Those that run now, in all projects: they are few.
fn operations(snapshot: &Snapshot<'_>) -> Result<HashMap<SessionId, Running>> {
    let all = operation::list(snapshot)?.into_iter();
    all.map(|it| Ok((it.session.clone(), running(snapshot, it)?))).collect()
}

/// Takes the facts of the next row if it is of this session. Of neighbours whose ids are not UTF-8 and are read as
/// the same one, the first gets the pull requests of both: only a foreign writer makes such rows.
fn take<T>(
    rows: &mut Peekable<impl Iterator<Item = rusqlite::Result<OfSession<T>>>>,
    id: &SessionId,
) -> rusqlite::Result<Option<T>> {
    let is_due = |row: &rusqlite::Result<OfSession<T>>| row.as_ref().map_or(true, |it| it.0 == *id);
    Ok(rows.next_if(is_due).transpose()?.and_then(|(_, facts)| facts))
}
