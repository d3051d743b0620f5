//! What a termination and a cleanup do with work that is not pushed: every kind of it survives, and what
//! the rows say is what happened.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sessions::Lab;
use crate::support::text;

const WHO: [&str; 4] = ["-c", "user.name=t", "-c", "user.email=t@example.com"];

/// A session that is terminated after something was done in its worktree.
struct Kept {
    lab: Lab,
    path: PathBuf,
}

impl Kept {
    fn after(work: impl Fn(&Lab, &Path)) -> Kept {
        let lab = Lab::new();
        let id = lab.spawn(&["--prompt", "p"]);
        let path = lab.worktree(&id);
        work(&lab, &path);
        lab.ok(&["session", "kill", &id]);
        assert_eq!(lab.sql("SELECT is_terminated FROM session"), "1");
        let kept = Kept { lab, path };
        kept.check_row();
        kept
    }

    /// The row says what happened.
    fn check_row(&self) {
        let row = self.lab.sql("SELECT worktree FROM session_cleanup");
        assert_eq!(row, if self.path.exists() { "kept" } else { "removed" }, "{}", self.reason());
    }

    fn reason(&self) -> String {
        self.lab.sql("SELECT worktree_reason FROM session_cleanup")
    }

    /// Cleans up; the preserved ref of the row, empty if there is none.
    fn clean(&self) -> String {
        self.lab.ok(&["session", "cleanup", "--yes"]);
        self.check_row();
        self.lab.sql("SELECT preserved_ref FROM session_cleanup")
    }

    fn show(&self, object: &str) -> String {
        self.lab.git(&["show", object])
    }
}

fn git(lab: &Lab, path: &Path, args: &[&str]) -> String {
    lab.env.git(&[&["-C", text(path)], &WHO[..], args].concat())
}

fn commit(lab: &Lab, path: &Path, file: &str, content: &str) {
    fs::write(path.join(file), content).unwrap();
    git(lab, path, &["add", file]);
    git(lab, path, &["commit", "-q", "-m", file]);
}

#[test]
fn untracked_and_changed_files_are_kept_and_then_captured() {
    let kept = Kept::after(|lab, path| {
        commit(lab, path, "tracked", "old");
        fs::write(path.join("tracked"), "changed").unwrap();
        fs::write(path.join("untracked"), "new").unwrap();
    });
    assert_eq!(kept.reason(), "2 files are not committed");
    let planned = kept.lab.ok(&["session", "cleanup", "--dry-run"]);
    assert!(planned.contains("would be removed: 2 files are not committed"), "{planned}");
    let preserved = kept.clean();
    assert!(!kept.path.exists());
    assert_eq!(kept.reason(), format!("its work is in {preserved}"));
    assert_eq!(kept.show(&format!("{preserved}:tracked")), "changed");
    assert_eq!(kept.show(&format!("{preserved}:untracked")), "new");
    assert!(kept.lab.ok(&["session", "cleanup", "--dry-run"]).is_empty(), "it is finished");
    kept.lab.ok(&["session", "kill", "demo-1"]);
    let row = kept.lab.sql("SELECT branch || preserved_ref FROM session_cleanup");
    assert_eq!(row, format!("deleted{preserved}"), "a second termination forgets nothing");
}

#[test]
fn ignored_files_keep_nothing() {
    let kept = Kept::after(|lab, path| {
        commit(lab, path, ".gitignore", "target\n");
        fs::create_dir(path.join("target")).unwrap();
        fs::write(path.join("target/made"), "x").unwrap();
    });
    assert!(!kept.path.exists());
    assert_eq!(kept.clean(), "");
}

#[test]
fn commits_that_are_nowhere_else_stay_on_their_branch() {
    let kept = Kept::after(|lab, path| commit(lab, path, "work", "x"));
    assert!(!kept.path.exists());
    kept.clean();
    assert_eq!(kept.show("ao/demo-1/root:work"), "x");
    let reason = kept.lab.sql("SELECT branch || ': ' || branch_reason FROM session_cleanup");
    assert_eq!(reason, "kept: it has commits that are nowhere else");
}

#[test]
fn commits_of_a_detached_head_are_captured() {
    let kept = Kept::after(|lab, path| {
        git(lab, path, &["checkout", "-q", "--detach"]);
        commit(lab, path, "lonely", "x");
    });
    assert!(kept.path.exists(), "no branch has its commit");
    let preserved = kept.clean();
    assert!(!kept.path.exists());
    assert_eq!(kept.show(&format!("{preserved}:lonely")), "x");
    assert_eq!(kept.show(&format!("{preserved}^1:lonely")), "x", "the commit itself");
}

