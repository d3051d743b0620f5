//! Checks: check runs, commit statuses, and the suites of workflows that have not started.

use std::collections::BTreeMap;

use ao_store::observation::{Check, CheckKind, CheckStatus};
use serde::Deserialize;

use super::{Leaf, Page, key, leaf, lower, time};
use crate::github::check_status::{check_status, commit_status};
use crate::time::Time;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
struct WorkflowRun {
    id: Option<String>,
    event: Option<String>,
    url: Option<String>,
    workflow: Option<Leaf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Suite {
    id: Option<String>,
    database_id: Option<i64>,
    status: Option<String>,
    conclusion: Option<String>,
    app: Option<Leaf>,
    workflow_run: Option<WorkflowRun>,
}

impl Suite {
    /// Whether it is of a workflow that waits for a runner or for an approval.
    pub(super) fn is_waiting(&self) -> bool {
        let is_held = self.conclusion.as_deref() == Some("ACTION_REQUIRED");
        let status = self.status.as_deref().unwrap_or_default();
        let is_waiting = matches!(status, "QUEUED" | "WAITING" | "REQUESTED" | "PENDING");
        self.workflow_run.is_some() && (is_held || is_waiting)
    }

    /// A check in it, of which nothing else is known.
    fn check(&self) -> Check {
        let run = self.workflow_run.as_ref();
        Check {
            app: key(leaf(self.app.clone())),
            workflow: key(run.and_then(|run| leaf(run.workflow.clone()))),
            event: key(run.and_then(|run| run.event.clone())),
            suite: self.database_id.map(|id| id.to_string()).unwrap_or_default(),
            ..Check::default()
        }
    }

    /// The suite of a workflow that waits, as a check of its own.
    pub(crate) fn waiting_check(&self, head_sha: &str) -> Check {
        let run = self.workflow_run.as_ref();
        let check = self.check();
        let workflow = check.workflow.as_str();
        Check {
            head_sha: head_sha.to_owned(),
            kind: CheckKind::Workflow,
            name: if workflow.is_empty() { "workflow" } else { workflow }.to_owned(),
            external_id: key(run.and_then(|run| run.id.clone()).or_else(|| self.id.clone())),
            status: CheckStatus::Queued,
            conclusion: lower(self.conclusion.as_ref()).unwrap_or_default(),
            url: run.and_then(|run| run.url.clone()).unwrap_or_default(),
            ..check
        }
    }
}

/// The checks of a roll-up.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Checks {
    pub(crate) commit: Option<Leaf>,
    pub(crate) contexts: Page<ContextNode>,
}

/// A check run or a commit status, as `__typename` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContextNode {
    #[serde(rename = "__typename")]
    kind: String,
    id: Option<String>,
    database_id: Option<i64>,
    name: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    started_at: Option<Time>,
    completed_at: Option<Time>,
    details_url: Option<String>,
    url: Option<String>,
    is_required: Option<bool>,
    check_suite: Option<Suite>,
    context: Option<String>,
    state: Option<String>,
    target_url: Option<String>,
    created_at: Option<Time>,
}

impl ContextNode {
    /// Its node id, or empty.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Whether it is a check with a name, and not a node of another kind.
    pub(crate) fn is_check(&self) -> bool {
        let name = match self.kind.as_str() {
            "CheckRun" => &self.name,
            "StatusContext" => &self.context,
            _ => return false,
        };
        name.as_ref().is_some_and(|name| !name.is_empty())
    }

    /// The check, if it is one.
    fn check(self, head_sha: &str) -> Option<Check> {
        if !self.is_check() {
            return None;
        }
        let check = if self.kind == "CheckRun" { self.run() } else { self.status() };
        Some(Check { head_sha: head_sha.to_owned(), ..check })
    }

    fn run(self) -> Check {
        let check = self.check_suite.map(|suite| suite.check()).unwrap_or_default();
        let (status, conclusion) = (lower(self.status.as_ref()), lower(self.conclusion.as_ref()));
        Check {
            kind: CheckKind::Run,
            name: key(self.name),
            external_id: key(self.id),
            status: check_status(status.as_deref(), conclusion.as_deref()),
            conclusion: conclusion.unwrap_or_default(),
            is_required: self.is_required,
            url: self.url.or(self.details_url).unwrap_or_default(),
            started_at: time(self.started_at),
            completed_at: time(self.completed_at),
            ..check
        }
    }

    fn status(self) -> Check {
        let state = lower(self.state.as_ref()).unwrap_or_default();
        Check {
            name: key(self.context),
            is_required: self.is_required,
            ..commit_status(state, time(self.created_at), self.target_url)
        }
    }
}

/// The checks, and of those that GitHub Actions ran the job whose log can be read, by the node id of the
/// check. A roll-up has every run of a check; the store knows which of them count.
pub(crate) fn checks_and_jobs(
    nodes: Vec<ContextNode>,
    head_sha: &str,
) -> (Vec<Check>, BTreeMap<String, i64>) {
    let (mut checks, mut jobs) = (Vec::new(), BTreeMap::new());
    for node in nodes {
        let id = node.database_id;
        let Some(check) = node.check(head_sha) else { continue };
        // The id of a check is that of a job for GitHub Actions only.
        if let Some(id) = id.filter(|_| check.app == "github-actions") {
            jobs.insert(check.external_id.clone(), id);
        }
        checks.push(check);
    }
    (checks, jobs)
}
