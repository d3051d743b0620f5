//! Work trees and remotes of real repositories.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ao_program::{Environment, Error, Git, Result, WorkTree, host_of_alias};
use tempfile::TempDir;

/// A home directory with a repository in `repo`.
struct Home(TempDir);

impl Home {
    /// The repository has these remotes.
    fn new(remotes: &[(&str, &str)]) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.repo()).unwrap();
        home.git(&["init", "-q", "-b", "trunk"]);
        for (name, url) in remotes {
            home.git(&["remote", "add", name, url]);
        }
        home
    }

    /// Canonical, as git prints it.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    /// Runs git in the repository, which must succeed.
    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.repo()).env("HOME", self.path(""));
        let output = command.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The repository has a commit, which is what a work tree is made of.
    fn commit(&self) {
        let author = ["-c", "user.name=dev", "-c", "user.email=dev@example.com"];
        self.git(&[&author[..], &["commit", "-q", "--allow-empty", "-m", "one"]].concat());
    }

    /// A program in `bin`. A shell writes it: if this process had it open for writing, a child that
    /// another test starts at that moment would inherit the open file, and it could not be run.
    fn program(&self, name: &str, script: &str) {
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" >\"$0\" && chmod 755 \"$0\"";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", write]).arg(self.path("bin").join(name)).arg(script);
        assert!(shell.status().unwrap().success());
    }

    fn environment(&self, more: &[(&str, &Path)]) -> Environment {
        let path = std::env::var_os("PATH").unwrap();
        let variables = [("PATH", Path::new(&path)), ("HOME", &self.path(""))];
        variables.iter().chain(more).copied().collect()
    }

    fn work_tree(&self, name: &str) -> Result<WorkTree> {
        git(&self.path(name), &self.environment(&[])).work_tree()
    }

    fn remotes(&self, name: &str) -> Result<Vec<(String, String)>> {
        git(&self.path(name), &self.environment(&[])).remotes()
    }
}

fn git<'a>(dir: &'a Path, environment: &'a Environment) -> Git<'a> {
    Git { dir, environment, timeout: Duration::from_secs(10), until: None }
}

fn pair(name: &str, url: &str) -> (String, String) {
    (name.to_owned(), url.to_owned())
}

#[test]
fn a_work_tree_has_a_root_and_a_directory_of_git() {
    let home = Home::new(&[]);
    fs::create_dir(home.path("repo/folder")).unwrap();
    let expected = WorkTree { root: home.repo(), common_dir: home.path("repo/.git") };
    assert_eq!(home.work_tree("repo").unwrap(), expected);
    assert_eq!(home.work_tree("repo/folder").unwrap(), expected);
    std::os::unix::fs::symlink(home.repo(), home.path("link")).unwrap();
    assert_eq!(home.work_tree("link").unwrap(), expected);
}

#[test]
fn a_linked_work_tree_means_the_main_one() {
    let home = Home::new(&[]);
    home.commit();
    home.git(&["worktree", "add", "-q", "../linked"]);
    fs::create_dir(home.path("linked/folder")).unwrap();
    let main = home.work_tree("repo").unwrap();
    assert_eq!(home.work_tree("linked").unwrap(), main);
    assert_eq!(home.work_tree("linked/folder").unwrap(), main);
    // The directory of git of a submodule names its work tree in its configuration.
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "./.", "module"];
    home.git(&add);
    let module = home.work_tree("repo/module").unwrap();
    assert_eq!(module.root, home.path("repo/module"));
    home.git(&["-C", "module", "worktree", "add", "-q", "../../linked-module"]);
    assert_eq!(home.work_tree("linked-module").unwrap(), module);
}

