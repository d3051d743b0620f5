//! Mutations of pull requests: open, push, edit, close, merge.

use crate::entity::{Commit, Obj, Pr};
use crate::enums::PrState;
use crate::world::World;

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPr {
    /// `owner/name` of the base repository.
    pub repo: String,
    /// `owner/name` of the fork it comes from; none for a branch of the base repository.
    pub head_repo: Option<String>,
    /// Head branch.
    pub branch: String,
    /// Base branch.
    pub base: String,
    /// Login; none is a deleted account.
    pub author: Option<String>,
    /// Title.
    pub title: String,
    /// Whether it is a draft.
    pub draft: bool,
}

impl NewPr {
    /// A pull request of `octo-dev` from `branch` to `main` of the same repository.
    #[must_use]
    pub fn new(repo: &str, branch: &str) -> Self {
        Self {
            repo: repo.to_owned(),
            head_repo: None,
            branch: branch.to_owned(),
            base: "main".to_owned(),
            author: Some("octo-dev".to_owned()),
            title: format!("Work on {branch}"),
            draft: false,
        }
    }
}

impl World {
    /// Opens a pull request with one commit, and returns its node id.
    pub fn open_pr(&mut self, new: &NewPr) -> String {
        let repo = self.repo_at(&new.repo);
        let head_repo = new.head_repo.as_ref().map_or(repo, |name| self.repo_at(name));
        let author = self.user_at(new.author.as_deref());
        self.base_exists(repo, &new.base);
        let (id, database_id) = self.new_id("PR");
        let (now, at) = (self.now_ms(), self.state.prs.len());
        let head = self.new_commit(repo);
        self.state.index.insert(id.clone(), Obj::Pr(at));
        let number = 1 + self.state.repos[repo].prs.len() as u64;
        self.state.prs.push(Pr {
            id: id.clone(),
            database_id,
            number,
            repo,
            head_repo: Some(head_repo),
            head_ref: new.branch.clone(),
            head_ref_gone: false,
            head,
            commits: vec![head],
            base_ref: new.base.clone(),
            author,
            title: new.title.clone(),
            body: String::new(),
            draft: new.draft,
            state: PrState::Open,
            created_at: now,
            updated_at: now,
            closed_at: None,
            merged_at: None,
            merge_commit: None,
            size: [10, 2, 1],
            conflicts: false,
            behind: false,
            permanent_unknown: false,
            mergeable_at: None,
            in_merge_queue: false,
            auto_merge_at: None,
            reviews: Vec::new(),
            threads: Vec::new(),
            comments: Vec::new(),
        });
        self.state.repos[repo].prs.push(at);
        self.record("open_pr", Some(at), &id);
        id
    }

    fn base_exists(&mut self, repo: usize, branch: &str) {
        if !self.state.repos[repo].branches.contains_key(branch) {
            let oid = self.new_oid();
            self.state.repos[repo].branches.insert(branch.to_owned(), oid);
        }
    }

    fn new_commit(&mut self, repo: usize) -> usize {
        let (oid, (id, _), at) = (self.new_oid(), self.new_id("C"), self.state.commits.len());
        self.state.index.insert(id.clone(), Obj::Commit(at));
        self.state.oids.insert(oid.clone(), at);
        let authored_at = self.now_ms();
        self.state.repos[repo].pushed_at = authored_at;
        let (suites, runs, statuses) = (Vec::new(), Vec::new(), Vec::new());
        self.state.commits.push(Commit { id, oid, authored_at, repo, suites, runs, statuses });
        at
    }

    fn set_head(&mut self, what: &'static str, pr: &str, forced: bool) -> String {
        let at = self.pr_at(pr);
        self.record(what, Some(at), pr);
        let head = self.new_commit(self.state.prs[at].repo);
        let changed = &mut self.state.prs[at];
        changed.commits.retain(|_| !forced);
        changed.commits.push(head);
        changed.head = head;
        changed.size[0] += 3;
        changed.mergeable_at = None;
        changed.behind = false;
        self.touch(at);
        self.state.commits[head].oid.clone()
    }

    /// Pushes a commit, and returns its oid. It has no checks yet.
    pub fn push(&mut self, pr: &str) -> String {
        self.set_head("push", pr, false)
    }

    /// Replaces all commits by one, and returns its oid.
    pub fn force_push(&mut self, pr: &str) -> String {
        self.set_head("force_push", pr, true)
    }

