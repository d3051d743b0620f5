//! The events `check_run`, `check_suite`, `workflow_run` and `status`: checks of a commit.
//!
//! The first three name the pull requests of the commit, but not those from forks, and sometimes
//! those of other repositories; `status` names none. Where none of the repository is named, the
//! facts are addressed to the commit.

use ao_store::Timestamp;
use ao_store::observation::{Check, CheckKind, CheckStatus, Facet};
use serde::Deserialize;

use super::payload::{NamedRepository, Repository};
use super::{CommitFacts, Delivery, Receipt};
use crate::error::Result;
use crate::text_enum;
use crate::time::{Time, newest};

/// A pull request as a check names it.
#[derive(Debug, Deserialize)]
struct Named {
    number: i64,
    base: Option<NamedEnd>,
    head: Option<NamedEnd>,
}

/// Where it comes from or goes to.
#[derive(Debug, Deserialize)]
struct NamedEnd {
    #[serde(rename = "ref")]
    branch: Option<String>,
    repo: Option<NamedRepository>,
}

impl Named {
    fn is_of(&self, repository: &Repository) -> bool {
        let base = self.base.as_ref().and_then(|base| base.repo.as_ref());
        base.is_some_and(|base| repository.is(base))
    }

    /// The branch of its head, when that lies in the repository itself.
    fn branch_of(&self, repository: &Repository) -> Option<String> {
        let head = self.head.as_ref()?;
        let is_own = head.repo.as_ref().is_some_and(|repo| repository.is(repo));
        head.branch.clone().filter(|_| is_own)
    }
}

#[derive(Debug, Default, Deserialize)]
struct App {
    slug: Option<String>,
}

impl App {
    fn slug(app: Option<App>) -> String {
        app.and_then(|app| app.slug).unwrap_or_default()
    }
}

