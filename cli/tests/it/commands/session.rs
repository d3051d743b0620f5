//! Sessions get numbers that are never used again, and only seed rows go; pull requests move by
//! the rules of claiming.

use serde_json::{Value, json};

use crate::support::{TestEnv, text};

fn new(env: &TestEnv, args: &[&str]) -> Value {
    env.json("session.new", &[&["session", "new", "--project", "demo"], args].concat())
}

fn claim(env: &TestEnv, args: &[&str]) -> Value {
    env.json("pr.claim", &[&["pr", "claim"], args].concat())
}

#[test]
fn a_session_is_created_listed_shown_renamed_and_deleted() {
    let env = TestEnv::with_demo();
    let args = ["--branch", "fix-1", "--issue", "12", "--name", "Fix", "--harness", "codex"];
    let created = new(&env, &args);
    for (field, value) in [
        ("id", json!("demo-1")),
        ("num", json!(1)),
        ("kind", json!("worker")),
        ("branch", json!("fix-1")),
        ("issue", json!("12")),
        ("name", json!("Fix")),
        ("harness", json!("codex")),
        ("is_terminated", json!(false)),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    let mut listed = env.json("session.list", &["session", "ls"]);
    let one = listed[0].as_object_mut().unwrap();
    assert_eq!(one.remove("status"), Some(json!("unknown")));
    assert!(one.remove("status_reason").is_some() && one.remove("status_since").is_some());
    assert_eq!(listed, json!([created]));
    let mut shown = env.json("session.get", &["session", "get", "demo-1"]);
    assert_eq!(shown["is_seed"].take(), json!(true));
    assert_eq!(shown["prs"].take(), json!([]));
    let renamed = env.json("session.rename", &["session", "rename", "demo-1", "Now #(x) $(x); --"]);
    assert_eq!(renamed["name"], "Now #(x) $(x); --");
    let head = env.head();
    env.ok(&["session", "rename", "demo-1", "Now #(x) $(x); --"]);
    assert_eq!(env.head(), head, "the same name is no change");
    let removed = env.json("session.rm", &["session", "rm", "demo-1", "--yes"]);
    assert_eq!(removed, json!({"id": "demo-1", "deleted": true}));
    assert_eq!(env.json("session.list", &["session", "ls", "--all"]), json!([]));
    assert_eq!(new(&env, &[])["id"], "demo-2", "a number is never used again");
    let types = ["project_created", "session_created", "session_updated", "session_deleted"];
    assert_eq!(env.types()[..4], types);
    env.refused(&["session", "rm", "demo-1", "--yes"], 3, "SESSION_NOT_FOUND");
    env.refused(&["session", "rename", "demo-1", "x"], 3, "SESSION_NOT_FOUND");
}

#[test]
fn the_human_output_names_what_the_next_command_needs() {
    let env = TestEnv::with_demo();
    let output = env.run(&["session", "new", "-p", "demo", "--branch", "b"]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("demo-1\n", "session demo-1 created\n")
    );
    let listed = env.ok(&["session", "ls"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.starts_with("ID "), "{listed}");
    let shown = env.ok(&["session", "get", "demo-1"]);
    assert!(shown.contains("  branch      b\n"), "{shown}");
}

#[test]
fn a_project_has_one_orchestrator() {
    let env = TestEnv::with_demo();
    assert_eq!(new(&env, &["--kind", "orchestrator"])["kind"], "orchestrator");
    let args = ["session", "new", "--project", "demo", "--kind", "orchestrator", "--json"];
    let output = env.run(&args);
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(output.code, 5);
    assert_eq!(error["error"]["details"]["session_id"], "demo-1");
    assert_eq!(new(&env, &[])["id"], "demo-2", "a refused one uses no number up");
    env.refused(&["pr", "claim", "demo-1", "octo/hello#1"], 5, "SESSION_NOT_CLAIMABLE");
}

#[test]
fn a_branch_is_changed_and_a_shared_one_is_reported() {
    let env = TestEnv::with_demo();
    assert_eq!(new(&env, &["--branch", "fix-1"])["warnings"], json!([]));
    let set = |id: &str, branch: &str| {
        env.json("session.set", &["session", "set", id, "--branch", branch])
    };
    let warning = |others: &[&str], message: &str| json!([{"code": "BRANCH_SHARED", "message": message, "session_ids": others}]);
    let both =
        "demo-1, demo-2 work on the branch fix-1, and only one of them gets its pull request";
    assert_eq!(new(&env, &["--branch", "fix-1"])["warnings"], warning(&["demo-1"], both));
    let listed = env.json("session.list", &["session", "ls"]);
    assert_eq!(listed[0]["warnings"], warning(&["demo-2"], both));
    assert_eq!(
        env.json("session.get", &["session", "get", "demo-2"])["warnings"],
        listed[1]["warnings"]
    );
    let at = env.head();
    let report = env.json("doctor", &["doctor"]);
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|it| it["id"] == "session.branches").unwrap();
    assert_eq!((&finding["level"], &finding["message"]), (&json!("warn"), &json!(both)));
    for args in [&["session", "ls"][..], &["session", "get", "demo-1"]] {
        let output = env.run(args);
        assert!(output.stderr.contains(both), "{}", output.stderr);
        assert!(output.stderr.contains("session set SESSION --branch NAME"), "{}", output.stderr);
        assert!(!output.stdout.contains("BRANCH_SHARED"), "{}", output.stdout);
    }
    let changed = set("demo-2", "neu/ä");
    assert_eq!((&changed["branch"], &changed["warnings"]), (&json!("neu/ä"), &json!([])));
    assert_eq!(env.run(&["session", "ls"]).stderr, "");
    assert_eq!(set("demo-2", "fix-1")["warnings"], warning(&["demo-1"], both));
    let then = env.json("session.get", &["session", "get", "demo-2", "--at", &at]);
    assert_eq!((&then["branch"], &then["warnings"]), (&json!("fix-1"), &json!([])));
    let head = env.head();
    set("demo-2", "fix-1");
    assert_eq!(env.head(), head, "the same branch is no change");
    env.refused(&["session", "set", "demo-2", "--branch", "a b"], 2, "INVALID_ID");
    env.refused(&["session", "set", "demo-9", "--branch", "a"], 3, "SESSION_NOT_FOUND");
    env.refused(&["session", "set", "demo-2"], 2, "USAGE");
    assert_eq!(set("demo-2", "")["branch"], "");
}

#[test]
fn a_branch_has_any_name_that_git_accepts() {
    let env = TestEnv::with_demo();
    for branch in [
        "größe/日本語",
        "(🚀)",
        "$(touch${IFS}x)",
        "#(id)",
        "a;b",
        "`id`",
        "it's",
        "dependabot/@types/node-1.2",
    ] {
        let created = new(&env, &["--branch", branch]);
        assert_eq!(created["branch"], branch);
        let document = format!(
            r#"{{"pr": "octo/hello#{}", "facts": {{"state": "open", "head_ref": {}}}}}"#,
            created["num"],
            json!(branch)
        );
        let output = env.feed(&["observe", "apply", "-"], document);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let delivered = created["num"].as_i64().unwrap() + 100;
        let head = json!({"ref": branch, "sha": "abc", "repo": {"full_name": "octo/hello"}});
        let delivery = json!({"action": "opened", "number": delivered,
            "repository": {"full_name": "octo/hello", "html_url": "https://github.com/octo/hello"},
            "pull_request": {"number": delivered, "state": "open", "head": head,
                "html_url": format!("https://github.com/octo/hello/pull/{delivered}"),
                "base": {"ref": "main", "sha": "def", "repo": {"full_name": "octo/hello"}}}});
        let deliver = ["observe", "deliver", "-", "--event", "pull_request"];
        let output = env.feed(&deliver, delivery.to_string());
        assert_eq!(output.code, 0, "{}", output.stderr);
        for number in [created["num"].to_string(), delivered.to_string()] {
            let pr = env.json("pr.get", &["pr", "get", &format!("octo/hello#{number}")]);
            assert_eq!((&pr["session_id"], &pr["head_ref"]), (&created["id"], &json!(branch)));
        }
        for args in [&["session", "ls"][..], &["tail", "--from", "-1", "--no-follow"]] {
            assert!(env.ok(args).contains(branch), "{args:?}");
        }
    }
    assert!(!env.path("x").exists());
}

#[test]
fn a_name_or_branch_that_could_act_is_refused() {
    let env = TestEnv::with_demo();
    let head = env.head();
    for branch in ["-x", "a b", "a..b", "@{-1}", "HEAD", "x.lock", "\u{1b}[31m", "\u{202e}x"] {
        let branch = format!("--branch={branch}");
        env.refused(&["session", "new", "--project", "demo", &branch], 2, "INVALID_ID");
    }
    for flag in ["--name", "--issue", "--harness"] {
        for value in ["\u{1b}[31m", "a\nb", "\u{9b}2J", " ", &"a".repeat(201)] {
            let given = format!("{flag}={value}");
            let args = ["session", "new", "--project", "demo", &given, "--color", "always"];
            let output = env.run(&args);
            assert_eq!(output.code, 2, "{given:?}");
            assert!(output.stderr.contains("INVALID_ID"), "{}", output.stderr);
            assert!(!output.stderr.contains("\u{1b}[31m\""), "{:?}", output.stderr);
        }
    }
    assert_eq!(env.head(), head, "nothing was written");
    let created = new(&env, &["--name=-rf; #(x) $(x)"]);
    assert_eq!(created["name"], "-rf; #(x) $(x)", "in a name they are just text");
}

#[test]
fn sessions_are_listed_by_project() {
    let env = TestEnv::with_demo();
    let other = env.repo("other", "");
    env.ok(&["project", "add", text(&other)]);
    new(&env, &[]);
    env.ok(&["session", "new", "--project", "other"]);
    let of = |args: &[&str]| {
        let list = env.json("session.list", &[&["session", "ls"], args].concat());
        let ids = list.as_array().unwrap().iter().map(|session| session["id"].clone());
        Value::Array(ids.collect())
    };
    assert_eq!(of(&[]), json!(["demo-1", "other-1"]));
    assert_eq!(of(&["--project", "other"]), json!(["other-1"]));
    for noun in ["session", "orchestrator", "pr"] {
        env.refused(&[noun, "ls", "--project", "nobody"], 3, "PROJECT_NOT_FOUND");
    }
    env.refused(&["pr", "ls", "--session", "demo-9"], 3, "SESSION_NOT_FOUND");
    env.refused(&["session", "new", "--project", "nobody"], 3, "PROJECT_NOT_FOUND");
    if env.sqlite("UPDATE session SET is_terminated = 1 WHERE id = 'demo-1';").is_some() {
        assert_eq!(of(&[]), json!(["other-1"]));
        assert_eq!(of(&["--all"]), json!(["demo-1", "other-1"]));
        assert!(env.ok(&["session", "ls", "-a"]).contains("terminated"));
    }
}

#[test]
fn only_a_session_that_produced_nothing_is_deleted() {
    let env = TestEnv::with_demo();
    for _ in 0..3 {
        new(&env, &[]);
    }
    claim(&env, &["demo-1", "octo/hello#1"]);
    let produced = [("demo-2", "spawned_at = 1"), ("demo-3", "is_terminated = 1")];
    let mut kept = vec!["demo-1"];
    for (id, set) in produced {
        if env.sqlite(&format!("UPDATE session SET {set} WHERE id = '{id}';")).is_some() {
            kept.push(id);
        }
    }
    let before = (env.head(), env.ok(&["session", "ls", "--all", "--json"]));
    for id in kept {
        for flag in ["--yes", "--dry-run"] {
            env.refused(&["session", "rm", id, flag], 5, "SESSION_NOT_SEED");
        }
    }
    assert_eq!((env.head(), env.ok(&["session", "ls", "--all", "--json"])), before);
}

#[test]
fn removal_is_agreed_to_or_not_done() {
    let env = TestEnv::with_demo();
    new(&env, &[]);
    let head = env.head();
    let output = env.run(&["session", "rm", "demo-1", "--dry-run"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, "would delete session demo-1\n"));
    let output = env.run(&["session", "rm", "demo-1", "--dry-run", "--yes"]);
    assert_eq!(output.code, 0, "a dry run stays dry");
    let stderr = env.refused(&["session", "rm", "demo-1"], 2, "USAGE");
    assert!(stderr.contains("--yes"), "{stderr}");
    env.refused(&["session", "rm", "demo-9", "--dry-run"], 3, "SESSION_NOT_FOUND");
    assert_eq!(env.head(), head);
}

#[test]
fn a_claim_tracks_a_new_pull_request_or_takes_it_over() {
    let env = TestEnv::with_demo();
    new(&env, &[]);
    new(&env, &[]);
    let pr = "https://github.com/octo/hello/pull/7";
    assert_eq!(
        claim(&env, &["demo-1", pr]),
        json!({"pr_id": "github.com/octo/hello#7",
        "session_id": "demo-1", "previous_session_id": null, "was_previous_terminated": false,
        "is_verified": false, "reason": "there are no credentials for github.com"})
    );
    let head = env.head();
    assert_eq!(claim(&env, &["demo-1", "octo/hello#7"])["previous_session_id"], "demo-1");
    assert_eq!(env.head(), head, "claiming what is owned is no change");
    let args = ["pr", "claim", "demo-2", "octo/hello#7", "--json"];
    let output = env.run(&args);
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "PR_CLAIMED_BY_ACTIVE_SESSION");
    assert_eq!(error["error"]["details"], json!({"session_id": "demo-1"}));
    assert_eq!(env.head(), head);
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("session get demo-1") && hint.contains("#7' --json --takeover`"),
        "{hint}"
    );
    let moved = claim(&env, &["demo-2", "OCTO/Hello#7", "--takeover"]);
    assert_eq!(
        (&moved["session_id"], &moved["previous_session_id"]),
        (&json!("demo-2"), &json!("demo-1"))
    );
    assert_eq!(env.types().last().unwrap(), "pr_session_changed");
    if env.sqlite("UPDATE session SET is_terminated = 1 WHERE id = 'demo-2';").is_some() {
        let back = claim(&env, &["demo-1", "octo/hello#7"]);
        assert_eq!(back["was_previous_terminated"], true, "a terminated owner gives way");
        env.refused(&["pr", "claim", "demo-2", "octo/hello#7"], 5, "SESSION_TERMINATED");
    }
    let text = env.run(&["pr", "claim", "demo-1", pr]).stderr;
    assert_eq!(
        text,
        "github.com/octo/hello#7 is already owned by demo-1; whether it exists was not verified: \
         there are no credentials for github.com\n"
    );
}

