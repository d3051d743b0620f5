//! The events `check_run`, `check_suite`, `workflow_run` and `status`: checks of a commit.
//!
//! The first three name the pull requests of the commit, but not those from forks, and sometimes
//! those of other repositories; `status` names none. Where the payload names none of the
//! repository, the facts are addressed to the commit.

use ao_store::Timestamp;
use ao_store::observation::{Check, CheckKind, CheckStatus, Facet};
use serde::Deserialize;

use super::repository::{NamedRepository, RepoLocation, Repository};
use super::{CommitFacts, Delivery, Event, Receipt};
use crate::error::{Error, Result};
use crate::github::check_status::{check_status, commit_status};
use crate::github::node::key;
use crate::time::{Time, newest};

/// A pull request as a check names it.
#[derive(Debug, Deserialize)]
struct NamedPr {
    number: i64,
    base: Option<Branch>,
    head: Option<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: Option<String>,
    repo: Option<NamedRepository>,
}

impl Branch {
    fn is_in(&self, repository: &Repository) -> bool {
        self.repo.as_ref().is_some_and(|repo| repository.is(repo))
    }
}

#[derive(Debug, Deserialize)]
struct App {
    slug: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Workflow {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SuiteOfRun {
    id: Option<u64>,
    updated_at: Option<Time>,
}

/// A check run, a check suite or a run of a workflow.
#[derive(Debug, Deserialize)]
struct Reported {
    id: Option<u64>,
    head_sha: String,
    name: Option<String>,
    event: Option<String>,
    node_id: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    html_url: Option<String>,
    details_url: Option<String>,
    started_at: Option<Time>,
    completed_at: Option<Time>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    run_started_at: Option<Time>,
    app: Option<App>,
    check_suite: Option<SuiteOfRun>,
    check_suite_id: Option<u64>,
    pull_requests: Option<Vec<NamedPr>>,
}

impl Reported {
    /// The check, and the pull requests that it names.
    fn check(self, kind: CheckKind) -> (Check, Vec<NamedPr>) {
        let suite = match kind {
            CheckKind::Suite => self.id,
            _ => self.check_suite.and_then(|suite| suite.id).or(self.check_suite_id),
        };
        // Suites and workflow runs have no completion time; `updated_at` is used once a conclusion exists.
        let ended_at = self.conclusion.as_ref().and(self.updated_at);
        let completed_at = if kind == CheckKind::Run { self.completed_at } else { ended_at };
        let started_at = self.started_at.or(self.run_started_at).or(self.created_at);
        let mut check = Check {
            head_sha: self.head_sha,
            kind,
            app: key(self.app.and_then(|app| app.slug)),
            event: key(self.event),
            name: key(self.name),
            suite: suite.map(|id| id.to_string()).unwrap_or_default(),
            external_id: key(self.node_id),
            status: check_status(self.status.as_deref(), self.conclusion.as_deref()),
            conclusion: self.conclusion.unwrap_or_default(),
            url: self.html_url.or(self.details_url).unwrap_or_default(),
            started_at: started_at.map(Timestamp::from),
            completed_at: completed_at.map(Timestamp::from),
            ..Check::default()
        };
        // A workflow whose conclusion is this one waits for an approval, and so does its suite.
        let is_of_workflow = kind == CheckKind::Workflow
            || (kind == CheckKind::Suite && check.app == "github-actions");
        if is_of_workflow && check.conclusion == "action_required" {
            check.status = CheckStatus::Queued;
        }
        if kind == CheckKind::Workflow && check.status == CheckStatus::Queued {
            (check.started_at, check.completed_at) = (None, None);
        }
        (check, self.pull_requests.unwrap_or_default())
    }
}

/// The payload of `check_run`.
#[derive(Debug, Deserialize)]
pub(super) struct RunEvent {
    check_run: Reported,
    repository: Repository,
}

impl Event for RunEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let run = self.check_run;
        if run.name.is_none() {
            let reason = "missing field `name`".to_owned();
            return Err(Error::InvalidPayload { event: "check_run", line: 1, reason });
        }
        let suite = run.check_suite.as_ref().and_then(|suite| suite.updated_at);
        let time = newest([run.completed_at, run.started_at]).or(newest([suite]));
        let (check, named) = run.check(CheckKind::Run);
        address(check, time, named, &self.repository, receipt)
    }
}

/// The payload of `check_suite`.
#[derive(Debug, Deserialize)]
pub(super) struct SuiteEvent {
    check_suite: Reported,
    repository: Repository,
}

impl Event for SuiteEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let suite = self.check_suite;
        let time = newest([suite.created_at, suite.updated_at]);
        let (mut check, named) = suite.check(CheckKind::Suite);
        check.name = match check.app.as_str() {
            "" => "check suite".to_owned(),
            app => app.to_owned(),
        };
        address(check, time, named, &self.repository, receipt)
    }
}

/// The payload of `workflow_run`.
#[derive(Debug, Deserialize)]
pub(super) struct WorkflowEvent {
    workflow_run: Reported,
    workflow: Option<Workflow>,
    repository: Repository,
}

impl Event for WorkflowEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let run = self.workflow_run;
        let time = newest([run.created_at, run.run_started_at, run.updated_at]);
        let (mut check, named) = run.check(CheckKind::Workflow);
        if check.name.is_empty() {
            check.name = self.workflow.and_then(|workflow| workflow.name).unwrap_or_default();
        }
        if check.name.is_empty() {
            // The store refuses a check without a name; some recorded runs have none.
            check.name = "workflow".to_owned();
        }
        check.workflow.clone_from(&check.name);
        check.app = "github-actions".to_owned();
        address(check, time, named, &self.repository, receipt)
    }
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

impl Event for StatusEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let time = newest([self.created_at, self.updated_at]);
        let check = Check {
            head_sha: self.sha,
            name: key(Some(self.context)),
            ..commit_status(self.state.unwrap_or_default(), time, self.target_url)
        };
        address(check, time, Vec::new(), &self.repository, receipt)
    }
}

/// Addresses a check to the pull requests that are named, or else to its commit.
fn address(
    check: Check,
    time: Option<Timestamp>,
    mut named: Vec<NamedPr>,
    repository: &Repository,
    receipt: &Receipt,
) -> Result<Delivery> {
    let as_of = time.unwrap_or(receipt.now);
    named.retain(|pr| pr.base.as_ref().is_some_and(|base| base.is_in(repository)));
    named.sort_by_key(|pr| pr.number);
    named.dedup_by_key(|pr| pr.number);
    if named.is_empty() {
        let RepoLocation { host, repo } = repository.location()?;
        return Ok(Delivery::Commit(CommitFacts {
            host,
            repo,
            sha: check.head_sha.clone(),
            session: receipt.session.clone(),
            as_of,
            checks: vec![check],
        }));
    }
    let observe = |pr: NamedPr| {
        let mut observation = receipt.observation(repository.pr(pr.number)?, Some(as_of));
        // The branch of the head counts only where that is in the repository itself.
        let head = pr.head.filter(|head| head.is_in(repository));
        observation.branch = head.and_then(|head| head.name);
        observation.checks = Facet::merge(vec![check.clone()]);
        Ok(observation)
    };
    named.into_iter().map(observe).collect::<Result<_>>().map(Delivery::Prs)
}
