//! What a repository configures is not run, by any operation.

use std::fs;
use std::path::Path;

use ao_session::worktree::{Applied, Repository};

use super::fixture::{Home, code, request, session};

/// Every operation of a session on a branch.
fn every_operation(home: &Home, num: i64) {
    let (path, branch) = (home.target(num), format!("work{num}"));
    let repository = home.repository();
    let plan = repository.plan(&request(&branch, true, None), Some(&path)).unwrap();
    let (plan, _) = repository.refresh(plan, std::time::Duration::from_secs(60), &path).unwrap();
    repository.add(&plan, &home.root, &path).unwrap();
    repository.lock(&path, &session(num)).unwrap();
    fs::write(path.join("tracked"), "changed\n").unwrap();
    fs::write(path.join("new.txt"), "new\n").unwrap();
    repository.inspect(&path).unwrap();
    let preserved = repository.capture(&path, &session(num)).unwrap().unwrap();
    home.git_in(
        &path,
        &[
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "filter.evil.required=false",
            "-c",
            "filter.evil.smudge=",
            "-c",
            "filter.evil.clean=",
            "-c",
            "filter.evil.process=",
            "reset",
            "-q",
            "--hard",
        ],
    );
    fs::remove_file(path.join("new.txt")).unwrap();
    let applied = repository.apply_preserved(&path, &preserved).unwrap();
    assert_eq!(applied, Applied::Done);
    assert_eq!(fs::read_to_string(path.join("tracked")).unwrap(), "changed\n");
    repository.remove(&home.root, &path).unwrap();
    repository.undo(&home.root, &path, &branch, plan.created_branch()).unwrap();
    repository.delete_branch(&branch, "origin/trunk").unwrap();
}

