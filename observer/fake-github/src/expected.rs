//! The state that an observer of a pull request must store, read from the tables.

use std::collections::BTreeMap;

use crate::entity::State;
use crate::enums::{CheckStatus, Conclusion, PrState, ReviewState, StatusState};
use crate::world::World;

/// A pull request as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedPr {
    /// Node id.
    pub id: String,
    /// Present `owner/name`.
    pub repo: String,
    /// Number.
    pub number: u64,
    /// `open`, `draft`, `closed` or `merged`.
    pub state: &'static str,
    /// Title.
    pub title: String,
    /// Login; none is a deleted account.
    pub author: Option<String>,
    /// Head branch.
    pub head_ref: String,
    /// Head commit.
    pub head_oid: String,
    /// Base branch.
    pub base_ref: String,
    /// `owner/name` of the head repository; none where it is gone.
    pub head_repo: Option<String>,
    /// The value of `mergeable` after its computation; none if it stays unknown.
    pub mergeable: Option<&'static str>,
    /// `reviewDecision`.
    pub review_decision: Option<&'static str>,
    /// Whether it is in the merge queue.
    pub is_in_merge_queue: bool,
    /// Whether auto-merge is on.
    pub has_auto_merge: bool,
    /// Rollup of the head, without superseded runs; none before the first check.
    pub ci: Option<StatusState>,
    /// Check runs of the head that were not run again, and statuses, by id.
    pub checks: BTreeMap<String, ExpectedCheck>,
    /// Suites of the head that wait without a run, by id.
    pub waiting: BTreeMap<String, (CheckStatus, Option<Conclusion>)>,
    /// Reviews by id.
    pub reviews: BTreeMap<String, ExpectedReview>,
    /// Threads by id.
    pub threads: BTreeMap<String, ExpectedThread>,
    /// Comments by id, of threads and of the pull request.
    pub comments: BTreeMap<String, ExpectedComment>,
    /// `updatedAt`, in milliseconds.
    pub updated_at: i64,
}

/// A check run or a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedCheck {
    /// Slug of the app; empty for a status.
    pub app: String,
    /// Workflow; empty where there is none.
    pub workflow: String,
    /// Event; empty where there is none.
    pub event: String,
    /// Name, or context of a status.
    pub name: String,
    /// Status of a run, or state of a status.
    pub status: &'static str,
    /// Conclusion of a run.
    pub conclusion: Option<&'static str>,
    /// Id in REST.
    pub database_id: u64,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedReview {
    /// Login; none is a deleted account.
    pub author: Option<String>,
    /// State.
    pub state: ReviewState,
    /// Body.
    pub body: String,
    /// Commit that was reviewed.
    pub commit: String,
}

/// A review thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedThread {
    /// Whether it is resolved.
    pub is_resolved: bool,
    /// Login of the user who resolved it.
    pub resolved_by: Option<String>,
    /// Whether it is outdated.
    pub is_outdated: bool,
    /// File.
    pub path: String,
    /// Line; none where it is outdated.
    pub line: Option<u64>,
    /// Number of comments.
    pub comments: usize,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedComment {
    /// Node id of the thread; none on the pull request itself.
    pub thread: Option<String>,
    /// Login; none is a deleted account.
    pub author: Option<String>,
    /// Body.
    pub body: String,
    /// Whether it is hidden.
    pub is_minimized: bool,
}

impl World {
    /// What an observer of this pull request must store.
    #[must_use]
    pub fn expected(&self, pr: &str) -> ExpectedPr {
        self.state.expected(self.pr_at(pr))
    }
}

impl State {
    fn login(&self, user: Option<usize>) -> Option<String> {
        user.map(|at| self.users[at].login.clone())
    }

