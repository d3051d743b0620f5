//! The owner of a pull request is the same whether a poll or a webhook delivery shows it first: each
//! situation goes both ways.

use std::process::Command;

use ao_fake_github::{NewPr, Request, World};
use ao_observer::webhook::{self, Recorded, record};
use ao_store::Outcome;
use serde_json::json;

use super::rig::{REPO, Rig};

/// A rig whose observer knows whose credentials it uses, with the session `demo-1` on the branch `fix`.
fn rig() -> Rig {
    let mut world = World::new(7);
    world.add_repo(REPO);
    world.fork(REPO, "stranger/hello");
    let mut rig = Rig::of(world);
    rig.project("demo", REPO);
    rig.session("demo", "fix");
    rig.minutes(1);
    assert_eq!(rig.host().login, "octo-dev");
    rig
}

/// Writes as another program does; this needs the SQLite shell.
fn sql(rig: &Rig, sql: &str) {
    let shell = Command::new("sqlite3").arg("-bail").arg(rig.store.path()).arg(sql).output();
    let output = shell.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A webhook delivery of this event about a pull request, as GitHub would send it now; its owner, or
/// the code of the reason why it has none.
fn deliver(rig: &mut Rig, event: &str, repo: &str, part: serde_json::Value) -> String {
    let base =
        json!({"id": 1, "full_name": repo, "html_url": format!("https://github.com/{repo}")});
    let mut payload = json!({"action": "opened", "repository": base});
    for (name, value) in part.as_object().unwrap() {
        payload[name] = value.clone();
    }
    let delivery = webhook::read(event, payload.to_string().as_bytes(), None, rig.now).unwrap();
    let record = move |tx: &ao_store::Tx<'_>| record(tx, &delivery, Some("delivery-1"));
    match rig.store.write(rig.cause(), record).unwrap().value {
        Recorded::Applied(outcomes) => match &outcomes[..] {
            [Outcome::Applied(applied)] => applied.session.to_string(),
            [Outcome::Unattributed { why, .. }] => why.reason.to_string(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The delivery of the only pull request of a repository.
fn deliver_pr(rig: &mut Rig, repo: &str) -> String {
    let request =
        Request::get(&format!("/repos/{repo}/pulls/1")).with("authorization", "Bearer token");
    let pull_request = rig.world.answer(&request).value();
    deliver(rig, "pull_request", repo, json!({"pull_request": pull_request}))
}

fn by(author: Option<&str>, branch: &str) -> NewPr {
    NewPr { author: author.map(str::to_owned), ..NewPr::new(REPO, branch) }
}

fn of_fork(branch: &str) -> NewPr {
    NewPr { head_repo: Some("stranger/hello".to_owned()), ..NewPr::new(REPO, branch) }
}

/// Brings about a situation with one pull request.
type Situation = fn(&mut Rig);

/// Each situation with the owner, or the code of the reason why there is none.
const SITUATIONS: &[(&str, &str, Situation)] = &[
    ("its branch", "demo-1", |rig| drop(rig.world.open_pr(&NewPr::new(REPO, "fix")))),
    ("a descendant of its branch", "demo-1", |rig| {
        rig.world.open_pr(&NewPr::new(REPO, "fix/more"));
    }),
    ("a namespace", "demo-2", |rig| {
        rig.session("demo", "ao/2/root");
        rig.world.open_pr(&NewPr::new(REPO, "ao/2/part"));
    }),
    ("another branch", "no_session", |rig| drop(rig.world.open_pr(&NewPr::new(REPO, "fixed")))),
    ("a branch in other letter case", "no_session", |rig| {
        drop(rig.world.open_pr(&NewPr::new(REPO, "Fix")))
    }),
    ("a fork", "no_project", |rig| drop(rig.world.open_pr(&of_fork("fix")))),
    ("a fork that was deleted", "head_repository_unknown", |rig| {
        rig.world.open_pr(&of_fork("fix"));
        rig.world.delete_repo("stranger/hello");
    }),
    ("a colleague", "other_author", |rig| drop(rig.world.open_pr(&by(Some("mona"), "fix")))),
    ("a bot", "other_author", |rig| {
        rig.world.user_of_kind("hubot", ao_fake_github::UserKind::Bot);
        rig.world.open_pr(&by(Some("hubot"), "fix"));
    }),
    ("an account that was deleted", "other_author", |rig| {
        drop(rig.world.open_pr(&by(None, "fix")))
    }),
    ("the author in other letter case", "demo-1", |rig| {
        sql(rig, "UPDATE scm_host SET login = 'OCTO-Dev'");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("ended before the session", "ended_before_session", |rig| {
        let pr = rig.world.open_pr(&NewPr::new(REPO, "later"));
        rig.world.merge(&pr);
        rig.sleep(std::time::Duration::from_secs(60));
        rig.session("demo", "later");
    }),
    ("two live sessions on one branch", "demo-2", |rig| {
        rig.session("demo", "fix");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("a live session before a newer terminated one", "demo-1", |rig| {
        rig.session("demo", "fix");
        sql(rig, "UPDATE session SET is_terminated = 1 WHERE num = 2");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("a terminated session", "demo-1", |rig| {
        sql(rig, "UPDATE session SET is_terminated = 1");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("an orchestrator", "no_project", |rig| {
        sql(rig, "UPDATE session SET kind = 'orchestrator'");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("an archived project", "no_project", |rig| {
        sql(rig, "UPDATE project SET archived_at = 1");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("an archived project and an active one", "second-1", |rig| {
        sql(rig, "UPDATE project SET archived_at = 1");
        rig.project("second", REPO);
        rig.session("second", "fix");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("host and origin in other letter case", "demo-1", |rig| {
        sql(rig, "UPDATE project SET host = 'GitHub.COM', repo = 'Octo/HELLO'");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
    ("a branch that is used again", "demo-2", |rig| {
        sql(rig, "UPDATE session SET is_terminated = 1");
        rig.session("demo", "fix");
        rig.world.open_pr(&NewPr::new(REPO, "fix"));
    }),
];

#[test]
fn a_poll_and_a_delivery_find_the_same_owner() {
    for (situation, expected, bring_about) in SITUATIONS {
        let mut delivered = rig();
        bring_about(&mut delivered);
        assert_eq!(deliver_pr(&mut delivered, REPO), *expected, "a delivery: {situation}");
        let mut polled = rig();
        bring_about(&mut polled);
        polled.minutes(2);
        let pr = polled.world.prs().remove(0);
        let owner = polled.row(&pr).map(|row| row.session.to_string());
        let is_owned = expected.contains('-');
        assert_eq!(owner.as_deref(), is_owned.then_some(*expected), "a poll: {situation}");
        if is_owned {
            let reason = polled.poll(&pr).attribution;
            assert!(!reason.is_empty(), "{situation}");
            assert_eq!(delivered.poll(&pr).attribution, reason, "{situation}");
        }
    }
}

#[test]
fn after_a_rename_a_poll_and_a_delivery_find_the_same_owner() {
    let mut of_both = Vec::new();
    for is_polled in [true, false] {
        let mut rig = rig();
        rig.world.rename_repo(REPO, "renamed");
        rig.minutes(1);
        let pr = rig.world.open_pr(&NewPr::new("octo/renamed", "fix"));
        if is_polled {
            rig.minutes(1);
        } else {
            assert_eq!(deliver_pr(&mut rig, "octo/renamed"), "demo-1");
        }
        of_both.push((rig.row(&pr).unwrap().session, rig.poll(&pr).attribution));
    }
    assert_eq!(of_both[0], of_both[1]);
}

/// A work tree keeps the old name as its origin, also when it is registered after the rename.
#[test]
fn a_project_under_the_old_name_of_a_repository_is_followed() {
    let mut rig = rig();
    rig.world.rename_repo(REPO, "renamed");
    rig.minutes(1);
    rig.project("late", REPO);
    rig.session("late", "late");
    let pr = rig.world.open_pr(&NewPr::new("octo/renamed", "late"));
    rig.minutes(2);
    assert_eq!(rig.row(&pr).unwrap().session.to_string(), "late-1");
}

/// The credentials are those of a person, and these facts name no author.
#[test]
fn a_check_alone_does_not_make_a_pull_request_a_persons_own() {
    let mut rig = rig();
    let side = json!({"ref": "fix", "repo": {"id": 1}});
    let named = json!([{"number": 1, "head": side, "base": {"ref": "main", "repo": {"id": 1}}}]);
    let run = json!({"check_run": {"head_sha": "aaa", "name": "build", "pull_requests": named}});
    assert_eq!(deliver(&mut rig, "check_run", REPO, run), "other_author");
    rig.world.open_pr(&NewPr::new(REPO, "fix"));
    assert_eq!(deliver_pr(&mut rig, REPO), "demo-1", "the same delivery id again");
}

#[test]
fn a_delivery_whose_owner_was_unknown_is_applied_when_it_is_sent_again() {
    let mut rig = rig();
    rig.world.open_pr(&NewPr::new(REPO, "later"));
    assert_eq!(deliver_pr(&mut rig, REPO), "no_session");
    rig.session("demo", "later");
    assert_eq!(deliver_pr(&mut rig, REPO), "demo-2");
}

/// A session whose last act is to open a pull request; it is looked for one more day.
#[test]
fn the_pull_request_of_a_session_that_just_ended_is_found() {
    let mut rig = rig();
    let end = |rig: &Rig| {
        let at = rig.now.0;
        sql(rig, &format!("UPDATE session SET is_terminated = 1, updated_at = {at}"));
    };
    let pr = rig.world.open_pr(&NewPr::new(REPO, "fix"));
    end(&rig);
    rig.minutes(1);
    assert_eq!(rig.row(&pr).unwrap().session.to_string(), "demo-1");
    rig.world.merge(&pr);
    rig.minutes(60 * 51);
    let calls = rig.calls;
    rig.restart();
    rig.minutes(10);
    assert_eq!(rig.calls, calls, "nothing is left to observe");
}
