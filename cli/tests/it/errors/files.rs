//! Provoking what can be wrong with the database file.

use std::fs;

use ao_store::{Code, SCHEMA_VERSION};

use super::{Provoked, World};
use crate::support::TestEnv;

/// The file is not what it should be.
pub(super) fn file_on_disk(
    code: Code,
    _: &World,
    env: &TestEnv,
) -> Option<Result<Provoked, String>> {
    let after = |sql: &str, args: &[&str]| match env.sqlite(sql) {
        Some(_) => Ok(Provoked::by(args)),
        None => Err("no sqlite3".to_owned()),
    };
    Some(match code {
        Code::StoreNotFound => {
            Ok(Provoked { data: Some(env.path("nothing")), ..Provoked::by(&["status"]) })
        }
        Code::StoreHardLinked => {
            fs::hard_link(env.database(), env.path("other.db")).unwrap();
            Ok(Provoked::by(&["session", "new", "--project", "demo"]))
        }
        Code::NotAStore => {
            fs::write(env.database(), "dear diary, today I wrote no database\n".repeat(100))
                .unwrap();
            Ok(Provoked::by(&["status"]))
        }
        Code::SchemaTooNew => after("PRAGMA user_version = 999;", &["status"]),
        Code::SchemaOutdated | Code::MigrationPending => {
            assert_eq!(SCHEMA_VERSION, 1, "a store of an earlier version can be made now");
            Err("no schema is older".to_owned())
        }
        Code::SchemaDraft => after("UPDATE refinery_schema_history SET checksum = 1;", &["status"]),
        Code::SchemaMismatch => after("DROP TRIGGER capture_pr_update;", &["migrate"]),
        Code::Corrupt => {
            let mut bytes = fs::read(env.database()).unwrap();
            let from = bytes.len() / 4;
            bytes[from..].fill(0xaa);
            fs::write(env.database(), bytes).unwrap();
            Ok(Provoked::by(&["tail", "--from", "beginning", "--no-follow"]))
        }
        _ => return None,
    })
}
