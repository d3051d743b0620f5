//! Whatever the tables of the tool contain, the import succeeds, accounts for every row, and leaves a
//! sound store.

use ao_store::verify::Depth;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::support::from_env;
use crate::upstream::{import, taken};

/// Values as SQL: of every type, at the bounds, and such as the tables really contain.
const VALUES: &[&str] = &[
    "NULL",
    "''",
    "0",
    "1",
    "2",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "1e999",
    "-0.5",
    "'p'",
    "'q'",
    "'p-1'",
    "'p-2'",
    "'q-1'",
    "'/src'",
    "'worker'",
    "'orchestrator'",
    "'active'",
    "'true'",
    "'github'",
    "'merged'",
    "'passed'",
    "'main'",
    "'https://github.com/o/r/pull/1'",
    "'https://github.com/o/r/pull/2'",
    "'PR_a'",
    "'2026-06-07 12:00:00'",
    "'9999-12-31 23:59:59'",
    "X''",
    "X'00'",
    "X'ff'",
    "'a' || char(0) || 'b'",
    "char(27, 8238, 65533)",
    "printf('%.300000c', 'x')",
    "zeroblob(300000)",
];

/// The tables of the tool: likely values of the columns by which rows refer to each other, which come
/// first, and all columns.
const TABLES: &[(&str, &[&str], &str)] = &[
    ("projects", &["'p', '/src/p'", "'q', '/src/q'", "'q'"], "id, path, repo_origin_url, display_name, registered_at, archived_at"),
    (
        "sessions",
        &["'p-1', 'p', 1, 'worker'", "'p-2', 'p', 2, 'worker'", "'q-1', 'q', 1, ''", "'q-2', 'q', 2"],
        "id, project_id, num, kind, harness, display_name, issue_id, branch, workspace_path, runtime_handle_id,
         agent_session_id, prompt, activity_state, activity_last_at, is_terminated, created_at, updated_at",
    ),
    (
        "pr",
        &["'https://github.com/o/r/pull/1', 'p-1', ''", "'https://github.com/o/r/pull/2', 'p-2', 'github'", "'https://github.com/o/r/pull/1', 'q-1'"],
        "url, session_id, provider, provider_id, title, author, pr_state, is_draft, is_merged, is_closed, source_branch,
         head_sha, additions, ci_state, review_decision, mergeability, created_at_provider, updated_at_provider, updated_at",
    ),
    (
        "pr_checks",
        &["'https://github.com/o/r/pull/1'", "'https://github.com/o/r/pull/2'"],
        "pr_url, name, commit_hash, status, conclusion, url, details, log_tail",
    ),
    ("pr_review_threads", &["'https://github.com/o/r/pull/1'"], "pr_url, thread_id, path, line, resolved, is_bot"),
    ("pr_reviews", &["'https://github.com/o/r/pull/1'"], "pr_url, review_id, author, state, url, is_bot, submitted_at, body"),
    (
        "pr_comment",
        &["'https://github.com/o/r/pull/1'"],
        "pr_url, comment_id, author, file, line, body, thread_id, url, is_bot",
    ),
];

/// The rows of a table: mostly with a likely beginning, else with random values only.
fn rows(
    (table, likely, columns): (&'static str, &'static [&'static str], &'static str),
) -> BoxedStrategy<String> {
    let count = columns.split(',').count();
    let row = (
        proptest::option::weighted(0.8, select(likely)),
        proptest::collection::vec(select(VALUES), count),
    );
    let row = row.prop_map(move |(likely, values)| {
        let likely: Vec<_> = likely.into_iter().flat_map(|it| it.split(", ")).collect();
        let values = likely.iter().chain(&values[likely.len()..]).copied();
        format!("INSERT INTO {table} VALUES ({});", values.collect::<Vec<_>>().join(", "))
    });
    let create = format!("CREATE TABLE {table} ({columns});");
    proptest::collection::vec(row, 1..8)
        .prop_map(move |rows| create.clone() + &rows.concat())
        .boxed()
}

#[test]
fn no_content_of_the_tables_fails_the_import() {
    let seed = u64::from(from_env("AO_SEED", 20_261_128));
    println!("AO_SEED={seed}");
    let config = Config {
        cases: from_env("AO_CASES", 15),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let source = TABLES.iter().map(|table| rows(*table)).collect::<Vec<_>>();
    let all = std::cell::Cell::new([0; 7]);
    TestRunner::new(config)
        .run(&source, |tables| {
            let (fixture, imported) = import(&[&tables.concat()]);
            let report = fixture.store.verify(Depth::Sums).unwrap();
            prop_assert!(report.is_sound(), "{:?}", report.findings);
            let rows = tables.concat().matches("INSERT INTO").count() as u64;
            let counts = taken(&imported);
            let accounted = counts.iter().sum::<u64>() + imported.skipped.len() as u64;
            prop_assert_eq!(accounted, rows, "{:?}", imported);
            all.set(std::array::from_fn(|table| all.get()[table] + counts[table]));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(all.get().iter().all(|count| *count > 5), "rows of every table: {:?}", all.get());
}
