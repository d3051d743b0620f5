//! The REST routes of a daemon: every operation of its OpenAPI document is called, and answers as the document
//! says and as the command line prints.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::Lab;
use super::lab::wait_until;
use crate::support::{finish, text};

const START: [&str; 3] = ["start", "--no-observe", "--json"];

/// A daemon in the background that ends with this value.
pub(super) struct Served {
    pub(super) lab: Lab,
    socket: PathBuf,
    pub(super) url: String,
}

pub(super) struct Reply {
    pub(super) status: u16,
    kind: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Served {
    pub(super) fn new() -> Served {
        Served::of(Lab::new())
    }

    fn of(lab: Lab) -> Served {
        let command = lab.command(&START);
        Served::started(lab, command)
    }

    /// One whose programs are in this path.
    pub(super) fn with_path(lab: Lab, path: &Path) -> Served {
        let mut command = lab.command(&START);
        command.env("PATH", path);
        Served::started(lab, command)
    }

    fn started(lab: Lab, mut command: Command) -> Served {
        let started = finish(&mut command, b"");
        assert_eq!(started.code, 0, "{}", started.stderr);
        let started: Value = serde_json::from_str(&started.stdout).unwrap();
        let get = |name: &str| started["data"][name].as_str().unwrap().to_owned();
        Served { socket: get("socket").into(), url: get("url"), lab }
    }

    /// Sends a request without waiting for the answer. An answer to HTTP/1.0 ends with its connection.
    pub(super) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\n{kind}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut answer = Vec::new();
        self.send(method, path, body).read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let kind = kind.unwrap_or_default().to_owned();
        Reply { status, kind, body: answer[end + 4..].to_vec() }
    }

    /// The data of a document that is read.
    fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, None);
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        reply.json()["data"].clone()
    }

    /// The message of a refused request.
    pub(super) fn refused(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        is: (u16, &str),
    ) -> String {
        let reply = self.ask(method, path, body);
        let document = reply.json();
        assert_eq!((reply.status, document["code"].as_str()), (is.0, Some(is.1)), "{document}");
        assert!(document["requestId"].is_string() && document["error"].is_string(), "{document}");
        document["message"].as_str().unwrap().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.lab.run(&["stop"]);
    }
}

/// The operations of a document, and those that were called.
struct Contract<'a> {
    served: &'a Served,
    document: Value,
    called: BTreeSet<(String, String)>,
}

impl Contract<'_> {
    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let of_path = |(path, operations): (&String, &Value)| {
            let methods = operations.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            methods.into_iter().map(|method| (path.clone(), method)).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }

    /// Calls an operation whose answer does not end.
    fn follow(&mut self, path: &str, id: &str) {
        let mut head = [0; 12];
        let filled = path.replace("{id}", id);
        self.served.send("GET", &filled, None).read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.0 200");
        self.called.insert((path.to_owned(), "get".to_owned()));
    }

    /// Calls an operation that answers without a body of its own.
    fn call_bare(&mut self, path: &str, id: &str, body: &Value, answer: (u16, Option<&str>)) {
        let (status, code) = answer;
        let reply = self.served.ask("POST", &path.replace("{id}", id), Some(body));
        assert_eq!(reply.status, status, "{path}: {}", String::from_utf8_lossy(&reply.body));
        let answer = &self.document["paths"][path]["post"]["responses"][status.to_string()];
        assert!(answer.is_object(), "{path}: {status} is not documented");
        if let Some(code) = code {
            assert_eq!(reply.json()["code"], code);
        }
        self.called.insert((path.to_owned(), "post".to_owned()));
    }

    /// Calls an operation, whose parameters are filled in in order, and checks the answer.
    fn call(&mut self, name: &str, filled: &[&str], body: Option<Value>, status: u16) -> Value {
        let (method, template) = name.split_once(' ').unwrap();
        let mut path = template.to_owned();
        for value in filled {
            let (from, to) = (path.find('{').unwrap(), path.find('}').unwrap());
            path.replace_range(from..=to, value);
        }
        let reply = self.served.ask(method, &path, body.as_ref());
        assert_eq!(reply.status, status, "{name}: {}", String::from_utf8_lossy(&reply.body));
        self.called.insert((template.to_owned(), method.to_lowercase()));
        let operation = &self.document["paths"][template][method.to_lowercase()];
        let answer = &operation["responses"][status.to_string()];
        assert!(answer.is_object(), "{name}: {status} is not documented");
        let kind = reply.kind.split(';').next().unwrap();
        let content = &answer["content"][kind];
        assert!(content.is_object(), "{name}: {kind} is not documented");
        if kind == "application/json" {
            let mut schema = content["schema"].clone();
            schema["components"] = self.document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let value = reply.json();
            let errors: Vec<_> = validator.iter_errors(&value).map(|it| it.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}\n{value}");
            return value["data"].clone();
        }
        String::from_utf8(reply.body).unwrap().into()
    }
}

