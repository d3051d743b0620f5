//! A branch is deleted only when its commits are elsewhere.

use super::fixture::{Home, code};

fn exists(home: &Home, branch: &str) -> bool {
    let name = format!("refs/heads/{branch}");
    home.try_git(home.repo(), &["show-ref", "--verify", "--quiet", &name]).0
}

/// Deletes the branch, after the same was announced.
fn delete(home: &Home, branch: &str, base: &str) -> (bool, String) {
    let announced = home.repository().branch_removal(branch, base).unwrap();
    let removed = home.repository().delete_branch(branch, base).unwrap();
    assert_eq!(announced, removed);
    assert_eq!(exists(home, branch), !removed.is_removed, "{branch}: {}", removed.reason);
    (removed.is_removed, removed.reason)
}

#[test]
fn a_branch_goes_when_a_remote_its_base_or_a_preserved_ref_has_its_commits() {
    let home = Home::cloned();
    home.git(&["checkout", "-q", "-b", "work"]);
    let commit = home.commit("work");
    home.git(&["checkout", "-q", "trunk"]);
    assert!(!delete(&home, "work", "origin/trunk").0, "its commit is nowhere else");
    assert!(!delete(&home, "work", "work").0, "it is not its own base");
    assert!(!delete(&home, "work", "refs/heads/work").0, "also by its full name");
    assert!(!delete(&home, "work", "").0 && !delete(&home, "work", "--all").0);
    home.git(&["tag", "local"]);
    assert!(!delete(&home, "work", "gone").0, "an unknown base has nothing");

    home.git(&["branch", "pushed", "work"]);
    home.git(&["push", "-q", "origin", "pushed"]);
    assert_eq!(delete(&home, "pushed", ""), (true, "its commits are in a remote branch".into()));
    home.git(&["update-ref", "-d", "refs/remotes/origin/pushed"]);
    home.git(&["branch", "kept", "work"]);
    home.git(&["update-ref", "refs/ao/preserved/demo-1/1", &commit]);
    assert_eq!(delete(&home, "kept", ""), (true, "its commits are in a preserved ref".into()));
    home.git(&["update-ref", "-d", "refs/ao/preserved/demo-1/1"]);
    home.git(&["merge", "-q", "work"]);
    assert_eq!(delete(&home, "work", "trunk"), (true, "its commits are in its base".into()));
    assert!(delete(&home, "work", "trunk").0, "it does not exist");
}

#[test]
fn a_branch_that_a_worktree_has_stays() {
    let home = Home::cloned();
    home.worktree(1);
    let (is_removed, reason) = delete(&home, "work1", "origin/trunk");
    assert!(!is_removed && reason.contains("demo-1"), "{reason}");
    assert_eq!(code(home.repository().delete_branch("--all", "trunk")), "InvalidBranch");
    assert_eq!(code(home.repository().delete_branch("HEAD", "trunk")), "InvalidBranch");
}

#[test]
fn the_configuration_of_a_deleted_branch_goes_with_it() {
    let home = Home::cloned();
    home.git(&["branch", "-q", "--track", "near", "origin/trunk"]);
    assert!(delete(&home, "near", "").0);
    assert!(!home.try_git(home.repo(), &["config", "branch.near.merge"]).0);
}
