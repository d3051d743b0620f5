//! Values derived from the tables: access, rollups, whether a pull request
//! merges. They are computed on each read; nothing is cached.

use std::sync::Arc;

use crate::entity::{Obj, Pr, Run, State};
use crate::enums::{Access, CheckStatus, Conclusion, PrState, ReviewState, StatusState};

/// The world as it was when the snapshot was taken, for answers of a stale replica.
#[derive(Debug, Clone)]
pub struct Snapshot(pub(crate) Arc<State>);

impl State {
    /// The node id of an object, empty if it has none.
    pub(crate) fn id_of(&self, obj: Obj) -> &str {
        match obj {
            Obj::User(at) => &self.users[at].id,
            Obj::Repo(at) => &self.repos[at].id,
            Obj::Pr(at) => &self.prs[at].id,
            Obj::Commit(at) | Obj::PrCommit(at) => &self.commits[at].id,
            Obj::Suite(at) => &self.suites[at].id,
            Obj::Run(at) => &self.runs[at].id,
            Obj::Status(at) => &self.statuses[at].id,
            Obj::Review(at) => &self.reviews[at].id,
            Obj::Thread(at) => &self.threads[at].id,
            Obj::Comment(at) => &self.comments[at].id,
            Obj::WorkflowRun(at) => self.suites[at].workflow.as_ref().map_or("", |run| &run.id),
            _ => "",
        }
    }

    /// The repository through which a node is reached.
    fn repo_of(&self, obj: Obj) -> Option<usize> {
        match obj {
            Obj::Repo(at) => Some(at),
            Obj::Pr(at) => Some(self.prs[at].repo),
            Obj::Commit(at) => Some(self.commits[at].repo),
            Obj::Suite(at) | Obj::WorkflowRun(at) => {
                Some(self.commits[self.suites[at].commit].repo)
            }
            Obj::Run(at) => Some(self.commits[self.suites[self.runs[at].suite].commit].repo),
            Obj::Status(at) => Some(self.commits[self.statuses[at].commit].repo),
            Obj::Review(at) => Some(self.prs[self.reviews[at].pr].repo),
            Obj::Thread(at) => Some(self.prs[self.threads[at].pr].repo),
            Obj::Comment(at) => Some(self.prs[self.comments[at].pr].repo),
            _ => None,
        }
    }

    /// A node by its id, or why the caller has no access.
    pub(crate) fn node(&self, id: &str) -> Result<Obj, Access> {
        let obj = *self.index.get(id).ok_or(Access::Revoked)?;
        match self.repo_of(obj).map_or(Access::Granted, |repo| self.access(repo)) {
            Access::Granted => Ok(obj),
            refused => Err(refused),
        }
    }

    pub(crate) fn access(&self, repo: usize) -> Access {
        if self.repos[repo].deleted { Access::Revoked } else { self.repos[repo].access }
    }

    /// A repository by its present or a former name.
    pub(crate) fn repo_named(&self, full_name: &str) -> Option<usize> {
        self.names.get(&full_name.to_lowercase()).copied()
    }

    pub(crate) fn pr_numbered(&self, repo: usize, number: u64) -> Option<usize> {
        self.repos[repo].prs.iter().copied().find(|at| self.prs[*at].number == number)
    }

    pub(crate) fn base_oid(&self, pr: &Pr) -> &str {
        self.repos[pr.repo].branches.get(&pr.base_ref).map_or("", String::as_str)
    }

    /// Whether a commit has a check run or a status; otherwise its rollup is null.
    pub(crate) fn has_rollup(&self, commit: usize) -> bool {
        let commit = &self.commits[commit];
        !commit.runs.is_empty() || !commit.statuses.is_empty()
    }

    /// The state of a rollup; `superseded` also counts runs that were re-run.
    pub(crate) fn rollup(&self, commit: usize, superseded: bool) -> StatusState {
        let commit = &self.commits[commit];
        let runs = commit.runs.iter().map(|at| &self.runs[*at]);
        let counted = runs.filter(|run| superseded || !run.superseded).map(run_state);
        let statuses = commit.statuses.iter().map(|at| self.statuses[*at].state);
        let (mut pending, mut failed) = (false, false);
        for state in counted.chain(statuses) {
            pending |= matches!(state, StatusState::Pending | StatusState::Expected);
            failed |= matches!(state, StatusState::Failure | StatusState::Error);
        }
        match (failed, pending) {
            (true, _) => StatusState::Failure,
            (false, true) => StatusState::Pending,
            _ => StatusState::Success,
        }
    }

