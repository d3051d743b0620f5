//! Lists: they fit the terminal, and have columns, an order, a length, filters and formats.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::pty;
use crate::support::{TestEnv, parsed, text};

const LISTS: [&[&str]; 4] =
    [&["project", "ls"], &["session", "ls"], &["pr", "ls"], &["consumer", "ls"]];

/// Twelve sessions, three pull requests and a consumer.
fn busy() -> TestEnv {
    let env = TestEnv::with_demo();
    for number in 1..=12 {
        env.ok(&["session", "new", "-p", "demo", "--branch", &format!("fix-{number}")]);
    }
    let prs = [
        (2, "failing", "changes_requested", "漢字のとても長い題名です ".repeat(8)),
        (10, "passing", "approved", "🚀 Ship the parser".to_owned()),
        (3, "pending", "none", "Short".to_owned()),
    ];
    let documents = prs.map(|(number, ci, review, title)| {
        json!({"pr": format!("octo/hello#{number}"), "session": format!("demo-{number}"),
            "facts": {"title": title, "state": "open", "ci": ci, "review_decision": review}})
        .to_string()
    });
    env.ok(&["observe", "apply", &env.file("prs.ndjson", documents.join("\n"))]);
    env.ok(&["consumer", "create", "indexer"]);
    env
}

fn widest(shown: &str) -> usize {
    let plain = anstream::adapter::strip_str(shown).to_string();
    plain.lines().map(UnicodeWidthStr::width).max().unwrap()
}

#[test]
fn a_list_fits_the_terminal_and_a_pipe_gets_everything() {
    let env = busy();
    for args in LISTS {
        for columns in [60, 80, 200] {
            let shown = pty::run(&env, args, &[], columns);
            assert!(widest(&shown) <= usize::from(columns), "{args:?} at {columns}: {shown}");
        }
    }
    let narrow = pty::run(&env, &["pr", "ls"], &[], 60);
    assert!(narrow.contains('…') && narrow.contains("not shown: merge"), "{narrow}");
    assert!(narrow.contains("octo/hello#10 "), "{narrow}");
    let piped = env.run(&["pr", "ls"]);
    assert!(piped.stdout.contains(&"漢字のとても長い題名です ".repeat(7)), "{}", piped.stdout);
    assert!(!piped.stdout.contains('…') && piped.stderr.is_empty(), "{}", piped.stderr);
    // Columns that the user chose are all shown.
    let chosen = pty::run(&env, &["pr", "ls", "--columns", "url,title,session,merge"], &[], 60);
    assert!(chosen.contains("MERGE") && widest(&chosen) <= 60, "{chosen}");
}

#[test]
fn states_have_colours_where_colours_are_wanted() {
    let env = busy();
    let red = "\u{1b}[31mfailing\u{1b}[0m";
    let args = ["pr", "ls"];
    assert!(pty::run(&env, &args, &[], 120).contains(red));
    assert!(!pty::run(&env, &args, &[("NO_COLOR", "1")], 120).contains('\u{1b}'));
    assert!(!env.ok(&args).contains('\u{1b}'));
    assert!(env.ok(&["--color", "always", "pr", "ls"]).contains(red));
}

#[test]
fn columns_order_and_length_are_chosen() {
    let env = busy();
    let shown = env.ok(&["pr", "ls", "--columns", "session,CI", "--sort", "ci"]);
    let rows: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected =
        [["SESSION", "CI"], ["demo-2", "failing"], ["demo-3", "pending"], ["demo-10", "passing"]];
    assert_eq!(rows, expected);
    for sort in ["-id", "id:desc"] {
        let output = env.run(&["session", "ls", "--sort", sort, "--limit", "2", "-o", "name"]);
        assert_eq!(output.stdout, "demo-12\ndemo-11\n", "{sort}");
    }
    let limited = env.run(&["session", "ls", "--limit", "2"]);
    assert_eq!(limited.stdout.lines().count(), 3, "{}", limited.stdout);
    assert_eq!(limited.stderr, "the first 2 of 12; for more: --limit\n");
    let numbers = |args: &[&str]| -> Vec<Value> {
        let list = env.json("pr.list", args);
        list.as_array().unwrap().iter().map(|pr| pr["number"].clone()).collect()
    };
    assert_eq!(numbers(&["pr", "ls", "--sort", "pr:desc", "--limit", "2"]), [10, 3]);
    let stderr = env.refused_usage(&["pr", "ls", "--columns", "pr,sesion"]);
    assert!(
        stderr.contains("did you mean session?") && stderr.contains("merge, facts, title"),
        "{stderr}"
    );
    assert!(env.refused_usage(&["pr", "ls", "--sort", "ci:up"]).contains("ci:desc"));
    assert!(env.refused_usage(&["pr", "ls", "--json", "--columns", "ci"]).contains("--columns"));
    env.refused_usage(&["pr", "ls", "--limit", "0"]);
}

