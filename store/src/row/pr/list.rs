//! Lists of pull requests: whole in the order of locations, or in pages in the order of ids.

use rusqlite::{Params, params_from_iter};

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::{ProjectId, SessionId};
use crate::row::columns::Columns;

use super::Pr;

/// Which pull requests to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those of this session.
    pub session: Option<SessionId>,
}

impl Filter {
    /// The parameters of a text that [`of_filter`] chose.
    pub(crate) fn params(&self) -> impl Params {
        params_from_iter(self.values())
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        let session = self.session.iter().map(SessionId::as_str);
        session.chain(self.project.iter().map(ProjectId::as_str))
    }
}

/// A query of the pull requests `p` of a filter: one text for each kind of filter, because a condition
/// such as `?1 IS NULL OR …` defeats every index.
macro_rules! of_filter {
    ($filter:expr, $select:expr, $order:expr) => {
        match (&$filter.session, &$filter.project) {
            (None, None) => concat!($select, " WHERE TRUE", $order),
            (None, Some(_)) => concat!($select, " WHERE p.project_id = ?1", $order),
            (Some(_), None) => concat!($select, " WHERE p.session_id = ?1", $order),
            // Of two usable indexes, that of the sessions finds fewer rows.
            (Some(_), Some(_)) => {
                concat!($select, " WHERE p.session_id = ?1 AND +p.project_id = ?2", $order)
            }
        }
    };
}
pub(crate) use of_filter;

/// Pull requests in the order of repository and number.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<Pr>> {
    let sql = of_filter!(filter, select!("p"), " ORDER BY host, repo, number");
    snapshot.list("list pull requests", sql, filter.params(), Pr::read)
}

/// The first `limit` of those after an id that are wanted, in the order of ids, which never change.
///
/// # Errors
/// When the database cannot be read.
pub fn page(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    after: &str,
    limit: usize,
    is_wanted: impl Fn(&Pr) -> bool,
) -> Result<Vec<Pr>> {
    let sql = of_filter!(filter, select!("p"), " AND p.id > ? ORDER BY p.id");
    let params = params_from_iter(filter.values().chain([after]));
    let is_wanted = |pr: &Pr| pr.id.as_str() > after && is_wanted(pr);
    snapshot.first("list pull requests", sql, params, (limit, is_wanted), Pr::read)
}