/// What a document refers to.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_operation_answers_as_its_document_says() {
    let served = Served::new();
    let lab = &served.lab;
    let hello = lab.env.repo("hello", "https://github.com/octo/hello.git");
    let document = served.ask("GET", "/openapi.json", None).json();
    let mut it = Contract { served: &served, document, called: BTreeSet::new() };
    for reference in references(&it.document) {
        let pointer = reference.trim_start_matches('#');
        assert!(it.document.pointer(pointer).is_some(), "{reference} is nowhere");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/api/v1/openapi.json"] {
        it.call(&format!("GET {path}"), &[], None, 200);
    }
    it.call("GET /api/v1/daemon", &[], None, 200);
    it.follow("/api/v1/events", "");
    of_projects(&mut it, text(&hello));
    let id = of_sessions(&mut it);
    of_prs(&mut it);
    of_reads(&mut it, &id);
    of_consumers(&mut it);
    of_turns(&mut it);
    let link = it.call("POST /api/v1/login-links", &[], None, 201);
    let secret = json!({"secret": link["secret"]});
    it.call_bare("/api/v1/login", "", &secret, (204, None));
    it.call_bare("/webhooks/github", "", &json!({}), (404, Some("WEBHOOK_NOT_CONFIGURED")));
    it.call("POST /shutdown", &[], None, 202);
    let missing: Vec<_> = it.operations().difference(&it.called).cloned().collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
}

fn of_projects(it: &mut Contract<'_>, hello: &str) {
    let new = json!({"path": hello, "name": "Hello"});
    assert_eq!(it.call("POST /api/v1/projects", &[], Some(new), 201)["id"], "hello");
    let again = json!({"path": hello, "if_not_exists": true});
    it.call("POST /api/v1/projects", &[], Some(again), 200);
    assert_eq!(it.call("GET /api/v1/projects", &[], None, 200).as_array().unwrap().len(), 2);
    it.call("GET /api/v1/projects/{id}", &["hello"], None, 200);
    let settings = json!({"max_live": 7, "setup_command": "true", "copy_globs": [".env"]});
    let set = it.call("PUT /api/v1/projects/{id}", &["hello"], Some(settings), 200);
    assert_eq!(set["max_live"], 7);
    let any = json!({"max_live": null});
    let set = it.call("PUT /api/v1/projects/{id}", &["hello"], Some(any), 200);
    assert_eq!((&set["max_live"], &set["setup_command"]), (&Value::Null, &json!("true")));
    it.call("DELETE /api/v1/projects/{id}", &["none"], None, 404);
}

