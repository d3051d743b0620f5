//! The base is fetched within a budget, and failure is a warning.

use std::time::{Duration, Instant};

use super::fixture::Home;

const BUDGET: Duration = Duration::from_secs(60);

#[test]
fn a_moved_base_gives_the_newer_commit() {
    let home = Home::cloned();
    let newer = home.commit_on_remote("trunk");
    let plan = home.plan("new", true, None).unwrap();
    assert_ne!(plan.commit(), newer);
    let others = || {
        let head = std::fs::read(home.repo().join(".git/FETCH_HEAD")).unwrap();
        (head, home.git(&["for-each-ref", "refs/tags", "refs/heads"]))
    };
    let before = others();
    let (plan, warnings) = home.repository().refresh(plan, BUDGET, &home.target(1)).unwrap();
    assert_eq!((plan.commit(), warnings), (newer.as_str(), Vec::new()));
    assert_eq!(plan.created_branch(), Some(newer.as_str()));
    // Nothing else of the repository changes.
    assert_eq!(others(), before);
}

#[test]
fn only_the_branch_that_is_needed_is_fetched() {
    let home = Home::cloned();
    home.commit_on_remote("unrelated");
    let newer = home.commit_on_remote("feature");
    home.git(&["fetch", "-q", "origin", "feature:refs/remotes/origin/feature"]);
    let before = home.git(&["for-each-ref", "refs/remotes/origin/unrelated"]);
    let newest = home.commit_on_remote("feature");
    home.commit_on_remote("unrelated");
    let plan = home.plan("feature", false, None).unwrap();
    assert_eq!(plan.commit(), newer);
    let (plan, warnings) = home.repository().refresh(plan, BUDGET, &home.target(1)).unwrap();
    assert_eq!((plan.commit(), warnings.len()), (newest.as_str(), 0));
    assert_eq!(home.git(&["for-each-ref", "refs/remotes/origin/unrelated"]), before);
}

#[test]
fn a_remote_that_is_gone_is_a_warning() {
    let home = Home::cloned();
    std::fs::rename(home.path("remote.git"), home.path("moved.git")).unwrap();
    let plan = home.plan("new", true, None).unwrap();
    let (after, warnings) =
        home.repository().refresh(plan.clone(), BUDGET, &home.target(1)).unwrap();
    assert_eq!(after, plan);
    assert!(warnings[0].contains("origin/trunk") && warnings.len() == 1, "{warnings:?}");
}

#[test]
fn a_remote_that_does_not_answer_costs_the_budget() {
    let home = Home::cloned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    home.git(&["remote", "set-url", "origin", &format!("git://127.0.0.1:{port}/x")]);
    let plan = home.plan("new", true, None).unwrap();
    let (budget, started) = (Duration::from_secs(1), Instant::now());
    let (_, warnings) = home.repository().refresh(plan, budget, &home.target(1)).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn what_has_no_remote_is_not_fetched() {
    let home = Home::cloned();
    home.git(&["remote", "set-url", "origin", "ext::sh -c false"]);
    home.git(&["branch", "near"]);
    for (branch, create, base) in [("near", false, None), ("new", true, Some("trunk"))] {
        let plan = home.plan(branch, create, base).unwrap();
        let (_, warnings) = home.repository().refresh(plan, BUDGET, &home.target(1)).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}
