//! 3.3: which branch a session works on, and the branches that it cannot have.

use std::fs;

use serde_json::Value;

use super::{commit, ensuring, foreign_worktree, refused_untouched, spawning, traces};
use crate::sessions::Lab;
use crate::support::text;

#[test]
fn s3_3_1_a_branch_of_another_worktree() {
    let lab = Lab::new();
    let path = foreign_worktree(&lab, "taken");
    let args = spawning(&lab, &["--branch", "taken"]);
    let error = refused_untouched(&lab, &args, 5, "BRANCH_CHECKED_OUT_ELSEWHERE");
    assert!(error.contains(text(&path)), "{error}");
    let id = lab.spawn(&["--branch", "mine", "--create-branch"]);
    let args = spawning(&lab, &["--branch", "mine"]);
    let error = refused_untouched(&lab, &args, 5, "BRANCH_CHECKED_OUT_ELSEWHERE");
    assert!(error.contains(text(&lab.worktree(&id))), "{error}");
}

#[test]
fn s3_3_3_a_branch_that_is_nowhere() {
    let lab = Lab::new();
    lab.git(&["remote", "remove", "origin"]);
    let args = spawning(&lab, &["--branch", "nowhere"]);
    let error = refused_untouched(&lab, &args, 5, "BRANCH_NOT_FETCHED");
    assert!(error.contains("git fetch"), "{error}");
    let args = spawning(&lab, &["--base", "nowhere"]);
    refused_untouched(&lab, &args, 5, "BRANCH_NOT_FETCHED");
}

#[test]
fn s3_3_4_a_branch_of_the_remote_is_tracked() {
    let lab = Lab::new();
    lab.git(&["checkout", "-q", "-b", "there"]);
    let tip = commit(&lab, "file");
    lab.git(&["push", "-q", "origin", "there"]);
    lab.git(&["checkout", "-q", "main"]);
    lab.git(&["branch", "-q", "-D", "there"]);
    let id = lab.spawn(&["--branch", "there"]);
    assert_eq!(lab.get(&id)["branch"], "there");
    assert_eq!(lab.git(&["rev-parse", "refs/heads/there"]), tip);
    assert_eq!(lab.git(&["rev-parse", "--abbrev-ref", "there@{upstream}"]), "origin/there");
    assert!(lab.worktree(&id).join("file").exists());
}

#[test]
fn s3_3_6_an_invalid_branch() {
    let lab = Lab::new();
    for branch in ["a..b", "-x", "a.lock", "a b", "@{-1}", "HEAD", ""] {
        let args = spawning(&lab, &["--branch", branch]);
        refused_untouched(&lab, &args, 2, "INVALID_BRANCH");
    }
}

#[test]
fn s3_3_8_the_default_branch_of_the_remote_is_the_base() {
    let lab = Lab::new();
    let main = lab.git(&["rev-parse", "main"]);
    lab.git(&["push", "-q", "origin", "main:master"]);
    lab.git(&["fetch", "-q", "origin"]);
    lab.git(&["remote", "set-head", "origin", "master"]);
    commit(&lab, "local");
    let id = lab.spawn(&[]);
    assert_eq!(lab.get(&id)["base_ref"], "origin/master");
    assert_eq!(lab.get(&id)["base_commit"], main.as_str());
}

/// A name that is spelt wrong never makes a branch.
#[test]
fn s3_3_9_a_branch_is_created_only_on_request() {
    let lab = Lab::new();
    let args = spawning(&lab, &["--branch", "typo"]);
    refused_untouched(&lab, &args, 5, "BRANCH_NOT_FETCHED");
    let id = lab.spawn(&["--branch", "typo", "--create-branch"]);
    assert_eq!(lab.get(&id)["branch"], "typo");
    lab.ok(&["session", "kill", &id]);
    let args = spawning(&lab, &["--branch", "typo", "--create-branch"]);
    let error = refused_untouched(&lab, &args, 5, "BRANCH_EXISTS");
    assert!(error.contains("hint: omit --create-branch"), "{error}");
}

/// A failure of git after the row exists leaves no row either: the ref appears after the checks.
#[test]
fn s3_3_10_no_row_is_left() {
    let lab = Lab::new();
    lab.git(&["branch", "ao/demo-1/root"]);
    let before = traces(&lab);
    let error = lab.refused(&spawning(&lab, &[]), 5, "BRANCH_EXISTS");
    // Nobody gave --create-branch.
    assert!(error.contains("--branch NAME --create-branch -- "), "{error}");
    assert_eq!(traces(&lab), before, "the branch of another stays");
    assert_eq!(lab.spawn(&[]), "demo-2", "the next one has another number");
}

