//! How SQLite executes the queries of a test: which of them read a whole table or index.

use std::cell::RefCell;

use rusqlite::Connection;

thread_local! {
    /// The texts of the queries of this thread.
    static QUERIES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Records a query.
pub(crate) fn record(sql: &str) {
    QUERIES.with_borrow_mut(|queries| queries.push(sql.to_owned()));
}

/// The scans in the plans of the queries that `work` runs, as `EXPLAIN QUERY PLAN` names them.
pub(crate) fn scans<T>(conn: &Connection, work: impl FnOnce() -> T) -> Vec<String> {
    let mut steps = steps(conn, work);
    steps.retain(|step| step.starts_with("SCAN"));
    steps
}

/// All steps of these plans.
pub(crate) fn steps<T>(conn: &Connection, work: impl FnOnce() -> T) -> Vec<String> {
    QUERIES.take();
    work();
    let mut found = Vec::new();
    for sql in QUERIES.take() {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut steps = plan.raw_query();
        while let Some(step) = steps.next().unwrap() {
            let detail: String = step.get("detail").unwrap();
            found.push(detail);
        }
    }
    found
}
