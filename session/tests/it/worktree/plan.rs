//! Which branch a session gets: the statements 3.3 of the contract.

use std::fs;

use ao_session::Error;
use ao_session::worktree::Repository;

use super::fixture::{Home, code, request};

#[test]
fn s3_3_1_a_branch_checked_out_elsewhere_names_the_path() {
    let home = Home::new();
    let other = home.path("mine");
    home.git(&["worktree", "add", "-q", "-b", "feature", other.to_str().unwrap()]);
    let before = home.git(&["worktree", "list"]);
    match home.plan("feature", false, None) {
        Err(Error::BranchElsewhere { branch, path }) => {
            assert_eq!((branch.as_str(), path), ("feature", other));
        }
        plan => panic!("{plan:?}"),
    }
    // The main work tree counts too.
    assert_eq!(code(home.plan("trunk", false, None)), "BranchElsewhere");
    assert_eq!(home.git(&["worktree", "list"]), before);
}

#[test]
fn s3_3_2_a_record_of_the_target_path_is_no_conflict() {
    let home = Home::new();
    let path = home.worktree(1);
    fs::write(path.join("draft"), "kept").unwrap();
    let plan = home.plan("work1", false, None).unwrap();
    assert_eq!(plan.created_branch(), None);
    let head = home.repository().add(&plan, &home.root, &path).unwrap();
    assert_eq!(
        (&*head, "kept"),
        (plan.commit(), &*fs::read_to_string(path.join("draft")).unwrap())
    );
}

#[test]
fn s3_3_3_a_branch_that_exists_nowhere_was_not_fetched() {
    let home = Home::cloned();
    match home.plan("nowhere", false, None) {
        Err(Error::BranchNotFetched { reference }) => assert_eq!(reference, "nowhere"),
        plan => panic!("{plan:?}"),
    }
    assert_eq!(code(home.plan("new", true, Some("nowhere"))), "BranchNotFetched");
}

#[test]
fn s3_3_4_a_branch_of_the_remote_is_tracked_from_there() {
    let home = Home::cloned();
    let commit = home.commit_on_remote("feature");
    home.git(&["fetch", "-q"]);
    let plan = home.plan("feature", false, None).unwrap();
    assert_eq!((plan.base_ref(), plan.commit()), ("origin/feature", commit.as_str()));
    assert_eq!(plan.created_branch(), Some(commit.as_str()));
    let head = home.repository().add(&plan, &home.root, &home.target(1)).unwrap();
    assert_eq!(head, commit);
    let upstream = ["rev-parse", "--abbrev-ref", "feature@{upstream}"];
    assert_eq!(home.git(&upstream), "origin/feature");
    assert_eq!(home.git(&["rev-parse", "feature"]), commit);
}

#[test]
fn s3_3_5_a_branch_that_is_only_a_tag_starts_there() {
    let home = Home::new();
    home.git(&["tag", "-a", "-m", "x", "v1"]);
    let commit = home.git(&["rev-parse", "HEAD"]);
    home.commit("two");
    let plan = home.plan("v1", false, None).unwrap();
    assert_eq!(plan.created_branch(), Some(commit.as_str()));
    let path = home.target(1);
    home.repository().add(&plan, &home.root, &path).unwrap();
    assert_eq!(home.git_in(&path, &["symbolic-ref", "HEAD"]), "refs/heads/v1");
    assert_eq!(home.git(&["rev-parse", "refs/heads/v1"]), commit);
}

#[test]
fn s3_3_6_an_invalid_name_is_refused() {
    let home = Home::new();
    let names = [
        "-x",
        "--force",
        "@{-1}",
        "HEAD",
        "@",
        "a.lock",
        "a..b",
        "a b",
        "",
        "a\nb",
        "a\u{1b}[31m",
        "/a",
        "a/",
        ".a",
        "a/.b",
        "a~1",
        "a:b",
        "a\\b",
        "@{u}",
        "a@{0}",
    ];
    for name in names {
        for create in [false, true] {
            assert_eq!(code(home.plan(name, create, None)), "InvalidBranch", "{name:?}");
        }
    }
    for name in ["ao/demo-1/root", "größe", "$(touch x)", "a;b", "refs/heads/x", "#(id)"] {
        let plan = home.plan(&name.replace(' ', "_"), true, None).unwrap();
        assert!(plan.created_branch().is_some(), "{name}");
    }
}

#[test]
fn s3_3_8_the_default_base_is_the_head_of_origin() {
    let home = Home::cloned();
    let commit = home.git(&["rev-parse", "HEAD"]);
    home.git(&["checkout", "-q", "-b", "feature"]);
    home.commit("of the feature");
    let plan = home.plan("ao/demo-1/root", true, None).unwrap();
    assert_eq!((plan.base_ref(), plan.commit()), ("origin/trunk", commit.as_str()));
    // Without it, the branch that is checked out.
    home.git(&["remote", "set-head", "origin", "-d"]);
    let plan = home.plan("ao/demo-1/root", true, None).unwrap();
    assert_eq!(
        (plan.base_ref(), plan.commit()),
        ("feature", home.git(&["rev-parse", "HEAD"]).as_str())
    );
    home.git(&["checkout", "-q", "--detach"]);
    let plan = home.plan("ao/demo-1/root", true, None).unwrap();
    assert_eq!(plan.base_ref(), plan.commit());
}

