//! Which open pull requests are found, and which session they belong to: the acceptance cases 9 to 11.

use std::collections::HashMap;
use std::time::Duration;

use ao_fake_github::{NewPr, World};
use ao_store::log::change::Change;
use ao_store::row::session;
use ao_store::{SessionId, Takeover, claim_pr};

use super::rig::{REPO, Rig};

fn owner(rig: &Rig, pr: &str) -> Option<SessionId> {
    rig.row(pr).map(|row| row.session)
}

/// A pull request of a fork.
fn of_fork(repo: &str, fork: &str, branch: &str) -> NewPr {
    NewPr { head_repo: Some(fork.to_owned()), ..NewPr::new(repo, branch) }
}

#[test]
fn a_pull_request_is_found_and_read_within_one_interval() {
    let mut rig = Rig::new();
    let session = rig.session("demo", "ao/demo-1");
    rig.minutes(5);
    rig.world.counters.clear();
    let pr = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    rig.world.comment_add(&pr, "hubot", "Hello");
    rig.seconds(36);
    assert_eq!(owner(&rig, &pr), Some(session));
    rig.assert_pr(&pr);
    // One poll lists it and one reads it, one request reads the conversation; the others request
    // the mergeability, which GitHub computes after the first of them.
    assert_eq!(rig.world.counters.of("Full"), 1);
    assert_eq!(rig.world.counters.of("Detail"), 1);
    assert!(rig.world.counters.total() <= 7, "{:?}", rig.world.counters.requests);
    assert!(rig.poll(&pr).attribution.contains("ao/demo-1"), "with the reason for its attribution");
}

/// Case 9.
#[test]
fn the_exact_branch_wins_over_the_longest_namespace() {
    let mut rig = Rig::new();
    let sessions: HashMap<&str, SessionId> =
        ["ao/x", "ao/x/y", "ao/z/root"].map(|branch| (branch, rig.session("demo", branch))).into();
    let cases = [
        ("ao/x", Some("ao/x")),
        ("ao/x/child", Some("ao/x")),
        ("ao/x/y", Some("ao/x/y")),
        ("ao/x/y/grandchild", Some("ao/x/y")),
        ("ao/z/root", Some("ao/z/root")),
        ("ao/z/sibling", Some("ao/z/root")),
        ("ao/xylophone", None),
        ("ao", None),
        ("main", None),
    ];
    let open = |(branch, owner)| (rig.world.open_pr(&NewPr::new(REPO, branch)), branch, owner);
    let prs = cases.map(open);
    rig.minutes(1);
    for (pr, branch, expected) in prs {
        assert_eq!(owner(&rig, &pr).as_ref(), expected.map(|it| &sessions[it]), "{branch}");
    }
}

#[test]
fn a_branch_is_compared_byte_by_byte_whatever_its_name() {
    let mut rig = Rig::new();
    let named = |branch: &str| NewPr::new(REPO, branch);
    for branch in ["größe/日本語", "fix/(#12)'s_🚀=100%&$(x);", "e\u{301}tat"] {
        let session = rig.session("demo", branch);
        let pr = rig.world.open_pr(&named(branch));
        rig.minutes(1);
        assert_eq!(owner(&rig, &pr), Some(session), "{branch}");
        assert_eq!(rig.row(&pr).unwrap().head_ref, branch);
        rig.assert_pr(&pr);
    }
    let composed = rig.world.open_pr(&named("état"));
    // What no session can be given is a fact all the same.
    let odd = rig.world.open_pr(&named("größe/日本語/\u{202e}\u{200b}"));
    rig.minutes(1);
    assert_eq!(owner(&rig, &composed), None, "another branch, also for git");
    assert_eq!(rig.row(&odd).unwrap().head_ref, "größe/日本語/\u{202e}\u{200b}");
}

#[test]
fn a_session_gets_the_pull_requests_of_its_changed_branch() {
    let mut rig = Rig::new();
    let session = rig.session("demo", "old");
    let before = rig.world.open_pr(&NewPr::new(REPO, "old"));
    let waiting = rig.world.open_pr(&NewPr::new(REPO, "new"));
    rig.minutes(5);
    assert_eq!((owner(&rig, &before), owner(&rig, &waiting)), (Some(session.clone()), None));
    let id = session.clone();
    rig.store.write(rig.cause(), move |tx| session::set_branch(tx, &id, "new")).unwrap();
    rig.minutes(1);
    let later = rig.world.open_pr(&NewPr::new(REPO, "old"));
    rig.minutes(1);
    assert_eq!(owner(&rig, &waiting), Some(session.clone()), "it was opened before the change");
    assert_eq!(owner(&rig, &before), Some(session), "what it had stays");
    assert_eq!(owner(&rig, &later), None);
}

