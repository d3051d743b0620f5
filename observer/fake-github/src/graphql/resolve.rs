//! Fields of repositories, pull requests, reviews and comments. The check has refused unknown
//! fields before; all others are null here.

use serde_json::Value;

use crate::entity::{Obj, Pr, Repo};
use crate::enums::{Access, PrState, UserKind};
use crate::time::iso;

use super::Args;
use super::exec::{Exec, Out};

/// An optional time.
pub(super) fn time(at: Option<i64>) -> Out {
    Out::Leaf(at.map(iso).into())
}

pub(super) fn text(text: &str) -> Out {
    Out::Leaf(text.into())
}

fn whole(number: u64) -> Out {
    Out::Leaf(number.into())
}

pub(super) fn all(items: &[usize], make: impl Fn(usize) -> Obj) -> Vec<Obj> {
    items.iter().map(|at| make(*at)).collect()
}

impl Exec<'_> {
    pub(super) fn type_of(&self, obj: Obj) -> &'static str {
        match obj {
            Obj::Query => "Query",
            Obj::RateLimit => "RateLimit",
            Obj::Viewer => self.state.users[self.asked.viewer].kind.as_str(),
            Obj::User(at) => self.state.users[at].kind.as_str(),
            Obj::Repo(_) => "Repository",
            Obj::Pr(_) => "PullRequest",
            Obj::PrCommit(_) => "PullRequestCommit",
            Obj::Commit(_) | Obj::MergeCommit(_) => "Commit",
            Obj::HeadRef(_) | Obj::BaseRef(_) => "Ref",
            Obj::AutoMerge(_) => "AutoMergeRequest",
            Obj::Rollup { .. } => "StatusCheckRollup",
            Obj::Suite(_) => "CheckSuite",
            Obj::App(_) => "App",
            Obj::WorkflowRun(_) => "WorkflowRun",
            Obj::Workflow(_) => "Workflow",
            Obj::Run(_) => "CheckRun",
            Obj::Status(_) => "StatusContext",
            Obj::Review(_) => "PullRequestReview",
            Obj::Thread(_) => "PullRequestReviewThread",
            Obj::Comment(at) if self.state.comments[at].thread.is_some() => {
                "PullRequestReviewComment"
            }
            Obj::Comment(_) => "IssueComment",
            Obj::Count(..) => "CheckRunStateCount",
        }
    }

    pub(super) fn resolve(&mut self, obj: Obj, field: &str, args: Args<'_>) -> Out {
        match obj {
            Obj::Query => self.query(field, args),
            Obj::RateLimit => self.rate_limit(field),
            Obj::Viewer => self.user(self.asked.viewer, field),
            Obj::User(at) => self.user(at, field),
            Obj::Repo(at) => self.repo(at, field, args),
            Obj::Pr(at) => self.pr(at, field),
            Obj::Review(at) => self.review(at, field),
            Obj::Thread(at) => self.thread(at, field),
            Obj::Comment(at) => self.comment(at, field),
            other => self.resolve_ci(other, field, args),
        }
    }

    fn query(&self, field: &str, args: Args<'_>) -> Out {
        let missing =
            |id: &str| format!("Could not resolve to a node with the global id of '{id}'");
        match field {
            "viewer" => Out::One(Some(Obj::Viewer)),
            "rateLimit" => Out::One(self.asked.rate.bucket.map(|_| Obj::RateLimit)),
            "nodes" => {
                let ids = args.get("ids").unwrap_or_default();
                let ids = ids.as_array().map_or(&[] as &[Value], Vec::as_slice);
                let found = ids.iter().map(|id| self.state.node(id.as_str().unwrap_or("")));
                Out::Many(found.collect())
            }
            "node" => {
                let id = args.text("id").unwrap_or_default();
                match self.state.node(&id) {
                    Ok(obj) => Out::One(Some(obj)),
                    Err(access) => Out::Refused(access, missing(&id)),
                }
            }
            _ => {
                let part = |name| args.text(name).unwrap_or_default();
                let name = format!("{}/{}", part("owner"), part("name"));
                let message = format!("Could not resolve to a Repository with the name '{name}'.");
                let Some(at) = self.state.repo_named(&name) else {
                    return Out::Refused(Access::Revoked, message);
                };
                match self.state.access(at) {
                    Access::Granted => Out::One(Some(Obj::Repo(at))),
                    refused => Out::Refused(refused, message),
                }
            }
        }
    }

    fn rate_limit(&self, field: &str) -> Out {
        let Some(bucket) = self.asked.rate.bucket else { return Out::One(None) };
        Out::Leaf(match field {
            "cost" => self.asked.rate.cost.points.into(),
            "nodeCount" => self.asked.rate.cost.nodes.into(),
            "limit" => bucket.limit.into(),
            "remaining" => bucket.remaining().into(),
            "used" => bucket.used.into(),
            _ => iso(bucket.reset_ms).into(),
        })
    }

    fn user(&self, at: usize, field: &str) -> Out {
        let user = &self.state.users[at];
        match field {
            "id" => text(&user.id),
            "databaseId" => Out::Leaf(user.database_id.into()),
            "login" | "name" => text(&user.login),
            "url" if user.kind == UserKind::Bot => {
                Out::Leaf(format!("https://github.com/apps/{}", user.login).into())
            }
            "url" => Out::Leaf(format!("https://github.com/{}", user.login).into()),
            "resourcePath" => Out::Leaf(format!("/{}", user.login).into()),
            _ => Out::Leaf(format!("https://avatars.example/{}", user.login).into()),
        }
    }

    fn repo(&mut self, at: usize, field: &str, args: Args<'_>) -> Out {
        let repo = &self.state.repos[at];
        match field {
            "id" => text(&repo.id),
            "databaseId" => whole(repo.database_id),
            "name" => text(&repo.name),
            "nameWithOwner" => Out::Leaf(repo.full_name().into()),
            "url" => Out::Leaf(repo_url(repo).into()),
            "isPrivate" => Out::Leaf(repo.private.into()),
            "isFork" => Out::Leaf(repo.fork_of.is_some().into()),
            "stargazerCount" => Out::Leaf(repo.stars.into()),
            "pushedAt" => time(Some(repo.pushed_at)),
            "updatedAt" => time(Some(repo.updated_at)),
            "parent" => Out::One(repo.fork_of.map(Obj::Repo)),
            "owner" => {
                let owner = self.state.users.iter().position(|user| user.login == repo.owner);
                Out::One(owner.map(Obj::User))
            }
            "pullRequest" => {
                let number = args.count("number").unwrap_or(0);
                let found = u64::try_from(number)
                    .ok()
                    .and_then(|number| self.state.pr_numbered(at, number));
                found.map_or_else(
                    || {
                        let message = format!(
                            "Could not resolve to a PullRequest with the number of {number}."
                        );
                        Out::Refused(Access::Revoked, message)
                    },
                    |pr| Out::One(Some(Obj::Pr(pr))),
                )
            }
            _ => Out::Connection("PullRequest", self.pull_requests(repo, args)),
        }
    }

    fn pull_requests(&self, repo: &Repo, args: Args<'_>) -> Vec<Obj> {
        let states = args.get("states");
        let in_states = |state: PrState| match &states {
            Some(Value::Array(states)) => states.iter().any(|other| other == state.as_str()),
            Some(other) => other == state.as_str(),
            None => true,
        };
        let (head, base) = (args.text("headRefName"), args.text("baseRefName"));
        let fits = |pr: &Pr| {
            in_states(pr.state)
                && head.as_ref().is_none_or(|name| *name == pr.head_ref)
                && base.as_ref().is_none_or(|name| *name == pr.base_ref)
        };
        let prs = repo.prs.iter().copied();
        let mut found: Vec<usize> = prs.filter(|at| fits(&self.state.prs[*at])).collect();
        let order = args.get("orderBy").unwrap_or_default();
        if order["field"] == "UPDATED_AT" {
            found.sort_by_key(|at| self.state.prs[*at].updated_at);
        }
        if order["direction"] == "DESC" {
            found.reverse();
        }
        all(&found, Obj::Pr)
    }

    fn review(&self, at: usize, field: &str) -> Out {
        let review = &self.state.reviews[at];
        match field {
            "id" => text(&review.id),
            "databaseId" => whole(review.database_id),
            "fullDatabaseId" => Out::Leaf(review.database_id.to_string().into()),
            "state" => text(review.state.as_str()),
            "body" => text(&review.body),
            "author" => Out::One(review.author.map(Obj::User)),
            "commit" => Out::One(Some(Obj::Commit(review.commit))),
            "pullRequest" => Out::One(Some(Obj::Pr(review.pr))),
            "url" => {
                let url = self.pr_url(&self.state.prs[review.pr]);
                Out::Leaf(format!("{url}#pullrequestreview-{}", review.database_id).into())
            }
            _ => time(Some(review.submitted_at)),
        }
    }

    fn thread(&self, at: usize, field: &str) -> Out {
        let thread = &self.state.threads[at];
        let current = |line: Option<u64>| Out::Leaf(line.filter(|_| !thread.outdated).into());
        match field {
            "id" => text(&thread.id),
            "isResolved" => Out::Leaf(thread.resolved.into()),
            "isOutdated" => Out::Leaf(thread.outdated.into()),
            "path" => text(&thread.path),
            "line" => current(Some(thread.line)),
            "startLine" => current(thread.start_line),
            "originalLine" => Out::Leaf(thread.line.into()),
            "originalStartLine" => Out::Leaf(thread.start_line.into()),
            "diffSide" => text("RIGHT"),
            "startDiffSide" => Out::Leaf(thread.start_line.map(|_| "RIGHT").into()),
            "subjectType" => text("LINE"),
            "resolvedBy" => Out::One(thread.resolved_by.map(Obj::User)),
            "pullRequest" => Out::One(Some(Obj::Pr(thread.pr))),
            _ => Out::Connection("PullRequestReviewComment", all(&thread.comments, Obj::Comment)),
        }
    }

    fn comment(&self, at: usize, field: &str) -> Out {
        let comment = &self.state.comments[at];
        let thread = comment.thread.map(|at| &self.state.threads[at]);
        let line = |now: bool| {
            let shown = thread.filter(|thread| !(now && thread.outdated));
            Out::Leaf(shown.map(|thread| thread.line).into())
        };
        match field {
            "id" => text(&comment.id),
            "databaseId" => whole(comment.database_id),
            "fullDatabaseId" => Out::Leaf(comment.database_id.to_string().into()),
            "body" => text(&comment.body),
            "author" => Out::One(comment.author.map(Obj::User)),
            "createdAt" => time(Some(comment.created_at)),
            "updatedAt" => time(Some(comment.updated_at)),
            "lastEditedAt" => time(comment.edited_at),
            "isMinimized" => Out::Leaf(comment.minimized.into()),
            "minimizedReason" => Out::Leaf(comment.minimized.then_some("outdated").into()),
            "state" => text("SUBMITTED"),
            "path" => Out::Leaf(thread.map(|thread| thread.path.as_str()).into()),
            "line" => line(true),
            "originalLine" => line(false),
            "startLine" => Out::Leaf(Value::Null),
            "replyTo" => {
                let is_there =
                    |at: &usize| self.state.index.contains_key(&self.state.comments[*at].id);
                Out::One(comment.reply_to.filter(is_there).map(Obj::Comment))
            }
            "pullRequestReview" => Out::One(comment.review.map(Obj::Review)),
            "pullRequest" => Out::One(Some(Obj::Pr(comment.pr))),
            _ => {
                let url = self.pr_url(&self.state.prs[comment.pr]);
                let kind = if thread.is_some() { "discussion_r" } else { "issuecomment-" };
                Out::Leaf(format!("{url}#{kind}{}", comment.database_id).into())
            }
        }
    }

    pub(super) fn pr_url(&self, pr: &Pr) -> String {
        format!("{}/pull/{}", repo_url(&self.state.repos[pr.repo]), pr.number)
    }
}

pub(super) fn repo_url(repo: &Repo) -> String {
    format!("https://github.com/{}/{}", repo.owner, repo.name)
}