#[test]
fn s3_3_9_a_typo_makes_no_branch_and_an_existing_one_is_not_new() {
    let home = Home::cloned();
    home.commit_on_remote("far");
    home.git(&["fetch", "-q"]);
    home.git(&["branch", "near"]);
    home.git(&["tag", "mark"]);
    assert_eq!(code(home.plan("typo", false, None)), "BranchNotFetched");
    assert!(home.plan("typo", true, None).unwrap().created_branch().is_some());
    assert_eq!(code(home.plan("near", true, None)), "BranchExists");
    assert_eq!(code(home.plan("far", true, None)), "BranchExists");
    assert_eq!(home.plan("mark", true, None).unwrap().base_ref(), "origin/trunk");
}

#[test]
fn s3_3_10_a_plan_writes_nothing() {
    let home = Home::cloned();
    let refs = home.git(&["for-each-ref"]);
    for (branch, create) in [("trunk", false), ("typo", false), ("-x", true), ("new", true)] {
        let _ = home.plan(branch, create, None);
    }
    assert_eq!(home.git(&["for-each-ref"]), refs);
    assert_eq!(fs::read_dir(home.path("data/worktrees")).unwrap().count(), 0);
}

#[test]
fn a_base_is_a_branch_a_remote_branch_a_tag_or_a_commit() {
    let home = Home::cloned();
    let first = home.git(&["rev-parse", "HEAD"]);
    home.git(&["tag", "v1"]);
    let far = home.commit_on_remote("far");
    home.git(&["fetch", "-q"]);
    let second = home.commit("two");
    for (base, commit, name) in [
        ("trunk", &second, "trunk"),
        ("origin/trunk", &first, "origin/trunk"),
        ("far", &far, "origin/far"),
        ("v1", &first, "v1"),
        (&first[..10], &first, &first[..10]),
    ] {
        let plan = home.plan("new", true, Some(base)).unwrap();
        assert_eq!((plan.commit(), plan.base_ref()), (commit.as_str(), name), "{base}");
    }
    for base in ["--force", "", "a\nb", "nowhere", "v1 v1", "-", "trunk..v1", "^trunk"] {
        assert_eq!(code(home.plan("new", true, Some(base))), "BranchNotFetched", "{base:?}");
    }
    let plan = home.plan("far", false, Some("trunk")).unwrap();
    assert_eq!((plan.commit(), plan.warnings().len()), (far.as_str(), 1));
}

#[test]
fn a_name_below_or_above_a_branch_is_refused_and_the_other_named() {
    let home = Home::new();
    home.git(&["branch", "ao/x"]);
    home.git(&["branch", "deep/er/still"]);
    for (branch, other) in
        [("ao/x/root", "ao/x"), ("ao/x/y/z", "ao/x"), ("deep/er", "deep/er/still")]
    {
        match home.plan(branch, true, None) {
            Err(Error::BranchExists { branch: name, .. }) => assert_eq!(name, other, "{branch}"),
            plan => panic!("{branch}: {plan:?}"),
        }
    }
    assert!(home.plan("ao/y/root", true, None).is_ok());
}

#[test]
fn a_repository_without_a_commit_or_without_git_is_unusable() {
    let home = Home::unborn();
    assert_eq!(code(home.plan("new", true, None)), "ProjectNotResolvable");
    for name in ["none", "file"] {
        if name == "file" {
            fs::create_dir(home.path(name)).unwrap();
            fs::write(home.path(name).join(".git"), "gitdir: /nowhere").unwrap();
        }
        let path = home.path(name);
        let opened = Repository::open(&home.project, &path, &home.environment);
        assert_eq!(code(opened), "ProjectNotResolvable", "{name}");
    }
}

#[test]
fn a_repository_above_the_path_of_a_project_is_not_its_repository() {
    let home = Home::new();
    let below = home.repo().join("below");
    fs::create_dir(&below).unwrap();
    let opened = Repository::open(&home.project, &below, &home.environment);
    assert_eq!(code(opened), "ProjectNotResolvable");
}

#[test]
fn a_worktree_whose_directory_is_gone_does_not_have_its_branch() {
    let home = Home::new();
    let other = home.path("mine");
    home.git(&["worktree", "add", "-q", "-b", "feature", other.to_str().unwrap()]);
    let third = home.path("third");
    home.git(&["worktree", "add", "-q", "-b", "third", third.to_str().unwrap()]);
    fs::remove_dir_all(&other).unwrap();
    fs::remove_dir_all(&third).unwrap();
    let path = home.target(1);
    let plan = home.plan("feature", false, None).unwrap();
    home.repository().add(&plan, &home.root, &path).unwrap();
    let list = home.git(&["worktree", "list"]);
    assert!(list.contains("demo-1") && !list.contains("mine"), "{list}");
    // The record of another is not touched.
    assert!(list.contains("third"), "{list}");
    // A lock says that the directory comes back.
    home.git(&["worktree", "lock", third.to_str().unwrap()]);
    assert_eq!(code(home.plan("third", false, None)), "BranchElsewhere");
}

#[test]
fn a_bare_repository_has_worktrees() {
    let home = Home::cloned();
    let bare = home.path("remote.git");
    let repository = Repository::open(&home.project, &bare, &home.environment).unwrap();
    let plan = repository.plan(&request("new", true, None), None).unwrap();
    repository.add(&plan, &home.root, &home.target(1)).unwrap();
    assert!(home.target(1).join("tracked").exists());
}
