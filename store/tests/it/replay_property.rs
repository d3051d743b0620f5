//! Replaying the log from nothing gives the tables after any statements of a foreign writer: random
//! ones with every conflict clause, savepoints, cascades and pragmas (`AO_CASES` sets the number of
//! cases).

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rusqlite::{Connection, ErrorCode};

use crate::support::{Fixture, assert_log_equals_tables, changes, empty, from_env, raw};

const CLAUSES: [&str; 6] = ["", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", "OR ROLLBACK"];

const TABLES: [&str; 7] =
    ["project", "session", "pr", "pr_check", "pr_review_thread", "pr_review", "pr_comment"];

/// A random statement: small numbers that choose among few values, so that conflicts are common.
#[derive(Debug, Clone, Copy)]
struct Step {
    kind: u8,
    table: usize,
    clause: usize,
    rows: usize,
    pick: [u8; 8],
}

fn step() -> impl Strategy<Value = Step> {
    let pick = prop::array::uniform8(0_u8..12);
    (0_u8..40, 0_usize..16, 0_usize..9, 1_usize..4, pick).prop_map(
        |(kind, table, clause, rows, pick)| {
            // Pull requests and OR REPLACE are where the traps are.
            let (table, clause) = (if table < 7 { table } else { 2 + table % 5 }, clause);
            Step { kind, table, clause: if clause < 6 { clause } else { 1 }, rows, pick }
        },
    )
}

impl Step {
    fn sql(&self) -> String {
        let table = TABLES[self.table];
        match self.kind {
            0 => "SAVEPOINT s".to_owned(),
            1 => "ROLLBACK TO s".to_owned(),
            2 => "RELEASE s".to_owned(),
            3 => "BEGIN".to_owned(),
            4 => "COMMIT".to_owned(),
            5 if self.pick[0] < 3 => "ROLLBACK".to_owned(),
            5 => format!("PRAGMA recursive_triggers = {}", self.pick[1] % 2),
            6..=9 => format!("DELETE FROM {table} WHERE {}", self.found()),
            10..=19 => {
                let clause = CLAUSES[self.clause];
                format!("UPDATE {clause} {table} SET {} WHERE {}", self.set(), self.found())
            }
            _ => self.insert(),
        }
    }

    fn found(&self) -> String {
        let [a, b, ..] = self.pick;
        match (self.table, a % 6) {
            (_, 0) => "1".to_owned(),
            (0, _) => format!("id = 'p{}'", b % 3),
            (1, _) => format!("num % 3 = {}", b % 3),
            (2, _) => format!("id = 'r{}'", b % 3),
            (_, 1..=2) => format!("pr_id = 'r{}'", b % 3),
            (3, _) => format!("name = 'i{}'", b % 2),
            _ => format!("id = 'i{}'", b % 2),
        }
    }

    fn set(&self) -> String {
        let [_, _, a, b, c, d, ..] = self.pick;
        match self.table {
            0 => [
                format!("path = '/{}'", b % 3),
                format!("archived_at = nullif({}, 0)", b % 3),
                format!("name = 'n{b}'"),
                format!("id = 'p{}'", b % 4),
            ][usize::from(a % 4)]
            .clone(),
            1 => [
                format!("is_terminated = {}", b % 2),
                format!("name = 'n{}'", b % 3),
                "kind = 'orchestrator'".to_owned(),
                format!("is_terminated = {}, kind = 'orchestrator'", b % 2),
            ][usize::from(a % 4)]
            .clone(),
            2 => [
                format!("number = {}", 1 + b % 3),
                format!("node_id = 'n{}'", b % 3),
                format!("repo = '{}'", ["o/r", "O/R", "o/s"][usize::from(b % 3)]),
                format!(
                    "number = {}, node_id = '{}', title = 't{d}'",
                    1 + b % 3,
                    ["", "n1", "n2"][usize::from(c % 3)]
                ),
                format!("id = 'r{}'", b % 4),
                format!("title = '{b}'"),
            ][usize::from(a % 6)]
            .clone(),
            3 => ["status = 'failed'", "is_required = 1", "is_required = NULL", "name = 'i0'"]
                [usize::from(a % 4)]
            .to_owned(),
            4 => ["is_resolved = 1", "is_resolved = 0", "line = 4", "pr_id = 'r0'"]
                [usize::from(a % 4)]
            .to_owned(),
            5 => ["body = 'x'", "body = 'y'", "state = 'dismissed'", "id = 'i0'"]
                [usize::from(a % 4)]
            .to_owned(),
            _ => {
                ["body = 'x'", "is_bot = 1", "line = 4", "id = 'i1'"][usize::from(a % 4)].to_owned()
            }
        }
    }

    fn insert(&self) -> String {
        let table = TABLES[self.table];
        let rows: Vec<_> = (0..self.rows).map(|i| self.row(i as u8)).collect();
        let (key, set) = match self.table {
            0 => ("id", "name = excluded.name, path = excluded.path"),
            1 => ("id", "name = excluded.name"),
            2 => ("id", "number = excluded.number, node_id = excluded.node_id"),
            3 => (
                "pr_id, head_sha, kind, app, workflow, event, name, suite, external_id",
                "status = excluded.status",
            ),
            4 => ("pr_id, id", "is_resolved = excluded.is_resolved"),
            _ => ("pr_id, id", "body = excluded.body"),
        };
        let upsert = match self.pick[7] {
            0 => " ON CONFLICT DO NOTHING".to_owned(),
            1 => format!(" ON CONFLICT ({key}) DO NOTHING"),
            2 => format!(" ON CONFLICT ({key}) DO UPDATE SET {set}"),
            3 => format!(" ON CONFLICT DO UPDATE SET {set}"),
            _ => String::new(),
        };
        let columns = match self.table {
            0 => " (id, path, archived_at, name, created_at, updated_at)",
            1 => " (id, project_id, num, kind, is_terminated, activity_at, created_at, updated_at)",
            2 => {
                " (id, node_id, session_id, project_id, host, repo, number, url, created_at, updated_at)"
            }
            _ => "",
        };
        format!(
            "INSERT {} INTO {table}{columns} VALUES {}{upsert}",
            CLAUSES[self.clause],
            rows.join(", ")
        )
    }

    fn row(&self, i: u8) -> String {
        let [a, b, c, d, e, f, g, _] = self.pick.map(|n| n.wrapping_add(i * 5));
        let flag = e % 2;
        match self.table {
            0 => format!("('p{}', '/{}', nullif({}, 0), 'n', 1, 1)", a % 3, b % 3, c % 2),
            1 => {
                let (project, kind) = (a % 2, ["worker", "orchestrator"][usize::from(c % 2)]);
                // Most numbers are new, so that the guard of numbers lets them pass.
                let num = if b < 3 {
                    format!("{}", 1 + b)
                } else {
                    format!(
                        "(1 + coalesce((SELECT last_num FROM session_counter WHERE project_id = 'p{project}'), 0) + {i})"
                    )
                };
                format!("('p{project}-' || {num}, 'p{project}', {num}, '{kind}', {flag}, 1, 1, 1)")
            }
            2 => format!(
                "('r{}', '{}', 'p0-1', 'p0', 'h', '{}', {}, 'u', 1, 1)",
                a % 3,
                ["", "n0", "n1", "n2"][usize::from(b % 4)],
                ["o/r", "O/R", "o/s"][usize::from(c % 3)],
                1 + d % 3
            ),
            3 => format!(
                "('r{}', 's', 'run', '', '', '', 'i{}', '', '', '{}', '', NULL, '', NULL, NULL)",
                a % 3,
                b % 2,
                ["queued", "passed", "wrong"][usize::from(c % 11 / 5)]
            ),
            4 => format!("('r{}', 'i{}', '', {f}, NULL, '', {flag}, 0, 0, '', NULL)", a % 3, b % 2),
            5 => {
                format!("('r{}', 'i{}', '', {flag}, 'approved', '{g}', '', '', NULL)", a % 3, b % 2)
            }
            _ => format!(
                "('r{}', 'i{}', 'issue', '', '', '', {flag}, '', NULL, '{g}', '', 0, NULL, NULL)",
                a % 3,
                b % 2
            ),
        }
    }
}

fn run(conn: &Connection, steps: &[Step]) {
    for step in steps {
        let sql = step.sql();
        match conn.execute_batch(&sql) {
            Ok(()) => {}
            // Constraints, and commands at a place where there is no transaction or savepoint.
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => {}
                Some(ErrorCode::Unknown) if step.kind <= 5 => {}
                _ => panic!("{sql}: {error}"),
            },
        }
    }
    if !conn.is_autocommit() {
        conn.execute_batch("COMMIT").unwrap();
    }
}

