//! Answers a request: authentication, faults, cost, and the headers that
//! every answer carries.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::budget::Resource;
use crate::corrupt::corrupt;
use crate::counters::Served;
use crate::entity::{Obj, State};
use crate::enums::UserKind;
use crate::fault::{Kind, On, Reply, When};
use crate::graphql::{self, Asked, Cost, Parsed, Rate, Variables};
use crate::message::{Request, Response};
use crate::rest;
use crate::time::http_date;
use crate::world::World;

const DOCUMENTS_MAX: usize = 256;
const NODES_MAX: u64 = 500_000;

/// A request that is being answered.
struct Call<'a> {
    request: &'a Request,
    /// Without the prefix of GHES.
    path: String,
    is_graphql: bool,
    class: String,
    cost: u64,
    ids: usize,
    faults: Vec<Kind>,
}

impl Call<'_> {
    /// Whether the variables of a query name a node.
    fn names(&self, id: &str) -> bool {
        let quoted = format!("\"{id}\"");
        let body = &self.request.body;
        self.is_graphql && body.windows(quoted.len()).any(|part| part == quoted.as_bytes())
    }
}

impl World {
    /// Answers a request. The server adds only HTTP; a test with a
    /// virtual clock calls this directly.
    pub fn answer(&mut self, request: &Request) -> Response {
        let now = self.now_ms();
        let mut call = self.classify(request);
        self.counters.request(&call.class, now);
        call.faults = self.due_faults(&call, now);
        let mut response = self.respond(&mut call);
        self.finish(&call, &mut response, now);
        self.log.push(Served {
            at: now,
            class: call.class,
            status: response.status,
            cost: call.cost,
            ids: call.ids,
            is_authorized: request.header("authorization").is_some(),
        });
        response
    }

    /// Answers a request to the origin of logs, which rejects credentials.
    pub fn answer_blob(&mut self, request: &Request) -> Response {
        let now = self.now_ms();
        let path = request.path_and_query.split('?').next().unwrap_or("").to_owned();
        let class = "GET /blob/{id}".to_owned();
        let is_authorized = request.header("authorization").is_some();
        let (is_graphql, cost, ids, faults) = (false, 0, 0, Vec::new());
        let mut call = Call { request, path, is_graphql, class, cost, ids, faults };
        self.counters.request(&call.class, now);
        call.faults = self.due_faults(&call, now);
        let id = call.path.strip_prefix("/blob/").and_then(|id| id.parse().ok());
        let mut response = match (is_authorized, id) {
            (true, _) => {
                Response::new(400, "application/xml", b"<Error>InvalidArgument</Error>".to_vec())
            }
            (false, Some(id)) => rest::log_text(&self.state, id),
            (false, None) => Response::message(404, "Not Found"),
        };
        if let Some(reply) = first_reply(&call.faults) {
            response = replied(&reply);
        }
        self.break_body(&call, &mut response);
        let (class, status) = (call.class, response.status);
        self.log.push(Served { at: now, class, status, cost, ids, is_authorized });
        response
    }