/// A worktree that git has at the path of the session is its own, with or without its directory.
#[test]
fn s3_3_2_a_record_at_the_path_of_the_session_is_no_conflict() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let path = lab.worktree(&id);
    fs::write(path.join("precious"), "x").unwrap();
    lab.run(&["session", "kill", &id]);
    assert!(lab.git(&["worktree", "list", "--porcelain"]).contains(text(&path)));
    lab.ok(&["session", "restore", &id]);
    assert_eq!(lab.worktree(&id), path);
    assert_eq!(fs::read_to_string(path.join("precious")).unwrap(), "x");
    lab.run(&["session", "kill", &id]);
    fs::remove_dir_all(&path).unwrap();
    lab.ok(&["session", "restore", &id]);
    assert!(path.join(".git").exists());
    lab.check_no_orphan();
}

/// Of a local branch, one of the remote and a tag of the same name, the first that exists counts.
#[test]
fn s3_3_5_a_tag_comes_last() {
    let lab = Lab::new();
    let main = lab.git(&["rev-parse", "main"]);
    lab.git(&["tag", "v1"]);
    lab.git(&["tag", "both"]);
    lab.git(&["checkout", "-q", "-b", "there"]);
    let tip = commit(&lab, "file");
    lab.git(&["push", "-q", "origin", "there:both"]);
    lab.git(&["fetch", "-q", "origin"]);
    lab.git(&["checkout", "-q", "main"]);
    commit(&lab, "later");
    for (name, commit) in [("v1", &main), ("both", &tip)] {
        let id = lab.spawn(&["--branch", name]);
        assert_eq!(lab.get(&id)["branch"], name);
        assert_eq!(lab.git(&["rev-parse", &format!("refs/heads/{name}")]), *commit, "{name}");
        let head = lab.env.git(&["-C", text(&lab.worktree(&id)), "rev-parse", "HEAD"]);
        assert_eq!(head.trim(), commit, "{name}");
    }
    assert_eq!(lab.git(&["rev-parse", "refs/tags/v1"]), main, "the tag stays");
}

/// The code of a cause survives every verb that it passes through, for people and for programs.
#[test]
fn s3_3_7_the_code_of_a_cause_survives_every_verb() {
    const CODE: &str = "BRANCH_CHECKED_OUT_ELSEWHERE";
    let lab = Lab::new();
    let path = foreign_worktree(&lab, "taken");
    lab.ok(&ensuring(&lab, &[]));
    let ids = [lab.spawn(&["--prompt", "p"]), lab.spawn(&["--prompt", "p"])];
    for id in &ids {
        let (branch, at) = (lab.get(id)["branch"].clone(), lab.worktree(id));
        lab.ok(&["session", "kill", id]);
        assert!(!at.exists());
        let foreign = lab.env.path(&format!("foreign-{id}"));
        lab.git(&["worktree", "add", "-q", text(&foreign), branch.as_str().unwrap()]);
    }
    let [killed, lost] = &ids;
    let spawn = spawning(&lab, &["--branch", "taken"]);
    let replace = ensuring(&lab, &["--replace", "--branch", "taken"]);
    for args in [&spawn[..], &replace, &["session", "restore", killed]] {
        let error = refused_untouched(&lab, args, 5, CODE);
        assert!(error.contains(text(&path)) || error.contains("foreign-"), "{error}");
        let json = [&["--json"], args].concat();
        let output = lab.run(&json);
        let error: Value = serde_json::from_str(output.stderr.trim()).unwrap();
        assert_eq!((output.code, &error["error"]["code"]), (5, &CODE.into()), "{args:?}: {error}");
    }
    // As after a reboot: it should run and does not.
    lab.sql(&format!(
        "UPDATE session SET is_terminated = 0, terminated_at = NULL WHERE id = '{lost}';
         UPDATE launch SET cause = 'runtime_lost' WHERE session_id = '{lost}'"
    ));
    let output = lab.run(&["reconcile", "--json"]);
    let report: Value = serde_json::from_str(output.stdout.trim()).unwrap();
    let actions = report["data"]["actions"].as_array().unwrap();
    let action = actions.iter().find(|action| action["session_id"] == lost.as_str()).unwrap();
    assert_eq!((output.code, &action["error"]["code"]), (5, &CODE.into()), "{action}");
}