/// The id of a session that runs.
fn of_sessions(it: &mut Contract<'_>) -> String {
    let lab = &it.served.lab;
    let agent = lab.agent.clone();
    let spawn = json!({"project": "demo", "harness": "custom", "prompt": "p", "argv": [agent]});
    let spawned = it.call("POST /api/v1/sessions", &[], Some(spawn.clone()), 201);
    let id = spawned["id"].as_str().unwrap().to_owned();
    wait_until("the agent", || lab.starts() == ["p"]);
    it.call("GET /api/v1/sessions", &[], None, 200);
    it.call("GET /api/v1/sessions/{id}", &[&id], None, 200);
    let name = json!({"name": "N"});
    assert_eq!(it.call("PATCH /api/v1/sessions/{id}", &[&id], Some(name), 200)["name"], "N");
    it.call("DELETE /api/v1/sessions/{id}", &[&id], None, 409);
    it.call("POST /api/v1/sessions/{id}/relaunch", &[&id], None, 409);
    let allow = json!({"answer": "allow"});
    it.call("POST /api/v1/sessions/{id}/answer", &[&id], Some(allow), 409);
    let message = json!({"text": "hello", "key": "k"});
    let sent = it.call("POST /api/v1/sessions/{id}/send", &[&id], Some(message), 200);
    assert_eq!(sent["is_new"], true);
    let terminal = "/api/v1/sessions/{id}/terminal";
    it.follow(terminal, &id);
    it.call_bare(terminal, &id, &json!({"text": "x"}), (204, None));
    let killed = it.call("POST /api/v1/sessions/{id}/kill", &[&id], None, 200);
    assert_eq!(killed["is_terminated"], true);
    let plan = json!({"dry_run": true});
    it.call("POST /api/v1/sessions/cleanup", &[], Some(plan), 200);
    it.call("POST /api/v1/sessions/{id}/restore", &[&id], None, 200);
    for part in ["diff", "prs", "launches", "deliveries", "decisions"] {
        it.call(&format!("GET /api/v1/sessions/{{id}}/{part}"), &[&id], None, 200);
    }
    let lines = it.call("GET /api/v1/sessions/{id}/history", &[&id], None, 200);
    let printed = lab.ok(&["history", "session", &id, "--format", "ndjson"]);
    assert_eq!(lines.as_str().unwrap().lines().count(), printed.lines().count());
    let seed = lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    it.call("POST /api/v1/sessions/{id}/rollback", &[&seed], None, 200);
    let ensure = json!({"spawn": spawn});
    let ensured = it.call("POST /api/v1/orchestrators", &[], Some(ensure.clone()), 201);
    it.call("POST /api/v1/orchestrators", &[], Some(ensure), 200);
    assert_eq!(it.call("GET /api/v1/orchestrators", &[], None, 200)[0]["id"], ensured["id"]);
    let orchestrator = ensured["id"].as_str().unwrap();
    it.call("GET /api/v1/orchestrators/{id}", &[orchestrator], None, 200);
    it.call("GET /api/v1/orchestrators/{id}", &[&id], None, 404);
    let back = it.call("POST /api/v1/sessions/{id}/rollback", &[orchestrator], None, 200);
    assert_eq!(back["is_terminated"], true);
    id
}

fn of_prs(it: &mut Contract<'_>) {
    let lab = &it.served.lab;
    let seed = ["session", "new", "--project", "hello", "--branch", "fix"];
    let id = lab.ok(&seed).trim().to_owned();
    let claim = json!({"pr": "octo/hello#7", "no_verify": true});
    let claimed = it.call("POST /api/v1/sessions/{id}/pr/claim", &[&id], Some(claim), 200);
    assert_eq!(claimed["session_id"], id.as_str());
    let listed = it.call("GET /api/v1/prs", &[], None, 200);
    assert_eq!(listed[0]["id"], claimed["pr_id"]);
    let pr = it.call("GET /api/v1/prs/{id}", &["octo%2Fhello%237"], None, 200);
    let place = ["github.com", "octo", "hello", "7"];
    let same = it.call("GET /api/v1/prs/{host}/{owner}/{repo}/{number}", &place, None, 200);
    assert_eq!(pr, same);
}

fn of_reads(it: &mut Contract<'_>, id: &str) {
    for path in ["attention", "decisions", "agents", "status"] {
        it.call(&format!("GET /api/v1/{path}"), &[], None, 200);
    }
    let deliveries = it.call("GET /api/v1/deliveries", &[], None, 200);
    let delivery = deliveries[0]["id"].as_str().unwrap();
    it.call("GET /api/v1/deliveries/{id}", &[delivery], None, 200);
    let lines = it.call("GET /api/v1/export", &[], None, 200);
    assert!(lines.as_str().unwrap().lines().last().unwrap().starts_with("{\"end\":"));
    let figures = it.call("GET /metrics", &[], None, 200);
    let figures = figures.as_str().unwrap();
    assert!(figures.contains("ao_store_daemon_loop_restarts{name=\"reaper\"} 0"), "{figures}");
    // The command line prints the same.
    let lab = &it.served.lab;
    assert_eq!(it.served.get(&format!("/api/v1/sessions/{id}")), lab.get(id));
    let diff = lab.env.json("session.diff", &["session", "diff", id]);
    assert_eq!(it.served.get(&format!("/api/v1/sessions/{id}/diff")), diff);
}

