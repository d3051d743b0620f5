//! The head file: the newest change as a writer last saw it, in `<database>.head`. It shows that an older
//! copy of the database, or another log, was put at its place with `cp`: cursors from before would refer
//! to other changes there, so a new epoch begins.
//!
//! It is a record of what was durable already, so it is never synced: a lost or older head file detects
//! less, and is never wrong. It is written at most once a second, and when a writer becomes idle or stops.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use crate::db::tx::Snapshot;
use crate::db::write_queue::QueuedTransaction;
use crate::error::{Context, Result};
use crate::log::change::select_changes;
use crate::log::digest::Hasher;
use crate::log::info::LogInfo;
use crate::model::cursor::{Cursor, Epoch, Seq};

/// What the head file of a database contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    log_id: String,
    head: Cursor,
    /// The digest of the change at the head.
    digest: String,
}

impl Recorded {
    /// Reads the head file; `None` where there is none, or one that is being written: its checksum
    /// differs. Read it before the database: what it records is then in the database.
    pub(crate) fn read(database: &Path) -> Option<Recorded> {
        Recorded::parse(&fs::read_to_string(path(database)).ok()?)
    }

    fn parse(text: &str) -> Option<Recorded> {
        let (text, sum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if sum != checksum(text) {
            return None;
        }
        let mut words = text.split(' ');
        let mut word = || words.next();
        let (log_id, epoch) = (word()?.to_owned(), Epoch(word()?.parse().ok()?));
        let (seq, digest) = (Seq(word()?.parse().ok()?), word()?.to_owned());
        Some(Recorded { log_id, head: Cursor { epoch, seq }, digest })
    }

    /// What the head file of an open database should contain.
    pub(crate) fn of(conn: &Connection) -> Result<Recorded> {
        let snapshot = Snapshot::new(conn);
        let LogInfo { log_id, epoch, head, .. } = LogInfo::read(&snapshot)?;
        let digest = digest(&snapshot, head)?.unwrap_or_default();
        Ok(Recorded { log_id, head: Cursor { epoch, seq: head }, digest })
    }

    /// Writes the head file; without one, less is detected.
    pub(crate) fn write(&self, database: &Path) {
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(false).mode(0o600).open(path(database));
        if let Err(error) = file.and_then(|file| file.write_all_at(self.line().as_bytes(), 0)) {
            tracing::debug!(%error, "the head file was not written");
        }
    }

    /// Every cursor that was given out before belongs to this epoch or an earlier one.
    pub(crate) fn epoch(&self) -> Epoch {
        self.head.epoch
    }

    /// Whether the database has another history: its epoch is not a later one, and the recorded change is
    /// not in its log. Of a change that was pruned nothing is known.
    pub(crate) fn is_replaced(&self, snapshot: &Snapshot<'_>) -> Result<bool> {
        let info = LogInfo::read(snapshot)?;
        let Cursor { epoch, seq } = self.head;
        if info.epoch != epoch || info.log_id != self.log_id {
            return Ok(info.epoch <= epoch);
        }
        let is_other = |found: String| found != self.digest;
        Ok(info.head < seq || digest(snapshot, seq)?.is_some_and(is_other))
    }

    /// One line of the same length for every head, so that a later one replaces it whole.
    fn line(&self) -> String {
        let Recorded { log_id, head, digest } = self;
        let text = format!("{log_id} {:019} {:019} {digest:0>32}", head.epoch.0, head.seq.0);
        let sum = checksum(&text);
        format!("{text} {sum}\n")
    }
}

/// Two processes may write the file at once, and a third one read a mixture of both lines.
fn checksum(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

/// Beside the file itself, whatever links name it.
fn path(database: &Path) -> PathBuf {
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut name = OsString::from(database);
    name.push(".head");
    name.into()
}

const SELECT: &str = select_changes!("WHERE seq = ?1");

fn digest(snapshot: &Snapshot<'_>, seq: Seq) -> Result<Option<String>> {
    let mut hasher = Hasher::default();
    snapshot.one("read the recorded change", SELECT, [seq.0], |row| {
        Ok(hasher.change(row)?.0.to_string())
    })
}

const BEGIN: &str = "UPDATE log_meta SET epoch = ?1 WHERE epoch <= ?2";

/// Begins an epoch above every recorded one if the database was replaced; a writer calls this before its
/// first job. `transaction` begins a write transaction.
pub(crate) fn begin(
    conn: &Connection,
    database: &Path,
    transaction: impl FnOnce(&Connection) -> Result<QueuedTransaction<'_>>,
) -> Result<()> {
    let Some(recorded) = Recorded::read(database) else { return Ok(()) };
    if !recorded.is_replaced(&Snapshot::new(conn))? {
        return Ok(());
    }
    let (step, epoch) = ("begin an epoch", recorded.epoch().0);
    let tx = transaction(conn)?;
    let began = tx.execute(BEGIN, (epoch.saturating_add(1), epoch)).context(step)?;
    tx.commit(step)?;
    if began > 0 {
        tracing::warn!(
            "{} was replaced by an older copy or another database: a new epoch begins",
            database.display()
        );
    }
    // Or the next copy would begin the same epoch.
    Recorded::of(conn)?.write(database);
    Ok(())
}

/// Records the newest change, unless the database was replaced meanwhile: then an epoch begins.
///
/// # Errors
/// Those of the database. A head file that cannot be written is none.
pub(crate) fn record(
    conn: &Connection,
    database: &Path,
    transaction: impl FnOnce(&Connection) -> Result<QueuedTransaction<'_>>,
) -> Result<()> {
    begin(conn, database, transaction)?;
    Recorded::of(conn)?.write(database);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(seq: i64) -> Recorded {
        let head = Cursor { epoch: Epoch(7), seq: Seq(seq) };
        Recorded { log_id: "a".repeat(32), head, digest: format!("{seq:032x}") }
    }

    #[test]
    fn a_mixture_of_two_lines_records_nothing() {
        let (old, new) = (recorded(41).line(), recorded(42).line());
        assert_eq!(Recorded::parse(&old), Some(recorded(41)));
        assert_eq!(old.len(), new.len());
        for end in 0..old.len() {
            let mixed = format!("{}{}", &new[..end], &old[end..]);
            if mixed != old && mixed != new {
                assert_eq!(Recorded::parse(&mixed), None, "{mixed}");
            }
            assert_eq!(Recorded::parse(&old[..end]), None);
        }
    }
}
