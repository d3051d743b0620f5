//! The newest changes of a session, searched in a bounded part of the log.

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::change::{Change, ChangeRef, select_changes};
use crate::log::info::LogInfo;
use crate::model::cursor::Seq;
use crate::model::id::SessionId;

const SELECT_OF: &str =
    select_changes!("WHERE seq <= ?1 AND seq > ?2 AND session = ?3 ORDER BY seq DESC LIMIT ?4");

/// The newest changes of a session.
#[derive(Debug, Clone, Default)]
pub struct Newest {
    /// They, newest first.
    pub changes: Vec<Change>,
    /// Whether the log has changes before those that were searched.
    pub is_cut: bool,
}

/// The newest changes of a session: at most `limit` of those among the `searched` newest changes of the log,
/// so that what it costs does not grow with the log.
///
/// # Errors
/// When the database cannot be read.
pub fn newest_of(
    snapshot: &Snapshot<'_>,
    session: &SessionId,
    searched: u32,
    limit: u32,
) -> Result<Newest> {
    let step = "read the newest changes of a session";
    let info = LogInfo::read(snapshot)?;
    let start = Seq(info.head.0.saturating_sub(searched.into()));
    let params = (info.head.0, start.0, session.as_str(), limit);
    let mut statement = snapshot.conn().prepare_cached(SELECT_OF).context(step)?;
    let mut rows = statement.query(params).context(step)?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next().context(step)? {
        changes.push(ChangeRef::of(row)?.to_owned()?);
    }
    Ok(Newest { changes, is_cut: start > info.floor })
}