fn of_consumers(it: &mut Contract<'_>) {
    let new = json!({"name": "c", "from": "beginning", "changed": ["ci=failing"]});
    it.call("POST /api/v1/consumers", &[], Some(new.clone()), 201);
    it.call("POST /api/v1/consumers", &[], Some(new), 409);
    it.call("GET /api/v1/consumers", &[], None, 200);
    it.call("GET /api/v1/consumers/{name}", &["c"], None, 200);
    it.call("DELETE /api/v1/consumers/{name}", &["c"], None, 200);
}

fn of_turns(it: &mut Contract<'_>) {
    it.call("POST /api/v1/orgs", &[], Some(json!({"id": "acme"})), 201);
    it.call("POST /api/v1/orgs", &[], Some(json!({"id": "acme"})), 409);
    assert_eq!(it.call("GET /api/v1/orgs", &[], None, 200)[0]["id"], "acme");
    let agents = "/api/v1/orgs/{org}/agents";
    let new = json!({"id": "writer", "account": "codex/work"});
    it.call(&format!("POST {agents}"), &["acme"], Some(new), 201);
    let listed = it.call(&format!("GET {agents}"), &["acme"], None, 200);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&json!("default"), &json!("writer")));
    let alice = json!({"platform": "slack", "user_id": "alice"});
    let change = json!({"add": [alice], "remove": [{"platform": "x", "user_id": "y"}]});
    let path = format!("PATCH {agents}/{{agent}}/members");
    assert_eq!(it.call(&path, &["acme", "writer"], Some(change), 200), json!([alice]));
    let agent = it.call(&format!("GET {agents}/{{agent}}"), &["acme", "writer"], None, 200);
    assert_eq!(agent["members"], json!([alice]));

    let new = json!({"text": "hello", "org": "acme", "agent": "writer", "user": alice, "key": "k"});
    let sent = it.call("POST /api/v1/turns", &[], Some(new.clone()), 202);
    assert_eq!((&sent["is_new"], &sent["state"]), (&json!(true), &json!("queued")));
    assert_eq!(it.call("POST /api/v1/turns", &[], Some(new), 202)["is_new"], false);
    let listed = it.call("GET /api/v1/turns", &[], None, 200);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(listed[0]["id"], id);
    assert_eq!(it.call("GET /api/v1/turns/{id}", &[id], None, 200)["input"], "hello");
    let conversation = sent["conversation_id"].as_str().unwrap();
    let path = "/api/v1/conversations";
    it.call(&format!("POST {path}/{{id}}/reset"), &[conversation], None, 409);
    it.call("POST /api/v1/turns/{id}/cancel", &[id], None, 200);
    it.call(&format!("POST {path}/{{id}}/reset"), &[conversation], None, 200);
    assert_eq!(it.call(&format!("GET {path}"), &[], None, 200)[0]["id"], conversation);
    let found = it.call(&format!("GET {path}/{{id}}"), &[conversation], None, 200);
    assert_eq!(found["user_id"], "alice");
    let events = it.call(&format!("GET {path}/{{id}}/history"), &[conversation], None, 200);
    assert_eq!(events.as_array().unwrap().len(), 3);
    it.follow(&format!("{path}/{{id}}/events"), conversation);
    it.call("GET /api/v1/leases", &[], None, 200);
    // The command line prints the same.
    let lab = &it.served.lab;
    let turn = lab.env.json("turn.get", &["turn", "get", id]);
    assert_eq!(it.served.get(&format!("/api/v1/turns/{id}")), turn);
}

