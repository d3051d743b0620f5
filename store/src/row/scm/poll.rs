//! The polling state of each pull request: why it belongs to its session, the fingerprints of what was
//! read completely, and what prevents it from being read.

use rusqlite::Row;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::PrId;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;

text_enum! {
    /// Why a pull request cannot be read.
    Problem {
        /// It can.
        None = "",
        /// The host does not know it; this may be temporary.
        Missing = "missing",
        /// The host has not known it for so long that this is final. It does not count as closed.
        Unreachable = "unreachable",
        /// The credential may not read it.
        Forbidden = "forbidden",
        /// What the host reports about it cannot be stored.
        Invalid = "invalid",
    } else None
}

/// The polling state of one pull request. A fingerprint identifies the facts that were last read
/// completely; while it is equal, nothing is read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrPoll {
    /// Why it belongs to its session, for people.
    pub attribution: String,
    /// When a change of it was last observed.
    pub changed_at: Option<Timestamp>,
    /// When a change of its head was last observed.
    pub pushed_at: Option<Timestamp>,
    /// The fingerprint of its metadata.
    pub metadata_fingerprint: Option<Vec<u8>>,
    /// The fingerprint of its checks.
    pub checks_fingerprint: Option<Vec<u8>>,
    /// The fingerprint of its reviews and comments.
    pub discussion_fingerprint: Option<Vec<u8>>,
    /// The fingerprint of its review threads.
    pub threads_fingerprint: Option<Vec<u8>>,
    /// When all of it was last read regardless of the fingerprints.
    pub full_read_at: Option<Timestamp>,
    /// When it was read once more after it was merged or closed.
    pub confirmed_at: Option<Timestamp>,
    /// The number of consecutive polls that failed.
    pub failures: i64,
    /// The problem that follows from them.
    pub problem: Problem,
    /// Since when it has that problem.
    pub problem_since: Option<Timestamp>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT o.pr_id, o.attribution, o.changed_at, o.pushed_at, o.metadata_fingerprint, o.checks_fingerprint,
    o.discussion_fingerprint, o.threads_fingerprint, o.full_read_at, o.confirmed_at, o.failures, o.problem, o.problem_since
    FROM pr_poll o ",
            $tail
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<(PrId, PrPoll)> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp));
    let poll = PrPoll {
        attribution: row.get(1)?,
        changed_at: time(2)?,
        pushed_at: time(3)?,
        metadata_fingerprint: row.get(4)?,
        checks_fingerprint: row.get(5)?,
        discussion_fingerprint: row.get(6)?,
        threads_fingerprint: row.get(7)?,
        full_read_at: time(8)?,
        confirmed_at: time(9)?,
        failures: row.get(10)?,
        problem: Problem::parse(row.get_ref(11)?.as_str()?),
        problem_since: time(12)?,
    };
    Ok((PrId::stored(row.get(0)?), poll))
}

/// The polling state of each pull request of a host, in the order of ids.
///
/// # Errors
/// When the database cannot be read.
pub fn polls(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<(PrId, PrPoll)>> {
    let sql =
        select!("JOIN pr p ON p.id = o.pr_id WHERE p.host = ?1 COLLATE NOCASE ORDER BY o.pr_id");
    snapshot.list("list polling states", sql, [host], read)
}

/// The polling state of one pull request; `None` when no observer polled it.
///
/// # Errors
/// When the database cannot be read.
pub fn poll(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Option<PrPoll>> {
    let sql = select!("WHERE o.pr_id = ?1");
    Ok(snapshot.one("read a polling state", sql, [pr.as_str()], read)?.map(|found| found.1))
}

const UPSERT: &str = "INSERT INTO pr_poll (pr_id, attribution, changed_at, pushed_at, metadata_fingerprint,
    checks_fingerprint, discussion_fingerprint, threads_fingerprint, full_read_at, confirmed_at, failures, problem, problem_since)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO UPDATE SET attribution = excluded.attribution,
        changed_at = excluded.changed_at, pushed_at = excluded.pushed_at,
        metadata_fingerprint = excluded.metadata_fingerprint, checks_fingerprint = excluded.checks_fingerprint,
        discussion_fingerprint = excluded.discussion_fingerprint, threads_fingerprint = excluded.threads_fingerprint,
        full_read_at = excluded.full_read_at, confirmed_at = excluded.confirmed_at,
        failures = excluded.failures, problem = excluded.problem,
        problem_since = excluded.problem_since
    WHERE (attribution, changed_at, pushed_at, metadata_fingerprint, checks_fingerprint, discussion_fingerprint, threads_fingerprint,
        full_read_at, confirmed_at, failures, problem, problem_since) IS NOT (excluded.attribution,
        excluded.changed_at, excluded.pushed_at, excluded.metadata_fingerprint, excluded.checks_fingerprint,
        excluded.discussion_fingerprint, excluded.threads_fingerprint, excluded.full_read_at, excluded.confirmed_at,
        excluded.failures, excluded.problem, excluded.problem_since)";

/// Stores the polling state of a pull request; returns whether it differed and was written.
///
/// # Errors
/// When the database cannot be written, or the pull request is not stored.
pub fn set_poll(tx: &Tx<'_>, pr: &PrId, poll: &PrPoll) -> Result<bool> {
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let params = (
        pr.as_str(),
        &poll.attribution,
        time(poll.changed_at),
        time(poll.pushed_at),
        &poll.metadata_fingerprint,
        &poll.checks_fingerprint,
        &poll.discussion_fingerprint,
        &poll.threads_fingerprint,
        time(poll.full_read_at),
        time(poll.confirmed_at),
        poll.failures,
        poll.problem.as_str(),
        time(poll.problem_since),
    );
    Ok(tx.execute_uncaptured("store a polling state", UPSERT, params)? > 0)
}

const COUNT_PROBLEMS: &str = "SELECT lower(p.host), count(*) FROM pr_poll o
    JOIN pr p ON p.id = o.pr_id WHERE o.problem <> '' GROUP BY 1 ORDER BY 1";

/// How many pull requests cannot be read, by host in lower case.
///
/// # Errors
/// When the database cannot be read.
pub fn problems(snapshot: &Snapshot<'_>) -> Result<Vec<(String, u64)>> {
    snapshot.list("count problems", COUNT_PROBLEMS, [], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })
}
