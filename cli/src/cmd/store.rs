//! The store as a whole: create, migrate, look at it.

use std::fs;
use std::path::Path;

use ao_store::row::log;
use ao_store::{SCHEMA_VERSION, Store};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Creates the store; one that exists is migrated and left as it is.
pub(crate) fn init(context: &Context) -> Result<()> {
    let (store, migrated) = Store::create(context.database(), context.options())?;
    let info = store.read(log::info)?;
    let is_new = migrated.from == 0;
    if context.is_json {
        return output::document(
            "store.init",
            &json!({
                "path": context.database().to_string_lossy(),
                "log_id": info.log_id,
                "schema": migrated.to,
                "is_new": is_new,
            }),
        );
    }
    let what = if is_new { "created" } else { "exists already" };
    let database = output::path(context.database());
    output::say(&format!("store {database} {what}; next: `ao-store up`"));
    Ok(())
}

/// Applies pending migrations, or with `check` only says whether there are some.
pub(crate) fn migrate(context: &Context, check: bool) -> Result<()> {
    if check {
        let found = Store::schema_version(context.database(), context.options())?;
        return match found {
            SCHEMA_VERSION => say_migrated(context, found, &[]),
            found if found > SCHEMA_VERSION => {
                Err(ao_store::Error::SchemaTooNew { found, known: SCHEMA_VERSION }.into())
            }
            found => Err(Error::MigrationPending { found, known: SCHEMA_VERSION }),
        };
    }
    let migrated = Store::migrate(context.database(), context.options())?;
    say_migrated(context, migrated.from, &migrated.applied)
}

fn say_migrated(context: &Context, from: u32, applied: &[String]) -> Result<()> {
    if context.is_json {
        let data = json!({"from": from, "to": SCHEMA_VERSION, "applied": applied});
        return output::document("store.migrate", &data);
    }
    for migration in applied {
        output::say(&format!("applied {migration}"));
    }
    output::say(&format!("the schema is {SCHEMA_VERSION}, as this program needs it"));
    Ok(())
}

/// Shows where the store is and what it holds.
pub(crate) fn status(context: &Context) -> Result<()> {
    let store = context.open()?;
    let (info, counts) =
        store.read(|snapshot| Ok((log::info(snapshot)?, log::counts(snapshot)?)))?;
    let changes = info.head.0 - info.floor.0;
    let (database, wal) = (size(context.database()), size(&wal(context.database())));
    if context.is_json {
        let rows: Map<_, _> =
            counts.iter().map(|(table, count)| ((*table).to_owned(), json!(count))).collect();
        return output::document(
            "store.status",
            &json!({
                "path": context.database().to_string_lossy(),
                "schema": SCHEMA_VERSION,
                "log_id": info.log_id,
                "epoch": info.epoch.0,
                "head": info.cursor(info.head).to_string(),
                "floor": info.cursor(info.floor).to_string(),
                "changes": changes,
                "database_bytes": database,
                "wal_bytes": wal,
                "rows": Value::Object(rows),
            }),
        );
    }
    let mut text = format!(
        "store     {}\nschema    {SCHEMA_VERSION}\nlog       {}, epoch {}\n\
         head      {}\nfloor     {}\nchanges   {changes}\nsize      {} database, {} write-ahead log\n",
        output::path(context.database()),
        info.log_id,
        info.epoch,
        info.cursor(info.head),
        info.cursor(info.floor),
        bytes(database),
        bytes(wal),
    );
    for (table, count) in counts {
        text += &format!("{table:<18}{count:>8}\n");
    }
    output::bytes(text.as_bytes())
}

fn wal(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The size of a file; one that is not there has none.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count / 1024),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