#[test]
fn what_is_unknown_is_refused_by_its_name() {
    let served = Served::new();
    let refused = |method: &str, path: &str, body: Option<Value>| {
        served.refused(method, path, body.as_ref(), (400, "INVALID_REQUEST"))
    };
    assert!(refused("GET", "/api/v1/sessions?proyect=demo", None).contains("proyect"));
    assert!(refused("GET", "/api/v1/status?x=1", None).contains('x'));
    assert!(refused("GET", "/api/v1/sessions?status=odd", None).contains("odd"));
    assert!(refused("GET", "/api/v1/prs?limit=0", None).contains("limit"));
    let body = json!({"text": "t", "txet": "t"});
    assert!(refused("POST", "/api/v1/sessions/demo-1/send", Some(body)).contains("txet"));
    let body = json!({"grace": 1});
    assert!(refused("POST", "/api/v1/sessions/demo-1/kill", Some(body)).contains("grace"));
    let not_found = [
        ("POST", "/api/v1/prs/1/merge", "ROUTE_NOT_FOUND"),
        ("GET", "/api/v2/sessions", "ROUTE_NOT_FOUND"),
        ("GET", "/api/v1/sessions/none-1", "SESSION_NOT_FOUND"),
        ("GET", "/api/v1/sessions?project=none", "PROJECT_NOT_FOUND"),
        ("GET", "/api/v1/sessions/none-1/history", "SESSION_NOT_FOUND"),
        ("GET", "/api/v1/prs/octo%2Fhello%239", "PR_NOT_FOUND"),
        ("GET", "/api/v1/consumers/none", "CONSUMER_NOT_FOUND"),
    ];
    for (method, path, code) in not_found {
        served.refused(method, path, None, (404, code));
    }
    served.refused("PUT", "/api/v1/sessions", None, (405, "METHOD_NOT_ALLOWED"));
}

#[test]
fn pages_of_a_list_follow_each_other() {
    let served = Served::new();
    for _ in 0..5 {
        served.lab.ok(&["session", "new", "--project", "demo"]);
    }
    let (mut seen, mut path) = (Vec::new(), "/api/v1/sessions?limit=2".to_owned());
    loop {
        let page = served.ask("GET", &path, None).json();
        let ids = page["data"].as_array().unwrap().iter().map(|it| it["id"].clone());
        seen.extend(ids);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/sessions?limit=2&after={next}");
    }
    let expected: Vec<_> = (1..=5).map(|num| json!(format!("demo-{num}"))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_verb_goes_on_when_its_client_goes_away() {
    let served = Served::new();
    let agent = &served.lab.agent;
    let spawn = json!({"project": "demo", "harness": "custom", "argv": [agent]});
    let stream = served.send("POST", "/api/v1/sessions", Some(&spawn));
    wait_until("the row", || !served.get("/api/v1/sessions").as_array().unwrap().is_empty());
    drop(stream);
    wait_until("the agent", || served.lab.starts().len() == 1);
    wait_until("the end of the verb", || {
        served.get("/api/v1/sessions/demo-1")["spawned_at"] != Value::Null
    });
}

/// How many examples of each operation schemathesis makes; `AO_SCHEMATHESIS_EXAMPLES` is another number.
const EXAMPLES: &str = "100";

/// Requests of every form, made from the document: none is answered by a defect or by what the document does
/// not say.
#[test]
fn schemathesis_finds_no_undocumented_answer() {
    let found = Command::new("schemathesis").arg("--version").output();
    if found.is_err() {
        println!("skipped: schemathesis is not installed");
        return;
    }
    let served = Served::new();
    // One that has no terminal: the output of one that does has no end.
    served.lab.spawn(&["--runtime", "process"]);
    let examples = std::env::var("AO_SCHEMATHESIS_EXAMPLES").unwrap_or(EXAMPLES.to_owned());
    let token = served.lab.env.path("data/tokens/operator.token");
    let token = std::fs::read_to_string(token).unwrap();
    let header = format!("Authorization: Bearer {}", token.trim());
    // It takes about a minute.
    let mut command = served.lab.env.clean("timeout");
    command
        .args(["1200", "schemathesis", "run"])
        .arg(format!("{}/openapi.json", served.url))
        .args(["-H", &header]);
    command.args(["--max-examples", &examples, "--exclude-path", "/shutdown"]);
    // Their answers do not end.
    command.args(["--exclude-path", "/api/v1/events", "--request-timeout", "60"]);
    command.args(["--exclude-path", "/api/v1/conversations/{id}/events"]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    command.args(["--checks", checks, "--seed", "1", "--workers", "2", "--no-color"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
