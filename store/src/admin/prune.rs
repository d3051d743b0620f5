//! Pruning a store: small steps between which others can write, then freeing pages by incremental
//! vacuum. `log::pruning` says what one step does.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::ballast;
use crate::code::Code;
use crate::db::options::Options;
use crate::db::tx::Cause;
use crate::engine::store::Store;
use crate::error::Result;
use crate::log::pruning::{PAUSE, Step, step, vacuum};
use crate::log::retention::{self, Plan, Rules};
use crate::log::seal;
use crate::model::cursor::Seq;

/// The maximum number of changes that one transaction prunes when no other process seems to write.
const BATCH: i64 = 250;
/// The same while others write: each of their commits may wait for one such transaction.
const SHORT_BATCH: i64 = 80;
/// The pause when no other process seems to write: it lets a process that waits for the lock take it.
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// The maximum number of pages that one transaction frees, and the same while others write.
const PAGES: u32 = 256;
const SHORT_PAGES: u32 = 64;

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
        let mut pace = Pace::new();
        while floor < target {
            let done = self.retry_without_ballast(&mut used_ballast, || {
                let batch = if pace.is_alone { BATCH } else { SHORT_BATCH };
                self.write(cause.clone(), move |tx| step(tx, target, batch))
            })?;
            if done.value.floor == floor {
                break;
            }
            floor = done.value.floor;
            progress(done.value);
            pace.wait(done.cursor.seq);
        }
        let freed_bytes = self.free_pages(cause, &mut used_ballast)?;
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
        let (mut pages, mut pace) = (0, Pace::new());
        loop {
            let most = if pace.is_alone { PAGES } else { SHORT_PAGES };
            let given = self.retry_without_ballast(used_ballast, || {
                self.write(cause.clone(), move |tx| vacuum(tx.conn(), most))
            })?;
            pages += given.value;
            if given.value == 0 {
                return Ok(pages * self.page_size()?);
            }
            pace.wait(given.cursor.seq);
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

/// Paces pruning: shorter steps and longer pauses while other writers are active.
struct Pace {
    begun: Instant,
    head: Option<Seq>,
    is_alone: bool,
}

impl Pace {
    fn new() -> Pace {
        Pace { begun: Instant::now(), head: None, is_alone: true }
    }

    /// Waits after a step; `head` is the head of the log at its end.
    fn wait(&mut self, head: Seq) {
        self.is_alone = self.head.replace(head).is_none_or(|before| before == head);
        let pause = if self.is_alone { SHORT_PAUSE } else { self.begun.elapsed() * PAUSE };
        thread::sleep(pause.max(SHORT_PAUSE));
        self.begun = Instant::now();
    }
}
