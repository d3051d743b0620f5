//! The one clock of each turn that has not ended: until when it may wait for a worker, and then until when
//! it may make no progress. It is a time while the machine was awake; see [`AwakeTime`].

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::clock::AwakeTime;
use crate::model::id::{AgentId, OrgId};
use crate::row::turn::row::Turn;

/// The clock of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    boot: Option<i64>,
    deadline_ms: Option<i64>,
}

/// What a clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Nothing: an earlier turn of the conversation has not ended.
    Nothing,
    /// There is time left.
    TimeLeft,
    /// The time is over.
    Overdue,
    /// The machine was started since it was set.
    OtherBoot,
}

impl Clock {
    /// What it shows at a time.
    pub(crate) fn shows(self, now: AwakeTime) -> Shows {
        match (self.boot, self.deadline_ms) {
            (Some(boot), _) if boot != now.boot => Shows::OtherBoot,
            (_, Some(deadline)) if deadline <= now.ms => Shows::Overdue,
            (_, Some(_)) => Shows::TimeLeft,
            (_, None) => Shows::Nothing,
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Clock> {
    Ok(Clock { boot: row.get(0)?, deadline_ms: row.get(1)? })
}

const SELECT: &str = "SELECT boot, deadline_ms FROM turn_clock WHERE turn_id = ?1";

/// The clock of a turn; `None` for one that has ended.
pub(crate) fn get(snapshot: &Snapshot<'_>, turn: &str) -> Result<Option<Clock>> {
    snapshot.one("read the clock of a turn", SELECT, [turn], read)
}

const INSERT: &str = "INSERT INTO turn_clock (turn_id, org_id, agent_id, patience_ms)
    VALUES (?1, ?2, ?3, ?4)";

/// Gives a new turn its clock, which does not run yet.
pub(crate) fn insert(tx: &Tx<'_>, turn: &Turn, patience_ms: i64) -> Result<()> {
    let params = (&turn.id, turn.org.as_str(), turn.agent.as_str(), patience_ms);
    tx.execute_uncaptured("set the clock of a turn", INSERT, params).map(|_| ())
}

const SET_READY: &str = "UPDATE turn_clock
    SET ready_at = coalesce(ready_at, ?2), boot = ?3, deadline_ms = ?4 + patience_ms WHERE turn_id = ?1";

/// Starts the clock of a turn that is the next one of its conversation.
pub(crate) fn set_ready(tx: &Tx<'_>, turn: &str) -> Result<()> {
    let now = tx.reading().awake();
    let params = (turn, tx.now().0, now.boot, now.ms);
    tx.execute_uncaptured("make a turn ready", SET_READY, params).map(|_| ())
}

const RELEASE: &str = "UPDATE turn_clock
    SET ready_at = ?2, boot = ?3, deadline_ms = ?4 + patience_ms
    WHERE turn_id = ?1 AND boot IS NULL";

/// The same, unless its clock runs.
pub(crate) fn release(tx: &Tx<'_>, turn: &str) -> Result<()> {
    let now = tx.reading().awake();
    let params = (turn, tx.now().0, now.boot, now.ms);
    tx.execute_uncaptured("release a turn", RELEASE, params).map(|_| ())
}

const BEGIN: &str = "UPDATE turn_clock SET boot = ?2, deadline_ms = ?3 + patience_ms
    WHERE turn_id = ?1 AND boot IS NULL";

/// Starts the clock of a turn that no worker is to take; returns whether it did not run.
pub(crate) fn begin(tx: &Tx<'_>, turn: &str) -> Result<bool> {
    let now = tx.reading().awake();
    let changed = tx.execute_uncaptured("release a turn", BEGIN, (turn, now.boot, now.ms))?;
    Ok(changed > 0)
}

const RESTART: &str =
    "UPDATE turn_clock SET boot = ?2, deadline_ms = ?3 + patience_ms WHERE turn_id = ?1";

/// The same, whether its clock runs or not.
pub(crate) fn restart(tx: &Tx<'_>, turn: &str) -> Result<()> {
    let now = tx.reading().awake();
    let params = (turn, now.boot, now.ms);
    tx.execute_uncaptured("let a turn wait anew", RESTART, params).map(|_| ())
}

const SET_ASIDE: &str = "UPDATE turn_clock SET ready_at = NULL, boot = NULL, deadline_ms = NULL
    WHERE turn_id = ?1";

/// Stops the clock of a turn that is not the next one of its conversation.
pub(crate) fn set_aside(tx: &Tx<'_>, turn: &str) -> Result<()> {
    tx.execute_uncaptured("set a turn aside", SET_ASIDE, [turn]).map(|_| ())
}

const SET_RUNNING: &str = "UPDATE turn_clock
    SET ready_at = NULL, patience_ms = ?2, boot = ?3, deadline_ms = ?4 + ?2 WHERE turn_id = ?1";

/// Starts the clock of a turn that runs, and may make no progress for `patience_ms`.
pub(crate) fn set_running(tx: &Tx<'_>, turn: &str, patience_ms: i64) -> Result<()> {
    let now = tx.reading().awake();
    let params = (turn, patience_ms, now.boot, now.ms);
    tx.execute_uncaptured("start the clock of a turn", SET_RUNNING, params).map(|_| ())
}

const EXTEND: &str = "UPDATE turn_clock
    SET boot = ?2, deadline_ms = ?3 + patience_ms, is_waiting = 0
    WHERE turn_id = ?1 AND deadline_ms > 0";

/// Progress: the time begins anew.
pub(crate) fn extend(tx: &Tx<'_>, turn: &str) -> Result<()> {
    let now = tx.reading().awake();
    tx.execute_uncaptured("extend a turn", EXTEND, (turn, now.boot, now.ms)).map(|_| ())
}

const REFRESH: &str = "UPDATE turn_clock SET deadline_ms = ?3 + patience_ms
    WHERE turn_id = ?1 AND boot = ?2 AND deadline_ms > 0 AND deadline_ms < ?3 + patience_ms / 2";

/// The same where progress comes often, and a write for each is not worth it: only once half of the time is over.
pub(crate) fn refresh(tx: &Tx<'_>, turn: &str) -> Result<()> {
    let now = tx.reading().awake();
    tx.execute_uncaptured("extend a turn", REFRESH, (turn, now.boot, now.ms)).map(|_| ())
}

const WAIT: &str = "UPDATE turn_clock SET boot = ?2, deadline_ms = ?3, is_waiting = 1
    WHERE turn_id = ?1 AND is_waiting = 0 AND deadline_ms > 0";

/// The turn waits for something outside: from the first report on, for at most `horizon_ms`.
pub(crate) fn wait(tx: &Tx<'_>, turn: &str, horizon_ms: i64) -> Result<()> {
    let until = tx.reading().awake().after(horizon_ms);
    tx.execute_uncaptured("let a turn wait", WAIT, (turn, until.boot, until.ms)).map(|_| ())
}

const SHORTEN: &str = "UPDATE turn_clock SET deadline_ms = min(deadline_ms, ?3)
    WHERE turn_id = ?1 AND boot = ?2";

/// Leaves a turn at most `grace_ms` more.
pub(crate) fn shorten(tx: &Tx<'_>, turn: &str, grace_ms: i64) -> Result<()> {
    let until = tx.reading().awake().after(grace_ms);
    tx.execute_uncaptured("shorten a turn", SHORTEN, (turn, until.boot, until.ms)).map(|_| ())
}

const CONDEMN: &str = "UPDATE turn_clock SET deadline_ms = 0 WHERE turn_id = ?1";

/// Ends the time of a turn for good: no progress extends it any more.
pub(crate) fn condemn(tx: &Tx<'_>, turn: &str) -> Result<()> {
    tx.execute_uncaptured("end the time of a turn", CONDEMN, [turn]).map(|_| ())
}

const DELETE: &str = "DELETE FROM turn_clock WHERE turn_id = ?1";

/// Takes the clock of a turn that ends.
pub(crate) fn delete(tx: &Tx<'_>, turn: &str) -> Result<()> {
    tx.execute_uncaptured("stop the clock of a turn", DELETE, [turn]).map(|_| ())
}

const SELECT_NEXT: &str = "SELECT turn_id FROM turn_clock
    WHERE org_id = ?1 AND agent_id = ?2 AND ready_at IS NOT NULL ORDER BY ready_at LIMIT 1";

/// The turn of an agent that has been ready for the longest time.
pub(crate) fn next(
    snapshot: &Snapshot<'_>,
    org: &OrgId,
    agent: &AgentId,
) -> Result<Option<String>> {
    let key = (org.as_str(), agent.as_str());
    snapshot.one("find a ready turn", SELECT_NEXT, key, |row| text(row, 0))
}

const SELECT_DUE: &str = "SELECT turn_id FROM turn_clock WHERE boot = ?1 AND deadline_ms <= ?2
    UNION ALL SELECT turn_id FROM turn_clock WHERE boot < ?1
    UNION ALL SELECT turn_id FROM turn_clock WHERE boot > ?1
    LIMIT ?3";

/// At most `limit` turns whose time is over, or was set before the machine was started.
pub(crate) fn due(snapshot: &Snapshot<'_>, now: AwakeTime, limit: usize) -> Result<Vec<String>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params = (now.boot, now.ms, limit);
    snapshot.list("list turns whose time is over", SELECT_DUE, params, |row| text(row, 0))
}
