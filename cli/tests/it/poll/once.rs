//! What `observe --once` reports when something could not be read.

use std::sync::{Arc, Mutex};

use ao_fake_github::{Fault, Kind, NewPr, Server, World};
use serde_json::Value;

use super::{Scene, TOKEN};
use crate::support::{Output, finish};

/// What could be read is stored, and the run fails with what could not.
#[test]
fn a_run_that_could_not_read_everything_fails_and_reports_it() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    for index in 0..3 {
        scene.world().comment_add(&pr, "hubot", &format!("Comment {index}"));
    }
    let lost = Kind::AliasNull("d0/comments/nodes/1".to_owned(), Some("SOMETHING_NEW".to_owned()));
    scene.world().faults.push(Fault::always(lost));
    let output = scene.run(&["observe", "--once"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    let expected = "error[SCM_INCOMPLETE]: not everything at github.com could be read \
                    (github.com/octo/hello#1: incomplete)\n";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
    let shown = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!(shown["comments"].as_array().unwrap().len(), 2, "the others are stored");
    assert_eq!(shown["problem"], "incomplete");
    assert_eq!(shown["comments_state"], "partial");
    assert_eq!(scene.host()["fresh_at"], Value::Null);
    scene.world().faults.clear();
    scene.once();
    let shown = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!(shown["comments"].as_array().unwrap().len(), 3);
    assert_eq!(shown["problem"], "");
}

/// A pull request of a bot on the branch of a session.
#[test]
fn a_pull_request_of_somebody_else_is_reported_with_the_command_that_tracks_it() {
    let scene = Scene::new();
    let of_bot =
        NewPr { author: Some("hubot".to_owned()), ..NewPr::new("octo/hello", "ao/demo-1") };
    scene.world().open_pr(&of_bot);
    let text = scene.once();
    assert!(text.contains("; 1 of somebody else on branches of sessions: "), "{text}");
    let output = scene.run(&["--json", "observe", "--once"]);
    let run: Value = serde_json::from_str(&output.stdout).unwrap();
    let status = scene.env.json("store.status", &["status"]);
    let session = scene.env.json("session.get", &["session", "get", "demo-1"]);
    for skipped in [&run["data"]["hosts"][0]["skipped"], &status["skipped"], &session["skipped"]] {
        assert_eq!(skipped[0]["number"], 1);
        assert_eq!(skipped[0]["session_id"], "demo-1");
        assert_eq!(skipped[0]["author"], "hubot");
        assert_eq!(skipped[0]["reason"], "other_author");
    }
    let line = "github.com/octo/hello#1 of hubot is on the branch of demo-1 (other_author); \
        to track it: `ao-store pr claim demo-1 octo/hello#1`\n";
    for args in [&["status"][..], &["session", "get", "demo-1"]] {
        let Output { stdout, stderr, .. } = scene.env.run(args);
        assert!((stdout.clone() + &stderr).contains(line), "{stdout}{stderr}");
    }
    let data = scene.env.path("data");
    let named = ["--data-dir", data.to_str().unwrap()];
    let program = format!("`ao-store {} {} ", named[0], named[1]);
    for args in [&["status"][..], &["session", "get", "demo-1"], &["observe", "--once"]] {
        let Output { stdout, stderr, .. } = scene.run(&[&named, args].concat());
        let shown = stdout + &stderr;
        assert!(shown.contains(&program) && !shown.contains(line), "{shown}");
    }
    scene.env.ok(&["pr", "claim", "demo-1", "octo/hello#1"]);
    let session = scene.env.json("session.get", &["session", "get", "demo-1"]);
    assert_eq!(session["skipped"], Value::Array(Vec::new()));
}

/// A host that cannot be read hides nothing of another one, and each that fails is named.
#[test]
fn one_host_that_fails_hides_no_other() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    // It is asked by https, and speaks plain HTTP.
    let other = Server::start(Arc::new(Mutex::new(World::new(2)))).unwrap();
    let host = other.addr.to_string();
    let path = scene.env.repo("other", &format!("https://{host}/octo/other.git"));
    scene.env.ok(&["project", "add", path.to_str().unwrap()]);
    scene.env.ok(&["session", "new", "--project", "other", "--branch", "ao/other-1"]);
    let variable = format!("AO_GITHUB_TOKEN_127_0_0_1___{}", other.addr.port());
    let run = |args: &[&str]| finish(scene.command(args).env(&variable, TOKEN), b"");
    let output = run(&["observe", "--once"]);
    assert_eq!(output.code, 1, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.starts_with("github.com: "), "{}", output.stdout);
    assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
    let expected = format!("error[SCM_UNAVAILABLE]: {host} cannot be reached");
    assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
    assert!(output.stderr.to_lowercase().contains("tls"), "{}", output.stderr);
    let stored = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!(stored["node_id"], pr);
    // Both fail.
    scene.world().faults.push(Fault::always(Kind::internal()));
    let output = run(&["observe", "--once"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    for host in ["github.com", &host] {
        assert!(output.stderr.contains(&format!("{host} cannot be reached")), "{}", output.stderr);
    }
}
