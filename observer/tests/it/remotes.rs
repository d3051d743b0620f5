//! The remotes of real checkouts.

use std::fs;
use std::time::{Duration, Instant};

use ao_observer::github::remotes::remotes;

use crate::programs::{Home, git};

/// A home with a repository in `repo` that has these remotes.
fn checkout(urls: &[(&str, &str)]) -> Home {
    let home = Home::new().with_git();
    let repo = home.path("repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q"]);
    for (name, url) in urls {
        git(&repo, &["remote", "add", name, url]);
    }
    home
}

/// The remotes as `name host/owner/name`.
fn of(home: &Home, known: &[&str]) -> Vec<String> {
    let known: Vec<_> = known.iter().map(|host| (*host).to_owned()).collect();
    let remotes = remotes(&home.path("repo"), &known, &home.environment()).unwrap();
    remotes
        .iter()
        .map(|remote| format!("{} {}/{}", remote.name, remote.host, remote.repo))
        .collect()
}

fn refused(home: &Home, name: &str) -> String {
    remotes(&home.path(name), &[], &home.environment()).unwrap_err()
}

#[test]
fn origin_comes_first_and_each_repository_once() {
    let home = checkout(&[
        ("aaa", "https://github.com/octo/fork.git"),
        ("corp", "ssh://git@git.corp.example:2222/team/tool"),
        ("gitlab", "git@gitlab.com:octo/hello.git"),
        ("here", "../other"),
        ("origin", "git@github.com:Octo/hello.git"),
        ("port443", "ssh://git@ssh.github.com:443/octo/HELLO.git"),
        ("secret", "https://user:ghp_secret@github.com/octo/private"),
        ("tenant", "https://octo.ghe.com/octo/tenant"),
    ]);
    let hosted = [
        "origin github.com/Octo/hello",
        "aaa github.com/octo/fork",
        "secret github.com/octo/private",
        "tenant octo.ghe.com/octo/tenant",
    ];
    assert_eq!(of(&home, &[]), hosted);
    let mut with_server = hosted.to_vec();
    with_server.insert(2, "corp git.corp.example/team/tool");
    assert_eq!(of(&home, &["git.corp.example"]), with_server);
    assert!(of(&checkout(&[]), &[]).is_empty());
}

#[test]
fn the_url_that_git_would_fetch_from_counts() {
    let home = checkout(&[("origin", "gh:octo/hello"), ("other", "https://github.com/octo/x")]);
    let repo = home.path("repo");
    git(&repo, &["config", "remote.other.pushurl", "https://github.com/octo/pushed"]);
    git(&repo, &["config", "remote.other.partialclonefilter", "blob:none"]);
    git(&repo, &["config", "remote.other.promisor", "true"]);
    git(&repo, &["config", "remote.empty.fetch", "+refs/heads/*:refs/x/*"]);
    let home = home.file(".gitconfig", "[url \"git@github.com:\"]\n\tinsteadOf = gh:\n");
    assert_eq!(of(&home, &[]), ["origin github.com/octo/hello", "other github.com/octo/x"]);
}

#[test]
fn a_worktree_and_a_folder_have_the_remotes_of_their_repository() {
    let home = checkout(&[("origin", "https://github.com/octo/hello")]);
    fs::create_dir(home.path("repo/folder")).unwrap();
    let remotes = remotes(&home.path("repo/folder"), &[], &home.environment()).unwrap();
    assert_eq!(remotes[0].repo, "octo/hello");
}

#[test]
fn what_is_not_a_checkout_says_why() {
    let home = Home::new().with_git().file("file", "");
    assert!(refused(&home, "").contains("not a git repository"));
    assert!(refused(&home, "nothing").contains("not a directory"));
    assert!(refused(&home, "file").contains("not a directory"));
    assert!(refused(&Home::new(), "").contains("no git"));
    let home = checkout(&[]);
    fs::write(home.path("repo/.git/config"), "[remote \"x").unwrap();
    assert!(refused(&home, "repo").contains("config"));
    let started = Instant::now();
    assert!(refused(&Home::new().program("git", "sleep 600"), "").contains("in time"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_variables_of_the_caller_do_not_lead_elsewhere() {
    let elsewhere = checkout(&[("origin", "https://github.com/octo/elsewhere")]);
    let home = checkout(&[("origin", "https://github.com/octo/hello")]);
    let home = home.with("GIT_DIR", elsewhere.path("repo/.git").to_str().unwrap());
    assert_eq!(of(&home, &[]), ["origin github.com/octo/hello"]);
}
