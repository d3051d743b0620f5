//! REST: the routes that an observer uses, with bodies whose volatile fields change as on GitHub.

use serde_json::{Value, json};

use crate::entity::{Obj, Pr, State};
use crate::enums::{Access, CheckStatus, PrState, StatusState};
use crate::message::Response;
use crate::time::iso;

/// What a route depends on besides its path.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a State,
    pub(crate) login: Option<&'a str>,
    pub(crate) now: i64,
    pub(crate) host: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) blob_origin: Option<&'a str>,
}

/// The route of a path, with placeholders for its variable parts.
pub(crate) fn route(method: &str, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let tail = match parts.as_slice() {
        ["repos", _, _, rest @ ..] => ("/repos/{o}/{r}", rest),
        ["repositories", _, rest @ ..] => ("/repositories/{id}", rest),
        _ => return format!("{method} {path}"),
    };
    let rest = match tail.1 {
        [] => "",
        ["pulls"] => "/pulls",
        ["pulls", _] => "/pulls/{n}",
        ["commits", _, "check-runs"] => "/commits/{sha}/check-runs",
        ["commits", _, "status"] => "/commits/{sha}/status",
        ["actions", "jobs", _, "logs"] => "/actions/jobs/{id}/logs",
        _ => "/?",
    };
    format!("{method} {}{rest}", tail.0)
}

/// Repository and number of `/repos/{o}/{r}/pulls/{n}`.
pub(crate) fn pull_path(path: &str) -> Option<(String, u64)> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["repos", owner, name, "pulls", number] => {
            Some((format!("{owner}/{name}"), number.parse().ok()?))
        }
        _ => None,
    }
}

fn not_found() -> Response {
    Response::message(404, "Not Found")
}

