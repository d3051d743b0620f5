//! Checks and statuses of the head commit. None of them moves `updatedAt` of the pull request.

use crate::entity::{Obj, Run, Status, Suite, WorkflowRun};
use crate::enums::{CheckStatus, Conclusion, StatusState};
use crate::world::World;

/// The identity of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckSpec {
    /// Slug of the app.
    pub app: String,
    /// Name of the workflow; none where the app is not Actions.
    pub workflow: Option<String>,
    /// Event that started the workflow.
    pub event: String,
    /// Name of the check.
    pub name: String,
}

impl CheckSpec {
    /// A job of a workflow on `pull_request`.
    #[must_use]
    pub fn job(workflow: &str, name: &str) -> Self {
        Self {
            app: "github-actions".to_owned(),
            workflow: Some(workflow.to_owned()),
            event: "pull_request".to_owned(),
            name: name.to_owned(),
        }
    }

    /// A check of another app.
    #[must_use]
    pub fn app(app: &str, name: &str) -> Self {
        let (app, name) = (app.to_owned(), name.to_owned());
        Self { app, workflow: None, event: String::new(), name }
    }
}

impl World {
    /// Starts a check on the head, and returns its node id. It supersedes the check runs of an equal spec
    /// that have ended; the others are jobs of the same name.
    pub fn check_start(&mut self, pr: &str, spec: &CheckSpec) -> String {
        let at = self.pr_at(pr);
        self.record("check_start", Some(at), pr);
        let head = self.state.prs[at].head;
        let suite = self.suite_for(head, &spec.app, spec.workflow.as_deref(), &spec.event);
        self.new_run(suite, &spec.name)
    }

    /// Starts a check and finishes it at once.
    pub fn check(&mut self, pr: &str, spec: &CheckSpec, conclusion: Conclusion) -> String {
        let id = self.check_start(pr, spec);
        self.check_finish(&id, conclusion);
        id
    }

    /// Finishes a check run.
    pub fn check_finish(&mut self, run: &str, conclusion: Conclusion) {
        let at = self.run_at(run);
        self.record("check_finish", self.pr_of_run(at), run);
        let now = self.now_ms();
        let run = &mut self.state.runs[at];
        run.status = CheckStatus::Completed;
        run.conclusion = Some(conclusion);
        run.completed_at = Some(now.max(run.started_at));
        let began = run.started_at;
        if conclusion == Conclusion::Cancelled {
            let later = self.namesakes(self.state.runs[at].suite, &self.state.runs[at].name);
            let later = later.iter().any(|other| self.state.runs[*other].started_at > began);
            self.state.runs[at].superseded |= later;
        }
    }

    /// Sets what a running check reports: queued, pending, waiting.
    pub fn check_progress(&mut self, run: &str, status: CheckStatus) {
        let at = self.run_at(run);
        self.record("check_progress", self.pr_of_run(at), run);
        self.state.runs[at].status = status;
    }

    /// Runs a check again that has ended: a new run supersedes the old one, which stays. Returns the new
    /// id.
    pub fn rerun(&mut self, run: &str) -> String {
        let at = self.run_at(run);
        self.record("rerun", self.pr_of_run(at), run);
        let (suite, name) = (self.state.runs[at].suite, self.state.runs[at].name.clone());
        self.new_run(suite, &name)
    }

    /// Starts the workflow of a check anew: its next checks are in a suite of their own.
    pub fn workflow_start(&mut self, pr: &str, spec: &CheckSpec) {
        let at = self.pr_at(pr);
        self.record("workflow_start", Some(at), pr);
        self.new_suite(self.state.prs[at].head, &spec.app, spec.workflow.as_deref(), &spec.event);
    }

    /// Sets a commit status of the head, and returns its node id, which is a new one each time.
    pub fn status_set(&mut self, pr: &str, context: &str, state: StatusState) -> String {
        let at = self.pr_at(pr);
        let (id, database_id) = self.new_id("SC");
        self.record("status_set", Some(at), &id);
        let (commit, created_at) = (self.state.prs[at].head, self.now_ms());
        let creator = self.user_at(Some("status-bot[bot]"));
        let status = self.state.statuses.len();
        self.state.index.insert(id.clone(), Obj::Status(status));
        let context = context.to_owned();
        let old = self.state.commits[commit]
            .statuses
            .iter()
            .position(|old| self.state.statuses[*old].context == context);
        let new =
            Status { id: id.clone(), database_id, commit, context, state, created_at, creator };
        self.state.statuses.push(new);
        match old {
            Some(slot) => self.state.commits[commit].statuses[slot] = status,
            None => self.state.commits[commit].statuses.push(status),
        }
        id
    }