#[test]
fn without_a_main_work_tree_a_linked_one_has_its_own_root() {
    let home = Home::new(&[]);
    home.commit();
    home.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    home.git(&["clone", "-q", "--separate-git-dir", "../separate.git", ".", "../separate"]);
    for name in ["bare", "separate"] {
        let common_dir = home.path(&format!("{name}.git"));
        let linked = format!("linked-{name}");
        let at = format!("../{linked}");
        home.git(&["-C", common_dir.to_str().unwrap(), "worktree", "add", "-q", &at]);
        let expected = WorkTree { root: home.path(&linked), common_dir };
        assert_eq!(home.work_tree(&linked).unwrap(), expected);
    }
    let separate = home.work_tree("separate").unwrap();
    let expected = (home.path("separate"), home.path("separate.git"));
    assert_eq!((separate.root, separate.common_dir), expected);
    assert!(matches!(home.work_tree("bare.git"), Err(Error::NotAWorkTree)));
}

#[test]
fn the_default_branch_is_that_of_the_remote_or_unknown() {
    let home = Home::new(&[("origin", "https://example.com/octo/hello")]);
    let repo = home.repo();
    let environment = home.environment(&[]);
    let of = |remote| git(&repo, &environment).default_branch(remote).unwrap();
    assert_eq!(of("origin"), None, "the branch that is checked out is another matter");
    home.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release/2"]);
    assert_eq!((of("origin").as_deref(), of("other")), (Some("release/2"), None));
    home.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/größe/日本"]);
    assert_eq!(of("origin").as_deref(), Some("größe/日本"));
    let head = b"ref: refs/remotes/origin/latin-\xe9\n";
    fs::write(home.path("repo/.git/refs/remotes/origin/HEAD"), head).unwrap();
    assert_eq!(of("origin"), None, "no text");
}

#[test]
fn ssh_names_the_host_of_an_alias() {
    let home = Home::new(&[]);
    let bin = home.path("bin");
    fs::create_dir(&bin).unwrap();
    let environment = home.environment(&[("PATH", &bin)]);
    let timeout = Duration::from_secs(10);
    let host = || host_of_alias("git@Work", &environment, timeout);
    assert_eq!(host().unwrap(), None, "there is no ssh");
    home.program(
        "ssh",
        "[ \"$*\" = '-G -- git@Work' ] && echo user git && echo hostname github.com",
    );
    assert_eq!(host().unwrap().as_deref(), Some("github.com"));
    for failure in ["echo hostname github.com; exit 255", "echo nothing", "echo 'hostname '"] {
        home.program("ssh", failure);
        assert!(matches!(host(), Err(Error::Ssh(_))), "{failure}");
    }
}

#[test]
fn the_url_of_a_remote_is_the_one_that_git_fetches_from() {
    let home = Home::new(&[("zulu", "gh:octo/hello"), ("alpha", "https://example.com/octo/x")]);
    for (name, value) in [
        ("remote.alpha.pushurl", "https://example.com/octo/pushed"),
        ("remote.alpha.partialclonefilter", "blob:none"),
        ("remote.alpha.promisor", "true"),
        ("remote.empty.fetch", "+refs/heads/*:refs/x/*"),
    ] {
        home.git(&["config", name, value]);
    }
    let rewrite = "[url \"git@example.com:\"]\n\tinsteadOf = gh:\n";
    fs::write(home.path(".gitconfig"), rewrite).unwrap();
    fs::create_dir(home.path("repo/folder")).unwrap();
    let remotes = home.remotes("repo/folder").unwrap();
    assert!(remotes.contains(&pair("alpha", "https://example.com/octo/x")), "{remotes:?}");
    assert!(remotes.contains(&pair("zulu", "git@example.com:octo/hello")), "{remotes:?}");
    assert!(remotes.iter().map(|(name, _)| name).is_sorted(), "{remotes:?}");
    assert!(Home::new(&[]).remotes("repo").unwrap().is_empty());
}