pub(crate) fn answer(context: &Context<'_>, method: &str, path: &str, query: &str) -> Response {
    if method != "GET" {
        return not_found();
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (repo, rest) = match parts.as_slice() {
        ["user"] => return context.viewer(),
        ["repos", owner, name, rest @ ..] => {
            (context.state.repo_named(&format!("{owner}/{name}")), rest)
        }
        ["repositories", id, rest @ ..] => {
            let is_it = |repo: &crate::entity::Repo| repo.database_id.to_string() == **id;
            (context.state.repos.iter().position(is_it), rest)
        }
        _ => return not_found(),
    };
    let Some(repo) = repo.filter(|at| context.may_see(*at)) else { return not_found() };
    let row = &context.state.repos[repo];
    if row.access == Access::Forbidden {
        let mut response =
            Response::message(403, "Resource protected by organization SAML enforcement.");
        let url = format!("required; url=https://github.com/orgs/{}/sso", row.owner);
        response.set("x-github-sso", url);
        return response;
    }
    if let ["repos", owner, name, ..] = parts.as_slice()
        && !row.full_name().eq_ignore_ascii_case(&format!("{owner}/{name}"))
    {
        return context.moved(row.database_id, rest, query);
    }
    context.of_repo(repo, rest, query)
}

impl Context<'_> {
    fn may_see(&self, repo: usize) -> bool {
        let is_public = !self.state.repos[repo].private;
        self.state.access(repo) != Access::Revoked && (is_public || self.login.is_some())
    }

    fn viewer(&self) -> Response {
        let is_it = |login: &&str| Some(login.trim_end_matches("[bot]")) == self.login;
        let at = self.state.users.iter().position(|user| is_it(&user.login.as_str()));
        match at {
            Some(at) => Response::json(200, &self.state.user_json(Some(at))),
            None => Response::message(401, "Requires authentication"),
        }
    }

    fn moved(&self, id: u64, rest: &[&str], query: &str) -> Response {
        let mut url = format!("http://{}{}/repositories/{id}", self.host, self.prefix);
        for part in rest {
            url = format!("{url}/{part}");
        }
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let body = json!({"message": "Moved Permanently", "url": url});
        let mut response = Response::json(301, &body);
        response.set("location", url);
        response
    }

    fn of_repo(&self, repo: usize, rest: &[&str], query: &str) -> Response {
        match rest {
            [] => Response::json(200, &self.repo(Some(repo))),
            ["pulls"] => self.pulls(repo, query),
            ["pulls", number] => {
                let number = number.parse().unwrap_or(0);
                self.state
                    .pr_numbered(repo, number)
                    .map_or_else(not_found, |at| Response::json(200, &self.whole_pull(at)))
            }
            ["commits", sha, "check-runs"] => self.check_runs(sha, query),
            ["commits", sha, "status"] => self.status(sha),
            ["actions", "jobs", id, "logs"] => self.logs(id.parse().unwrap_or(0)),
            _ => not_found(),
        }
    }

    /// A repository as pull requests embed it, with the fields that a star changes.
    fn repo(&self, at: Option<usize>) -> Value {
        let Some(at) = at else { return Value::Null };
        let repo = &self.state.repos[at];
        let open = repo.prs.iter().filter(|pr| self.state.prs[**pr].state == PrState::Open);
        json!({"id": repo.database_id, "node_id": repo.id, "name": repo.name,
            "full_name": repo.full_name(), "private": repo.private,
            "owner": {"login": repo.owner, "type": "Organization"},
            "html_url": format!("https://github.com/{}", repo.full_name()),
            "fork": repo.fork_of.is_some(), "stargazers_count": repo.stars,
            "watchers_count": repo.stars, "forks_count": repo.forks,
            "open_issues_count": open.count(), "pushed_at": iso(repo.pushed_at),
            "updated_at": iso(repo.updated_at), "default_branch": "main"})
    }

    fn pull(&self, at: usize) -> Value {
        let pr = &self.state.prs[at];
        let side = |name: &str, sha: &str, repo: Option<usize>| {
            let owner = repo.map(|at| self.state.repos[at].owner.as_str()).unwrap_or("unknown");
            json!({"label": format!("{owner}:{name}"), "ref": name, "sha": sha,
                "repo": self.repo(repo)})
        };
        let head = &self.state.commits[pr.head].oid;
        let name = self.state.repos[pr.repo].full_name();
        json!({"id": pr.database_id, "node_id": pr.id, "number": pr.number,
            "html_url": format!("https://github.com/{name}/pull/{}", pr.number),
            "state": if pr.state == PrState::Open { "open" } else { "closed" },
            "title": pr.title, "body": pr.body, "draft": pr.draft, "locked": false,
            "user": self.state.user_json(pr.author),
            "created_at": iso(pr.created_at), "updated_at": iso(pr.updated_at),
            "closed_at": pr.closed_at.map(iso), "merged_at": pr.merged_at.map(iso),
            "merge_commit_sha": pr.merge_commit,
            "auto_merge": pr.auto_merge_at.map(|_| json!({"merge_method": "merge"})),
            "head": side(&pr.head_ref, head, pr.head_repo),
            "base": side(&pr.base_ref, self.state.base_oid(pr), Some(pr.repo))})
    }

    fn whole_pull(&self, at: usize) -> Value {
        let pr = &self.state.prs[at];
        let mut whole = self.pull(at);
        whole["merged"] = (pr.state == PrState::Merged).into();
        whole["mergeable"] = match self.state.mergeable(at, self.now) {
            "MERGEABLE" => true.into(),
            "CONFLICTING" => false.into(),
            _ => Value::Null,
        };
        whole["mergeable_state"] = self.state.merge_state(at, self.now).to_lowercase().into();
        whole["comments"] = pr.comments.len().into();
        whole["commits"] = pr.commits.len().into();
        whole
    }

    fn pulls(&self, repo: usize, query: &str) -> Response {
        let get = |name| parameter(query, name).unwrap_or("");
        let fits = |pr: &Pr| match get("state") {
            "all" => true,
            "closed" => pr.state != PrState::Open,
            _ => pr.state == PrState::Open,
        };
        let row = &self.state.repos[repo];
        let prs = row.prs.iter().copied();
        let mut found: Vec<usize> = prs.filter(|at| fits(&self.state.prs[*at])).collect();
        if get("sort") == "updated" {
            found.sort_by_key(|at| self.state.prs[*at].updated_at);
        }
        if get("direction") == "desc" || (get("direction").is_empty() && get("sort") != "updated") {
            found.reverse();
        }
        let (page, link) =
            self.page(&found, &format!("/repositories/{}/pulls", row.database_id), query);
        let items: Value = page.iter().map(|at| self.pull(*at)).collect();
        linked(Response::json(200, &items), link)
    }

    /// One page, and the `link` header to the others.
    fn page<'s>(
        &self,
        items: &'s [usize],
        path: &str,
        query: &str,
    ) -> (&'s [usize], Option<String>) {
        let number = |name| parameter(query, name).and_then(|value| value.parse::<usize>().ok());
        let per_page = number("per_page").unwrap_or(30).clamp(1, 100);
        let (page, last) = (number("page").unwrap_or(1).max(1), items.len().div_ceil(per_page));
        let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
        let others: Vec<_> = others.collect();
        let to = |page: usize, rel: &str| {
            let page = format!("page={page}");
            let query = [others.as_slice(), &[page.as_str()]].concat().join("&");
            format!("<http://{}{}{path}?{query}>; rel=\"{rel}\"", self.host, self.prefix)
        };
        let mut links = Vec::new();
        if page > 1 {
            links.extend([to(page - 1, "prev"), to(1, "first")]);
        }
        if page < last {
            links.extend([to(page + 1, "next"), to(last, "last")]);
        }
        let from = (per_page * (page - 1)).min(items.len());
        let shown = &items[from..(from + per_page).min(items.len())];
        (shown, (!links.is_empty()).then(|| links.join(", ")))
    }

    fn check_runs(&self, sha: &str, query: &str) -> Response {
        let Some(commit) = self.state.oids.get(sha) else {
            return Response::message(422, &format!("No commit found for SHA: {sha}"));
        };
        let commit = &self.state.commits[*commit];
        let is_latest = |at: &usize| !self.state.runs[*at].superseded;
        let runs: Vec<_> = commit.runs.iter().copied().filter(is_latest).collect();
        let id = self.state.repos[commit.repo].database_id;
        let path = format!("/repositories/{id}/commits/{sha}/check-runs");
        let (page, link) = self.page(&runs, &path, query);
        let items: Value = page.iter().map(|at| self.check_run(*at, sha)).collect();
        let body = json!({"total_count": runs.len(), "check_runs": items});
        linked(Response::json(200, &body), link)
    }

    fn check_run(&self, at: usize, sha: &str) -> Value {
        let run = &self.state.runs[at];
        let suite = &self.state.suites[run.suite];
        let status = match run.status {
            CheckStatus::InProgress => "in_progress".to_owned(),
            other => other.as_str().to_lowercase(),
        };
        json!({"id": run.database_id, "node_id": run.id, "head_sha": sha, "name": run.name,
            "status": status,
            "conclusion": run.conclusion.map(|it| it.as_str().to_lowercase()),
            "started_at": iso(run.started_at), "completed_at": run.completed_at.map(iso),
            "details_url": format!("https://ci.example/{}", run.database_id),
            "check_suite": {"id": suite.database_id}, "app": {"slug": suite.app},
            "output": {"title": null, "summary": null, "annotations_count": 0}})
    }

    fn status(&self, sha: &str) -> Response {
        let Some(commit) = self.state.oids.get(sha) else {
            return Response::message(422, &format!("No commit found for SHA: {sha}"));
        };
        let statuses = &self.state.commits[*commit].statuses;
        let has = |wanted: &[StatusState]| {
            statuses.iter().any(|at| wanted.contains(&self.state.statuses[*at].state))
        };
        let state = match () {
            () if has(&[StatusState::Failure, StatusState::Error]) => "failure",
            () if statuses.is_empty() || has(&[StatusState::Pending, StatusState::Expected]) => {
                "pending"
            }
            () => "success",
        };
        let items = statuses.iter().map(|at| {
            let status = &self.state.statuses[*at];
            json!({"id": status.database_id, "node_id": self.state.id_of(Obj::Status(*at)),
                "context": status.context, "state": status.state.as_str().to_lowercase(),
                "created_at": iso(status.created_at),
                "target_url": format!("https://ci.example/{}", status.database_id)})
        });
        let items: Value = items.collect();
        let total = statuses.len();
        let body = json!({"state": state, "sha": sha, "total_count": total, "statuses": items});
        Response::json(200, &body)
    }

    fn logs(&self, id: u64) -> Response {
        let text = log_text(self.state, id);
        match self.blob_origin {
            Some(origin) if text.status == 200 => {
                let mut response = Response::new(302, "text/html", Vec::new());
                response.set("location", format!("{origin}/blob/{id}?sig=once"));
                response
            }
            _ => text,
        }
    }
}

/// The log of a job; only jobs of Actions have one.
pub(crate) fn log_text(state: &State, id: u64) -> Response {
    let found = state
        .runs
        .iter()
        .find(|run| run.database_id == id && state.suites[run.suite].app == "github-actions");
    let Some(run) = found else { return not_found() };
    let text = run.log.clone().unwrap_or_else(|| {
        let stamp = iso(run.started_at);
        format!("{stamp} Run {}\n{stamp} ##[error]Process completed with exit code 1.\n", run.name)
    });
    Response::new(200, "text/plain; charset=utf-8", text.into_bytes())
}

fn linked(mut response: Response, link: Option<String>) -> Response {
    if let Some(link) = link {
        response.set("link", link);
    }
    response
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
