//! Mutations of repositories: creation, deletion, renames, transfers and access.

use std::collections::HashMap;

use crate::entity::{Obj, Repo};
use crate::enums::{Access, PrState};
use crate::world::World;

impl World {
    /// Creates the public repository `owner/name` with a branch `main`, and returns its node id.
    pub fn add_repo(&mut self, full_name: &str) -> String {
        self.new_repo(full_name, None)
    }

    /// Forks `repo` to `full_name`, and returns the node id of the fork.
    pub fn fork(&mut self, repo: &str, full_name: &str) -> String {
        let parent = self.repo_at(repo);
        self.state.repos[parent].forks += 1;
        self.new_repo(full_name, Some(parent))
    }

    fn new_repo(&mut self, full_name: &str, fork_of: Option<usize>) -> String {
        let (owner, name) = full_name.split_once('/').unwrap_or(("octo", full_name));
        self.user(owner);
        let (id, database_id) = self.new_id("R");
        self.record(if fork_of.is_some() { "fork" } else { "add_repo" }, None, &id);
        let (now, at) = (self.now_ms(), self.state.repos.len());
        let oid = self.new_oid();
        self.state.index.insert(id.clone(), Obj::Repo(at));
        self.state.names.insert(full_name.to_lowercase(), at);
        self.state.repos.push(Repo {
            id: id.clone(),
            database_id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            fork_of,
            private: false,
            access: Access::Granted,
            deleted: false,
            stars: 0,
            forks: 0,
            pushed_at: now,
            updated_at: now,
            requires_review: false,
            required_checks: Vec::new(),
            branches: HashMap::from([("main".to_owned(), oid)]),
            prs: Vec::new(),
        });
        id
    }

    pub(crate) fn new_oid(&mut self) -> String {
        self.state.serial += 1;
        let (high, low) = (self.rng.u64(..), self.rng.u64(..));
        format!("{high:016x}{low:016x}{:08x}", self.state.serial)
    }

    /// Renames a repository or moves it to another owner: the old name still leads to it.
    fn move_repo(&mut self, what: &'static str, repo: &str, full_name: &str) {
        let at = self.repo_at(repo);
        let id = self.state.repos[at].id.clone();
        let is_taken = |(other, it): (usize, &Repo)| {
            other != at && !it.deleted && it.full_name().eq_ignore_ascii_case(full_name)
        };
        assert!(
            !self.state.repos.iter().enumerate().any(is_taken),
            "there is another repository {full_name}"
        );
        self.record(what, None, &id);
        let now = self.now_ms();
        let (owner, name) = full_name.split_once('/').unwrap_or(("octo", full_name));
        self.user(owner);
        let moved = &mut self.state.repos[at];
        (moved.owner, moved.name, moved.updated_at) = (owner.to_owned(), name.to_owned(), now);
        self.state.names.insert(full_name.to_lowercase(), at);
    }

    /// Gives a repository another name under the same owner.
    pub fn rename_repo(&mut self, repo: &str, name: &str) {
        let owner = self.state.repos[self.repo_at(repo)].owner.clone();
        self.move_repo("rename_repo", repo, &format!("{owner}/{name}"));
    }

    /// Gives a repository another owner.
    pub fn transfer_repo(&mut self, repo: &str, owner: &str) {
        let name = self.state.repos[self.repo_at(repo)].name.clone();
        self.move_repo("transfer_repo", repo, &format!("{owner}/{name}"));
    }

    /// Deletes a repository. Pull requests from it stay, without a head repository.
    pub fn delete_repo(&mut self, repo: &str) {
        let at = self.repo_at(repo);
        let id = self.state.repos[at].id.clone();
        self.record("delete_repo", None, &id);
        self.state.repos[at].deleted = true;
        for pr in self.state.prs.iter_mut().filter(|pr| pr.head_repo == Some(at)) {
            pr.head_repo = None;
            pr.head_ref_gone = true;
        }
    }

    /// Grants access, denies that the repository exists, or demands single sign-on.
    pub fn set_access(&mut self, repo: &str, access: Access) {
        let at = self.repo_at(repo);
        let id = self.state.repos[at].id.clone();
        self.record("set_access", None, &id);
        self.state.repos[at].access = access;
    }

    /// Makes a repository private or public.
    pub fn set_private(&mut self, repo: &str, private: bool) {
        let at = self.repo_at(repo);
        self.state.repos[at].private = private;
    }

    /// Adds a star: volatile fields of REST bodies change, no pull request does.
    pub fn star(&mut self, repo: &str) {
        let at = self.repo_at(repo);
        let id = self.state.repos[at].id.clone();
        self.record("star", None, &id);
        self.state.repos[at].stars += 1;
        self.state.repos[at].updated_at = self.now_ms();
    }

    /// Protects the base branches: sets the requirements of a merge.
    pub fn protect(&mut self, repo: &str, requires_review: bool, required_checks: &[&str]) {
        let at = self.repo_at(repo);
        let repo = &mut self.state.repos[at];
        repo.requires_review = requires_review;
        repo.required_checks = required_checks.iter().map(|&name| name.to_owned()).collect();
    }

    /// Pushes to a base branch: its pull requests become UNKNOWN and fall behind.
    pub fn base_push(&mut self, repo: &str, branch: &str) -> String {
        let at = self.repo_at(repo);
        let id = self.state.repos[at].id.clone();
        self.record("base_push", None, &id);
        let oid = self.new_oid();
        self.base_moves(at, branch, &oid);
        oid
    }

    /// Moves a base branch, after which mergeability must be computed again.
    pub(super) fn base_moves(&mut self, at: usize, branch: &str, oid: &str) {
        self.state.repos[at].pushed_at = self.now_ms();
        self.state.repos[at].branches.insert(branch.to_owned(), oid.to_owned());
        let concerned = |pr: &&mut crate::entity::Pr| {
            pr.repo == at && pr.base_ref == branch && pr.state == PrState::Open
        };
        for pr in self.state.prs.iter_mut().filter(concerned) {
            pr.mergeable_at = None;
            pr.behind = true;
        }
    }
}