    /// Status and conclusion of a suite.
    pub(crate) fn suite_progress(&self, suite: usize) -> (CheckStatus, Option<Conclusion>) {
        let suite = &self.suites[suite];
        if let Some(waiting) = suite.waiting {
            return waiting;
        }
        let latest = || suite.runs.iter().map(|at| &self.runs[*at]).filter(|run| !run.superseded);
        if latest().any(|run| run.conclusion.is_none()) {
            return (CheckStatus::InProgress, None);
        }
        let worst = latest().find(|run| run_state(run) == StatusState::Failure);
        let conclusion = worst.and_then(|run| run.conclusion).unwrap_or(Conclusion::Success);
        (CheckStatus::Completed, Some(conclusion))
    }

    /// `mergeable`, as far as it is known at `now`.
    pub(crate) fn mergeable(&self, pr: usize, now: i64) -> &'static str {
        let pr = &self.prs[pr];
        let known = pr.mergeable_at.is_some_and(|at| at <= now);
        match () {
            () if pr.state != PrState::Open || pr.permanent_unknown || !known => "UNKNOWN",
            () if pr.conflicts => "CONFLICTING",
            () => "MERGEABLE",
        }
    }

    pub(crate) fn merge_state(&self, at: usize, now: i64) -> &'static str {
        let pr = &self.prs[at];
        let rollup = self.has_rollup(pr.head).then(|| self.rollup(pr.head, false));
        match self.mergeable(at, now) {
            "UNKNOWN" => "UNKNOWN",
            "CONFLICTING" => "DIRTY",
            _ if pr.draft => "DRAFT",
            _ if self.is_blocked(pr) => "BLOCKED",
            _ if pr.behind => "BEHIND",
            _ if rollup.is_some_and(|state| state != StatusState::Success) => "UNSTABLE",
            _ => "CLEAN",
        }
    }

    fn is_blocked(&self, pr: &Pr) -> bool {
        let commit = &self.commits[pr.head];
        let is_green = |name: &String| {
            let mut runs = commit.runs.iter().map(|at| &self.runs[*at]);
            let mut statuses = commit.statuses.iter().map(|at| &self.statuses[*at]);
            runs.any(|run| {
                !run.superseded && run.name == *name && run_state(run) == StatusState::Success
            }) || statuses
                .any(|status| status.context == *name && status.state == StatusState::Success)
        };
        matches!(self.review_decision(pr), Some("CHANGES_REQUESTED" | "REVIEW_REQUIRED"))
            || !self.repos[pr.repo].required_checks.iter().all(is_green)
    }

    /// `reviewDecision`: null where the base branch requires no review.
    pub(crate) fn review_decision(&self, pr: &Pr) -> Option<&'static str> {
        if !self.repos[pr.repo].requires_review {
            return None;
        }
        let mut verdicts: Vec<(Option<usize>, ReviewState)> = Vec::new();
        for review in pr.reviews.iter().map(|at| &self.reviews[*at]) {
            if matches!(review.state, ReviewState::Approved | ReviewState::ChangesRequested) {
                verdicts.retain(|(author, _)| *author != review.author);
                verdicts.push((review.author, review.state));
            }
        }
        let has = |state| verdicts.iter().any(|(_, verdict)| *verdict == state);
        Some(match () {
            () if has(ReviewState::ChangesRequested) => "CHANGES_REQUESTED",
            () if has(ReviewState::Approved) => "APPROVED",
            () => "REVIEW_REQUIRED",
        })
    }

    pub(crate) fn comments_total(&self, pr: &Pr) -> usize {
        let in_threads = pr.threads.iter().map(|at| self.threads[*at].comments.len());
        pr.comments.len() + in_threads.sum::<usize>()
    }
}

/// The state that one run contributes to a rollup.
pub(crate) fn run_state(run: &Run) -> StatusState {
    match run.conclusion {
        None | Some(Conclusion::Stale) => StatusState::Pending,
        Some(Conclusion::Success | Conclusion::Neutral | Conclusion::Skipped) => {
            StatusState::Success
        }
        Some(_) => StatusState::Failure,
    }
}
