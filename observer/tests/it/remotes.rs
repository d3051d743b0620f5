//! The remotes of real checkouts.

use std::fs;
use std::time::{Duration, Instant};

use ao_observer::github::remotes::{Origin, origin, remotes};

use crate::home::{Home, git};

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

/// Of several remotes only those that count are resolved, and each destination once.
#[test]
fn ssh_is_asked_rarely_and_its_failure_is_known() {
    let home =
        checkout(&[("a", "git@Work:octo/a"), ("b", "git@Work:octo/b"), ("c", "work:octo/c")]);
    let log = home.path("asked");
    let script = |end: &str| format!("echo \"$*\" >> {}\n{end}", log.display());
    let home = home.program("ssh", &script("echo hostname GitHub.com."));
    let asked = || fs::read_to_string(&log).unwrap();
    assert_eq!(
        of(&home, &[]),
        ["a github.com/octo/a", "b github.com/octo/b", "c github.com/octo/c"]
    );
    assert_eq!(asked(), "-G -- git@Work\n-G -- work\n");
    git(&home.path("repo"), &["remote", "add", "origin", "git@gh:octo/hello"]);
    let home = home.program("ssh", &script("exit 255"));
    fs::write(&log, "").unwrap();
    let found = origin(&home.path("repo"), &[], &home.environment()).unwrap();
    let Origin::Remote { remote, .. } = found else { panic!("{found:?}") };
    assert_eq!((remote.host.as_str(), remote.is_unresolved), ("gh", true));
    assert_eq!(asked(), "-G -- git@gh\n");
}

/// git accepts any name in its configuration.
#[test]
fn a_remote_whose_name_is_no_reference_has_no_default_branch() {
    let home = checkout(&[]);
    git(&home.path("repo"), &["config", "remote.a b.url", "https://github.com/octo/hello"]);
    let found = origin(&home.path("repo"), &[], &home.environment()).unwrap();
    let Origin::Remote { remote, default_branch } = found else { panic!("{found:?}") };
    assert_eq!((remote.repo.as_str(), default_branch.as_str()), ("octo/hello", ""));
}

#[test]
fn a_failure_of_git_is_the_reason() {
    let home = Home::new().with_git();
    assert!(refused(&home, "").starts_with("git: "));
    assert!(refused(&home, "nothing").contains("not a directory"));
    assert!(refused(&Home::new(), "").contains("git is not on PATH"));
    let started = Instant::now();
    assert!(refused(&Home::new().program("git", "sleep 600"), "").contains("did not end within"));
    assert!(started.elapsed() < Duration::from_secs(10));
}
