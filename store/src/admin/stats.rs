//! Statistics of a store for people and monitors, taken in one short read.

use std::fs;
use std::path::Path;

use crate::admin::backup::last_backup;
use crate::admin::new_file::with_suffix;
use crate::db::tx::Snapshot;
use crate::engine::store::Store;
use crate::error::{Error, Result};
use crate::log::age::Ages;
use crate::log::consumer::{self, Consumer, Lag};
use crate::log::info::LogInfo;
use crate::log::reservation::{self, Reservation};
use crate::log::retention::{self, Rules};
use crate::log::seal;
use crate::log::{capture, change};
use crate::model::clock::ClockReading;
use crate::model::time::Timestamp;
use crate::row::scm::{self, HostState, SkippedPr, Unread};

/// The statistics of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Identity and bounds of the log.
    pub log: LogInfo,
    /// The time of the newest change.
    pub newest_at: Option<Timestamp>,
    /// Bytes of the retained changes, without the overhead of SQLite.
    pub log_bytes: u64,
    /// Changes that no commit of this program has sealed yet.
    pub unsealed: u64,
    /// The journal mode of the file: `wal`, unless another program changed it.
    pub journal_mode: String,
    /// Whether unused pages can be freed.
    pub is_auto_vacuum: bool,
    /// Size of the database file.
    pub database_bytes: u64,
    /// Its unused pages, in bytes.
    pub free_bytes: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// Rows of each captured table.
    pub rows: Vec<(&'static str, u64)>,
    /// The consumers, and how far behind each is.
    pub consumers: Vec<(Consumer, Lag)>,
    /// Snapshots that protect changes from pruning.
    pub reservations: Vec<Reservation>,
    /// The observed hosts, each with the number of pull requests there that cannot be read.
    pub hosts: Vec<(HostState, u64)>,
    /// What the observer cannot read; at most 100.
    pub unread: Vec<Unread>,
    /// Open pull requests on the branch of a session that are not tracked; at most 100.
    pub skipped: Vec<SkippedPr>,
    /// The stored retention rules.
    pub retention: Rules,
    /// The time of the last backup of the store.
    pub backup_at: Option<Timestamp>,
}

impl Store {
    /// Reads the statistics.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stats(&self, now: impl Into<ClockReading>) -> Result<Stats> {
        let now = now.into();
        let mut stats = self.read(|snapshot| read(snapshot, now))?;
        stats.database_bytes = size(self.path());
        stats.wal_bytes = size(&with_suffix(self.path(), "-wal"));
        Ok(stats)
    }
}

fn read(snapshot: &Snapshot<'_>, now: ClockReading) -> Result<Stats> {
    let log = LogInfo::read(snapshot)?;
    let sealed = seal::sealed(snapshot.conn())?;
    let pruned = seal::pruned_bytes(snapshot.conn())?;
    let logged = seal::logged_bytes(snapshot.conn())?;
    let (mut consumers, ages) = (Vec::new(), Ages::shown(snapshot, now)?);
    for found in consumer::list(snapshot)? {
        let lag = consumer::lag_of(snapshot, &log, logged, &found, &ages)?;
        consumers.push((found, lag));
    }
    let number = |sql| {
        let number = snapshot.one("read the size", sql, [], |row| row.get::<_, i64>(0))?;
        Ok::<_, Error>(number.unwrap_or(0).unsigned_abs())
    };
    let mode = "PRAGMA journal_mode";
    let journal_mode = snapshot.one("read the journal mode", mode, [], |row| row.get(0))?;
    let free_bytes = number("PRAGMA freelist_count")? * number("PRAGMA page_size")?;
    Ok(Stats {
        newest_at: change::time_of(snapshot, log.head)?,
        log_bytes: u64::try_from(logged.saturating_sub(pruned)).unwrap_or(0),
        unsealed: u64::try_from(log.head.0 - sealed.seq.0).unwrap_or(0),
        journal_mode: journal_mode.unwrap_or_default(),
        is_auto_vacuum: number("PRAGMA auto_vacuum")? > 0,
        database_bytes: 0,
        free_bytes,
        wal_bytes: 0,
        rows: counts(snapshot)?,
        consumers,
        reservations: reservation::list(snapshot, now.at)?,
        hosts: hosts(snapshot)?,
        unread: scm::unread(snapshot)?,
        skipped: scm::skipped_prs(snapshot, None)?,
        retention: retention::rules(snapshot)?,
        backup_at: last_backup(snapshot)?,
        log,
    })
}

fn hosts(snapshot: &Snapshot<'_>) -> Result<Vec<(HostState, u64)>> {
    let problems = scm::problems(snapshot)?;
    let with_count = |state: HostState| {
        let found = problems.iter().find(|(host, _)| state.host.eq_ignore_ascii_case(host));
        (state, found.map_or(0, |(_, count)| *count))
    };
    Ok(scm::hosts(snapshot)?.into_iter().map(with_count).collect())
}

/// The size of a file; 0 if it does not exist.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// The number of rows of each captured table.
fn counts(snapshot: &Snapshot<'_>) -> Result<Vec<(&'static str, u64)>> {
    capture::tables()
        .map(|table| {
            let sql = format!("SELECT count(*) FROM {table}");
            let count = snapshot.one("count rows", &sql, [], |row| row.get::<_, i64>(0))?;
            Ok((table, count.unwrap_or(0).unsigned_abs()))
        })
        .collect()
}
