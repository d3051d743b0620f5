//! Claim: a change that leaves its full before and after image in the log costs little more than the
//! change itself. Budget: at most 3.2 times the CPU time of the same statement, 4.0 through the store.
//!
//! The baseline is the store's statement on a table with the same columns, keys and rows, in the same
//! file and on the same connection, without triggers: the cost if nothing were captured. Each round
//! changes 1,000 of 20,000 rows, of 50 pull requests, in one transaction. Every value is new, because
//! SQLite does not write a page whose content stays the same. Preparing the statement is not measured
//! on either side. The last line makes the same change through the public API, and so includes the
//! set-diff. The lines without a budget make the images in other ways: see decision 0021.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::Cell;

use ao_benches::{
    Budget, Line, NewFixture, Run, Sample, apply_all, at_most, close_context, cpu, observation,
    open_context, process_cpu, threads,
};
use ao_store::observation::Thread;
use rusqlite::{Connection, params};

const PRS: usize = 50;
const THREADS: usize = 20;
/// The changed pull requests are not neighbours, as in practice.
const STRIDE: usize = 20;
const ROUNDS: usize = 9;

/// The statement of the store's set-diff, guard included.
fn update(table: &str) -> String {
    let columns = "path, line, original_line, side, is_resolved, is_outdated, is_bot, resolved_by,
        comments_total";
    format!(
        "UPDATE {table} SET path = ?3, line = ?4, original_line = ?5, side = ?6, is_resolved = ?7,
         is_outdated = ?8, is_bot = ?9, resolved_by = ?10, comments_total = ?11
         WHERE pr_id = ?1 AND id = ?2
         AND ({columns}) IS NOT (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    )
}

/// Rows with values that were not stored before.
fn rows(variant: &Cell<i64>) -> Vec<(String, Thread)> {
    variant.set(variant.get() + 1);
    let of_pr = |pr| {
        let threads = threads(pr, THREADS, variant.get());
        threads.into_iter().map(move |thread| (format!("github.com/acme/demo#{}", pr + 1), thread))
    };
    (0..PRS).map(|i| i * STRIDE).flat_map(of_pr).collect()
}

/// One transaction that changes all `rows` of a table.
fn change(conn: &Connection, table: &str, rows: &[(String, Thread)]) -> Sample {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("checkpoint");
    let mut statement = conn.prepare_cached(&update(table)).expect("prepare");
    cpu(|| {
        conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
        open_context(conn);
        let mut changed = 0;
        for (pr, t) in rows {
            let params = params![
                pr,
                t.id,
                t.path,
                t.line,
                t.original_line,
                t.side,
                t.is_resolved,
                t.is_outdated,
                t.is_bot,
                t.resolved_by,
                t.comments_total
            ];
            changed += statement.execute(params).expect("update");
        }
        close_context(conn);
        conn.execute_batch("COMMIT").expect("commit");
        assert_eq!(changed, rows.len(), "every row changes");
        changed as u64
    })
}

fn sql_of(conn: &Connection, name: &str) -> String {
    let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
    conn.query_row(sql, [name], |row| row.get(0)).expect("read the schema")
}

/// A table with the columns and rows of the captured one, and no triggers.
fn copy(conn: &Connection, table: &str) {
    let sql = sql_of(conn, "pr_review_thread").replacen("pr_review_thread", table, 1);
    let fill = format!("INSERT INTO {table} SELECT * FROM pr_review_thread");
    conn.execute_batch(&format!("{sql}; {fill}")).expect("copy the table");
}

/// Another way to make an image: a function of the names of the columns and of what is in front of them.
type Image = fn(&[&str], &str) -> String;

const COLUMNS: [&str; 11] = [
    "pr_id",
    "id",
    "path",
    "line",
    "original_line",
    "side",
    "is_resolved",
    "is_outdated",
    "is_bot",
    "resolved_by",
    "comments_total",
];

/// The images of the store are measured in a copy, too, since a copy is filled at once.
const VARIANTS: [(&str, &str, Option<Image>); 5] = [
    ("as_is", "the same images in a copy", None),
    ("by_quote", "printf, json_quote of every value", Some(by_quote)),
    ("by_object", "json_object for the images", Some(by_object)),
    ("by_values", "the values alone, json_array", Some(by_values)),
    ("without", "no images", Some(|_, _| "''".to_owned())),
];

fn by_quote(columns: &[&str], row: &str) -> String {
    let names: Vec<_> = columns.iter().map(|name| format!("\"{name}\":%s")).collect();
    let value = |name: &&str| match name.starts_with("is_") {
        true => format!("iif({row}.{name}, 'true', 'false')"),
        false => format!("json_quote({row}.{name})"),
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    format!("printf('{{{}}}', {})", names.join(","), values.join(", "))
}

fn json_value(name: &str, row: &str) -> String {
    match name.starts_with("is_") {
        true => format!("iif({row}.{name}, json('true'), json('false'))"),
        false => format!("{row}.{name}"),
    }
}

fn by_object(columns: &[&str], row: &str) -> String {
    let pair = |name: &&str| format!("'{name}', {}", json_value(name, row));
    format!("json_object({})", columns.iter().map(pair).collect::<Vec<_>>().join(", "))
}

fn by_values(columns: &[&str], row: &str) -> String {
    let values: Vec<_> = columns.iter().map(|name| json_value(name, row)).collect();
    format!("json_array({})", values.join(", "))
}

/// A copy of the captured table, with its trigger but, if there is one, another way to make the images.
fn copy_with_images(conn: &Connection, table: &str, image: Option<Image>) {
    copy(conn, table);
    let trigger = sql_of(conn, "capture_pr_review_thread_update");
    let (mut sql, mut rows) = (String::new(), ["OLD", "NEW"].into_iter());
    for line in trigger.lines() {
        let comma = if line.ends_with(',') { "," } else { "" };
        match image.filter(|_| line.trim_start().starts_with("printf(")) {
            Some(image) => sql += &(image(&COLUMNS, rows.next().expect("two images")) + comma),
            None => sql += line,
        }
        sql.push('\n');
    }
    assert!(image.is_none() || rows.next().is_none(), "the trigger has other images");
    let of_table = format!("ON {table}\n");
    let name = format!("capture_{table}");
    let sql = sql.replacen("capture_pr_review_thread_update", &name, 1);
    conn.execute_batch(&sql.replacen("ON pr_review_thread\n", &of_table, 1)).expect("create");
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let (conn, _dir) = NewFixture::default().create().into_raw();
    copy(&conn, "scratch");
    let fixture = NewFixture::default().create();
    let variant = Cell::new(0);
    let without = "the same statement without triggers";
    run.compare(
        Line::ratio("4", "captured change of one row, both images, CPU", without, at_most(3.2)),
        ROUNDS,
        || change(&conn, "scratch", &rows(&variant)),
        || change(&conn, "pr_review_thread", &rows(&variant)),
    );
    for (table, work, image) in VARIANTS {
        copy_with_images(&conn, table, image);
        run.compare(
            Line::ratio("4", work, without, Budget::None),
            ROUNDS,
            || change(&conn, "scratch", &rows(&variant)),
            || change(&conn, table, &rows(&variant)),
        );
    }
    run.compare(
        Line::ratio("4", "the same through the store", without, at_most(4.0)),
        ROUNDS,
        || change(&conn, "scratch", &rows(&variant)),
        || {
            variant.set(variant.get() + 1);
            let seen = |pr| observation(pr, threads(pr, THREADS, variant.get()));
            let observations = (0..PRS).map(|i| i * STRIDE).map(seen).collect::<Vec<_>>().into();
            process_cpu(|| apply_all(&fixture.store, &observations))
        },
    );
}
