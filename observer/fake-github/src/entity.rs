//! What GitHub stores, as plain tables that refer to each other by position. Nothing is ever
//! removed from a table, so that a position stays valid; deleted rows are marked.

use std::collections::HashMap;

use crate::enums::{Access, CheckStatus, Conclusion, PrState, ReviewState, StatusState, UserKind};

/// One thing that has a type in the GraphQL schema, by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Obj {
    Query,
    RateLimit,
    Viewer,
    User(usize),
    Repo(usize),
    Pr(usize),
    PrCommit(usize),
    Commit(usize),
    MergeCommit(usize),
    HeadRef(usize),
    BaseRef(usize),
    AutoMerge(usize),
    Rollup { commit: usize, with_contexts: bool },
    Suite(usize),
    App(usize),
    WorkflowRun(usize),
    Workflow(usize),
    Run(usize),
    Status(usize),
    Review(usize),
    Thread(usize),
    Comment(usize),
    Count(&'static str, usize),
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) login: String,
    pub(crate) kind: UserKind,
}

#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) fork_of: Option<usize>,
    pub(crate) private: bool,
    pub(crate) access: Access,
    pub(crate) deleted: bool,
    pub(crate) stars: u64,
    pub(crate) forks: u64,
    pub(crate) pushed_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) requires_review: bool,
    pub(crate) required_checks: Vec<String>,
    pub(crate) branches: HashMap<String, String>,
    pub(crate) prs: Vec<usize>,
}

impl Repo {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Pr {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) number: u64,
    pub(crate) repo: usize,
    pub(crate) head_repo: Option<usize>,
    pub(crate) head_ref: String,
    pub(crate) head_ref_gone: bool,
    pub(crate) head: usize,
    pub(crate) commits: Vec<usize>,
    pub(crate) base_ref: String,
    pub(crate) author: Option<usize>,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) state: PrState,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) closed_at: Option<i64>,
    pub(crate) merged_at: Option<i64>,
    pub(crate) merge_commit: Option<String>,
    pub(crate) size: [u64; 3],
    pub(crate) conflicts: bool,
    pub(crate) behind: bool,
    pub(crate) permanent_unknown: bool,
    /// When mergeability is computed; none before the first read since the last push.
    pub(crate) mergeable_at: Option<i64>,
    pub(crate) in_merge_queue: bool,
    pub(crate) auto_merge_at: Option<i64>,
    pub(crate) reviews: Vec<usize>,
    pub(crate) threads: Vec<usize>,
    pub(crate) comments: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) oid: String,
    pub(crate) authored_at: i64,
    pub(crate) repo: usize,
    pub(crate) suites: Vec<usize>,
    pub(crate) runs: Vec<usize>,
    pub(crate) statuses: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Suite {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) commit: usize,
    pub(crate) app: String,
    pub(crate) workflow: Option<WorkflowRun>,
    /// Set while the suite has no run; afterwards both follow from the runs.
    pub(crate) waiting: Option<(CheckStatus, Option<Conclusion>)>,
    pub(crate) runs: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct WorkflowRun {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) name: String,
    pub(crate) event: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) suite: usize,
    pub(crate) name: String,
    pub(crate) status: CheckStatus,
    pub(crate) conclusion: Option<Conclusion>,
    pub(crate) started_at: i64,
    pub(crate) completed_at: Option<i64>,
    pub(crate) superseded: bool,
    pub(crate) log: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) commit: usize,
    pub(crate) context: String,
    pub(crate) state: StatusState,
    pub(crate) created_at: i64,
    pub(crate) creator: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Review {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) pr: usize,
    pub(crate) author: Option<usize>,
    pub(crate) state: ReviewState,
    pub(crate) body: String,
    pub(crate) submitted_at: i64,
    pub(crate) commit: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Thread {
    pub(crate) id: String,
    pub(crate) pr: usize,
    pub(crate) path: String,
    pub(crate) line: u64,
    pub(crate) start_line: Option<u64>,
    pub(crate) resolved: bool,
    pub(crate) resolved_by: Option<usize>,
    pub(crate) outdated: bool,
    pub(crate) comments: Vec<usize>,
}

/// A comment of a review thread, or on the pull request itself where `thread` is none.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: String,
    pub(crate) database_id: u64,
    pub(crate) pr: usize,
    pub(crate) thread: Option<usize>,
    pub(crate) review: Option<usize>,
    pub(crate) reply_to: Option<usize>,
    pub(crate) author: Option<usize>,
    pub(crate) body: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) edited_at: Option<i64>,
    pub(crate) minimized: bool,
}

/// All tables, and the two ways to find a row: by node id and by repository name.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) repos: Vec<Repo>,
    pub(crate) prs: Vec<Pr>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) suites: Vec<Suite>,
    pub(crate) runs: Vec<Run>,
    pub(crate) statuses: Vec<Status>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) index: HashMap<String, Obj>,
    /// Present and former names, in lower case.
    pub(crate) names: HashMap<String, usize>,
    pub(crate) oids: HashMap<String, usize>,
    pub(crate) serial: u64,
}
