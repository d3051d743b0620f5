//! The rounds of the roles that need exclusive access to a store: restore and migration.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ao_cdc::{Filter, Start, Tail};
use ao_store::lease::Fence;
use ao_store::log::consumer;
use ao_store::verify::{Depth, verify_file};
use ao_store::{Code, Cursor, Options, SCHEMA_VERSION, Store};

use crate::support::{Fixture, add_sessions, cause, has_shell, shell};

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

    /// Migrations of one file are killed once or twice, then one is left to finish.
    pub(crate) fn migrate_round(&mut self) -> Result<(), String> {
        let Some(old) = old_store() else { return Ok(()) };
        let folder = self.folder().join("old");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let path = folder.join("ao.db");
        fs::write(&path, &old.bytes).map_err(|error| error.to_string())?;
        for _ in 0..=self.random.below(2) {
            self.start(Role::Migrator, &path);
            self.pause_for(Role::Migrator);
            self.kill(&[Role::Migrator])?;
            if self.random.below(2) == 0 {
                self.check_unmigrated(&path, old)?;
            }
        }
        let version = Store::schema_version(&path, Options::default()).map_err(text)?;
        self.aim(Role::Migrator, version == SCHEMA_VERSION);
        self.counts.note(if version == SCHEMA_VERSION { "migrated" } else { "not migrated" });
        let migrated = Store::migrate(&path, Options::default()).map_err(text)?;
        if migrated.from != version || migrated.to != SCHEMA_VERSION {
            return Err(format!("version {version}, then {migrated:?}"));
        }
        let store = Store::open(&path, Options::default()).map_err(text)?;
        let report = store.verify(Depth::Deep).map_err(text)?;
        self.require_sound("the migrated store", &report)?;
        let view = View::of(&store)?;
        if view.info.log_id != old.view.info.log_id || view.log != old.view.log {
            return Err("the migration changed the log".to_owned());
        }
        Ok(())
    }

    /// A file that still has the old schema has nothing of the new one.
    fn check_unmigrated(&self, path: &Path, old: &Old) -> Result<(), String> {
        let version = Store::schema_version(path, Options::default()).map_err(text)?;
        if version == SCHEMA_VERSION {
            return Ok(());
        }
        let found = shell(path, FINGERPRINT);
        if version == OLD_VERSION && found == old.fingerprint {
            return Ok(());
        }
        Err(format!("version {version}: {found:?} was {:?}", old.fingerprint))
    }
}

fn text(error: ao_store::Error) -> String {
    error.to_string()
}

/// The second-newest schema, as its migrations make it.
const OLD_VERSION: u32 = 2;
const OLD_SCHEMA: [&str; 2] = [
    include_str!("../../../../migrations/sqlite/V0001__log_projects_sessions.sql"),
    include_str!("../../../../migrations/sqlite/V0002__pull_requests.sql"),
];

/// The schema and the log as one text.
const FINGERPRINT: &str = "PRAGMA integrity_check;
    SELECT type, name, length(sql) FROM sqlite_schema ORDER BY name;
    SELECT count(*), max(seq), sum(length(after)) FROM change_log;
    SELECT log_id, epoch, floor, format FROM log_meta;";

/// A store as left by a program whose newest migration was the second.
struct Old {
    bytes: Vec<u8>,
    fingerprint: String,
    view: View,
}

/// `None` without a stock shell, which is needed to make it.
fn old_store() -> Option<&'static Old> {
    static OLD: OnceLock<Option<Old>> = OnceLock::new();
    OLD.get_or_init(|| has_shell().then(make_old)).as_ref()
}

fn make_old() -> Old {
    let fixture = Fixture::with_changes(600);
    add_sessions(&fixture.store, "demo", 40);
    let view = View::of(&fixture.store).unwrap();
    let path = fixture.path().with_file_name("old.db");
    let copied = format!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; {} {}
         ATTACH '{}' AS new;",
        OLD_SCHEMA[0],
        OLD_SCHEMA[1],
        fixture.path().display(),
    );
    shell(&path, &format!("{copied}{COPY}"));
    let triggers = shell(fixture.path(), SELECT_CAPTURE);
    shell(
        &path,
        &format!("{triggers} PRAGMA application_id = 0x616f7374; PRAGMA user_version = 2;"),
    );
    let fingerprint = shell(&path, FINGERPRINT);
    assert!(Store::schema_version(&path, Options::default()).unwrap() == OLD_VERSION);
    Old { bytes: fs::read(&path).unwrap(), fingerprint, view }
}

const COPY: &str = "
    INSERT INTO project SELECT * FROM new.project;
    INSERT INTO session SELECT * FROM new.session;
    INSERT INTO change_log SELECT * FROM new.change_log;
    UPDATE change_context SET at = (SELECT at FROM new.change_context);
    UPDATE log_meta SET format = 2, log_id = (SELECT log_id FROM new.log_meta);
    CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255),
        applied_on VARCHAR(255), checksum VARCHAR(255));
    INSERT INTO refinery_schema_history
        SELECT * FROM new.refinery_schema_history WHERE version <= 2;";

const SELECT_CAPTURE: &str = "SELECT sql || ';' FROM sqlite_schema
    WHERE type IN ('view', 'trigger') AND name LIKE 'capture!_%' ESCAPE '!' ORDER BY type DESC";
