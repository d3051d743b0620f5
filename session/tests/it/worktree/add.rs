//! Worktrees are added, locked, and undone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use ao_session::worktree::Root;

use super::fixture::{Home, code, request, session};

#[test]
fn a_new_branch_starts_at_the_commit_of_the_plan_although_the_base_moves() {
    let home = Home::new();
    let plan = home.plan("new", true, None).unwrap();
    let commit = plan.created_branch().unwrap().to_owned();
    home.commit("later");
    assert_eq!(home.repository().add(&plan, &home.root, &home.target(1)).unwrap(), commit);
    assert_eq!(home.git(&["rev-parse", "new"]), commit);
    assert!(home.target(1).join("tracked").is_file());
    let upstream = home.try_git(home.repo(), &["rev-parse", "new@{upstream}"]);
    assert!(!upstream.0, "a new branch tracks nothing: {upstream:?}");
}

#[test]
fn something_else_at_the_path_stays() {
    let home = Home::new();
    let plan = home.plan("new", true, None).unwrap();
    let path = home.target(1);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("mine"), "kept").unwrap();
    assert_eq!(code(home.repository().add(&plan, &home.root, &path)), "WorktreeExists");
    assert_eq!(fs::read_to_string(path.join("mine")).unwrap(), "kept");
    assert!(!home.try_git(home.repo(), &["rev-parse", "--verify", "new"]).0, "no branch");
    // A worktree that has another branch is something else too.
    home.worktree(2);
    let plan = home.plan("other", true, None).unwrap();
    assert_eq!(code(home.repository().add(&plan, &home.root, &home.target(2))), "WorktreeExists");
}

#[test]
fn two_adds_of_one_branch_make_one_worktree() {
    let home = Home::new();
    let plan = home.plan("new", true, None).unwrap();
    let add = |num| code(home.repository().add(&plan, &home.root, &home.target(num)));
    let outcomes = thread::scope(|scope| {
        let threads = [1, 2, 3, 4].map(|num| scope.spawn(move || add(num)));
        threads.map(|thread| thread.join().unwrap())
    });
    let added = outcomes.iter().filter(|outcome| outcome.starts_with('"')).count();
    let refused = outcomes.iter().filter(|outcome| *outcome == "BranchExists");
    assert_eq!((added, refused.count()), (1, 3), "{outcomes:?}");
    assert_eq!(home.git(&["worktree", "list"]).lines().count(), 2);
}

/// git checks and records without a lock of its own: some rounds are needed to see two that succeed.
#[test]
fn two_adds_of_one_existing_branch_make_one_worktree() {
    let home = Home::new();
    for round in 0..10 {
        let branch = format!("existing{round}");
        home.git(&["branch", &branch]);
        let plan = home.plan(&branch, false, None).unwrap();
        let add = |num| code(home.repository().add(&plan, &home.root, &home.target(num)));
        let outcomes = thread::scope(|scope| {
            let threads = [1, 2, 3, 4].map(|num| scope.spawn(move || add(round * 4 + num)));
            threads.map(|thread| thread.join().unwrap())
        });
        let refused = outcomes.iter().filter(|outcome| *outcome == "BranchElsewhere");
        assert_eq!(refused.count(), 3, "{outcomes:?}");
        let listed = home.git(&["worktree", "list"]);
        assert_eq!(listed.matches(&format!("[{branch}]")).count(), 1, "{listed}");
    }
}

#[test]
fn concurrent_adds_of_tracked_branches_all_succeed() {
    let home = Home::cloned();
    let names = ["a", "b", "c", "d"];
    for name in names {
        home.commit_on_remote(name);
    }
    home.git(&["fetch", "-q"]);
    thread::scope(|scope| {
        for (num, name) in (1..).zip(names) {
            let home = &home;
            scope.spawn(move || {
                let path = home.target(num);
                let plan = home.repository().plan(&request(name, false, None), Some(&path));
                home.repository().add(&plan.unwrap(), &home.root, &path).unwrap();
            });
        }
    });
    for name in names {
        let upstream = format!("{name}@{{upstream}}");
        assert_eq!(home.git(&["rev-parse", "--abbrev-ref", &upstream]), format!("origin/{name}"));
    }
}

#[test]
fn a_branch_that_is_rebased_elsewhere_names_that_worktree() {
    let home = Home::new();
    let other = home.path("mine");
    home.git(&["worktree", "add", "-q", "-b", "feature", other.to_str().unwrap()]);
    for text in ["two\n", "three\n"] {
        fs::write(other.join("tracked"), text).unwrap();
        home.git_in(&other, &["commit", "-q", "-am", "x"]);
    }
    home.write("tracked", "conflict\n");
    home.git(&["commit", "-q", "-am", "y"]);
    assert!(!home.try_git(&other, &["rebase", "trunk"]).0, "the rebase stops at a conflict");
    let plan = home.plan("feature", false, None);
    let added = plan.and_then(|plan| home.repository().add(&plan, &home.root, &home.target(1)));
    assert_eq!(code(added), "BranchElsewhere");
}

