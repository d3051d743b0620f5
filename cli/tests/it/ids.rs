//! Whatever is printed as an id is accepted as one, also after a repository was renamed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::observe::outcomes;
use crate::support::{TestEnv, parsed};

/// A delivery of pull request 1 of a repository, whose head is the branch of the session.
fn delivered(repo: &str, node_id: &str, updated_at: &str) -> String {
    let side = |name: &str| json!({"ref": name, "sha": name, "repo": {"full_name": "octo/hello"}});
    json!({
        "action": "edited",
        "pull_request": {"number": 1, "node_id": node_id, "state": "open", "title": node_id,
            "updated_at": updated_at, "html_url": format!("https://github.com/{repo}/pull/1"),
            "head": side("changes"), "base": side("main")},
        "repository": {"full_name": repo, "html_url": format!("https://github.com/{repo}")},
    })
    .to_string()
}

/// A pull request whose repository was renamed, and one of a new repository of the old name.
fn renamed() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "changes"]);
    env.ok(&["session", "new", "--project", "demo"]);
    for (repo, node_id, updated_at) in [
        ("octo/hello", "PR_one", "2026-01-01T00:00:01Z"),
        ("octo/renamed", "PR_one", "2026-01-01T00:00:02Z"),
        ("octo/hello", "PR_two", "2026-01-01T00:00:03Z"),
    ] {
        let args = ["observe", "deliver", "--event", "pull_request", "-", "--json"];
        let payload = delivered(repo, node_id, updated_at);
        assert_eq!(outcomes(&env.feed(&args, payload), "observe.deliver")[0]["outcome"], "applied");
    }
    env
}

const FIRST: &str = "github.com/octo/hello#1";
const SECOND: &str = "github.com/octo/hello#1~2";

fn title(env: &TestEnv, name: &str) -> Value {
    env.json("pr.get", &["pr", "get", name])["title"].clone()
}

#[test]
fn an_id_finds_its_pull_request_before_a_location_does() {
    let env = renamed();
    let list = env.json("pr.list", &["pr", "ls"]);
    let ids: BTreeSet<_> = list.as_array().unwrap().iter().map(|pr| pr["id"].as_str()).collect();
    assert_eq!(ids, BTreeSet::from([Some(FIRST), Some(SECOND)]));
    let head = env.head();
    for (name, node_id) in [
        (FIRST, "PR_one"),
        (SECOND, "PR_two"),
        ("octo/renamed#1", "PR_one"),
        ("github.com/octo/renamed#1", "PR_one"),
        ("octo/hello#1", "PR_two"),
        ("https://github.com/octo/hello/pull/1", "PR_two"),
    ] {
        assert_eq!(title(&env, name), node_id, "{name}");
        let then = env.json("pr.get", &["pr", "get", name, "--at", &head]);
        assert_eq!(then["title"], node_id, "{name}");
    }
    env.refused(&["pr", "get", "github.com/octo/hello#1~3"], 3, "PR_NOT_FOUND");
    env.refused(&["pr", "claim", "demo-1", "github.com/octo/hello#1~3"], 3, "PR_NOT_FOUND");
    env.refused(&["pr", "get", "github.com/octo/hello#1~1"], 2, "INVALID_PR_REF");
}

/// A document with a node id states where the pull request is now; without one it may name the id.
#[test]
fn a_document_names_a_pull_request_by_its_id() {
    let env = renamed();
    let apply = |document: Value| {
        let output = env.feed(&["observe", "apply", "-", "--json"], document.to_string());
        outcomes(&output, "observe.apply").remove(0)
    };
    for (id, place) in [(FIRST, "octo/renamed"), (SECOND, "octo/hello")] {
        let outcome = apply(json!({"pr": id, "facts": {"title": id}}));
        assert_eq!((&outcome["pr_id"], &outcome["is_new"]), (&json!(id), &json!(false)));
        let pr = env.json("pr.get", &["pr", "get", id]);
        assert_eq!((&pr["title"], &pr["repo"]), (&json!(id), &json!(place)), "it has not moved");
    }
    let moved = apply(json!({"pr": "github.com/octo/again#1", "node_id": "PR_one",
        "facts": {"title": "moved"}}));
    assert_eq!(moved["pr_id"], FIRST);
    assert_eq!(title(&env, "octo/again#1"), "moved");
    let unknown = json!({"pr": "github.com/octo/hello#1~3", "facts": {"title": "x"}}).to_string();
    let output = env.feed(&["observe", "apply", "-"], unknown);
    assert!(output.stderr.contains("error[PR_NOT_FOUND]"), "{}", output.stderr);
}