#[test]
fn a_rebase_that_is_not_finished_is_captured_with_the_commits_of_both_sides() {
    let kept = Kept::after(|lab, path| {
        commit(lab, path, "file", "mine");
        commit(lab, path, "later", "mine");
        git(lab, path, &["checkout", "-q", "-b", "onto", "origin/main"]);
        commit(lab, path, "file", "theirs");
        git(lab, path, &["checkout", "-q", "ao/demo-1/root"]);
        let mut rebase = lab.env.clean("git");
        rebase.args(["-C", text(path)]).args(WHO).args(["rebase", "-q", "onto"]);
        assert!(!rebase.output().unwrap().status.success(), "it conflicts");
        assert!(fs::read_to_string(path.join("file")).unwrap().contains("<<<<<<<"));
    });
    assert!(kept.path.exists());
    let preserved = kept.clean();
    assert!(!kept.path.exists());
    assert!(kept.show(&format!("{preserved}:file")).contains("<<<<<<<"));
    assert_eq!(kept.show(&format!("{preserved}^1:file")), "theirs");
    assert_eq!(kept.show("ao/demo-1/root:later"), "mine");
}

/// The repository of a submodule is in the private directory of the worktree.
#[test]
fn a_submodule_keeps_its_worktree_only_while_it_has_work_of_its_own() {
    let prepare = |lab: &Lab, path: &Path| {
        let library = lab.env.repo("library", "");
        let allow = ["-c", "protocol.file.allow=always", "submodule", "--quiet"];
        git(lab, path, &[&allow[..], &["add", text(&library), "sub"]].concat());
        git(lab, path, &["commit", "-q", "-m", "submodule"]);
    };
    let clean = Kept::after(prepare);
    assert!(clean.path.exists(), "git removes no worktree with a submodule");
    clean.clean();
    assert!(!clean.path.exists(), "{}", clean.reason());

    let with_commit = Kept::after(|lab, path| {
        prepare(lab, path);
        commit(lab, &path.join("sub"), "own", "x");
        git(lab, path, &["commit", "-q", "-a", "-m", "newer submodule"]);
    });
    with_commit.clean();
    assert!(with_commit.path.join("sub/own").exists());
    assert!(with_commit.reason().contains("sub has commits"), "{}", with_commit.reason());
    let sub = with_commit.path.join("sub");
    git(&with_commit.lab, &sub, &["push", "-q", "origin", "HEAD:refs/heads/pushed"]);
    with_commit.clean();
    assert!(!with_commit.path.exists(), "{}", with_commit.reason());

    let with_change = Kept::after(|lab, path| {
        prepare(lab, path);
        fs::write(path.join("sub/new"), "x").unwrap();
    });
    with_change.clean();
    assert!(with_change.path.join("sub/new").exists());
    assert!(with_change.reason().contains("repository of its own"), "{}", with_change.reason());
}

#[test]
fn captured_work_comes_back_with_its_session() {
    let kept = Kept::after(|lab, path| {
        commit(lab, path, "work", "x");
        fs::write(path.join("untracked"), "new").unwrap();
    });
    let preserved = kept.clean();
    assert!(kept.lab.git(&["branch", "--list", "ao/*"]).is_empty(), "{preserved} has its commits");
    kept.lab.git(&["branch", "ao/demo-1/root", &format!("{preserved}^1")]);
    kept.lab.ok(&["session", "restore", "demo-1"]);
    assert_eq!(fs::read_to_string(kept.path.join("untracked")).unwrap(), "new");
}

#[test]
fn work_that_a_person_locked_is_neither_captured_nor_removed() {
    let kept = Kept::after(|lab, path| {
        fs::write(path.join("untracked"), "new").unwrap();
        lab.git(&["worktree", "unlock", text(path)]);
        lab.git(&["worktree", "lock", "--reason", "mine", text(path)]);
    });
    assert_eq!(kept.clean(), "");
    assert!(kept.path.join("untracked").exists());
    assert_eq!(kept.reason(), "it is locked: mine");
}

/// The data directory was moved, or the row was imported.
#[test]
fn a_worktree_elsewhere_is_neither_captured_nor_removed() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let elsewhere = lab.env.path("elsewhere");
    lab.git(&["worktree", "add", "-q", text(&elsewhere)]);
    fs::write(elsewhere.join("untracked"), "new").unwrap();
    lab.sql(&format!("UPDATE session SET worktree_path = '{}'", text(&elsewhere)));
    lab.ok(&["session", "kill", &id]);
    assert_eq!(lab.get(&id)["is_terminated"], true);
    let kept = Kept { lab, path: elsewhere };
    assert_eq!(kept.clean(), "");
    assert!(kept.path.join("untracked").exists());
    assert_eq!(kept.reason(), "it is not below the directory of the worktrees");
}
