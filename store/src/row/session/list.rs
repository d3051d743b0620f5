//! Lists of sessions: in the order of project and number, whole or after a key.

use std::cmp::Ordering;

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::ProjectId;
use crate::row::columns::Columns;

use super::Session;

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Include terminated sessions.
    pub terminated: bool,
}

/// The key of a session in lists: its project and number, which never change.
pub type Key<'a> = (&'a str, i64);

/// Less than the key of any session.
pub const START: Key<'static> = ("", 0);

/// The key of the session of an id, whether or not it exists. `None` if the text is no such id.
#[must_use]
pub fn key_of(id: &str) -> Option<Key<'_>> {
    let (project, num) = id.rsplit_once('-')?;
    Some((project, num.parse().ok()?))
}

impl Filter {
    /// The parameters of a text that [`of_filter`] chose, for the sessions after a key.
    pub(crate) fn params<'a>(&'a self, after: Key<'a>) -> Key<'a> {
        let Some(project) = &self.project else { return after };
        let num = match after.0.cmp(project.as_str()) {
            Ordering::Less => START.1,
            Ordering::Equal => after.1,
            Ordering::Greater => i64::MAX,
        };
        (project.as_str(), num)
    }
}

/// A query of the sessions `s` of a filter after a key, in the order of project and number: one text for
/// each kind of filter, because a condition such as `?1 IS NULL OR …` defeats every index. An index has that
/// order, so SQLite makes a row when it is asked for it, and a page costs what its rows cost.
macro_rules! of_filter {
    ($filter:expr, $select:expr) => {
        match (&$filter.project, $filter.terminated) {
            (None, true) => concat!(
                $select,
                " WHERE (s.project_id, s.num) > (?1, ?2) ORDER BY s.project_id, s.num"
            ),
            (None, false) => concat!(
                $select,
                " WHERE (s.project_id, s.num) > (?1, ?2) AND s.is_terminated = 0
                ORDER BY s.project_id, s.num"
            ),
            (Some(_), true) => {
                concat!($select, " WHERE s.project_id = ?1 AND s.num > ?2 ORDER BY s.num")
            }
            (Some(_), false) => concat!(
                $select,
                " WHERE s.project_id = ?1 AND s.num > ?2 AND s.is_terminated = 0 ORDER BY s.num"
            ),
        }
    };
}
pub(crate) use of_filter;

/// Sessions in the order of project and number.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<Session>> {
    snapshot.list(LIST, list_sql(filter), filter.params(START), Session::read)
}

pub(crate) const LIST: &str = "list sessions";

/// The query of [`list`].
pub(crate) fn list_sql(filter: &Filter) -> &'static str {
    of_filter!(filter, select!("s"))
}