#[test]
fn a_directory_outside_a_repository_differs_from_a_broken_repository() {
    let home = Home::new(&[]);
    assert!(matches!(home.work_tree(""), Err(Error::NotAWorkTree)));
    assert!(matches!(home.remotes(""), Err(Error::NotAWorkTree)));
    assert!(matches!(home.work_tree("repo/.git"), Err(Error::NotAWorkTree)));
    fs::write(home.path("file"), "").unwrap();
    for name in ["nothing", "file"] {
        let error = home.remotes(name).unwrap_err().to_string();
        assert!(error.contains("not a directory"), "{name}: {error}");
    }
    let without_git: Environment = [("PATH", "/none")].into_iter().collect();
    let error = git(&home.repo(), &without_git).remotes().unwrap_err();
    assert_eq!(error.to_string(), "git is not on PATH");
    fs::create_dir(home.path("moved")).unwrap();
    fs::write(home.path("moved/.git"), "gitdir: /none/a\nb\n").unwrap();
    let error = home.work_tree("moved").unwrap_err();
    assert!(matches!(&error, Error::Dangling(repo) if repo == "/none/a\nb"), "{error}");
    fs::write(home.path("repo/.git/config"), "[remote \"x").unwrap();
    for error in [home.remotes("repo").unwrap_err(), home.work_tree("repo").unwrap_err()] {
        assert!(matches!(&error, Error::Git(line) if line.contains("config")), "{error}");
    }
}

#[test]
fn the_variables_of_the_caller_do_not_choose_another_repository() {
    let elsewhere = Home::new(&[("origin", "https://example.com/octo/elsewhere")]);
    let home = Home::new(&[("origin", "https://example.com/octo/hello")]);
    let environment = home.environment(&[("GIT_DIR", &elsewhere.path("repo/.git"))]);
    let repo = home.repo();
    let git = git(&repo, &environment);
    assert_eq!(git.remotes().unwrap(), [pair("origin", "https://example.com/octo/hello")]);
    assert_eq!(git.work_tree().unwrap().root, repo);
}

#[test]
fn a_repository_makes_git_run_nothing() {
    let home = Home::new(&[]);
    let trap = format!("touch {}", home.path("sprung").display());
    home.commit();
    home.git(&["remote", "add", "origin", "ext::sh -c true"]);
    for name in ["post-index-change", "fsmonitor-watchman", "reference-transaction"] {
        let hook = home.path("repo/.git/hooks").join(name);
        fs::write(&hook, format!("#!/bin/sh\n{trap}\n")).unwrap();
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let programs = "core.sshCommand core.pager core.editor core.askPass core.gitProxy core.alternateRefsCommand \
        credential.helper diff.external gpg.program pager.remote sequence.editor core.fsmonitor";
    for setting in programs.split_whitespace() {
        home.git(&["config", setting, &trap]);
    }
    for command in ["remote", "rev-parse", "symbolic-ref"] {
        home.git(&["config", &format!("alias.{command}"), &format!("!{trap}")]);
    }
    let (repo, environment) = (home.repo(), home.environment(&[]));
    home.work_tree("repo").unwrap();
    home.remotes("repo").unwrap();
    git(&repo, &environment).default_branch("origin").unwrap();
    assert!(!home.path("sprung").exists());
}

/// git cannot read a work tree of which another git has recorded only half: that one is waited for.
#[test]
fn a_half_recorded_work_tree_is_waited_for() {
    let home = Home::new(&[]);
    home.commit();
    home.git(&["worktree", "add", "-q", "../other"]);
    let record = home.path("repo/.git/worktrees/other/commondir");
    let content = fs::read(&record).unwrap();
    fs::write(&record, "").unwrap();
    let (repo, environment) = (home.repo(), home.environment(&[]));
    let guarded = git(&repo, &environment).guarded().unwrap();
    let list = || guarded.run(&["worktree", "list", "--porcelain"]);
    let error = list().unwrap_err();
    assert!(error.to_string().contains("commondir"), "{error}");
    let listed = std::thread::scope(|scope| {
        let listing = scope.spawn(list);
        std::thread::sleep(Duration::from_millis(200));
        fs::write(&record, content).unwrap();
        listing.join().unwrap()
    });
    let listed = String::from_utf8(listed.unwrap()).unwrap();
    assert_eq!(listed.matches("worktree ").count(), 2, "{listed}");
}
