//! A worktree is removed only when nothing is lost.

use std::fs;
use std::path::Path;

use super::fixture::{Home, session};

/// Removes the worktree, after the same was announced.
fn remove(home: &Home, path: &Path) -> (bool, String) {
    let announced = home.repository().removal(&home.root, path).unwrap();
    let removed = home.repository().remove(&home.root, path).unwrap();
    if removed.is_removed {
        assert_eq!(announced, removed);
    }
    assert_eq!(path.exists(), !removed.is_removed, "{}", removed.reason);
    (removed.is_removed, removed.reason)
}

#[test]
fn a_clean_worktree_goes_with_its_record_and_its_branch_stays() {
    let home = Home::new();
    let path = home.worktree(1);
    fs::write(path.join("build.ignored"), "output").unwrap();
    home.git_in(&path, &["commit", "-q", "--allow-empty", "-m", "work"]);
    home.repository().lock(&path, &session(1)).unwrap();
    assert!(remove(&home, &path).0);
    assert_eq!(home.git(&["worktree", "list"]).lines().count(), 1);
    assert!(home.try_git(home.repo(), &["rev-parse", "--verify", "work1"]).0);
    assert!(remove(&home, &path).0, "what is gone is removed");
}

#[test]
fn a_worktree_is_kept_with_its_reason() {
    let home = Home::new();
    let path = home.worktree(1);
    fs::write(path.join("new"), "work").unwrap();
    assert_eq!(remove(&home, &path).1, "1 file is not committed");
    // The settings of a user do not hide it.
    home.git(&["config", "status.showUntrackedFiles", "no"]);
    assert_eq!(remove(&home, &path).1, "1 file is not committed");
    fs::remove_file(path.join("new")).unwrap();

    home.git(&["worktree", "lock", "--reason", "on a stick", path.to_str().unwrap()]);
    assert!(remove(&home, &path).1.contains("on a stick"));
    home.git(&["worktree", "unlock", path.to_str().unwrap()]);

    home.git_in(&path, &["checkout", "-q", "--detach"]);
    home.git_in(&path, &["commit", "-q", "--allow-empty", "-m", "work"]);
    assert!(remove(&home, &path).1.contains("no branch has its commit"));
    home.git_in(&path, &["branch", "rescued"]);

    let link = fs::read_to_string(path.join(".git")).unwrap();
    fs::write(path.join(".git"), "gitdir: /nowhere").unwrap();
    assert!(remove(&home, &path).1.contains("cannot be read"));
    fs::write(path.join(".git"), link).unwrap();
    assert!(remove(&home, &path).0);
}

#[test]
fn a_directory_that_is_no_worktree_of_the_repository_is_kept() {
    let home = Home::new();
    let path = home.target(1);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), "work").unwrap();
    assert!(remove(&home, &path).1.contains("no worktree"));
}

#[test]
fn only_the_record_of_a_vanished_directory_goes() {
    let home = Home::new();
    let (one, two) = (home.worktree(1), home.worktree(2));
    home.repository().lock(&one, &session(1)).unwrap();
    fs::remove_dir_all(&one).unwrap();
    fs::remove_dir_all(&two).unwrap();
    assert!(remove(&home, &one).0);
    let list = home.git(&["worktree", "list"]);
    assert!(!list.contains("demo-1") && list.contains("demo-2"), "{list}");
}

#[test]
fn a_repository_that_moved_reads_its_worktrees_as_unknown() {
    let home = Home::new();
    let path = home.worktree(1);
    let moved = home.path("moved");
    fs::rename(home.repo(), &moved).unwrap();
    let repository =
        ao_session::worktree::Repository::open(&home.project, &moved, &home.environment).unwrap();
    let state = repository.inspect(&path).unwrap();
    assert!(state.is_registered && state.dirty.is_some(), "{state:?}");
    assert!(!repository.remove(&home.root, &path).unwrap().is_removed);
    assert!(path.join("tracked").exists());
}