const SEED: &str = "
    INSERT INTO project (id, path, name, created_at, updated_at) VALUES ('p0', '/0', 'n', 1, 1);
    INSERT INTO session (id, project_id, num, kind, activity_at, created_at, updated_at)
    VALUES ('p0-1', 'p0', 1, 'worker', 1, 1, 1), ('p0-2', 'p0', 2, 'orchestrator', 1, 1, 1);
    INSERT INTO pr (id, node_id, session_id, project_id, host, repo, number, url, created_at, updated_at)
    VALUES ('r0', 'n0', 'p0-1', 'p0', 'h', 'o/r', 1, 'u', 1, 1), ('r1', 'n1', 'p0-2', 'p0', 'h', 'o/r', 2, 'u', 1, 1);
    INSERT INTO pr_review_thread VALUES ('r0', 'i0', '', 1, NULL, '', 0, 0, 0, '', NULL);
    INSERT INTO pr_comment VALUES ('r1', 'i1', 'issue', '', '', '', 0, '', NULL, '', '', 0, NULL, NULL);";

#[test]
fn replaying_the_log_gives_the_tables_after_any_operations() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    println!("AO_SEED={seed}");
    let config = Config {
        cases: from_env("AO_CASES", 200),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let steps = prop::collection::vec(step(), 1..60);
    let case = (steps, any::<bool>(), any::<bool>());
    let made = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&case, |(steps, foreign_keys, recursive)| {
            let Fixture { store, dir } = empty();
            let path = dir.path().join("ao.db");
            let conn = raw(&path);
            conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
            conn.execute_batch(&format!(
                "PRAGMA foreign_keys = {foreign_keys};
            PRAGMA recursive_triggers = {recursive}; {SEED}"
            ))
            .unwrap();
            run(&conn, &steps);
            assert_log_equals_tables(&store, &conn);
            let changes = changes(&store);
            made.set(made.get() + changes.len());
            for change in &changes {
                // With foreign keys off a fact can outlive its pull request by OR REPLACE.
                let owned = change.entity() == "project"
                    || change.session().is_some() && change.project().is_some();
                assert!(owned || !foreign_keys, "{change:?}");
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{} changes replayed", made.get());
    assert!(made.get() > 1_000, "the statements hardly did anything");
}