    /// Leaves a workflow without a run: queued, or awaiting approval. Returns the suite's id; see
    /// [`World::suite_progress`] for what happens next.
    pub fn suite_waiting(
        &mut self,
        pr: &str,
        workflow: &str,
        status: CheckStatus,
        conclusion: Option<Conclusion>,
    ) -> String {
        let at = self.pr_at(pr);
        self.record("suite_waiting", Some(at), pr);
        let head = self.state.prs[at].head;
        let suite = self.suite_for(head, "github-actions", Some(workflow), "pull_request");
        self.state.suites[suite].waiting = Some((status, conclusion));
        self.state.suites[suite].id.clone()
    }

    /// Changes a waiting suite, for instance to a rejected one.
    pub fn suite_progress(
        &mut self,
        suite: &str,
        status: CheckStatus,
        conclusion: Option<Conclusion>,
    ) {
        let at = self.suite_at(suite);
        self.record("suite_progress", self.pr_of_commit(self.state.suites[at].commit), suite);
        self.state.suites[at].waiting = Some((status, conclusion));
    }

    /// Sets the text of a job's log.
    pub fn set_log(&mut self, run: &str, text: &str) {
        let at = self.run_at(run);
        self.state.runs[at].log = Some(text.to_owned());
    }

    /// The id of a check run in REST, and of its job where the app is Actions.
    #[must_use]
    pub fn job_id(&self, run: &str) -> u64 {
        self.state.runs[self.run_at(run)].database_id
    }

    fn pr_of_commit(&self, commit: usize) -> Option<usize> {
        let repo = &self.state.repos[self.state.commits[commit].repo];
        repo.prs.iter().copied().find(|at| self.state.prs[*at].commits.contains(&commit))
    }

    fn pr_of_run(&self, run: usize) -> Option<usize> {
        self.pr_of_commit(self.state.suites[self.state.runs[run].suite].commit)
    }

    fn suite_for(
        &mut self,
        commit: usize,
        app: &str,
        workflow: Option<&str>,
        event: &str,
    ) -> usize {
        let is_it = |suite: &Suite| {
            let run = suite.workflow.as_ref();
            suite.app == app
                && run.map(|run| run.name.as_str()) == workflow
                && run.is_none_or(|run| run.event == event)
        };
        let suites = &self.state.commits[commit].suites;
        if let Some(at) = suites.iter().copied().rfind(|at| is_it(&self.state.suites[*at])) {
            return at;
        }
        self.new_suite(commit, app, workflow, event)
    }

    fn new_suite(
        &mut self,
        commit: usize,
        app: &str,
        workflow: Option<&str>,
        event: &str,
    ) -> usize {
        let (id, database_id) = self.new_id("CS");
        let workflow = workflow.map(|name| {
            let (id, database_id) = self.new_id("WFR");
            self.state.index.insert(id.clone(), Obj::WorkflowRun(self.state.suites.len()));
            WorkflowRun { id, database_id, name: name.to_owned(), event: event.to_owned() }
        });
        let at = self.state.suites.len();
        self.state.index.insert(id.clone(), Obj::Suite(at));
        let (app, runs) = (app.to_owned(), Vec::new());
        let suite = Suite { id, database_id, commit, app, workflow, waiting: None, runs };
        self.state.suites.push(suite);
        self.state.commits[commit].suites.push(at);
        at
    }

    /// The runs of this name in the suite, and in other suites of the same workflow and event.
    fn namesakes(&self, suite: usize, name: &str) -> Vec<usize> {
        let of = &self.state.suites[suite];
        let workflow = |suite: &Suite| {
            suite.workflow.as_ref().map(|run| (run.name.clone(), run.event.clone()))
        };
        let is_namesake = |at: &usize| {
            let run = &self.state.runs[*at];
            let other = &self.state.suites[run.suite];
            let is_same =
                run.suite == suite || (of.workflow.is_some() && workflow(of) == workflow(other));
            is_same && run.name == name && of.app == other.app
        };
        self.state.commits[of.commit].runs.iter().copied().filter(is_namesake).collect()
    }

    fn new_run(&mut self, suite: usize, name: &str) -> String {
        let (id, database_id) = self.new_id("CR");
        let at = self.state.runs.len();
        let mut started_at = self.now_ms();
        for old in self.namesakes(suite, name) {
            let old = &mut self.state.runs[old];
            if let Some(ended) = old.completed_at {
                // Times have whole seconds: a re-run must start later than the run that it supersedes.
                started_at = started_at.max(old.started_at + 1000).max(ended);
                old.superseded = true;
            }
        }
        self.state.index.insert(id.clone(), Obj::Run(at));
        self.state.runs.push(Run {
            id: id.clone(),
            database_id,
            suite,
            name: name.to_owned(),
            status: CheckStatus::InProgress,
            conclusion: None,
            started_at,
            completed_at: None,
            superseded: false,
            log: None,
        });
        self.state.suites[suite].waiting = None;
        self.state.suites[suite].runs.push(at);
        let commit = self.state.suites[suite].commit;
        self.state.commits[commit].runs.push(at);
        id
    }
}