#[test]
fn the_branch_of_a_vanished_directory_is_checked_out_there_again() {
    let home = Home::new();
    let path = home.worktree(1);
    home.repository().lock(&path, &session(1)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    home.repository().add_again(&home.root, &path, "work1").unwrap();
    assert!(path.join("tracked").is_file());
}

#[test]
fn a_lock_of_ours_ends_and_that_of_a_person_stays() {
    let home = Home::new();
    let (path, repository) = (home.worktree(1), home.repository());
    let lock = || home.git(&["worktree", "list", "--porcelain"]);
    repository.lock(&path, &session(1)).unwrap();
    repository.lock(&path, &session(1)).unwrap();
    assert!(lock().contains("locked ao-store session demo-1"), "{}", lock());
    assert!(!home.try_git(home.repo(), &["worktree", "remove", path.to_str().unwrap()]).0);
    repository.unlock(&path).unwrap();
    repository.unlock(&path).unwrap();
    assert!(!lock().contains("locked"));
    home.git(&["worktree", "lock", "--reason", "mine", path.to_str().unwrap()]);
    repository.lock(&path, &session(1)).unwrap();
    repository.unlock(&path).unwrap();
    assert!(lock().contains("locked mine"));
    repository.unlock(&home.target(9)).unwrap();
}

#[test]
fn undo_removes_what_a_spawn_made_and_can_be_repeated() {
    let home = Home::new();
    let before = home.git(&["for-each-ref"]);
    let path = home.worktree(1);
    let commit = home.git(&["rev-parse", "work1"]);
    home.repository().lock(&path, &session(1)).unwrap();
    fs::write(path.join("half"), "written").unwrap();
    for _ in 0..2 {
        home.repository().undo(&home.root, &path, "work1", Some(&commit)).unwrap();
        assert!(!path.exists());
        assert_eq!(home.git(&["for-each-ref"]), before);
        assert_eq!(home.git(&["worktree", "list"]).lines().count(), 1);
    }
}

#[test]
fn undo_finishes_every_half_of_a_worktree() {
    let home = Home::new();
    type Damage = fn(&Home, &Path);
    let damages: [(&str, Damage); 6] = [
        ("no directory", |_, path| fs::remove_dir_all(path).unwrap()),
        ("no link", |_, path| fs::remove_file(path.join(".git")).unwrap()),
        ("no record", |home, _| fs::remove_dir_all(home.repo().join(".git/worktrees")).unwrap()),
        ("a killed git", |home, path| {
            let dir = home.git_in(path, &["rev-parse", "--absolute-git-dir"]);
            fs::write(Path::new(&dir).join("index.lock"), "").unwrap();
        }),
        ("a link to nowhere", |_, path| {
            fs::write(path.join(".git"), "gitdir: /nowhere\n").unwrap();
        }),
        ("no branch", |home, path| {
            home.git_in(path, &["checkout", "-q", "--detach"]);
            home.git(&["branch", "-qD", "work1"]);
        }),
    ];
    for (name, damage) in damages {
        let path = home.worktree(1);
        let commit = home.git(&["rev-parse", "work1"]);
        damage(&home, &path);
        home.repository().undo(&home.root, &path, "work1", Some(&commit)).unwrap();
        assert!(!path.exists(), "{name}");
        assert!(!home.try_git(home.repo(), &["rev-parse", "--verify", "work1"]).0, "{name}");
        assert_eq!(home.git(&["worktree", "list"]).lines().count(), 1, "{name}");
    }
}

#[test]
fn undo_keeps_a_branch_that_moved_or_was_there_or_is_used() {
    let home = Home::new();
    let commit = home.git(&["rev-parse", "HEAD"]);
    let path = home.worktree(1);
    home.git_in(&path, &["commit", "-q", "--allow-empty", "-m", "work"]);
    home.repository().undo(&home.root, &path, "work1", Some(&commit)).unwrap();
    assert!(home.try_git(home.repo(), &["rev-parse", "--verify", "work1"]).0, "it moved");
    home.git(&["branch", "near"]);
    home.repository().undo(&home.root, &path, "near", None).unwrap();
    assert!(home.try_git(home.repo(), &["rev-parse", "--verify", "near"]).0, "it was there");
    home.repository().undo(&home.root, &path, "trunk", Some(&commit)).unwrap();
    assert!(home.try_git(home.repo(), &["rev-parse", "--verify", "trunk"]).0, "it is used");
}

#[test]
fn nothing_outside_the_root_is_touched() {
    let home = Home::new();
    let victim = home.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "kept").unwrap();
    let root = home.path("data/worktrees");
    symlink(&victim, root.join("demo")).unwrap();
    fs::create_dir(root.join("real")).unwrap();
    symlink(&victim, root.join("real/link")).unwrap();
    symlink(&root, home.path("alias")).unwrap();
    let paths = [
        root.join("demo/file"),
        root.join("demo"),
        root.join("demo/demo-1"),
        root.join("real/link"),
        root.join("real/../../../victim"),
        root.join("real/../demo"),
        root.clone(),
        victim.clone(),
        home.repo().to_owned(),
        "relative/path".into(),
        "/".into(),
    ];
    let repository = home.repository();
    let plan = home.repository().plan(&request("new", true, None), None).unwrap();
    for path in paths {
        assert!(!home.root.contains(&path), "{path:?}");
        assert_eq!(code(repository.undo(&home.root, &path, "x", None)), "Io", "{path:?}");
        assert!(!repository.remove(&home.root, &path).unwrap().is_removed, "{path:?}");
        assert_eq!(code(repository.add(&plan, &home.root, &path)), "Io", "{path:?}");
    }
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "kept");
    assert!(home.root.contains(&root.join("real/demo-1")));
    // The way to the root may be a symlink.
    assert!(home.root.contains(&home.path("alias/real/demo-1")));
    assert!(Root::new(&home.path("alias")).unwrap().contains(&root.join("real/demo-1")));
}
