//! Creates and migrates the store.

use ao_store::LogInfo;
use ao_store::{SCHEMA_VERSION, Store};
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Creates the store; an existing one is migrated.
pub(crate) fn init(context: &Context) -> Result<()> {
    let (store, migrated) = Store::create(context.database(), context.options())?;
    let info = store.read(LogInfo::read)?;
    let is_new = migrated.from == 0;
    if context.is_json {
        return output::document(
            "store.init",
            &json!({
                "path": context.database().to_string_lossy(),
                "log_id": info.log_id,
                "schema_version": migrated.to,
                "is_new": is_new,
            }),
        );
    }
    let what = if is_new { "created" } else { "already exists" };
    let database = output::path(context.database());
    context.say(&format!("store {database} {what}; next: `ao-store up`"));
    Ok(())
}

/// Applies pending migrations; with `check`, only reports whether there are some.
pub(crate) fn migrate(context: &Context, check: bool) -> Result<()> {
    if check {
        let found = Store::schema_version(context.database(), context.options())?;
        return match found {
            SCHEMA_VERSION => report_migrated(context, found, &[]),
            found if found > SCHEMA_VERSION => {
                Err(ao_store::Error::SchemaTooNew { found, known: SCHEMA_VERSION }.into())
            }
            found => Err(Error::MigrationPending { found, known: SCHEMA_VERSION }),
        };
    }
    let migrated = Store::migrate(context.database(), context.options())?;
    report_migrated(context, migrated.from, &migrated.applied)
}

fn report_migrated(context: &Context, from: u32, applied: &[String]) -> Result<()> {
    if context.is_json {
        let data = json!({"from": from, "to": SCHEMA_VERSION, "applied": applied});
        return output::document("store.migrate", &data);
    }
    for migration in applied {
        output::say(&format!("applied {migration}"));
    }
    output::say(&format!("the schema has version {SCHEMA_VERSION}, which is current"));
    Ok(())
}
