//! Polled pull requests: why each belongs to its session, what was read of it to its end, and what is
//! wrong with reading it.

use rusqlite::Row;

use crate::error::Result;
use crate::id::PrId;
use crate::text_enum::text_enum;
use crate::time::Timestamp;
use crate::tx::{Snapshot, Tx};

text_enum! {
    /// Why a pull request cannot be read.
    Problem {
        /// It can.
        None = "",
        /// The host does not know it; it may only be late.
        Missing = "missing",
        /// The host does not know it for good. It is not taken for closed.
        Unreachable = "unreachable",
        /// The credential may not read it.
        Forbidden = "forbidden",
        /// What the host says of it cannot be stored.
        Invalid = "invalid",
    } else None
}

/// What an observer keeps of one pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrPoll {
    /// Why it belongs to its session, for people.
    pub attribution: String,
    /// When anything about it was seen to change last.
    pub changed_at: Option<Timestamp>,
    /// When its head was seen to move last.
    pub pushed_at: Option<Timestamp>,
    /// The signature of its metadata when that was read last.
    pub wide_mark: Option<Vec<u8>>,
    /// The same of its checks.
    pub checks_mark: Option<Vec<u8>>,
    /// The same of its reviews and comments.
    pub talk_mark: Option<Vec<u8>>,
    /// The same of its review threads.
    pub threads_mark: Option<Vec<u8>>,
    /// When all of it was read whatever the marks said.
    pub swept_at: Option<Timestamp>,
    /// When it was read once more after it had ended.
    pub confirmed_at: Option<Timestamp>,
    /// How many looks in a row failed.
    pub strikes: i64,
    /// What that became.
    pub problem: Problem,
    /// Since when.
    pub problem_since: Option<Timestamp>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT o.pr_id, o.attribution, o.changed_at, o.pushed_at, o.wide_mark, o.checks_mark,
    o.talk_mark, o.threads_mark, o.swept_at, o.confirmed_at, o.strikes, o.problem, o.problem_since
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
        wide_mark: row.get(4)?,
        checks_mark: row.get(5)?,
        talk_mark: row.get(6)?,
        threads_mark: row.get(7)?,
        swept_at: time(8)?,
        confirmed_at: time(9)?,
        strikes: row.get(10)?,
        problem: Problem::parse(row.get_ref(11)?.as_str()?),
        problem_since: time(12)?,
    };
    Ok((PrId::stored(row.get(0)?), poll))
}

/// What is kept of each pull request of a host, in the order of ids.
///
/// # Errors
/// When the database cannot be read.
pub fn polls(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<(PrId, PrPoll)>> {
    let sql =
        select!("JOIN pr p ON p.id = o.pr_id WHERE p.host = ?1 COLLATE NOCASE ORDER BY o.pr_id");
    snapshot.list("list polled pull requests", sql, [host], read)
}

/// What is kept of one pull request; `None` when no observer looked at it.
///
/// # Errors
/// When the database cannot be read.
pub fn poll(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Option<PrPoll>> {
    let sql = select!("WHERE o.pr_id = ?1");
    Ok(snapshot.one("read a polled pull request", sql, [pr.as_str()], read)?.map(|found| found.1))
}

const UPSERT: &str = "INSERT INTO pr_poll (pr_id, attribution, changed_at, pushed_at, wide_mark,
    checks_mark, talk_mark, threads_mark, swept_at, confirmed_at, strikes, problem, problem_since)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO UPDATE SET attribution = excluded.attribution,
        changed_at = excluded.changed_at, pushed_at = excluded.pushed_at,
        wide_mark = excluded.wide_mark, checks_mark = excluded.checks_mark,
        talk_mark = excluded.talk_mark, threads_mark = excluded.threads_mark,
        swept_at = excluded.swept_at, confirmed_at = excluded.confirmed_at,
        strikes = excluded.strikes, problem = excluded.problem,
        problem_since = excluded.problem_since
    WHERE (attribution, changed_at, pushed_at, wide_mark, checks_mark, talk_mark, threads_mark,
        swept_at, confirmed_at, strikes, problem, problem_since) IS NOT (excluded.attribution,
        excluded.changed_at, excluded.pushed_at, excluded.wide_mark, excluded.checks_mark,
        excluded.talk_mark, excluded.threads_mark, excluded.swept_at, excluded.confirmed_at,
        excluded.strikes, excluded.problem, excluded.problem_since)";

/// Stores what is kept of a pull request; says whether anything differed and was written.
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
        &poll.wide_mark,
        &poll.checks_mark,
        &poll.talk_mark,
        &poll.threads_mark,
        time(poll.swept_at),
        time(poll.confirmed_at),
        poll.strikes,
        poll.problem.as_str(),
        time(poll.problem_since),
    );
    Ok(tx.note("store a polled pull request", UPSERT, params)? > 0)
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
