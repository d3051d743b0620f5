//! Pruning: the oldest changes go in small batches, each with its floor in the same transaction.
//!
//! What goes is added to the base first (see `base`), so that the log goes on to explain the tables,
//! and taken from its seal. Kill it anywhere: the floor is where the rows end. The pages that come
//! free are given back by small steps of incremental vacuum.

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

/// Changes in one transaction when pruning is asked for.
const BATCH: i64 = 250;
/// The pause when nobody else seems to write: for a process that waits for the lock to take it.
const BREATH: Duration = Duration::from_millis(1);
/// Pages given back in one transaction.
const PAGES: u32 = 256;

/// What pruning did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// What was planned.
    pub plan: Plan,
    /// The floor now: short of the plan when somebody came to hold changes meanwhile.
    pub floor: Seq,
    /// Pages of the file that were given back.
    pub pages: u64,
    /// Whether the ballast was used, and is gone.
    pub used_ballast: bool,
}

impl Store {
    /// Opens a store that is to be pruned: where the disk is too full even for that, the ballast is
    /// given up, and the second value says so.
    ///
    /// # Errors
    /// Those of [`Store::open`]; `DISK_FULL` when there is no ballast.
    pub fn open_relieved(path: &Path, options: Options) -> Result<(Store, bool)> {
        match Store::open(path, options) {
            Err(error) if error.code() == Code::DiskFull && ballast::release(path)? => {
                tracing::warn!("the disk is full: the ballast is given up");
                Ok((Store::open(path, options)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    /// Prunes what `rules` let go, in small transactions between which others write, then gives the
    /// free pages back. `progress` is told of each step. On a full disk the ballast is given up.
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
        self.relieved(&mut used_ballast, || self.seal(cause))?;
        let plan = self.read(|snapshot| retention::plan(snapshot, rules, cause.at))?;
        let (mut floor, target) = (plan.log.floor, plan.target);
        let mut pace = Pace::new();
        while floor < target {
            let done = self.relieved(&mut used_ballast, || {
                self.write(cause.clone(), move |tx| step(tx, target, BATCH))
            })?;
            if done.value.floor == floor {
                break;
            }
            floor = done.value.floor;
            progress(done.value);
            pace.wait(done.cursor.seq);
        }
        let pages = self.give_back(cause, &mut used_ballast)?;
        Ok(Pruned { plan, floor, pages, used_ballast })
    }

    /// Seals the changes of other writers, which are kept until they are.
    ///
    /// # Errors
    /// Those of a write.
    pub fn seal(&self, cause: &Cause) -> Result<()> {
        let mut last = self.read(|snapshot| Ok(seal::sealed(snapshot.conn())?.seq))?;
        while last < self.read(|snapshot| Ok(snapshot.head()?.seq))? {
            let now =
                self.write(cause.clone(), move |tx| Ok(seal::close(tx.conn(), 0)?.seq))?.value;
            if now == last {
                // The newest changes are missing, which `verify` tells.
                break;
            }
            last = now;
        }
        Ok(())
    }

    fn give_back(&self, cause: &Cause, used_ballast: &mut bool) -> Result<u64> {
        let (mut pages, mut pace) = (0, Pace::new());
        loop {
            let given = self.relieved(used_ballast, || {
                self.write(cause.clone(), |tx| vacuum(tx.conn(), PAGES))
            })?;
            pages += given.value;
            if given.value == 0 {
                return Ok(pages);
            }
            pace.wait(given.cursor.seq);
        }
    }

    /// Runs `work`, once more without the ballast if the disk is full.
    fn relieved<T>(&self, used: &mut bool, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == Code::DiskFull && ballast::release(self.path())? => {
                tracing::warn!("the disk is full: the ballast is given up");
                *used = true;
                work()
            }
            other => other,
        }
    }
}

/// Leaves room for those who write, and only for them.
struct Pace {
    begun: Instant,
    head: Option<Seq>,
}

impl Pace {
    fn new() -> Pace {
        Pace { begun: Instant::now(), head: None }
    }

    /// Waits after a step at which the head of the log was this.
    fn wait(&mut self, head: Seq) {
        let is_alone = self.head.replace(head).is_none_or(|before| before == head);
        let pause = if is_alone { BREATH } else { self.begun.elapsed() * PAUSE };
        thread::sleep(pause.max(BREATH));
        self.begun = Instant::now();
    }
}
