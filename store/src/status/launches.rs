//! What the newest launch of a session says about it.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::launch::EndCause;
use crate::row::session::{Filter, Session, of_filter};

use super::OfSession;

/// The facts of a launch that count.
#[derive(Debug, Clone)]
pub(super) struct LaunchFacts {
    pub(super) started_at: Option<Timestamp>,
    /// When it ended, and why.
    pub(super) end: Option<(Timestamp, EndCause)>,
    pub(super) exit_status: Option<i64>,
    pub(super) signal: Option<i64>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT l.started_at, l.ended_at, l.cause, l.exit_status, l.signal", $tail)
    };
}

pub(super) const STEP: &str = "read the newest launches";

/// The newest one of a session.
pub(super) fn of_session(
    snapshot: &Snapshot<'_>,
    session: &Session,
) -> Result<Option<LaunchFacts>> {
    let sql = select!(" FROM launch l WHERE l.id = ?1");
    snapshot.one(STEP, sql, [&session.launch], LaunchFacts::read)
}

/// A query of the sessions of a filter, each with the facts of its newest launch, or NULLs.
pub(super) fn list_sql(filter: &Filter) -> &'static str {
    of_filter!(
        filter,
        select!(", s.id, l.id FROM session s LEFT JOIN launch l ON l.id = s.launch_id")
    )
}

/// A row of that query.
pub(super) fn read_of_list(row: &Row<'_>) -> rusqlite::Result<OfSession<LaunchFacts>> {
    let has_launch = row.get_ref(6)? != ValueRef::Null;
    let launch = has_launch.then(|| LaunchFacts::read(row)).transpose()?;
    Ok((Column::read(row, 5)?, launch))
}

impl LaunchFacts {
    fn read(row: &Row<'_>) -> rusqlite::Result<LaunchFacts> {
        let ended_at: Option<Timestamp> = Column::read(row, 1)?;
        let end_at = |at| -> rusqlite::Result<_> { Ok((at, EndCause::parse(&text(row, 2)?))) };
        Ok(LaunchFacts {
            started_at: Column::read(row, 0)?,
            end: ended_at.map(end_at).transpose()?,
            exit_status: Column::read(row, 3)?,
            signal: Column::read(row, 4)?,
        })
    }
}
