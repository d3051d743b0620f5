//! Fields of pull requests themselves, and of everything about a commit: rollup, suites, runs.

use serde_json::json;

use crate::entity::{Obj, Pr};
use crate::enums::{Access, PrState};

use super::Args;
use super::exec::{Exec, Out};
use super::resolve::{all, repo_url, text, time};

impl Exec<'_> {
    pub(super) fn pr(&mut self, at: usize, field: &str) -> Out {
        let (state, now) = (self.state, self.now);
        let pr = &state.prs[at];
        let merged = pr.state == PrState::Merged;
        match field {
            "id" => text(&pr.id),
            "databaseId" => Out::Leaf(pr.database_id.into()),
            "fullDatabaseId" => Out::Leaf(pr.database_id.to_string().into()),
            "number" => Out::Leaf(pr.number.into()),
            "title" => text(&pr.title),
            "body" => text(&pr.body),
            "url" => Out::Leaf(self.pr_url(pr).into()),
            "state" => text(pr.state.as_str()),
            "isDraft" => Out::Leaf(pr.draft.into()),
            "merged" => Out::Leaf(merged.into()),
            "closed" => Out::Leaf((pr.state != PrState::Open).into()),
            "createdAt" => time(Some(pr.created_at)),
            "updatedAt" => time(Some(pr.updated_at)),
            "closedAt" => time(pr.closed_at),
            "mergedAt" => time(pr.merged_at),
            "headRefOid" => text(&state.commits[pr.head].oid),
            "headRefName" => text(&pr.head_ref),
            "baseRefName" => text(&pr.base_ref),
            "baseRefOid" => text(state.base_oid(pr)),
            "mergeable" | "mergeStateStatus" => {
                self.mergeable_read.push(at);
                match field {
                    "mergeable" => text(state.mergeable(at, now)),
                    _ => text(state.merge_state(at, now)),
                }
            }
            "reviewDecision" => Out::Leaf(state.review_decision(pr).into()),
            "isInMergeQueue" => Out::Leaf(pr.in_merge_queue.into()),
            "totalCommentsCount" => Out::Leaf(state.comments_total(pr).into()),
            "additions" => Out::Leaf(pr.size[0].into()),
            "deletions" => Out::Leaf(pr.size[1].into()),
            "changedFiles" => Out::Leaf(pr.size[2].into()),
            "isCrossRepository" => Out::Leaf((pr.head_repo != Some(pr.repo)).into()),
            _ => self.pr_links(at, pr, field),
        }
    }

    fn pr_links(&self, at: usize, pr: &Pr, field: &str) -> Out {
        let user = |login: &str| self.state.users.iter().position(|user| user.login == login);
        match field {
            "repository" | "baseRepository" => Out::One(Some(Obj::Repo(pr.repo))),
            "headRepository" => {
                let is_visible = |at: &usize| self.state.access(*at) == Access::Granted;
                Out::One(pr.head_repo.filter(is_visible).map(Obj::Repo))
            }
            "headRepositoryOwner" => {
                let owner = pr.head_repo.and_then(|at| user(&self.state.repos[at].owner));
                Out::One(owner.map(Obj::User))
            }
            "author" => Out::One(pr.author.map(Obj::User)),
            "mergeCommit" => Out::One(pr.merge_commit.as_ref().map(|_| Obj::MergeCommit(at))),
            "autoMergeRequest" => Out::One(pr.auto_merge_at.map(|_| Obj::AutoMerge(at))),
            "statusCheckRollup" => self.rollup_of(pr.head),
            "headRef" => Out::One((!pr.head_ref_gone).then_some(Obj::HeadRef(at))),
            "baseRef" => Out::One(Some(Obj::BaseRef(at))),
            "reviews" => Out::Connection("PullRequestReview", all(&pr.reviews, Obj::Review)),
            "reviewThreads" => {
                Out::Connection("PullRequestReviewThread", all(&pr.threads, Obj::Thread))
            }
            "comments" => Out::Connection("IssueComment", all(&pr.comments, Obj::Comment)),
            _ => {
                // By author date, which need not be the order of pushing.
                let mut commits = pr.commits.clone();
                commits.sort_by_key(|at| self.state.commits[*at].authored_at);
                Out::Connection("PullRequestCommit", all(&commits, Obj::PrCommit))
            }
        }
    }

    fn rollup_of(&self, commit: usize) -> Out {
        let rollup = Obj::Rollup { commit, with_contexts: false };
        Out::One(self.state.has_rollup(commit).then_some(rollup))
    }

    pub(super) fn resolve_ci(&self, obj: Obj, field: &str, args: Args<'_>) -> Out {
        match obj {
            Obj::Commit(at) => self.commit(at, field),
            Obj::PrCommit(at) if field == "commit" => Out::One(Some(Obj::Commit(at))),
            Obj::PrCommit(at) => text(&self.state.commits[at].id),
            Obj::MergeCommit(at) => {
                let oid = self.state.prs[at].merge_commit.as_deref().unwrap_or("");
                match field {
                    "id" => Out::Leaf(format!("C_{oid}").into()),
                    "checkSuites" => Out::Connection("CheckSuite", Vec::new()),
                    "statusCheckRollup" => Out::One(None),
                    _ => text(oid),
                }
            }
            Obj::HeadRef(at) if field == "name" => text(&self.state.prs[at].head_ref),
            Obj::HeadRef(at) => Out::One(Some(Obj::Commit(self.state.prs[at].head))),
            Obj::BaseRef(at) if field == "name" => text(&self.state.prs[at].base_ref),
            Obj::BaseRef(_) => Out::One(None),
            Obj::AutoMerge(at) => time(self.state.prs[at].auto_merge_at),
            Obj::Rollup { commit, with_contexts } => self.rollup(commit, with_contexts, field),
            Obj::Suite(at) => self.suite(at, field),
            Obj::App(at) => text(&self.state.suites[at].app),
            Obj::WorkflowRun(at) => self.workflow_run(at, field),
            Obj::Workflow(at) => {
                let run = self.state.suites[at].workflow.as_ref();
                Out::Leaf(run.map(|run| run.name.as_str()).into())
            }
            Obj::Run(at) => self.run(at, field, args),
            Obj::Status(at) => self.status(at, field, args),
            Obj::Count(state, _) if field == "state" => text(state),
            Obj::Count(_, count) => Out::Leaf(count.into()),
            _ => Out::One(None),
        }
    }

    fn commit(&self, at: usize, field: &str) -> Out {
        let commit = &self.state.commits[at];
        match field {
            "id" => text(&commit.id),
            "oid" => text(&commit.oid),
            "authoredDate" | "committedDate" => time(Some(commit.authored_at)),
            "url" => {
                let repo = repo_url(&self.state.repos[commit.repo]);
                Out::Leaf(format!("{repo}/commit/{}", commit.oid).into())
            }
            "repository" => Out::One(Some(Obj::Repo(commit.repo))),
            "statusCheckRollup" => self.rollup_of(at),
            _ => Out::Connection("CheckSuite", all(&commit.suites, Obj::Suite)),
        }
    }

    fn rollup(&self, commit: usize, with_contexts: bool, field: &str) -> Out {
        let of = &self.state.commits[commit];
        match field {
            "id" => Out::Leaf(format!("SCR_{}", of.id).into()),
            "state" => text(self.state.rollup(commit, with_contexts).as_str()),
            "commit" => Out::One(Some(Obj::Commit(commit))),
            _ => {
                let mut contexts = all(&of.runs, Obj::Run);
                contexts.extend(all(&of.statuses, Obj::Status));
                Out::Connection("StatusCheckRollupContext", contexts)
            }
        }
    }

    fn suite(&self, at: usize, field: &str) -> Out {
        let suite = &self.state.suites[at];
        let (status, conclusion) = self.state.suite_progress(at);
        match field {
            "id" => text(&suite.id),
            "databaseId" => Out::Leaf(suite.database_id.into()),
            "status" => text(status.as_str()),
            "conclusion" => Out::Leaf(conclusion.map(crate::Conclusion::as_str).into()),
            "commit" => Out::One(Some(Obj::Commit(suite.commit))),
            "app" => Out::One(Some(Obj::App(at))),
            "workflowRun" => Out::One(suite.workflow.as_ref().map(|_| Obj::WorkflowRun(at))),
            _ => {
                // The latest of each name, as the default filter does.
                let latest = suite.runs.iter().filter(|at| !self.state.runs[**at].superseded);
                Out::Connection("CheckRun", latest.map(|at| Obj::Run(*at)).collect())
            }
        }
    }

    fn workflow_run(&self, at: usize, field: &str) -> Out {
        let suite = &self.state.suites[at];
        let Some(run) = &suite.workflow else { return Out::One(None) };
        match field {
            "id" => text(&run.id),
            "databaseId" => Out::Leaf(run.database_id.into()),
            "event" => text(&run.event),
            "workflow" => Out::One(Some(Obj::Workflow(at))),
            "checkSuite" => Out::One(Some(Obj::Suite(at))),
            _ => {
                let repo = repo_url(&self.state.repos[self.state.commits[suite.commit].repo]);
                Out::Leaf(format!("{repo}/actions/runs/{}", run.database_id).into())
            }
        }
    }

    /// Whether the base of the argument's pull request requires a check of this name.
    fn is_required(&self, name: &str, args: Args<'_>) -> Out {
        let pr = args.text("pullRequestId").and_then(|id| self.state.node(&id).ok());
        Out::Leaf(match pr {
            Some(Obj::Pr(at)) => {
                let required = &self.state.repos[self.state.prs[at].repo].required_checks;
                json!(required.iter().any(|other| other == name))
            }
            _ => json!(false),
        })
    }

    fn run(&self, at: usize, field: &str, args: Args<'_>) -> Out {
        let run = &self.state.runs[at];
        let suite = &self.state.suites[run.suite];
        match field {
            "id" => text(&run.id),
            "databaseId" => Out::Leaf(run.database_id.into()),
            "name" => text(&run.name),
            "status" => text(run.status.as_str()),
            "conclusion" => Out::Leaf(run.conclusion.map(crate::Conclusion::as_str).into()),
            "startedAt" => time(Some(run.started_at)),
            "completedAt" => time(run.completed_at),
            "isRequired" => self.is_required(&run.name, args),
            "checkSuite" => Out::One(Some(Obj::Suite(run.suite))),
            _ => {
                let repo = repo_url(&self.state.repos[self.state.commits[suite.commit].repo]);
                let path = suite.workflow.as_ref().map_or_else(
                    || format!("runs/{}", run.database_id),
                    |of| format!("actions/runs/{}/job/{}", of.database_id, run.database_id),
                );
                Out::Leaf(format!("{repo}/{path}").into())
            }
        }
    }

    fn status(&self, at: usize, field: &str, args: Args<'_>) -> Out {
        let status = &self.state.statuses[at];
        match field {
            "id" => text(&status.id),
            "context" => text(&status.context),
            "state" => text(status.state.as_str()),
            "createdAt" => time(Some(status.created_at)),
            "description" => {
                Out::Leaf(format!("{} {}", status.context, status.state.as_str()).into())
            }
            "targetUrl" => Out::Leaf(format!("https://ci.example/{}", status.database_id).into()),
            "isRequired" => self.is_required(&status.context, args),
            "creator" => Out::One(status.creator.map(Obj::User)),
            _ => Out::One(Some(Obj::Commit(status.commit))),
        }
    }
}