/// The ids of each kind in everything that is printed: the kind, and a command that accepts one.
const ACCEPTED: &[(&str, &[&str])] = &[
    ("project", &["project", "get", "ID"]),
    ("project", &["session", "ls", "--project", "ID"]),
    ("project", &["orchestrator", "ls", "--project", "ID"]),
    ("project", &["pr", "ls", "--project", "ID"]),
    ("project", &["tail", "--no-follow", "--project", "ID"]),
    ("project", &["session", "new", "--project", "ID"]),
    ("session", &["session", "get", "ID"]),
    ("session", &["pr", "ls", "--session", "ID"]),
    ("session", &["tail", "--no-follow", "--session", "ID"]),
    ("session", &["session", "rename", "ID", "new name"]),
    ("pr", &["pr", "get", "ID"]),
    ("pr", &["pr", "claim", "demo-1", "ID"]),
    ("consumer", &["consumer", "get", "ID"]),
    ("consumer", &["consumer", "pull", "ID"]),
    ("cursor", &["tail", "--no-follow", "--from", "ID"]),
    ("cursor", &["tail", "--no-follow", "--snapshot", "--from", "ID"]),
    ("cursor", &["consumer", "seek", "indexer", "--to", "ID"]),
    ("type", &["tail", "--no-follow", "--type", "ID"]),
    ("entity", &["tail", "--no-follow", "--entity", "ID"]),
];

/// Adds the ids in a document: the value of each field whose name tells the kind.
fn collect(value: &Value, found: &mut BTreeSet<(&'static str, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = match name.as_str() {
                    "project" | "project_id" => "project",
                    "session" | "session_id" => "session",
                    "pr_id" => "pr",
                    "cursor" | "position" => "cursor",
                    "type" => "type",
                    "entity" => "entity",
                    _ => {
                        collect(value, found);
                        continue;
                    }
                };
                found.extend(value.as_str().map(|text| (kind, text.to_owned())));
            }
        }
        _ => {}
    }
}

#[test]
fn every_printed_id_is_accepted_by_every_command_for_its_kind() {
    let env = renamed();
    let document = json!({"pr": FIRST, "checks": [{"head_sha": "a", "name": "b"}],
        "threads": [{"id": "T"}], "reviews": [{"id": "R"}], "comments": [{"id": "C"}]});
    env.ok(&["observe", "apply", &env.file("document.json", document.to_string())]);
    env.ok(&["consumer", "create", "indexer", "--from", "beginning"]);
    let mut found = BTreeSet::new();
    for (kind, list) in [
        ("project", &["project", "ls"][..]),
        ("session", &["session", "ls"]),
        ("pr", &["pr", "ls"]),
        ("consumer", &["consumer", "ls"]),
    ] {
        let rows = env.json(&format!("{kind}.list"), list);
        collect(&rows, &mut found);
        let id = if kind == "consumer" { "name" } else { "id" };
        let ids = rows.as_array().unwrap().iter().map(|row| row[id].as_str().unwrap().to_owned());
        found.extend(ids.map(|id| (kind, id)));
    }
    for change in parsed(&env.ok(&["tail", "--from", "beginning", "--no-follow"])) {
        collect(&change, &mut found);
        if change["entity"] == "pr" {
            found.insert(("pr", change["key"][0].as_str().unwrap().to_owned()));
        }
    }
    collect(&env.json("store.status", &["status"]), &mut found);
    let kinds: BTreeSet<_> = found.iter().map(|(kind, _)| *kind).collect();
    let accepted: BTreeSet<_> = ACCEPTED.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, accepted, "each kind is printed");
    assert!(found.contains(&("pr", SECOND.to_owned())), "{found:?}");
    for (kind, id) in &found {
        for (_, command) in ACCEPTED.iter().filter(|(accepted, _)| accepted == kind) {
            let args: Vec<_> =
                command.iter().map(|&arg| if arg == "ID" { id } else { arg }).collect();
            env.ok(&args);
        }
    }
}

/// The text for people names a pull request of another host with that host.
#[test]
fn a_reference_in_a_table_is_accepted() {
    let env = TestEnv::with_demo();
    let other = env.repo("other", "https://ghe.example.com/octo/hello.git");
    env.ok(&["project", "add", other.to_str().unwrap()]);
    for (project, pr) in [("demo", "octo/hello#7"), ("other", "ghe.example.com/octo/hello#7")] {
        env.ok(&["session", "new", "--project", project]);
        let owner = format!("{project}-1");
        env.ok(&["pr", "claim", &owner, pr]);
        let table = env.ok(&["pr", "ls", "--project", project]);
        let printed = table.lines().nth(1).unwrap().split_whitespace().next();
        assert_eq!(printed, Some(pr), "{table}");
        assert_eq!(env.json("pr.get", &["pr", "get", pr])["session_id"], owner.as_str());
        assert!(env.ok(&["session", "get", &owner]).contains(&format!(" {pr} ")));
    }
}