#[test]
fn every_format_has_every_list() {
    let env = busy();
    for args in LISTS {
        let plain = |format: &str| env.ok(&[args, &["-o", format]].concat());
        let document: Value = serde_json::from_str(&plain("json")).unwrap();
        assert_eq!(document["data"], env.json(document["kind"].as_str().unwrap(), args));
        assert_eq!(Value::from(parsed(&plain("ndjson"))), document["data"], "{args:?}");
        assert_eq!(plain("table"), env.ok(args));
        for id in plain("name").lines() {
            env.ok(&[args[0], "get", id]);
        }
        // The help names the columns.
        let help = env.ok(&[args, &["--help"]].concat());
        let columns = help.split("Columns: ").nth(1).unwrap().split("\n\n").next().unwrap();
        let columns: String = columns.split_whitespace().collect();
        let shown = env.ok(&[args, &["--columns", &columns]].concat());
        assert_eq!(
            shown.lines().next().unwrap().split_whitespace().count(),
            columns.split(',').count()
        );
    }
    let error = env.run(&["pr", "ls", "-o", "ndjson", "-s", "demo-99"]);
    assert_eq!((error.code, error.stdout.as_str()), (3, ""));
    assert!(error.stderr.starts_with("{\"error\":"), "{}", error.stderr);
    env.refused_usage(&["pr", "ls", "-o", "name", "--color", "never", "--columns", "ci"]);
    assert_eq!(env.run(&["--json", "pr", "ls", "-o", "name"]).code, 2);
}

#[test]
fn stale_facts_are_marked() {
    let env = busy();
    assert!(!env.ok(&["pr", "ls"]).contains("FACTS"));
    if env.sqlite("UPDATE pr_observed SET meta_as_of = 0 WHERE pr_id LIKE '%#2'").is_none() {
        return;
    }
    let list = env.run(&["pr", "ls"]);
    let stale = list.stdout.lines().find(|line| line.starts_with("octo/hello#2 ")).unwrap();
    assert!(stale.contains("  stale "), "{stale}");
    assert_eq!(list.stdout.matches("stale").count(), 1, "{}", list.stdout);
    assert!(
        list.stderr.starts_with("stale: facts that the host did not confirm"),
        "{}",
        list.stderr
    );
    assert!(env.ok(&["pr", "get", "octo/hello#2"]).contains("stale: last confirmed "));
    let shown = pty::run(&env, &["pr", "ls", "--sort", "facts"], &[], 200);
    assert!(shown.contains("\u{1b}[33mstale "), "{shown}");
}

#[test]
fn lists_are_filtered_by_state() {
    let env = busy();
    let ids = |args: &[&str]| env.ok(&[args, &["-o", "name"]].concat());
    let failing = "github.com/octo/hello#2\n";
    assert_eq!(ids(&["pr", "ls", "--ci", "failing"]), failing);
    assert_eq!(ids(&["pr", "ls", "--review", "approved", "--ci", "failing"]), "");
    assert_eq!(ids(&["pr", "ls", "--ci", "failing,pending", "--state", "open"]).lines().count(), 2);
    assert_eq!(ids(&["pr", "ls", "--state", "merged"]), "");
    let none = env.run(&["pr", "ls", "--state", "merged"]);
    assert_eq!(none.stderr, "no tracked pull request is in that state; all: `ao-store pr ls`\n");
    let error = env.refused_usage(&["pr", "ls", "--ci", "failed"]);
    assert!(error.contains("failing"), "{error}");
    assert_eq!(ids(&["session", "ls", "--status", "unknown"]).lines().count(), 9);
    assert_eq!(ids(&["session", "ls", "--status", "working", "--status", "lost"]), "");
    if env.sqlite("UPDATE session SET is_terminated = 1 WHERE num = 4").is_some() {
        assert_eq!(ids(&["session", "ls", "--status", "terminated"]), "demo-4\n");
        assert_eq!(ids(&["session", "ls"]).lines().count(), 11);
    }
    let folder = env.path("demo");
    assert!(env.ok(&["project", "ls", "--columns", "path"]).contains(text(&folder)));
}