#[test]
fn a_claim_is_refused_where_it_makes_no_sense() {
    let env = TestEnv::with_demo();
    new(&env, &[]);
    let head = env.head();
    env.refused(&["pr", "claim", "demo-1", "octo/another#1"], 5, "PR_PROJECT_MISMATCH");
    env.refused(&["pr", "claim", "demo-9", "octo/hello#1"], 3, "SESSION_NOT_FOUND");
    for pr in ["", "7x", "octo/hello", "octo/hello#0", "https://github.com/octo/hello/issues/7"] {
        env.refused(&["pr", "claim", "demo-1", pr], 2, "INVALID_PR_REF");
    }
    assert_eq!(env.head(), head);
    for state in ["closed", "merged"] {
        let document =
            format!(r#"{{"pr":"octo/hello#1","session":"demo-1","facts":{{"state":"{state}"}}}}"#);
        env.feed(&["observe", "apply", "-"], document);
        let stderr = env.refused(&["pr", "claim", "demo-1", "octo/hello#1"], 5, "PR_NOT_OPEN");
        assert!(stderr.contains(state), "{stderr}");
    }
}

#[test]
fn pull_requests_are_listed_and_shown_with_what_hangs_on_them() {
    let env = TestEnv::with_demo();
    new(&env, &[]);
    new(&env, &[]);
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1",
        "facts": {"title": "Parse it", "state": "open", "head_sha": "abc"},
        "checks": [{"name": "build", "head_sha": "abc", "status": "failed"}],
        "threads": [{"id": "T1", "path": "src/a.rs", "line": 3}],
        "reviews": [{"id": "R1", "author": "ann", "state": "approved"}],
        "comments": [{"id": "C1", "author": "bob", "body": "hm"}]}"#;
    assert_eq!(env.feed(&["observe", "apply", "-"], document).code, 0);
    claim(&env, &["demo-2", "octo/hello#2"]);
    let list = env.json("pr.list", &["pr", "ls"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let of_one = env.json("pr.list", &["pr", "ls", "--session", "demo-1", "--project", "demo"]);
    assert_eq!(of_one.as_array().unwrap().len(), 1);
    assert_eq!((&of_one[0]["title"], &of_one[0]["ci"]), (&json!("Parse it"), &json!("failing")));
    let shown = env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    for facet in ["checks", "threads", "reviews", "comments"] {
        assert_eq!(shown[facet].as_array().unwrap().len(), 1, "{facet}");
    }
    let mut fields = shown.as_object().unwrap().clone();
    let of_observer = ["attribution", "problem", "problem_since", "as_of"];
    let facets = ["checks", "threads", "reviews", "comments"];
    fields.retain(|name, _| !of_observer.iter().chain(&facets).any(|more| name == more));
    assert_eq!(Value::Object(fields), of_one[0], "a list has the fields of a single one");
    let text = env.ok(&["pr", "get", "octo/hello#1"]);
    for part in ["✗ build", "src/a.rs:3", "ann · approved", "bob\n      hm"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let session = env.json("session.get", &["session", "get", "demo-1"]);
    assert_eq!(session["prs"], of_one);
    assert!(env.ok(&["session", "get", "demo-1"]).contains("octo/hello#1  Parse it\n    open · "));
}