    fn expected(&self, at: usize) -> ExpectedPr {
        let pr = &self.prs[at];
        let name = |at: usize| self.repos[at].full_name();
        let has_rollup = self.has_rollup(pr.head);
        ExpectedPr {
            id: pr.id.clone(),
            repo: name(pr.repo),
            number: pr.number,
            state: match pr.state {
                PrState::Open if pr.draft => "draft",
                PrState::Open => "open",
                PrState::Closed => "closed",
                PrState::Merged => "merged",
            },
            title: pr.title.clone(),
            author: self.login(pr.author),
            head_ref: pr.head_ref.clone(),
            head_oid: self.commits[pr.head].oid.clone(),
            base_ref: pr.base_ref.clone(),
            head_repo: pr.head_repo.map(name),
            mergeable: match () {
                () if pr.permanent_unknown || pr.state != PrState::Open => None,
                () if pr.conflicts => Some("CONFLICTING"),
                () => Some("MERGEABLE"),
            },
            review_decision: self.review_decision(pr),
            is_in_merge_queue: pr.in_merge_queue,
            has_auto_merge: pr.auto_merge_at.is_some(),
            ci: has_rollup.then(|| self.rollup(pr.head, false)),
            checks: self.expected_checks(pr.head),
            waiting: self.waiting_suites(pr.head),
            reviews: self.expected_reviews(&pr.reviews),
            threads: self.expected_threads(&pr.threads),
            comments: self.expected_comments(at),
            updated_at: pr.updated_at,
        }
    }

    fn expected_checks(&self, commit: usize) -> BTreeMap<String, ExpectedCheck> {
        let commit = &self.commits[commit];
        let runs = commit.runs.iter().map(|at| &self.runs[*at]).filter(|run| !run.superseded);
        let runs = runs.map(|run| {
            let suite = &self.suites[run.suite];
            let workflow = suite.workflow.as_ref();
            let check = ExpectedCheck {
                app: suite.app.clone(),
                workflow: workflow.map(|run| run.name.clone()).unwrap_or_default(),
                event: workflow.map(|run| run.event.clone()).unwrap_or_default(),
                name: run.name.clone(),
                status: run.status.as_str(),
                conclusion: run.conclusion.map(Conclusion::as_str),
                database_id: run.database_id,
            };
            (run.id.clone(), check)
        });
        let statuses = commit.statuses.iter().map(|at| {
            let status = &self.statuses[*at];
            let check = ExpectedCheck {
                app: String::new(),
                workflow: String::new(),
                event: String::new(),
                name: status.context.clone(),
                status: status.state.as_str(),
                conclusion: None,
                database_id: status.database_id,
            };
            (status.id.clone(), check)
        });
        runs.chain(statuses).collect()
    }

    fn waiting_suites(&self, commit: usize) -> BTreeMap<String, (CheckStatus, Option<Conclusion>)> {
        let suites = self.commits[commit].suites.iter().map(|at| &self.suites[*at]);
        suites.filter_map(|suite| Some((suite.id.clone(), suite.waiting?))).collect()
    }

    fn expected_reviews(&self, reviews: &[usize]) -> BTreeMap<String, ExpectedReview> {
        let one = |at: &usize| {
            let review = &self.reviews[*at];
            let expected = ExpectedReview {
                author: self.login(review.author),
                state: review.state,
                body: review.body.clone(),
                commit: self.commits[review.commit].oid.clone(),
            };
            (review.id.clone(), expected)
        };
        reviews.iter().map(one).collect()
    }

    fn expected_threads(&self, threads: &[usize]) -> BTreeMap<String, ExpectedThread> {
        let one = |at: &usize| {
            let thread = &self.threads[*at];
            let expected = ExpectedThread {
                is_resolved: thread.resolved,
                resolved_by: self.login(thread.resolved_by),
                is_outdated: thread.outdated,
                path: thread.path.clone(),
                line: (!thread.outdated).then_some(thread.line),
                comments: thread.comments.len(),
            };
            (thread.id.clone(), expected)
        };
        threads.iter().map(one).collect()
    }

    fn expected_comments(&self, pr: usize) -> BTreeMap<String, ExpectedComment> {
        let pr = &self.prs[pr];
        let in_threads = pr.threads.iter().flat_map(|at| &self.threads[*at].comments);
        let one = |at: &usize| {
            let comment = &self.comments[*at];
            let expected = ExpectedComment {
                thread: comment.thread.map(|at| self.threads[at].id.clone()),
                author: self.login(comment.author),
                body: comment.body.clone(),
                is_minimized: comment.minimized,
            };
            (comment.id.clone(), expected)
        };
        pr.comments.iter().chain(in_threads).map(one).collect()
    }
}
