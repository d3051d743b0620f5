//! Listings of the open pull requests of a repository: long ones, ones that change while they are read,
//! and ones with pull requests that cannot be read.

use std::cell::Cell;
use std::collections::HashMap;

use ao_fake_github::NewPr;
use ao_store::row::scm::{self, Access, RepoState};
use ao_store::{Takeover, claim_pr};
use serde_json::{Value, json};

use super::rig::{REPO, Rig};

/// A repository with this number of open pull requests, of which the oldest belong to sessions.
fn crowded(prs: usize, sessions: usize) -> (Rig, Vec<String>) {
    let mut rig = Rig::new();
    let mut owned = Vec::new();
    for index in 0..prs {
        let pr = rig.world.open_pr(&NewPr::new(REPO, &format!("ao/work-{index}")));
        if index < sessions {
            rig.session("demo", &format!("ao/work-{index}"));
            owned.push(pr);
        }
    }
    (rig, owned)
}

fn repo(rig: &Rig) -> RepoState {
    rig.store.read(|snapshot| scm::repos(snapshot, "github.com")).unwrap().remove(0)
}

/// The requests that listed the repository.
fn listings(rig: &Rig) -> usize {
    rig.queries.as_ref().unwrap().iter().filter(|(_, body)| body.contains("r0:repository")).count()
}

/// The requests of the listing are those of its pages, and it is not listed again for each new session.
#[test]
fn every_pull_request_of_a_session_is_found_among_thousands() {
    let (mut rig, owned) = crowded(2_500, 40);
    rig.queries = Some(Vec::new());
    rig.minutes(2);
    assert!(owned.iter().all(|pr| rig.row(pr).is_some()), "the oldest ones");
    let first = listings(&rig);
    assert!((25..=29).contains(&first), "{first} requests for 25 pages and the cycles since");
    assert!(rig.host().fresh_at.is_some());

    // A session for which there is an old pull request, and one that opens a new one.
    let session = rig.session("demo", "ao/work-1000");
    rig.minutes(14);
    let old = rig.row(&rig.world.prs()[1_000]).map(|row| row.session);
    assert_eq!(old, Some(session), "after as many cycles as there are pages");
    let new = rig.world.open_pr(&NewPr::new(REPO, "ao/new"));
    rig.session("demo", "ao/new");
    rig.seconds(40);
    assert!(rig.row(&new).is_some(), "what is new needs no complete listing");

    // While sessions come and go all the time, complete listings cost as much as incremental ones.
    let before = listings(&rig);
    for index in 0..60 {
        rig.session("demo", &format!("ao/other-{index}"));
        rig.minutes(1);
    }
    let spent = listings(&rig) - before;
    assert!(spent <= 2 * 120 + 60, "{spent} requests for 120 cycles and 60 new sessions");
}

/// A listing that began anew with each change of the sessions would never reach its end.
#[test]
fn a_long_listing_reaches_its_end_while_sessions_change() {
    let (mut rig, owned) = crowded(1_500, 1);
    for index in 0..60 {
        rig.session("demo", &format!("ao/other-{index}"));
        rig.seconds(1);
    }
    assert!(rig.row(&owned[0]).is_some());
}

/// The host leaves out one pull request of a page, because another one was closed meanwhile.
#[test]
fn a_listing_that_changed_while_it_was_read_is_read_again() {
    let (mut rig, owned) = crowded(250, 20);
    let calls = Cell::new(0);
    rig.tamper = Some(Box::new(move |_, answer| {
        let Some(page) = answer.pointer_mut("/data/r0/pullRequests") else { return };
        // The last page of the first listing.
        if page["nodes"].as_array().unwrap().len() == 50 && calls.replace(1) == 0 {
            page["nodes"].as_array_mut().unwrap().pop();
            page["totalCount"] = json!(249);
        }
    }));
    rig.minutes(1);
    assert!(owned.iter().all(|pr| rig.row(pr).is_some()));
    assert_eq!(repo(&rig).access, Access::Ok);
    assert!(rig.host().fresh_at.is_some());
}

/// The work tree keeps the old name as its remote, so that both names are listed.
#[test]
fn a_skipped_pull_request_is_shown_once_after_a_rename() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/demo-1");
    let remotes = vec![("github.com".to_owned(), REPO.to_owned())];
    rig.poller.set_remotes(HashMap::from([("/src/demo".to_owned(), remotes)]));
    let author = Some("hubot".to_owned());
    rig.world.open_pr(&NewPr { author, ..NewPr::new(REPO, "ao/demo-1") });
    let stored = |rig: &Rig| {
        let skipped = rig.store.read(|snapshot| scm::skipped_prs(snapshot, None)).unwrap();
        skipped.into_iter().map(|it| (it.repo, it.number)).collect::<Vec<_>>()
    };
    rig.minutes(2);
    assert_eq!(stored(&rig), [(REPO.to_owned(), 1)]);
    rig.world.rename_repo(REPO, "renamed");
    rig.minutes(5);
    assert_eq!(stored(&rig), [("octo/renamed".to_owned(), 1)]);
    assert_eq!(rig.poller.report(rig.now).skipped.len(), 1);
}

