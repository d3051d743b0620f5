//! A write is refused, and not acknowledged, while the schema differs from that of the migrations: a
//! change might not be captured. Once the schema is correct again, writes continue.

use ao_store::log::retention::Rules;
use ao_store::row::session::{self, Filter};
use ao_store::{Code, Durability, Error, Options, Store};

use crate::support::{
    Fixture, assert_log_equals_tables, at, cause, code, empty, fixture, head, number, raw, rename,
    strings,
};

fn try_rename(store: &Store, name: &str) -> Result<(), Error> {
    let (id, name) = ("demo-1".parse().unwrap(), name.to_owned());
    store.write(cause(), move |tx| session::rename(tx, &id, &name)).map(|_| ())
}

const TRIGGER: &str = "SELECT sql FROM sqlite_schema WHERE name = 'capture_session_update'";

#[test]
fn a_trigger_that_is_dropped_under_a_running_writer_stops_it_until_it_is_back() {
    let fixture = fixture();
    let (store, other) = (&fixture.store, raw(&fixture.path()));
    try_rename(store, "before").unwrap();
    let trigger = strings(&other, TRIGGER).remove(0);
    let start = head(store);
    other.execute_batch("DROP TRIGGER capture_session_update").unwrap();
    for _ in 0..2 {
        let error = try_rename(store, "lost").unwrap_err();
        assert_eq!(error.code(), Code::SchemaMismatch);
        assert!(error.to_string().contains("capture_session_update is missing"), "{error}");
    }
    other.execute_batch(&trigger.replace("AFTER UPDATE", "BEFORE UPDATE")).unwrap();
    assert_eq!(code(try_rename(store, "lost")), Code::SchemaMismatch, "another text");
    assert_eq!(head(store), start);
    other.execute_batch("DROP TRIGGER capture_session_update").unwrap();
    other.execute_batch(&trigger).unwrap();
    try_rename(store, "after").unwrap();
    assert_eq!(head(store).0, start.0 + 1);
    assert_log_equals_tables(store, &other);
}

#[test]
fn without_any_one_object_of_the_schema_the_first_write_is_refused() {
    let sample = empty();
    let objects = raw(&sample.path());
    let select = |kind: &str| {
        format!("SELECT name FROM sqlite_schema WHERE type = '{kind}' AND sql IS NOT NULL")
    };
    let mut tried = 0;
    for kind in ["trigger", "view", "index"] {
        for name in strings(&objects, &select(kind)) {
            let fixture = fixture();
            raw(&fixture.path()).execute_batch(&format!("DROP {kind} {name}")).unwrap();
            assert_eq!(code(try_rename(&fixture.store, "lost")), Code::SchemaMismatch, "{name}");
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried}");
}

#[test]
fn a_read_of_a_column_that_is_gone_says_that_the_schema_differs() {
    let Fixture { store, dir: _dir } = fixture();
    let renamed = "ALTER TABLE session RENAME COLUMN model TO x";
    raw(store.path()).execute_batch(renamed).unwrap();
    let listed = store.read(|snapshot| session::list(snapshot, &Filter::default()));
    assert_eq!(code(listed), Code::SchemaMismatch);
}

#[test]
fn a_schema_that_was_only_rewritten_is_accepted() {
    let fixture = fixture();
    let other = raw(&fixture.path());
    try_rename(&fixture.store, "before").unwrap();
    let numbered = number(&other, "PRAGMA schema_version");
    other.execute_batch("VACUUM").unwrap();
    assert!(number(&other, "PRAGMA schema_version") > numbered, "the number is another one");
    try_rename(&fixture.store, "after").unwrap();
    other.execute_batch("CREATE TABLE t (x); DROP TABLE t").unwrap();
    try_rename(&fixture.store, "later").unwrap();
    assert_log_equals_tables(&fixture.store, &other);
}

#[test]
fn pruning_and_a_new_epoch_are_refused_as_well() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    rename(&store, "demo-1", 50, crate::support::T0);
    let other = raw(&path);
    other
        .execute_batch("UPDATE log_meta SET relaxed_boot = 'x'; DROP TRIGGER capture_pr_insert")
        .unwrap();
    let floor = "SELECT floor FROM log_meta";
    let rules = Rules { keep_events: Some(1), ..Rules::default() };
    let pruned = store.prune(&at(crate::support::T0), &rules, |_| {});
    assert_eq!((code(pruned), number(&other, floor)), (Code::SchemaMismatch, 0));
    for durability in [Durability::Full, Durability::Relaxed] {
        let options = Options { durability, ..Options::default() };
        assert_eq!(code(Store::open(&path, options)), Code::SchemaMismatch);
    }
    assert_eq!(number(&other, "SELECT epoch FROM log_meta"), 1);
    assert_eq!(strings(&other, "SELECT relaxed_boot FROM log_meta"), ["x"]);
}
