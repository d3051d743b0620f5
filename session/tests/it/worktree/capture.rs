//! Uncommitted work is captured as it is, and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ao_session::worktree::Applied;

use super::fixture::{Home, code, session};

/// Every file of a worktree with its content, and what git says of it.
fn everything(home: &Home, path: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, String, String) {
    fn read(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                read(&entry.path(), files);
            } else {
                files.insert(entry.path(), fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    read(path, &mut files);
    let status = home.git_in(path, &["status", "--porcelain=v2", "--branch", "-uall"]);
    (files, status, home.git_in(path, &["ls-files", "-s"]))
}

type Change = fn(&Home, &Path);

fn write(path: &Path, name: &str, text: &str) {
    let file = path.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// What an agent may leave in a worktree, and the text that must survive.
const CHANGES: [(&str, Change, &[&str]); 9] = [
    ("dirty", |_, path| write(path, "tracked", "dirty work"), &["dirty work"]),
    ("untracked", |_, path| write(path, "a/b c/ü", "new work"), &["new work"]),
    (
        "staged, then changed",
        |home, path| {
            write(path, "tracked", "staged work");
            home.git_in(path, &["add", "tracked"]);
            write(path, "tracked", "later work");
        },
        &["staged work", "later work"],
    ),
    (
        "staged although ignored",
        |home, path| {
            write(path, "x.ignored", "forced work");
            home.git_in(path, &["add", "-f", "x.ignored"]);
        },
        &["forced work"],
    ),
    (
        "detached with a commit",
        |home, path| {
            home.git_in(path, &["checkout", "-q", "--detach"]);
            write(path, "tracked", "committed work");
            home.git_in(path, &["commit", "-qam", "x"]);
            write(path, "tracked", "more work");
        },
        &["committed work", "more work"],
    ),
    (
        "detached and clean",
        |home, path| {
            home.git_in(path, &["checkout", "-q", "--detach"]);
            write(path, "tracked", "committed work");
            home.git_in(path, &["commit", "-qam", "x"]);
        },
        &["committed work"],
    ),
    (
        "a rebase that stopped",
        |home, path| {
            write(path, "tracked", "my work");
            home.git_in(path, &["commit", "-qam", "x"]);
            home.git_in(path, &["checkout", "-q", "-b", "other", "HEAD^"]);
            write(path, "tracked", "their work");
            home.git_in(path, &["commit", "-qam", "y"]);
            home.git_in(path, &["checkout", "-q", "work1"]);
            assert!(!home.try_git(path, &["rebase", "other"]).0);
        },
        &["my work", "their work"],
    ),
    (
        "assume-unchanged",
        |home, path| {
            home.git_in(path, &["update-index", "--assume-unchanged", "tracked"]);
            write(path, "tracked", "hidden work");
        },
        &["hidden work"],
    ),
    (
        "skip-worktree",
        |home, path| {
            home.git_in(path, &["update-index", "--skip-worktree", "tracked"]);
            write(path, "tracked", "hidden work");
        },
        &["hidden work"],
    ),
];

/// Whether some object that the ref or a branch reaches has the text.
fn survives(home: &Home, text: &str) -> bool {
    let args = ["rev-list", "--objects", "--branches", "--glob=refs/ao/preserved/*"];
    let objects = home.git(&args);
    let mut ids = objects.lines().filter_map(|line| line.split(' ').next());
    ids.any(|id| home.git(&["cat-file", "-p", id]).contains(text))
}

#[test]
fn capture_keeps_all_work_and_touches_nothing() {
    for (name, change, texts) in CHANGES {
        let home = Home::new();
        let path = home.worktree(1);
        change(&home, &path);
        let before = everything(&home, &path);
        assert!(!home.repository().remove(&home.root, &path).unwrap().is_removed, "{name}");
        let captured = home.repository().capture(&path, &session(1)).unwrap();
        assert_eq!(captured.as_deref(), Some("refs/ao/preserved/demo-1/1"), "{name}");
        assert_eq!(everything(&home, &path), before, "{name}");
        // The same work is not captured again.
        assert_eq!(home.repository().capture(&path, &session(1)).unwrap(), captured, "{name}");
        home.git(&["worktree", "remove", "--force", path.to_str().unwrap()]);
        home.git(&["reflog", "expire", "--expire=now", "--all"]);
        home.git(&["gc", "-q", "--prune=now"]);
        for text in texts {
            assert!(survives(&home, text), "{name}: {text}");
        }
    }
}

#[test]
fn a_clean_or_missing_worktree_has_nothing_to_capture() {
    let home = Home::new();
    let path = home.worktree(1);
    write(&path, "build.ignored", "output");
    assert_eq!(home.repository().capture(&path, &session(1)).unwrap(), None);
    assert_eq!(home.git(&["for-each-ref", "refs/ao"]), "");
    assert_eq!(home.repository().capture(&home.target(2), &session(2)).unwrap(), None);
}

#[test]
fn a_change_of_equal_size_right_after_the_checkout_is_seen() {
    let home = Home::new();
    for num in 1..=10 {
        let path = home.worktree(num);
        write(&path, "tracked", "two\n");
        assert!(home.repository().capture(&path, &session(num)).unwrap().is_some(), "{num}");
    }
}

#[test]
fn later_work_gets_a_ref_of_its_own() {
    let home = Home::new();
    let path = home.worktree(1);
    for num in 1..=3 {
        write(&path, "tracked", &format!("version {num}"));
        let captured = home.repository().capture(&path, &session(1)).unwrap().unwrap();
        assert_eq!(captured, format!("refs/ao/preserved/demo-1/{num}"));
    }
}

#[test]
fn an_index_lock_of_a_killed_git_and_remains_of_a_killed_capture_do_not_matter() {
    let home = Home::new();
    let path = home.worktree(1);
    let dir = PathBuf::from(home.git_in(&path, &["rev-parse", "--absolute-git-dir"]));
    fs::write(dir.join("index.lock"), "").unwrap();
    fs::create_dir(dir.join("ao-capture")).unwrap();
    fs::write(dir.join("ao-capture/index.lock"), "").unwrap();
    write(&path, "tracked", "work");
    assert!(home.repository().capture(&path, &session(1)).unwrap().is_some());
    assert!(!dir.join("ao-capture").exists());
}

#[test]
fn a_worktree_with_a_repository_of_its_own_is_kept() {
    let home = Home::new();
    let path = home.worktree(1);
    home.git_in(&path, &["init", "-q", "inner"]);
    write(&path, "inner/file", "inner work");
    assert_eq!(code(home.repository().capture(&path, &session(1))), "GitFailed");
    home.git_in(&path.join("inner"), &["add", "."]);
    home.git_in(&path.join("inner"), &["commit", "-qm", "x"]);
    assert_eq!(code(home.repository().capture(&path, &session(1))), "GitFailed");
    assert!(!home.repository().remove(&home.root, &path).unwrap().is_removed);
    assert!(path.join("inner/file").exists());
    assert_eq!(home.git(&["for-each-ref", "refs/ao"]), "");
}

#[test]
fn work_in_a_submodule_is_kept_with_its_directory() {
    let home = Home::new();
    home.git_in(&home.path(""), &["clone", "-q", "repo", "library"]);
    let library = home.path("library");
    home.git(&["submodule", "--quiet", "add", library.to_str().unwrap(), "sub"]);
    home.commit("submodule");
    let path = home.worktree(1);
    assert!(home.repository().capture(&path, &session(1)).unwrap().is_none());
    home.git_in(&path, &["submodule", "--quiet", "update", "--init"]);
    write(&path, "sub/tracked", "work in the submodule");
    assert_eq!(code(home.repository().capture(&path, &session(1))), "GitFailed");
    assert!(!home.repository().remove(&home.root, &path).unwrap().is_removed);
    // Clean, but git keeps commits of the submodule there.
    home.git_in(&path.join("sub"), &["checkout", "-q", "."]);
    assert!(!home.repository().remove(&home.root, &path).unwrap().is_removed);
    assert!(path.join("sub/tracked").exists());
}

#[test]
fn preserved_work_comes_back_uncommitted() {
    for (name, change, _) in CHANGES.into_iter().filter(|(name, ..)| !name.contains("rebase")) {
        let home = Home::new();
        let path = home.worktree(1);
        change(&home, &path);
        let wanted = everything(&home, &path).0;
        let captured = home.repository().capture(&path, &session(1)).unwrap().unwrap();
        if name.contains("detached") {
            continue;
        }
        home.git(&["worktree", "remove", "--force", path.to_str().unwrap()]);
        home.repository().add_again(&home.root, &path, "work1").unwrap();
        let applied = home.repository().apply_preserved(&path, &captured).unwrap();
        let (files, status, _) = everything(&home, &path);
        assert_eq!((applied, files), (Applied::Done, wanted), "{name}");
        assert!(!status.contains("1 M.") && !status.contains("1 A."), "{name}: {status}");
        assert!(home.try_git(home.repo(), &["rev-parse", "--verify", &captured]).0);
    }
}

#[test]
fn work_that_conflicts_stays_in_its_ref_and_the_worktree_as_it_is() {
    let home = Home::new();
    let path = home.worktree(1);
    write(&path, "tracked", "work");
    write(&path, "new", "work");
    let captured = home.repository().capture(&path, &session(1)).unwrap().unwrap();
    // Not clean: nothing is tried.
    assert_eq!(home.repository().apply_preserved(&path, &captured).unwrap(), Applied::Conflict);
    fs::remove_file(path.join("new")).unwrap();
    write(&path, "tracked", "other work");
    home.git_in(&path, &["commit", "-qam", "other"]);
    let before = everything(&home, &path);
    assert_eq!(home.repository().apply_preserved(&path, &captured).unwrap(), Applied::Conflict);
    assert_eq!(everything(&home, &path), before);
    assert!(home.try_git(home.repo(), &["rev-parse", "--verify", &captured]).0);
    for other in ["refs/heads/trunk", "refs/ao/preserved/none", "--abort", "HEAD"] {
        assert_eq!(code(home.repository().apply_preserved(&path, other)), "GitFailed", "{other}");
    }
}