    fn classify<'a>(&mut self, request: &'a Request) -> Call<'a> {
        let full = request.path_and_query.split('?').next().unwrap_or("");
        let (prefixed, path) = match full.strip_prefix("/api/v3") {
            Some(path) => (true, path.to_owned()),
            None if full == "/api/graphql" => (true, "/graphql".to_owned()),
            None => (false, full.to_owned()),
        };
        let is_there = prefixed || !self.options.api_prefix;
        let path = if is_there { path } else { String::new() };
        let is_graphql = path == "/graphql" && full != "/api/v3/graphql" && is_there;
        let class = match () {
            () if is_graphql => "graphql".to_owned(),
            () if is_there => rest::route(&request.method, &path),
            () => "not found".to_owned(),
        };
        let mut call =
            Call { request, path, is_graphql, class, cost: 0, ids: 0, faults: Vec::new() };
        if is_graphql && let Ok((parsed, body)) = self.document(request) {
            if let Some(operation) = parsed.operation(body["operationName"].as_str())
                && !operation.name.is_empty()
            {
                call.class = operation.name.to_owned();
            }
            call.ids = body["variables"]["ids"].as_array().map_or(0, Vec::len);
        }
        call
    }

    /// The faults of a request, each counted down by one. A whole reply ends the search: later faults
    /// apply to the next request.
    fn due_faults(&mut self, call: &Call<'_>, now: i64) -> Vec<Kind> {
        let mut due = Vec::new();
        for fault in &mut self.faults {
            let concerned = match &fault.on {
                On::All => true,
                On::Graphql => call.is_graphql,
                On::Operation(name) => call.is_graphql && call.class == *name,
                On::Route(prefix) => call.path.starts_with(prefix.as_str()),
                On::Larger(ids) => call.ids > *ids,
                On::Node(id) => call.names(id),
            };
            let happens = concerned
                && match &mut fault.when {
                    When::Always => true,
                    When::Until(at) => now < *at,
                    When::Times(0) => false,
                    When::Times(times) => {
                        *times -= 1;
                        true
                    }
                };
            if happens {
                due.push(fault.kind.clone());
                if matches!(fault.kind, Kind::Reply(_)) {
                    break;
                }
            }
        }
        let is_over =
            |when| matches!(when, When::Times(0)) || matches!(when, When::Until(at) if at <= now);
        self.faults.retain(|fault| !is_over(fault.when));
        due
    }

    fn respond(&mut self, call: &mut Call<'_>) -> Response {
        let request = call.request;
        if let Some(reply) = first_reply(&call.faults) {
            if reply.is_charged && call.is_graphql {
                let cost = self.cost_of_request(request).map_or(1, |cost| cost.points);
                self.charge(call, Resource::Graphql, cost);
            }
            return replied(&reply);
        }
        if request.header("user-agent").is_none() {
            let text = "Request forbidden by administrative rules. Please make sure your request \
                        has a User-Agent header.";
            return Response::message(403, text);
        }
        let token = request.header("authorization").map(|value| {
            value.trim_start_matches("Bearer ").trim_start_matches("token ").to_owned()
        });
        let login = token.as_ref().and_then(|token| self.tokens.get(token)).cloned();
        match (token, login) {
            (Some(_), None) => Response::message(401, "Bad credentials"),
            (None, _) if call.is_graphql => {
                Response::message(401, "This endpoint requires you to be authenticated.")
            }
            (_, Some(login)) if call.is_graphql => self.graphql(call, &login),
            (_, login) => self.rest(call, login.as_deref()),
        }
    }

    fn charge(&mut self, call: &mut Call<'_>, resource: Resource, points: u64) -> bool {
        if !self.options.rate_headers {
            return true;
        }
        let now = self.now_ms();
        let is_paid = self.budget.charge(resource, points, now);
        if is_paid {
            call.cost = points;
            match resource {
                Resource::Core => self.counters.core_points += points,
                Resource::Graphql => self.counters.graphql_points += points,
            }
        }
        is_paid
    }

    fn rest(&mut self, call: &mut Call<'_>, login: Option<&str>) -> Response {
        let state = self.stale_state(&call.faults);
        let state = state.as_deref().unwrap_or(&self.state);
        if call.path == "/rate_limit" {
            return self.rate_limit();
        }
        let context = rest::Context {
            state,
            login,
            now: self.now_ms(),
            host: call.request.header("host").unwrap_or("api.github.com"),
            prefix: if self.options.api_prefix { "/api/v3" } else { "" },
            blob_origin: self.options.blob_origin.as_deref(),
        };
        let query = call.request.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let mut response = rest::answer(&context, &call.request.method, &call.path, query);
        if let Some((_, number)) = rest::pull_path(&call.path)
            && response.status == 200
        {
            let found = state
                .prs
                .iter()
                .position(|pr| pr.number == number && response.value()["node_id"] == pr.id);
            self.mergeable_was_read(found.as_slice());
        }
        let etag = self.etag(call.request, &response.body);
        let is_fresh = call
            .request
            .header("if-none-match")
            .is_some_and(|given| given.split(',').any(|one| one.trim() == etag));
        let is_free = response.status == 200 && is_fresh && login.is_some();
        if !is_free && !self.charge(call, Resource::Core, 1) {
            return Response::message(403, "API rate limit exceeded for user ID 1.");
        }
        if response.status == 200 {
            response.set("etag", etag);
            response.set("cache-control", "private, max-age=60, s-maxage=60");
            response.set("vary", "Accept, Authorization, Cookie, X-GitHub-OTP");
            if is_fresh {
                response.status = 304;
                response.body.clear();
            }
        }
        response
    }

    fn rate_limit(&mut self) -> Response {
        if !self.options.rate_headers {
            return Response::message(404, "Rate limiting is not enabled.");
        }
        let now = self.now_ms();
        let mut row = |resource| {
            let bucket = *self.budget.at(resource, now);
            json!({"limit": bucket.limit, "used": bucket.used.min(bucket.limit),
                "remaining": bucket.remaining(), "reset": bucket.reset_ms / 1000})
        };
        let (core, graphql) = (row(Resource::Core), row(Resource::Graphql));
        Response::json(200, &json!({"resources": {"core": core, "graphql": graphql}}))
    }

    /// The ETag as GitHub computes it: over the headers of `vary` and the body.
    fn etag(&self, request: &Request, body: &[u8]) -> String {
        let mut hash = Sha256::new();
        if !self.options.stable_etags {
            for name in ["accept", "authorization", "cookie"] {
                if let Some(value) = request.header(name) {
                    hash.update(value.as_bytes());
                    hash.update(b":");
                }
            }
        }
        hash.update(body);
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }

    fn document(&mut self, request: &Request) -> Result<(Arc<Parsed>, Value), String> {
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| "Problems parsing JSON".to_owned())?;
        let text = body["query"].as_str().ok_or("A query attribute must be specified")?;
        if let Some(parsed) = self.documents.get(text) {
            return Ok((Arc::clone(parsed), body));
        }
        let parsed = Arc::new(Parsed::new(text)?);
        if self.documents.len() >= DOCUMENTS_MAX {
            self.documents.clear();
        }
        self.documents.insert(text.to_owned(), Arc::clone(&parsed));
        Ok((parsed, body))
    }

    fn cost_of_request(&mut self, request: &Request) -> Option<Cost> {
        let (parsed, body) = self.document(request).ok()?;
        let operation = parsed.operation(body["operationName"].as_str())?;
        let variables = graphql::bind(&operation, &body["variables"]).ok()?;
        Some(graphql::cost_of(&parsed, &operation, &variables))
    }

    fn graphql(&mut self, call: &mut Call<'_>, login: &str) -> Response {
        if call.request.method != "POST" {
            return Response::message(404, "Not Found");
        }
        let (parsed, body) = match self.document(call.request) {
            Ok(found) => found,
            Err(message) if message.starts_with("Problems") => {
                return Response::message(400, &message);
            }
            Err(message) => return refused(vec![json!({"message": message})]),
        };
        let Some(operation) = parsed.operation(body["operationName"].as_str()) else {
            return refused(vec![json!({"message": "No operation named so"})]);
        };
        let variables = match graphql::bind(&operation, &body["variables"]) {
            Ok(variables) => variables,
            Err(message) => return refused(vec![json!({"message": message})]),
        };
        let errors = graphql::check(&parsed, &operation, &variables, self.options.no_pr_rollup);
        if !errors.is_empty() {
            return refused(errors);
        }
        let cost = graphql::cost_of(&parsed, &operation, &variables);
        if cost.nodes > NODES_MAX {
            let message = format!(
                "This query requests up to {} possible nodes which exceeds the \
                maximum limit of 500,000.",
                cost.nodes
            );
            return refused(vec![json!({"type": "MAX_NODE_LIMIT_EXCEEDED", "message": message})]);
        }
        if !self.charge(call, Resource::Graphql, cost.points) {
            let message = "API rate limit exceeded for user ID 1.";
            return refused(vec![json!({"type": "RATE_LIMITED", "message": message})]);
        }
        self.execute(call, &parsed, &operation, &variables, (login, cost))
    }

    fn execute(
        &mut self,
        call: &Call<'_>,
        parsed: &Parsed,
        operation: &graphql::Operation<'_>,
        variables: &Variables,
        (login, cost): (&str, Cost),
    ) -> Response {
        let now = self.now_ms();
        let limits = self.options.rate_headers;
        let bucket = limits.then(|| *self.budget.at(Resource::Graphql, now));
        let kind = if login.ends_with("[bot]") { UserKind::Bot } else { UserKind::User };
        self.user_of_kind(login.trim_end_matches("[bot]"), kind);
        let stale = self.stale_state(&call.faults);
        let state = stale.as_deref().unwrap_or(&self.state);
        let name = login.trim_end_matches("[bot]");
        let viewer = state.users.iter().position(|user| user.login == name).unwrap_or(0);
        let rate = Rate { cost, bucket };
        let asked = Asked { state, parsed, variables, now, viewer, rate };
        let mut executed = graphql::execute(&asked, operation);
        self.mergeable_was_read(&executed.mergeable_read);
        for fault in &call.faults {
            corrupt(&mut executed.answer, fault);
        }
        let mut response = Response::json(200, &executed.answer);
        response.latency_ms = executed.nodes * self.options.node_latency_us / 1000;
        response
    }

    /// Reading mergeability starts its computation.
    fn mergeable_was_read(&mut self, prs: &[usize]) {
        let due = self.now_ms() + self.options.mergeable_delay_ms;
        for at in prs {
            if let Some(pr) = self.state.prs.get_mut(*at) {
                pr.mergeable_at.get_or_insert(due);
            }
        }
    }

    fn stale_state(&self, faults: &[Kind]) -> Option<Arc<State>> {
        faults.iter().find_map(|fault| match fault {
            Kind::Stale(snapshot) => Some(Arc::clone(&snapshot.0)),
            Kind::StaleBy(back) => self.history.get(back.saturating_sub(1)).map(Arc::clone),
            _ => None,
        })
    }

    /// Adds the headers of every answer and applies the faults that change a whole answer.
    fn finish(&mut self, call: &Call<'_>, response: &mut Response, now: i64) {
        self.requests += 1;
        response.latency_ms += self.options.latency_ms;
        response.set("date", http_date(now));
        response.set("x-github-request-id", format!("F4KE:{:X}:{:X}", self.requests, now));
        response.set("x-github-media-type", "github.v3; format=json");
        if self.options.rate_headers && response.status != 401 {
            let resource = if call.is_graphql { Resource::Graphql } else { Resource::Core };
            let bucket = *self.budget.at(resource, now);
            let pairs = [
                ("x-ratelimit-limit", bucket.limit.to_string()),
                ("x-ratelimit-remaining", bucket.remaining().to_string()),
                ("x-ratelimit-used", bucket.used.to_string()),
                ("x-ratelimit-reset", (bucket.reset_ms / 1000).to_string()),
                ("x-ratelimit-resource", resource.as_str().to_owned()),
            ];
            pairs.into_iter().for_each(|(name, value)| response.set(name, value));
        }
        if let Some(reply) = first_reply(&call.faults) {
            set_all(response, &reply.headers);
        }
        self.break_body(call, response);
    }

    fn break_body(&self, call: &Call<'_>, response: &mut Response) {
        for fault in &call.faults {
            match fault {
                Kind::Headers(headers) => set_all(response, headers),
                Kind::Slow(ms) => response.latency_ms += ms,
                Kind::TruncatedJson => response.body.truncate(response.body.len() / 2),
                Kind::InvalidUtf8 => {
                    let middle = response.body.len() / 2;
                    response.body.splice(middle..middle, [0xff, 0xfe, 0xc3, 0x28]);
                }
                Kind::InvalidJson => response.body = b"{\"data\": {\"nodes\": [}]".to_vec(),
                Kind::Transport(transport) => response.transport = Some(*transport),
                _ => {}
            }
        }
    }
}

fn first_reply(faults: &[Kind]) -> Option<Reply> {
    faults.iter().find_map(|fault| match fault {
        Kind::Reply(reply) => Some(reply.clone()),
        _ => None,
    })
}

fn replied(reply: &Reply) -> Response {
    let mut response =
        Response::new(reply.status, "application/json; charset=utf-8", reply.body.clone().into());
    set_all(&mut response, &reply.headers);
    response
}

fn set_all(response: &mut Response, headers: &[(String, String)]) {
    for (name, value) in headers {
        response.set(&name.to_lowercase(), value.as_str());
    }
}

fn refused(errors: Vec<Value>) -> Response {
    Response::json(200, &json!({"errors": errors}))
}

impl State {
    /// An account in the form of REST.
    pub(crate) fn user_json(&self, at: Option<usize>) -> Value {
        at.map_or(Value::Null, |at| {
            let user = &self.users[at];
            let suffix = if user.kind == UserKind::Bot { "[bot]" } else { "" };
            json!({"login": format!("{}{suffix}", user.login), "id": user.database_id,
                "node_id": self.id_of(Obj::User(at)), "type": user.kind.as_str()})
        })
    }
}