fn skipped(rig: &Rig) -> Vec<(i64, String, String)> {
    let skipped = rig.store.read(|snapshot| scm::skipped_prs(snapshot, None)).unwrap();
    skipped.into_iter().map(|it| (it.number, it.author, it.reason)).collect()
}

/// A bot opens a pull request from the branch of a session, and a colleague one from another branch.
#[test]
fn a_pull_request_of_somebody_else_on_the_branch_of_a_session_is_shown_as_skipped() {
    let mut rig = Rig::new();
    let session = rig.session("demo", "ao/demo-1");
    let of = |author: &str, branch: &str| NewPr {
        author: Some(author.to_owned()),
        ..NewPr::new(REPO, branch)
    };
    let by_bot = rig.world.open_pr(&of("hubot", "ao/demo-1"));
    rig.world.open_pr(&of("mona", "unrelated"));
    rig.minutes(2);
    let expected = (1, "hubot".to_owned(), "other_author".to_owned());
    assert_eq!(skipped(&rig), std::slice::from_ref(&expected));
    assert_eq!(rig.poller.report(rig.now).skipped.len(), 1);
    // One that is opened later joins it.
    let later = rig.world.open_pr(&of("mona", "ao/demo-1/more"));
    rig.minutes(2);
    assert_eq!(skipped(&rig), [expected, (3, "mona".to_owned(), "other_author".to_owned())]);
    // One that is closed is gone after the next complete listing, and one that is claimed at once.
    rig.world.close(&later);
    rig.session("demo", "ao/demo-2");
    rig.minutes(2);
    assert_eq!(skipped(&rig).len(), 1);
    let place = "octo/hello#1".parse().unwrap();
    let claim = move |tx: &ao_store::Tx<'_>| claim_pr(tx, &session, &place, Takeover::Allow);
    rig.store.write(rig.cause(), claim).unwrap();
    assert_eq!(skipped(&rig), []);
    rig.minutes(3);
    rig.assert_pr(&by_bot);
    rig.restart();
    rig.minutes(2);
    assert_eq!(rig.poller.report(rig.now).skipped, []);
}

#[test]
fn a_listed_pull_request_that_cannot_be_read_costs_one_and_is_reported() {
    type Change = fn(&mut Value, usize);
    let changes: [Change; 3] = [
        |answer, at| answer["data"]["r0"]["pullRequests"]["nodes"][at] = Value::Null,
        |answer, at| answer["data"]["r0"]["pullRequests"]["nodes"][at]["number"] = json!("?"),
        |answer, at| {
            let node = &mut answer["data"]["r0"]["pullRequests"]["nodes"][at];
            node["author"] = Value::Null;
            let path = json!(["r0", "pullRequests", "nodes", at, "author"]);
            answer["errors"] = json!([{"path": path, "type": "INTERNAL", "message": "failed"}]);
        },
    ];
    for change in changes {
        let (mut rig, owned) = crowded(130, 5);
        let lost = owned[2].clone();
        rig.tamper = Some(Box::new(move |_, answer| {
            let nodes = answer.pointer("/data/r0/pullRequests/nodes").and_then(Value::as_array);
            let at = nodes.and_then(|nodes| nodes.iter().position(|pr| pr["id"] == *lost));
            at.into_iter().for_each(|at| change(answer, at));
        }));
        rig.queries = Some(Vec::new());
        rig.minutes(5);
        let found: Vec<_> = owned.iter().map(|pr| rig.row(pr).is_some()).collect();
        assert_eq!(found, [true, true, false, true, true]);
        assert_eq!(repo(&rig).access, Access::Partial);
        let report = rig.poller.report(rig.now);
        assert_eq!(report.unread, ["github.com/octo/hello: partial"]);
        assert_eq!(rig.host().fresh_at, None, "not everything was listed");
        assert!(!rig.poller.is_listed());
        rig.queries.as_mut().unwrap().clear();
        rig.minutes(10);
        assert!(listings(&rig) <= 60, "{} requests in 20 cycles", listings(&rig));
        rig.tamper = None;
        rig.minutes(3);
        assert!(rig.row(&owned[2]).is_some());
        assert_eq!(repo(&rig).access, Access::Ok);
        assert_eq!(rig.poller.report(rig.now).unread, [""; 0]);
        assert!(rig.host().fresh_at.is_some());
    }
}
