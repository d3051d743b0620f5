//! `pr claim` asks the host whether the pull request exists, when it can.

use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use ao_fake_github::{Fault, Kind, NewPr, Transport};
use serde_json::{Value, json};

use crate::observe::error;
use crate::poll::Scene;
use crate::support::{BOUND, Output, finish};

const CLAIM: [&str; 4] = ["pr", "claim", "demo-1", "octo/hello#1"];

fn document(output: &Output) -> Value {
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str::<Value>(&output.stdout).unwrap()["data"].take()
}

/// Claims with `--json` and more arguments.
fn claim(scene: &Scene, more: &[&str]) -> Output {
    scene.run(&[&CLAIM[..], more, &["--json"]].concat())
}

/// A scene with one pull request, which is on the branch of no session.
fn scene() -> (Scene, String) {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "elsewhere"));
    (scene, pr)
}

#[test]
fn what_the_host_reports_is_stored_with_the_claim() {
    let (scene, node_id) = scene();
    let before = scene.env.types().len();
    let claimed = document(&claim(&scene, &[]));
    assert_eq!((&claimed["is_verified"], &claimed["reason"]), (&json!(true), &Value::Null));
    assert_eq!(scene.requests(), 1);
    assert_eq!(scene.env.types()[before..], ["pr_created"]);
    let pr = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!(
        (&pr["node_id"], &pr["title"], &pr["state"], &pr["attribution"]),
        (&json!(node_id), &json!("Work on elsewhere"), &json!("open"), &json!("it was claimed"))
    );
    assert_eq!(document(&claim(&scene, &[]))["is_verified"], true);
    assert_eq!(scene.requests(), 1, "what was read once is known to exist");
    assert!(scene.once().contains("1 of 1 pull requests fresh"), "it is polled from now on");
}

#[test]
fn a_pull_request_that_does_not_exist_is_claimed_only_without_asking() {
    let (scene, _) = scene();
    let head = scene.env.head();
    let args = ["pr", "claim", "demo-1", "octo/hello#9", "--json"];
    let output = scene.run(&args);
    let refused = error(&output);
    assert_eq!((output.code, &refused["code"]), (3, &json!("PR_NOT_FOUND")));
    assert!(refused["hint"].as_str().unwrap().contains("--no-verify"), "{refused}");
    assert_eq!(scene.env.head(), head, "nothing is stored");
    let claimed = document(&scene.run(&[&args[..], &["--no-verify"]].concat()));
    assert_eq!(claimed["is_verified"], false);
    assert_eq!(claimed["reason"], "verification was turned off");
    assert_eq!(scene.requests(), 1);
}

#[test]
fn without_credentials_a_claim_says_that_it_was_not_verified() {
    let (scene, _) = scene();
    let claimed = document(&finish(&mut scene.bare(&[&CLAIM[..], &["--json"]].concat()), b""));
    assert_eq!(claimed["is_verified"], false);
    assert_eq!(claimed["reason"], "there are no credentials for github.com");
    let text = finish(&mut scene.bare(&["pr", "claim", "demo-1", "octo/hello#2"]), b"").stderr;
    assert!(text.contains("was not verified: there are no credentials"), "{text}");
    assert_eq!(scene.requests(), 0);
    assert_eq!(document(&claim(&scene, &[]))["is_verified"], true, "now there are credentials");
    let pr = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!(pr["title"], "Work on elsewhere");
}

/// A token is sent to hosts of GitHub only.
#[test]
fn a_host_that_is_not_known_is_not_asked() {
    let scene = Scene::new();
    let repo = scene.env.repo("other", "https://git.example.com/octo/hello.git");
    scene.env.ok(&["project", "add", repo.to_str().unwrap()]);
    scene.env.ok(&["session", "new", "--project", "other"]);
    let args = ["pr", "claim", "other-1", "git.example.com/octo/hello#1", "--json"];
    let claimed = document(&scene.run(&args));
    assert_eq!(claimed["reason"], "git.example.com is not known to be a GitHub server");
}

#[test]
fn a_pull_request_that_has_ended_is_not_claimed() {
    let (scene, pr) = scene();
    scene.world().merge(&pr);
    let head = scene.env.head();
    let output = claim(&scene, &[]);
    assert_eq!((output.code, &error(&output)["code"]), (5, &json!("PR_NOT_OPEN")));
    assert_eq!(scene.env.head(), head);
}

#[test]
fn a_rename_that_the_host_reports_is_followed() {
    let (scene, node_id) = scene();
    scene.world().rename_repo("octo/hello", "renamed");
    document(&claim(&scene, &[]));
    let pr = scene.env.json("pr.get", &["pr", "get", "octo/renamed#1"]);
    assert_eq!((&pr["node_id"], &pr["session_id"]), (&json!(node_id), &json!("demo-1")));
    assert_eq!(scene.env.json("project.get", &["project", "get", "demo"])["repo"], "octo/renamed");
}

/// Every claim ends, and one that was refused can be made without asking.
#[test]
fn a_host_that_does_not_answer_the_question_is_named() {
    let (scene, _) = scene();
    let head = scene.env.head();
    let forbidden = Kind::AliasNull("p0".to_owned(), Some("FORBIDDEN".to_owned()));
    let refused = |what: &str, command: &mut Command, code: &str| {
        let began = Instant::now();
        let output = finish(command, b"");
        assert!(began.elapsed() < BOUND, "{what}");
        let refused = error(&output);
        assert_eq!(refused["code"], code, "{what}: {refused}");
        assert!(refused["hint"].as_str().unwrap().contains("--no-verify"), "{what}: {refused}");
        assert_eq!(scene.env.head(), head, "{what}");
    };
    let args = [&CLAIM[..], &["--json"]].concat();
    for (kind, code) in [
        (Kind::unauthorized(), "CREDENTIALS_INVALID"),
        (forbidden, "CREDENTIALS_INVALID"),
        (Kind::primary_limit(), "SCM_THROTTLED"),
        (Kind::secondary_limit(Some("60")), "SCM_THROTTLED"),
        (Kind::secondary_limit(None), "SCM_THROTTLED"),
        (Kind::AliasNull("p0".to_owned(), Some("NOT_FOUND".to_owned())), "PR_NOT_FOUND"),
        (Kind::InvalidJson, "SCM_UNAVAILABLE"),
        (Kind::TruncatedJson, "SCM_UNAVAILABLE"),
        (Kind::Transport(Transport::Silence), "SCM_UNAVAILABLE"),
    ] {
        let what = format!("{kind:?}");
        scene.world().faults = vec![Fault::always(kind)];
        refused(&what, &mut scene.command(&args), code);
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut unreachable = scene.command(&args);
    unreachable.env("AO_GITHUB_API_URL", format!("http://{closed}"));
    refused("a closed port", &mut unreachable, "SCM_UNAVAILABLE");
    assert_eq!(document(&claim(&scene, &["--no-verify"]))["is_verified"], false);
}
