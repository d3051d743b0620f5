//! What the newest launch of a session says about it.

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::launch::EndCause;
use crate::row::session::{Filter, Session, of_filter};

/// The facts of a launch that count.
#[derive(Debug, Clone)]
pub(super) struct LaunchFacts {
    pub(super) session: SessionId,
    pub(super) started_at: Option<Timestamp>,
    /// When it ended, and why.
    pub(super) end: Option<(Timestamp, EndCause)>,
    pub(super) exit_status: Option<i64>,
    pub(super) signal: Option<i64>,
}

macro_rules! select {
    ($session:literal) => {
        concat!("SELECT l.started_at, l.ended_at, l.cause, l.exit_status, l.signal, ", $session)
    };
}

const STEP: &str = "read the newest launches";

/// The newest one of a session.
pub(super) fn of_session(
    snapshot: &Snapshot<'_>,
    session: &Session,
) -> Result<Option<LaunchFacts>> {
    let sql = select!("l.session_id FROM launch l WHERE l.id = ?1");
    snapshot.one(STEP, sql, [&session.launch], LaunchFacts::read)
}

/// The newest ones of the sessions of a filter, in the order of the sessions.
pub(super) fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<LaunchFacts>> {
    let sql = of_filter!(
        filter,
        select!("s.id FROM session s CROSS JOIN launch l ON l.id = s.launch_id")
    );
    snapshot.list(STEP, sql, filter.params(), LaunchFacts::read)
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
            session: Column::read(row, 5)?,
        })
    }
}