/// Case 9: projects whose checkouts have an upstream, and one that is part of a workspace.
#[test]
fn a_pull_request_at_another_remote_is_found() {
    let mut world = World::new(3);
    world.add_repo("upstream/tool");
    world.fork("upstream/tool", "octo/tool");
    world.add_repo("octo/part");
    let mut rig = Rig::of(world);
    rig.project("tool", "octo/tool");
    rig.project("part", "octo/part");
    rig.session("tool", "ao/tool-1");
    rig.session("part", "ao/part-1");
    let remote = |repo: &str| vec![("github.com".to_owned(), repo.to_owned())];
    rig.poller.set_remotes(HashMap::from([("/src/tool".to_owned(), remote("upstream/tool"))]));
    let up = rig.world.open_pr(&of_fork("upstream/tool", "octo/tool", "ao/tool-1"));
    let part = rig.world.open_pr(&NewPr::new("octo/part", "ao/part-1"));
    // The branch is that of a session, but not where that session pushes.
    let other = rig.world.open_pr(&NewPr::new("octo/part", "ao/tool-1"));
    rig.minutes(1);
    assert_eq!(owner(&rig, &part).unwrap().to_string(), "part-1");
    assert_eq!(owner(&rig, &other), None);
    // The store rejects a pull request that is not at the origin and does not have its head there.
    assert_eq!(owner(&rig, &up).unwrap().to_string(), "tool-1");
    rig.assert_observed();
}

/// Case 10.
#[test]
fn a_pull_request_from_the_origin_to_its_upstream_is_found() {
    let mut world = World::new(3);
    world.add_repo("upstream/tool");
    world.fork("upstream/tool", "octo/tool");
    let mut rig = Rig::of(world);
    rig.project("tool", "octo/tool");
    rig.session("tool", "ao/tool-1");
    let remotes = vec![("github.com".to_owned(), "upstream/tool".to_owned())];
    rig.poller.set_remotes(HashMap::from([("/src/tool".to_owned(), remotes)]));
    let ours = rig.world.open_pr(&of_fork("upstream/tool", "octo/tool", "ao/tool-1"));
    let theirs = rig.world.open_pr(&NewPr::new("upstream/tool", "ao/tool-1"));
    rig.minutes(1);
    assert_eq!(owner(&rig, &ours).unwrap().to_string(), "tool-1");
    let row = rig.row(&ours).unwrap();
    assert_eq!((row.head_repo.as_str(), row.is_cross_repo), ("octo/tool", true));
    assert_eq!(owner(&rig, &theirs), None, "a branch of the upstream itself");
}

/// Case 10.
#[test]
fn a_branch_of_the_same_name_in_a_fork_belongs_to_a_stranger() {
    let mut rig = Rig::new();
    rig.world.fork(REPO, "stranger/hello");
    rig.world.fork(REPO, "gone/hello");
    rig.session("demo", "ao/demo-1");
    let foreign = rig.world.open_pr(&of_fork(REPO, "stranger/hello", "ao/demo-1"));
    let headless = rig.world.open_pr(&of_fork(REPO, "gone/hello", "ao/demo-1"));
    rig.world.delete_repo("gone/hello");
    rig.minutes(5);
    assert_eq!(owner(&rig, &foreign), None);
    assert_eq!(owner(&rig, &headless), None);
}

#[test]
fn of_a_person_only_that_persons_pull_requests_count() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/demo-1");
    let colleague = NewPr { author: Some("mona".to_owned()), ..NewPr::new(REPO, "ao/demo-1/fix") };
    let colleague = rig.world.open_pr(&colleague);
    let ghost = NewPr { author: None, ..NewPr::new(REPO, "ao/demo-1/ghost") };
    let ghost = rig.world.open_pr(&ghost);
    let own = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1/own"));
    rig.minutes(1);
    assert_eq!(owner(&rig, &colleague), None);
    assert_eq!(owner(&rig, &ghost), None);
    assert!(owner(&rig, &own).is_some());
}

