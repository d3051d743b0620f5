//! Pruning a store: small steps between which others can write, then freeing pages by incremental
//! vacuum. `log::pruning` says what one step does.
//!
//! A step is not synced by itself, so that others wait only for its work; all steps are durable before
//! [`Store::prune`] returns.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::ballast;
use crate::code::Code;
use crate::db::options::Options;
use crate::db::tx::{Cause, Tx};
use crate::engine::store::Store;
use crate::error::{Error, Result};
use crate::log::pruning::{BATCH, PAGES, PAUSE, Step, step, vacuum};
use crate::log::retention::{self, Plan, Rules};
use crate::log::seal;
use crate::model::cursor::Seq;

/// The shortest pause between two steps: it lets a foreign writer take the lock, for which it sleeps and tries
/// again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// The result of pruning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// The plan.
    pub plan: Plan,
    /// The floor now: below the plan if a new holder appeared meanwhile.
    pub floor: Seq,
    /// The number of bytes by which the file is smaller.
    pub freed_bytes: u64,
    /// Whether the ballast was used up.
    pub used_ballast: bool,
}

impl Store {
    /// Opens a store for pruning: if the disk is too full even for that, the ballast is deleted, and the
    /// second value is true.
    ///
    /// # Errors
    /// Those of [`Store::open`]; `DISK_FULL` when there is no ballast.
    pub fn open_releasing_ballast(path: &Path, options: Options) -> Result<(Store, bool)> {
        match Store::open(path, options) {
            Err(error) if error.code() == Code::DiskFull && ballast::release(path)? => {
                tracing::warn!("the disk is full: the ballast is deleted");
                Ok((Store::open(path, options)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    /// Prunes by `rules` in small transactions, between which others can write, and then frees pages.
    /// `progress` receives each step. On a full disk the ballast is deleted.
    ///
    /// # Errors
    /// `DISK_FULL` when there is no ballast; those of a write. What was pruned before stays pruned.
    pub fn prune(
        &self,
        cause: &Cause,
        rules: &Rules,
        mut progress: impl FnMut(Step),
    ) -> Result<Pruned> {
        let mut used_ballast = false;
        self.retry_without_ballast(&mut used_ballast, || self.seal(cause))?;
        let plan = self.read(|snapshot| retention::plan(snapshot, rules, cause.reading()))?;
        let (mut floor, target) = (plan.log.floor, plan.target);
        while floor < target {
            let done = self.paced(&mut used_ballast, cause, move |tx| step(tx, target, BATCH))?;
            if done.floor == floor {
                break;
            }
            floor = done.floor;
            progress(done);
        }
        let freed_bytes = self.free_pages(cause, &mut used_ballast)?;
        self.retry_without_ballast(&mut used_ballast, || self.sync_wal())?;
        Ok(Pruned { plan, floor, freed_bytes, used_ballast })
    }

    /// Seals the changes of other writers, which are not pruned before.
    ///
    /// # Errors
    /// Those of a write.
    pub fn seal(&self, cause: &Cause) -> Result<()> {
        let mut last = self.read(|snapshot| Ok(seal::sealed(snapshot.conn())?.seq))?;
        while last < self.read(|snapshot| Ok(snapshot.head()?.seq))? {
            let now =
                self.write(cause.clone(), move |tx| Ok(seal::close(tx.conn(), 0)?.seq))?.value;
            if now == last {
                // The newest changes are missing; `verify` reports that.
                break;
            }
            last = now;
        }
        Ok(())
    }

    /// Returns the freed bytes.
    fn free_pages(&self, cause: &Cause, used_ballast: &mut bool) -> Result<u64> {
        let mut pages = 0;
        loop {
            let freed = self.paced(used_ballast, cause, |tx| vacuum(tx.conn(), PAGES))?;
            if freed == 0 {
                return Ok(pages * self.page_size()?);
            }
            pages += freed;
        }
    }

    /// Runs one step without a sync, and then pauses so that others have most of the time.
    fn paced<T: Send + 'static>(
        &self,
        used_ballast: &mut bool,
        cause: &Cause,
        work: impl Fn(&Tx<'_>) -> Result<T> + Copy + Send + 'static,
    ) -> Result<T> {
        let done = self.retry_without_ballast(used_ballast, || {
            self.write_unsynced(cause.clone(), move |tx| {
                let begun = Instant::now();
                Ok((work(tx)?, begun.elapsed()))
            })
        })?;
        let (value, taken) = done.value;
        thread::sleep((taken * PAUSE).max(SHORTEST_PAUSE));
        Ok(value)
    }

    /// Makes the steps durable. Where there is no WAL, a checkpoint has done so.
    fn sync_wal(&self) -> Result<()> {
        // SQLite puts it beside the file itself, whatever links name that.
        let path = self.path();
        let file = path.canonicalize().map_err(|source| Error::file("find", path, source))?;
        let mut wal = file.into_os_string();
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        match File::open(&wal).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("sync", &wal, error))
            }
            _ => Ok(()),
        }
    }

    fn page_size(&self) -> Result<u64> {
        let sql = "PRAGMA page_size";
        let size = self.read(|snapshot| snapshot.one(sql, sql, [], |row| row.get::<_, i64>(0)))?;
        Ok(size.unwrap_or_default().unsigned_abs())
    }

    /// Runs `work`; if the disk is full, deletes the ballast and runs it again.
    fn retry_without_ballast<T>(&self, used: &mut bool, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == Code::DiskFull && ballast::release(self.path())? => {
                tracing::warn!("the disk is full: the ballast is deleted");
                *used = true;
                work()
            }
            other => other,
        }
    }
}