#[test]
fn the_configuration_of_the_repository_runs_nothing() {
    let home = Home::cloned();
    home.write(".gitattributes", "*.txt filter=evil diff=evil\ntracked filter=evil merge=evil\n");
    home.git(&["add", ".gitattributes"]);
    home.commit("attributes");
    home.git(&["push", "-q", "origin", "trunk"]);
    // Each command leaves a file with its name.
    let markers = home.path("markers");
    fs::create_dir(&markers).unwrap();
    let touch = |name: &str| format!("touch {}", markers.join(name).display());
    let hooks = home.path("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-commit"] {
        let path = hooks.join(hook);
        fs::write(&path, format!("#!/bin/sh\n{}\n", touch(hook))).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::copy(&path, home.repo().join(".git/hooks").join(hook)).unwrap();
    }
    let evil = home.path("evil.config");
    let settings = [
        ("filter.evil.clean", touch("clean") + "; cat"),
        ("filter.evil.smudge", touch("smudge") + "; cat"),
        ("filter.evil.process", touch("filter.evil.process")),
        ("filter.evil.required", "true".to_owned()),
        ("merge.evil.driver", touch("merge.evil.driver")),
        ("diff.evil.command", touch("diff.evil.command")),
        ("diff.evil.textconv", touch("diff.evil.textconv")),
        ("diff.external", touch("diff.external")),
        ("core.fsmonitor", touch("core.fsmonitor")),
        ("core.hooksPath", hooks.display().to_string()),
        ("core.sshCommand", touch("core.sshCommand")),
        ("core.gitProxy", touch("core.gitProxy")),
        ("core.askPass", touch("core.askPass")),
        ("core.editor", touch("core.editor")),
        ("core.pager", touch("core.pager")),
        ("core.alternateRefsCommand", touch("core.alternateRefsCommand")),
        ("remote.origin.uploadpack", touch("remote.origin.uploadpack")),
        ("remote.origin.receivepack", touch("remote.origin.receivepack")),
        ("credential.helper", "!".to_owned() + &touch("credential")),
        ("gpg.program", touch("gpg.program")),
        ("commit.gpgSign", "true".to_owned()),
        ("protocol.ext.allow", "always".to_owned()),
        ("alias.worktree", "!".to_owned() + &touch("alias")),
        ("submodule.recurse", "true".to_owned()),
    ];
    for (key, value) in &settings {
        home.git(&["config", "-f", evil.to_str().unwrap(), key, value]);
    }
    // In its own file, in a file that it includes, and in one that only the branch of a session includes.
    let include = evil.to_str().unwrap();
    for (num, key) in [(1, ""), (2, "include.path"), (3, "includeIf.onbranch:work3.path")] {
        match key {
            "" => {}
            key => drop(home.git(&["config", key, include])),
        }
        let config = home.repo().join(".git/config");
        let plain = fs::read_to_string(&config).unwrap();
        if num == 1 {
            let evil = fs::read_to_string(&evil).unwrap();
            fs::write(&config, format!("{plain}{evil}")).unwrap();
        }
        every_operation(&home, num);
        let run: Vec<_> = fs::read_dir(&markers).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(run.is_empty(), "{key:?}: {run:?}");
        let without = plain.lines().filter(|l| !l.contains("evil.config") && !l.contains("nclude"));
        fs::write(&config, without.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    }
}

#[test]
fn the_filters_of_the_user_work() {
    let home = Home::new();
    home.write(".gitattributes", "*.up filter=up\n");
    home.write("a.up", "stored\n");
    home.git(&["add", "."]);
    home.commit("attributes");
    home.git(&["config", "--global", "filter.up.smudge", "tr a-z A-Z"]);
    home.git(&["config", "--local", "filter.up.smudge", "echo hijacked"]);
    let path = home.worktree(1);
    assert_eq!(fs::read_to_string(path.join("a.up")).unwrap(), "STORED\n");
}

#[test]
fn a_remote_runs_no_command() {
    let home = Home::cloned();
    let marker = home.path("marker");
    let urls = [
        format!("ext::sh -c 'touch {}'", marker.display()),
        format!("EXT::sh -c 'touch {}'", marker.display()),
        format!("-oProxyCommand=touch {}", marker.display()),
        format!("ssh://-oProxyCommand=touch%20{}/x", marker.display()),
        format!("--upload-pack=touch {}", marker.display()),
    ];
    for url in urls {
        home.git(&["config", "remote.origin.url", &url]);
        let plan = home.plan("new", true, None).unwrap();
        let budget = std::time::Duration::from_secs(60);
        let (_, warnings) = home.repository().refresh(plan, budget, &home.target(1)).unwrap();
        assert_eq!(warnings.len(), 1, "{url}");
        assert!(!marker.exists(), "{url}");
    }
}

#[test]
fn hostile_names_are_names() {
    let home = Home::new();
    let names = [
        "$(touch${IFS}marker)",
        "a;touch${IFS}marker",
        "`touch${IFS}marker`",
        "a|b",
        "#(id)",
        "'\"",
        "größe/日本",
    ];
    for (num, name) in (1..).zip(names) {
        let path = home.target(num);
        let plan = home.repository().plan(&request(name, true, None), Some(&path)).unwrap();
        home.repository().add(&plan, &home.root, &path).unwrap();
        assert_eq!(home.repository().inspect(&path).unwrap().branch.as_deref(), Some(name));
        assert!(!path.join("marker").exists(), "{name}");
        assert!(home.repository().remove(&home.root, &path).unwrap().is_removed);
        assert!(home.repository().delete_branch(name, "trunk").unwrap().is_removed);
    }
    assert!(!home.repo().join("marker").exists() && !Path::new("marker").exists());
}

#[test]
fn a_repository_at_a_strange_path_works() {
    let home = Home::cloned();
    for name in ["with space", "-dash", "new\nline", "quote's\"", "größe", "$(id)"] {
        let path = home.path(name);
        home.git_in(&home.path(""), &["clone", "-q", "--", "remote.git", path.to_str().unwrap()]);
        let repository = Repository::open(&home.project, &path, &home.environment).unwrap();
        let target = home.target(1);
        let plan = repository.plan(&request("new", true, None), Some(&target)).unwrap();
        repository.add(&plan, &home.root, &target).unwrap();
        assert!(repository.remove(&home.root, &target).unwrap().is_removed, "{name:?}");
    }
}

#[test]
fn a_worktree_without_its_link_is_not_taken_for_a_repository_above_it() {
    let home = Home::new();
    let path = home.worktree(1);
    // The directory of the data is in a repository, such as one of the home directory.
    home.git_in(&home.path(""), &["init", "-q"]);
    fs::remove_file(path.join(".git")).unwrap();
    let state = home.repository().inspect(&path).unwrap();
    assert!(state.dirty.is_some() && state.head.is_none(), "{state:?}");
    assert_eq!(code(home.repository().capture(&path, &session(1))), "GitFailed");
    assert!(!home.repository().remove(&home.root, &path).unwrap().is_removed);
    assert!(path.join("tracked").exists());
    // Nor for another one that its link names.
    home.git_in(&home.path(""), &["clone", "-q", "repo", "other"]);
    let link = format!("gitdir: {}\n", home.path("other/.git").display());
    fs::write(path.join(".git"), link).unwrap();
    assert!(home.repository().inspect(&path).unwrap().dirty.is_some());
    assert!(Path::new(&path).join("tracked").exists());
}
