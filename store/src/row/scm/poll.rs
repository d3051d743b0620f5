//! The polling state of each pull request: why it belongs to its session, the fingerprints of what
//! was read completely, and what prevents it from being read.

use std::sync::LazyLock;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::PrId;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Column, Columns, columns, enum_columns};

text_enum! {
    /// Why a pull request, or a part of it, cannot be read.
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
        /// The host did not answer it, or the answer could not be read.
        Failed = "failed",
        /// A list of it was not read to its end, or has items that could not be read.
        Incomplete = "incomplete",
    } else None
}

enum_columns!(Problem);

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

columns! {
    PrPoll {
        attribution;
        changed_at, pushed_at, metadata_fingerprint, checks_fingerprint, discussion_fingerprint,
        threads_fingerprint, full_read_at, confirmed_at, failures, problem, problem_since,
    }
}

/// The statements, from the one list of columns.
struct Sql {
    list: String,
    one: String,
    upsert: String,
}

static SQL: LazyLock<Sql> = LazyLock::new(|| {
    let names = PrPoll::NAMES.join(", ");
    let polled = &PrPoll::NAMES[PrPoll::FIXED..];
    let (set, excluded) = (polled.join(", "), format!("excluded.{}", polled.join(", excluded.")));
    let select = format!("SELECT {names}, pr_id FROM pr_poll");
    Sql {
        list: format!(
            "{select} JOIN pr ON pr.id = pr_id WHERE host = ?1 COLLATE NOCASE ORDER BY pr_id"
        ),
        one: format!("{select} WHERE pr_id = ?1"),
        upsert: format!(
            "INSERT INTO pr_poll ({names}, pr_id) VALUES ({}?) ON CONFLICT DO UPDATE
             SET ({set}) = ({excluded}) WHERE ({set}) IS NOT ({excluded})",
            "?, ".repeat(PrPoll::NAMES.len())
        ),
    }
});

/// The polling state of each pull request of a host, in the order of ids.
///
/// # Errors
/// When the database cannot be read.
pub fn polls(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<(PrId, PrPoll)>> {
    snapshot.list("list polling states", &SQL.list, [host], |row| {
        Ok((Column::read(row, PrPoll::NAMES.len())?, PrPoll::read(row)?))
    })
}

/// The polling state of one pull request; `None` when no observer polled it.
///
/// # Errors
/// When the database cannot be read.
pub fn poll(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Option<PrPoll>> {
    snapshot.one("read a polling state", &SQL.one, [pr.as_str()], PrPoll::read)
}

/// Stores the polling state of a pull request; returns whether it differed and was written. The stored
/// attribution stays.
///
/// # Errors
/// When the database cannot be written, or the pull request is not stored.
pub fn set_poll(tx: &Tx<'_>, pr: &PrId, poll: &PrPoll) -> Result<bool> {
    let (values, id) = (poll.values(), pr.value());
    let params = columns::params(values.iter().chain([&id]));
    Ok(tx.execute_uncaptured("store a polling state", &SQL.upsert, params)? > 0)
}

const SET_ATTRIBUTION: &str = "INSERT INTO pr_poll (pr_id, attribution) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET attribution = excluded.attribution";

/// Stores why a pull request belongs to its session.
pub(crate) fn set_attribution(tx: &Tx<'_>, pr: &PrId, reason: &str) -> Result<()> {
    let params = (pr.as_str(), reason);
    tx.execute_uncaptured("store an attribution", SET_ATTRIBUTION, params).map(|_| ())
}

const COUNT_PROBLEMS: &str = "SELECT lower(p.host), count(*) FROM pr_poll o
    JOIN pr p ON p.id = o.pr_id WHERE o.problem <> '' GROUP BY 1 ORDER BY 1";

/// How many pull requests cannot be read, by host in lower case.
///
/// # Errors
/// When the database cannot be read.
pub fn problems(snapshot: &Snapshot<'_>) -> Result<Vec<(String, u64)>> {
    snapshot.list("count problems", COUNT_PROBLEMS, [], |row| {
        Ok((text(row, 0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })
}