#[test]
fn with_the_credentials_of_an_app_the_author_does_not_count() {
    let mut rig = Rig::new();
    rig.world.add_token("app", "agent[bot]");
    rig.token = Some("app");
    rig.session("demo", "ao/demo-1");
    let theirs = NewPr { author: Some("mona".to_owned()), ..NewPr::new(REPO, "ao/demo-1") };
    let theirs = rig.world.open_pr(&theirs);
    rig.minutes(1);
    assert!(owner(&rig, &theirs).is_some());
    assert_eq!(rig.host().login, "agent[bot]");
}

/// Case 9.
#[test]
fn a_claimed_pull_request_stays_with_its_session() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let other = rig.session("demo", "ao/demo-2");
    let (location, claimant) = (rig.location(&pr).into(), other.clone());
    let claim = move |tx: &ao_store::Tx<'_>| claim_pr(tx, &claimant, &location, Takeover::Allow);
    rig.store.write(rig.cause(), claim).unwrap();
    rig.world.set_title(&pr, "Another title");
    rig.minutes(5);
    rig.restart();
    rig.minutes(5);
    assert_eq!(owner(&rig, &pr), Some(other));
    rig.assert_observed();
}

/// Case 11: a found pull request is stored before the end of another one that the same poll found.
#[test]
fn a_sibling_is_stored_before_the_end_of_a_pull_request() {
    let mut rig = Rig::new();
    let first = rig.tracked("ao/demo-1");
    rig.minutes(5);
    let head = rig.head();
    let second = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1/next"));
    rig.world.merge(&first);
    rig.minutes(2);
    let changes = rig.changes_since(head);
    let position = |row: &str, kind: &str, text: &str| {
        let row = rig.row(row).unwrap().id;
        changes.iter().position(|change| {
            change.kind() == kind
                && change.key().contains(row.as_str())
                && change.after().is_some_and(|after| after.contains(text))
        })
    };
    let found = position(&second, "pr_created", "ao/demo-1/next").unwrap();
    let ended = position(&first, "pr_merged", "\"merged\"").unwrap();
    assert!(found < ended, "a session with an open pull request never looks complete");
}

/// Case 11: the same world is recorded in the same order.
#[test]
fn the_order_of_changes_is_deterministic() {
    let record = || {
        let mut rig = Rig::new();
        rig.session("demo", "ao/root");
        for index in 0..10 {
            rig.world.open_pr(&NewPr::new(REPO, &format!("ao/{index}")));
        }
        rig.minutes(3);
        let owned = |text: &str| text.to_owned();
        let texts = |it: &Change| (owned(it.kind()), owned(it.key()), it.after().map(owned));
        rig.changes_since(0).iter().map(texts).collect::<Vec<_>>()
    };
    assert_eq!(record(), record());
}

/// A page with gaps is read again and not skipped.
#[test]
fn what_an_incomplete_page_of_a_listing_leaves_out_is_found_with_the_next() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/demo-1");
    let pr = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    for index in 0..110 {
        rig.sleep(Duration::from_secs(1));
        rig.world.open_pr(&NewPr::new(REPO, &format!("other/{index}")));
    }
    rig.tamper = Some(Box::new(|_, answer| {
        if let Some(nodes) = answer.pointer_mut("/data/r0/pullRequests/nodes") {
            *nodes = serde_json::Value::Null;
        }
    }));
    rig.minutes(3);
    assert!(owner(&rig, &pr).is_none());
    rig.tamper = None;
    rig.minutes(1);
    assert!(owner(&rig, &pr).is_some());
}

/// A new session may have opened its pull request long ago: all that are open are listed then.
#[test]
fn a_session_on_an_old_branch_finds_its_old_pull_request() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/demo-1");
    let old = rig.world.open_pr(&NewPr::new(REPO, "ao/old"));
    for index in 0..130 {
        rig.sleep(Duration::from_secs(1));
        rig.world.open_pr(&NewPr::new(REPO, &format!("other/{index}")));
    }
    rig.minutes(5);
    assert_eq!(owner(&rig, &old), None);
    rig.session("demo", "ao/old");
    rig.run(Duration::from_secs(10));
    assert!(owner(&rig, &old).is_some());
}