    /// Sets when the head commit was authored: `commits` is ordered by that, not by pushing.
    pub fn author_head_at(&mut self, pr: &str, authored_at: i64) {
        let head = self.state.prs[self.pr_at(pr)].head;
        self.state.commits[head].authored_at = authored_at;
    }

    /// Records and makes a change of a pull request, and moves its `updatedAt`.
    fn edit(&mut self, what: &'static str, pr: &str, change: impl FnOnce(&mut Pr, i64)) {
        let at = self.pr_at(pr);
        self.record(what, Some(at), pr);
        let now = self.now_ms();
        change(&mut self.state.prs[at], now);
        self.touch(at);
    }

    /// Merges, which moves the base branch: other pull requests into it become UNKNOWN.
    pub fn merge(&mut self, pr: &str) {
        let oid = self.new_oid();
        let merge_commit = oid.clone();
        self.edit("merge", pr, |pr, now| {
            (pr.state, pr.merged_at, pr.closed_at) = (PrState::Merged, Some(now), Some(now));
            (pr.merge_commit, pr.in_merge_queue, pr.auto_merge_at) = (Some(oid), false, None);
        });
        let row = &self.state.prs[self.pr_at(pr)];
        let (repo, base) = (row.repo, row.base_ref.clone());
        self.base_moves(repo, &base, &merge_commit);
    }

    /// Closes without a merge.
    pub fn close(&mut self, pr: &str) {
        self.edit("close", pr, |pr, now| {
            (pr.state, pr.closed_at) = (PrState::Closed, Some(now));
            (pr.in_merge_queue, pr.auto_merge_at) = (false, None);
        });
    }

    /// Reopens a closed pull request.
    pub fn reopen(&mut self, pr: &str) {
        self.edit("reopen", pr, |pr, _| {
            (pr.state, pr.closed_at, pr.mergeable_at) = (PrState::Open, None, None);
        });
    }

    /// Converts it to a draft, or marks it ready for review.
    pub fn set_draft(&mut self, pr: &str, draft: bool) {
        self.edit("set_draft", pr, |pr, _| pr.draft = draft);
    }

    /// Changes the title.
    pub fn set_title(&mut self, pr: &str, title: &str) {
        self.edit("set_title", pr, |pr, _| title.clone_into(&mut pr.title));
    }

    /// Changes the body.
    pub fn set_body(&mut self, pr: &str, body: &str) {
        self.edit("set_body", pr, |pr, _| body.clone_into(&mut pr.body));
    }

    /// Changes the base branch.
    pub fn set_base(&mut self, pr: &str, branch: &str) {
        self.base_exists(self.state.prs[self.pr_at(pr)].repo, branch);
        self.edit("set_base", pr, |pr, _| {
            branch.clone_into(&mut pr.base_ref);
            pr.mergeable_at = None;
        });
    }

    /// Turns auto-merge on or off.
    pub fn set_auto_merge(&mut self, pr: &str, enabled: bool) {
        self.edit("set_auto_merge", pr, |pr, now| pr.auto_merge_at = enabled.then_some(now));
    }

    /// Enters or leaves the merge queue.
    pub fn set_merge_queue(&mut self, pr: &str, queued: bool) {
        self.edit("set_merge_queue", pr, |pr, _| pr.in_merge_queue = queued);
    }

    /// Sets the value of `mergeable` after its next computation.
    pub fn set_conflicts(&mut self, pr: &str, conflicts: bool) {
        let at = self.pr_at(pr);
        self.record("set_conflicts", Some(at), pr);
        self.state.prs[at].conflicts = conflicts;
        self.state.prs[at].mergeable_at = None;
    }

    /// Keeps `mergeable` UNKNOWN permanently, or not.
    pub fn set_permanent_unknown(&mut self, pr: &str, unknown: bool) {
        let at = self.pr_at(pr);
        self.record("set_permanent_unknown", Some(at), pr);
        self.state.prs[at].permanent_unknown = unknown;
    }

    /// Deletes the head branch: `headRef` is null from now on.
    pub fn delete_branch(&mut self, pr: &str) {
        let at = self.pr_at(pr);
        self.record("delete_branch", Some(at), pr);
        self.state.prs[at].head_ref_gone = true;
    }

    /// Deletes the account of the author.
    pub fn delete_author(&mut self, pr: &str) {
        let at = self.pr_at(pr);
        self.record("delete_author", Some(at), pr);
        self.state.prs[at].author = None;
    }
}