/// The payload of `check_run`.
#[derive(Debug, Deserialize)]
pub(super) struct RunEvent {
    check_run: Run,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct Run {
    head_sha: String,
    name: String,
    node_id: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    html_url: Option<String>,
    details_url: Option<String>,
    started_at: Option<Time>,
    completed_at: Option<Time>,
    app: Option<App>,
    check_suite: Option<SuiteOfRun>,
    pull_requests: Option<Vec<Named>>,
}

#[derive(Debug, Deserialize)]
struct SuiteOfRun {
    updated_at: Option<Time>,
}

pub(super) fn deliver_run(event: RunEvent, receipt: &Receipt) -> Result<Delivery> {
    let run = event.check_run;
    let suite = run.check_suite.and_then(|suite| suite.updated_at);
    let time = newest([run.completed_at, run.started_at]).or(newest([suite]));
    let check = Check {
        head_sha: run.head_sha,
        kind: CheckKind::Run,
        app: App::slug(run.app),
        name: run.name,
        external_id: run.node_id.unwrap_or_default(),
        status: text_enum::check_status(run.status.as_deref(), run.conclusion.as_deref()),
        conclusion: run.conclusion.unwrap_or_default(),
        url: run.html_url.or(run.details_url).unwrap_or_default(),
        started_at: run.started_at.map(Timestamp::from),
        completed_at: run.completed_at.map(Timestamp::from),
        ..Check::default()
    };
    address(check, time, run.pull_requests, &event.repository, receipt)
}

/// The payload of `check_suite`.
#[derive(Debug, Deserialize)]
pub(super) struct SuiteEvent {
    check_suite: Suite,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct Suite {
    head_sha: String,
    node_id: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    app: Option<App>,
    pull_requests: Option<Vec<Named>>,
}

pub(super) fn deliver_suite(event: SuiteEvent, receipt: &Receipt) -> Result<Delivery> {
    let suite = event.check_suite;
    let app = App::slug(suite.app);
    let time = newest([suite.created_at, suite.updated_at]);
    let check = Check {
        head_sha: suite.head_sha,
        kind: CheckKind::Suite,
        name: if app.is_empty() { "check suite".to_owned() } else { app.clone() },
        app,
        external_id: suite.node_id.unwrap_or_default(),
        status: text_enum::check_status(suite.status.as_deref(), suite.conclusion.as_deref()),
        started_at: suite.created_at.map(Timestamp::from),
        completed_at: suite.conclusion.as_ref().and(suite.updated_at).map(Timestamp::from),
        conclusion: suite.conclusion.unwrap_or_default(),
        ..Check::default()
    };
    address(check, time, suite.pull_requests, &event.repository, receipt)
}

/// The payload of `workflow_run`.
#[derive(Debug, Deserialize)]
pub(super) struct WorkflowEvent {
    workflow_run: WorkflowRun,
    workflow: Option<Workflow>,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct Workflow {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WorkflowRun {
    head_sha: String,
    name: Option<String>,
    event: Option<String>,
    node_id: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    html_url: Option<String>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    run_started_at: Option<Time>,
    pull_requests: Option<Vec<Named>>,
}

pub(super) fn deliver_workflow(event: WorkflowEvent, receipt: &Receipt) -> Result<Delivery> {
    let run = event.workflow_run;
    let time = newest([run.created_at, run.run_started_at, run.updated_at]);
    let of_workflow = event.workflow.and_then(|workflow| workflow.name);
    let named = [run.name, of_workflow].into_iter().flatten().find(|name| !name.is_empty());
    // The store refuses a check without a name; some recorded runs have none.
    let name = named.unwrap_or_else(|| "workflow".to_owned());
    let check = Check {
        head_sha: run.head_sha,
        kind: CheckKind::Workflow,
        app: "github-actions".to_owned(),
        workflow: name.clone(),
        event: run.event.unwrap_or_default(),
        name,
        external_id: run.node_id.unwrap_or_default(),
        status: text_enum::check_status(run.status.as_deref(), run.conclusion.as_deref()),
        url: run.html_url.unwrap_or_default(),
        started_at: run.run_started_at.or(run.created_at).map(Timestamp::from),
        completed_at: run.conclusion.as_ref().and(run.updated_at).map(Timestamp::from),
        conclusion: run.conclusion.unwrap_or_default(),
        ..Check::default()
    };
    address(check, time, run.pull_requests, &event.repository, receipt)
}

/// The payload of `status`.
#[derive(Debug, Deserialize)]
pub(super) struct StatusEvent {
    sha: String,
    context: String,
    state: Option<String>,
    target_url: Option<String>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    repository: Repository,
}

pub(super) fn deliver_status(event: StatusEvent, receipt: &Receipt) -> Result<Delivery> {
    let time = newest([event.created_at, event.updated_at]);
    let check = Check {
        head_sha: event.sha,
        name: event.context,
        ..text_enum::commit_status(event.state.unwrap_or_default(), time, event.target_url)
    };
    address(check, time, None, &event.repository, receipt)
}

/// How far a check is within one second. The provider's times have no fraction, and a short check
/// is queued, begun and completed within one second: the later stage must be the newer fact.
fn stage(status: CheckStatus) -> i64 {
    match status {
        CheckStatus::Queued => 0,
        CheckStatus::InProgress => 1,
        _ => 2,
    }
}

/// Sends a check to the pull requests that are named, or else to its commit.
fn address(
    check: Check,
    time: Option<Timestamp>,
    named: Option<Vec<Named>>,
    repository: &Repository,
    receipt: &Receipt,
) -> Result<Delivery> {
    let as_of = time.unwrap_or(receipt.now).0.saturating_add(stage(check.status));
    let as_of = Timestamp(as_of);
    let named = named.unwrap_or_default();
    let mut named: Vec<Named> = named.into_iter().filter(|pr| pr.is_of(repository)).collect();
    named.sort_by_key(|pr| pr.number);
    named.dedup_by_key(|pr| pr.number);
    if named.is_empty() {
        let (host, repo) = repository.place()?;
        return Ok(Delivery::Commit(CommitFacts {
            host,
            repo,
            sha: check.head_sha.clone(),
            session: receipt.session.clone(),
            as_of,
            checks: vec![check],
        }));
    }
    let observe = |pr: &Named| {
        let mut observation = receipt.observation(repository.pr(pr.number)?, Some(as_of));
        observation.branch = pr.branch_of(repository);
        observation.checks = Facet::merge(vec![check.clone()]);
        Ok(observation)
    };
    named.iter().map(observe).collect::<Result<_>>().map(Delivery::Prs)
}
