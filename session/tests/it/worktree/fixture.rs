//! A home directory with a repository, a remote and a managed root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ao_program::Environment;
use ao_session::worktree::{Plan, Repository, Request, Root};
use ao_session::{Error, Result};
use ao_store::{ProjectId, SessionId};
use tempfile::TempDir;

/// The repository is in `repo`, its remote in `remote.git`, the managed root in `data/worktrees`.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) environment: Environment,
    pub(crate) project: ProjectId,
    repo: PathBuf,
    pub(crate) root: Root,
}

impl Home {
    /// A repository with one commit on `trunk`, and no remote.
    pub(crate) fn new() -> Home {
        let home = Home::unborn();
        home.write("tracked", "one\n");
        home.write(".gitignore", "*.ignored\n");
        home.git(&["add", "."]);
        home.commit("one");
        home
    }

    /// A repository without a commit.
    pub(crate) fn unborn() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let environment = [
            ("PATH", path),
            ("HOME", base.clone().into_os_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ];
        let home = Home {
            environment: environment.into_iter().collect(),
            project: "demo".parse().unwrap(),
            repo: base.join("repo"),
            root: Root::new(&base.join("data/worktrees")).unwrap(),
            dir,
        };
        fs::create_dir(&home.repo).unwrap();
        home.git(&["init", "-q", "-b", "trunk"]);
        home
    }

    /// The repository is a clone of `remote.git`, whose `HEAD` is `trunk`.
    pub(crate) fn cloned() -> Home {
        let home = Home::new();
        home.git_in(&home.path(""), &["clone", "-q", "--bare", "repo", "remote.git"]);
        home.git(&["remote", "add", "origin", home.path("remote.git").to_str().unwrap()]);
        home.git(&["fetch", "-q"]);
        home.git(&["remote", "set-head", "origin", "-a"]);
        home
    }

    /// Canonical, as git prints it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn repo(&self) -> &Path {
        &self.repo
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.repo.join(name), text).unwrap();
    }

    /// Runs git in the repository, which must succeed, and returns what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.repo, args)
    }

    pub(crate) fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let (is_success, output) = self.try_git(dir, args);
        assert!(is_success, "{args:?}: {output}");
        output
    }

    /// Whether git succeeds, and what it printed.
    pub(crate) fn try_git(&self, dir: &Path, args: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=dev", "-c", "user.email=dev@example.com"]);
        command.args(["-c", "protocol.file.allow=always"]).args(args).current_dir(dir);
        command.env("HOME", self.path("")).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env_remove("GIT_DIR").env("GIT_EDITOR", "true");
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A commit on a branch of the remote that the repository has not fetched.
    pub(crate) fn commit_on_remote(&self, branch: &str) -> String {
        let other = self.path("other");
        if !other.exists() {
            self.git_in(&self.path(""), &["clone", "-q", "remote.git", "other"]);
        }
        self.git_in(&other, &["checkout", "-q", "-B", branch]);
        self.git_in(&other, &["commit", "-q", "--allow-empty", "-m", "remote"]);
        self.git_in(&other, &["push", "-q", "origin", branch]);
        self.git_in(&other, &["rev-parse", "HEAD"])
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(&self.project, &self.repo, &self.environment).unwrap()
    }

    /// The path of the worktree of session `demo-<num>`.
    pub(crate) fn target(&self, num: i64) -> PathBuf {
        self.root.path_of(&session(num))
    }

    pub(crate) fn plan(&self, branch: &str, create: bool, base: Option<&str>) -> Result<Plan> {
        self.repository().plan(&request(branch, create, base), Some(&self.target(1)))
    }

    /// A worktree of session `demo-<num>` on a new branch `work<num>`.
    pub(crate) fn worktree(&self, num: i64) -> PathBuf {
        let path = self.target(num);
        let request = request(&format!("work{num}"), true, None);
        let plan = self.repository().plan(&request, Some(&path)).unwrap();
        self.repository().add(&plan, &self.root, &path).unwrap();
        path
    }
}

/// A branch that a person named.
pub(crate) fn request(branch: &str, create: bool, base: Option<&str>) -> Request {
    let (branch, base) = (branch.to_owned(), base.map(str::to_owned));
    Request { branch, is_own: false, create, base }
}

pub(crate) fn session(num: i64) -> SessionId {
    SessionId::new(&"demo".parse().unwrap(), num)
}

/// The code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.map_or_else(|error: Error| format!("{:?}", error.code()), |value| format!("{value:?}"))
}
