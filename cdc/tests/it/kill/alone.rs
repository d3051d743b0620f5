//! The rounds of the roles that need exclusive access to a store: restore and creation.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ao_cdc::{Filter, Start, Tail};
use ao_store::lease::Fence;
use ao_store::log::consumer;
use ao_store::verify::{Depth, verify_file};
use ao_store::{Code, Cursor, Options, SCHEMA_VERSION, Store};

use crate::support::cause;

use super::oracle::{Delivered, View};
use super::roles::{Role, consumer_name, delivered_path, source_path};
use super::world::World;

impl World {
    /// A writer is killed, and then a restore of an older copy, before any process has opened the store
    /// in between: the WAL of the killed writer must not be applied to the restored file.
    pub(crate) fn restore_round(&mut self) -> Result<(), String> {
        self.end_hold();
        self.kill_all()?;
        self.check()?;
        let (path, source) = (self.path(), source_path(&self.path()));
        if !source.exists() || self.random.below(4) == 0 {
            let _ = fs::remove_file(&source);
            let made = self.store()?.backup(&source, &cause("test"));
            made.map_err(|error| error.to_string())?;
        }
        let source = View::of(&Store::open(&source, Options::default()).map_err(text)?)?;
        let old_epoch = View::of(&self.store()?)?.info.epoch;
        self.store = None;
        self.start(Role::Writer, &path);
        self.pause();
        self.kill(&[Role::Writer])?;
        self.start(Role::Restore, &path);
        self.pause_for(Role::Restore);
        let was_done = self.kill(&[Role::Restore])? == 0;
        let found = View::of(&self.store()?)?;
        self.aim(Role::Restore, found.info.epoch > old_epoch);
        if found.info.epoch > old_epoch {
            self.counts.note("restored");
            self.take_restored(&found, &source)?;
        } else if found.info.epoch == old_epoch && !was_done {
            self.counts.note("not restored");
        } else {
            return Err(format!("epoch {} after {old_epoch}", found.info.epoch));
        }
        self.remove_kept()?;
        self.check()
    }

    /// The restored file is the copy in a new epoch; the replaced one is kept with all its content.
    fn take_restored(&mut self, found: &View, source: &View) -> Result<(), String> {
        let [kept] = &self.kept()?[..] else { return Err("what was replaced is lost".to_owned()) };
        let report = verify_file(kept, Depth::Sums, Duration::ZERO).map_err(text)?;
        self.require_sound("what was replaced", &report)?;
        let kept = View::of(&Store::open(kept, Options::default()).map_err(text)?)?;
        self.ledger.compare(&kept, &[])?;
        if found.log != source.log || found.info.head != source.info.head {
            return Err("what was restored is not the copy".to_owned());
        }
        self.ledger.rewind(source.info.head.0)?;
        self.floor = source.info.floor.0;
        self.follow_restored(found)
    }

    /// The consumer is refused until it is moved into the new epoch, then starts a new file.
    fn follow_restored(&mut self, found: &View) -> Result<(), String> {
        let store = self.store()?;
        let old = found.acked.ok_or("the consumer is gone")?;
        let refused = Tail::open(&store, Start::Cursor(old), Filter::default());
        if !refused.is_err_and(|error| error.code() == Code::CursorEpoch) {
            return Err(format!("a tail resumes from {old} in epoch {}", found.info.epoch));
        }
        let to = Cursor { epoch: found.info.epoch, seq: old.seq };
        let moved = store.write(cause("test"), move |tx| {
            consumer::seek(tx, &consumer_name(), to, Fence::Respect)
        });
        moved.map_err(text)?;
        let _ = fs::remove_file(delivered_path(store.path()));
        self.delivered = Delivered::from(to.seq.0);
        Ok(())
    }

    /// The files that restores kept.
    fn kept(&self) -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(self.folder()).map_err(|error| error.to_string())?;
        let mut kept: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        kept.retain(|path| path.to_string_lossy().contains(".before-restore-"));
        Ok(kept)
    }

    fn remove_kept(&self) -> Result<(), String> {
        for path in self.kept()? {
            fs::remove_file(path).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Creations of one store are killed once or twice, then one is left to finish.
    pub(crate) fn create_round(&mut self) -> Result<(), String> {
        let folder = self.folder().join("empty");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let path = folder.join("ao.db");
        for _ in 0..=self.random.below(2) {
            self.start(Role::Creator, &path);
            self.pause_for(Role::Creator);
            self.kill(&[Role::Creator])?;
        }
        let is_created = path.exists();
        self.aim(Role::Creator, is_created);
        self.counts.note(if is_created { "created" } else { "not created" });
        let (store, migrated) = Store::create(&path, Options::default()).map_err(text)?;
        if (migrated.from == SCHEMA_VERSION) != is_created || migrated.to != SCHEMA_VERSION {
            return Err(format!("created: {is_created}, then {migrated:?}"));
        }
        let report = store.verify(Depth::Deep).map_err(text)?;
        self.require_sound("the created store", &report)
    }
}

fn text(error: ao_store::Error) -> String {
    error.to_string()
}
