//! Turns and conversations over HTTP: an organisation sees its own, and of another one nothing exists; the
//! events of a conversation continue after any position.

use ao_daemon::NamedTokens;
use ao_store::row::lifecycle::instance::Instance;
use ao_store::turn::append::{Response, append};
use ao_store::turn::claim::{Claim, Claimed, Work, claim};
use ao_store::turn::finish::{Completion, Finished, Outcome, finish};
use ao_store::turn::usage::Usage;
use ao_store::turn::{agent, org};
use ao_store::{Cause, OrgId, Store};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::served::{BOUND, Served, json as read, whole};

mod pages;

/// A daemon with two organisations, each with one turn, and the token of the first.
struct World {
    served: Served,
    token: String,
}

impl World {
    fn new() -> World {
        let served = Served::new();
        for name in ["acme", "other"] {
            let id: OrgId = name.parse().unwrap();
            let made = served.store.write(Cause::now("test"), move |tx| {
                org::add(tx, &id)?;
                let agent = agent::Agent::new(id, "writer".parse()?, tx.now());
                agent::add(tx, &agent)
            });
            made.unwrap();
        }
        let tokens = NamedTokens::of_org(served.dir(), &"acme".parse().unwrap());
        let token = tokens.create(&"web".parse().unwrap()).unwrap();
        World { served, token }
    }

    /// What the port answers to this token.
    fn ask(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.served.host());
        request = request.header("authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| body.to_string().into());
        let request = request.body(body).unwrap();
        self.served.runtime.block_on(async {
            let (status, mut body) = read(self.served.ask_port(request).await).await;
            if let Some(body) = body.as_object_mut() {
                body.remove("requestId");
            }
            (status.as_u16(), body)
        })
    }

    /// What it answers to the organisation.
    fn own(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask(&self.token, method, path, body)
    }

    /// Sends a message as the operator; the ids of the turn and of its conversation.
    fn send(&self, org: &str) -> (String, String) {
        let body = json!({"text": "hello", "org": org, "agent": "writer"});
        let (status, sent) = self.ask(&self.served.token(), "POST", "/api/v1/turns", Some(&body));
        assert_eq!(status, 202, "{sent}");
        let text = |name: &str| sent["data"][name].as_str().unwrap().to_owned();
        (text("id"), text("conversation_id"))
    }
}

#[test]
fn d4_d11_and_d13_what_belongs_to_another_organisation_is_answered_as_what_does_not_exist() {
    let world = World::new();
    let (turn, conversation) = world.send("other");
    let (no_turn, no_conversation) = ("t0000000000000000", "c0000000000000000");
    // Each request once about what exists elsewhere, and once about what does not exist.
    let paths = [
        ("GET", "/api/v1/turns/TURN"),
        ("POST", "/api/v1/turns/TURN/cancel"),
        ("GET", "/api/v1/turns?after=TURN"),
        ("GET", "/api/v1/turns?conversation=CONV"),
        ("GET", "/api/v1/turns?org=ORG"),
        ("GET", "/api/v1/conversations?org=ORG"),
        ("GET", "/api/v1/conversations/CONV"),
        ("POST", "/api/v1/conversations/CONV/reset"),
        ("GET", "/api/v1/conversations/CONV/history"),
        ("GET", "/api/v1/conversations/CONV/events"),
        ("GET", "/api/v1/conversations/CONV/events?from=99"),
        ("GET", "/api/v1/orgs/ORG/agents"),
        ("GET", "/api/v1/orgs/ORG/agents/writer"),
        ("GET", "/api/v1/orgs/ORG/agents/nobody"),
        ("POST", "/api/v1/turns {\"text\": \"x\", \"org\": \"ORG\", \"agent\": \"writer\"}"),
        ("POST", "/api/v1/turns {\"text\": \"x\", \"org\": \"ORG\"}"),
        ("POST", "/api/v1/turns {\"text\": \"x\", \"conversation\": \"CONV\"}"),
        ("POST", "/api/v1/turns {\"text\": \"x\", \"conversation\": \"CONV\", \"org\": \"ORG\"}"),
    ];
    for (method, path) in paths {
        let ask = |turn: &str, conversation: &str, org: &str| {
            let filled = path.replace("TURN", turn).replace("CONV", conversation);
            let filled = filled.replace("ORG", org);
            let (path, body) = filled.split_once(' ').unwrap_or((&filled, "null"));
            let body: Option<Value> = serde_json::from_str(body).unwrap();
            let (status, answer) = world.own(method, path, body.as_ref());
            let named = [(turn, "TURN"), (conversation, "CONV"), (org, "ORG")];
            let answer = named.iter().fold(answer.to_string(), |it, (id, to)| it.replace(id, to));
            (status, answer)
        };
        let foreign = ask(&turn, &conversation, "other");
        let missing = ask(no_turn, no_conversation, "nowhere");
        assert_eq!(foreign, missing, "{method} {path}");
        assert_eq!(foreign.0, 404, "{method} {path}: {}", foreign.1);
    }
    // Nothing came of it.
    let (_, found) =
        world.ask(&world.served.token(), "GET", &format!("/api/v1/turns/{turn}"), None);
    assert_eq!(found["data"]["state"], "queued");
}

#[test]
fn the_token_of_an_organisation_is_that_and_nothing_else_until_it_is_revoked() {
    let world = World::new();
    world.send("other");
    let body = json!({"text": "hello", "agent": "writer", "key": "k"});
    let (status, sent) = world.own("POST", "/api/v1/turns", Some(&body));
    assert_eq!((status, &sent["data"]["org_id"]), (202, &json!("acme")), "{sent}");
    let user = json!({"platform": "slack", "user_id": "alice"});
    let mut of_alice = body.clone();
    of_alice["user"] = user;
    let (_, other) = world.own("POST", "/api/v1/turns", Some(&of_alice));
    assert_ne!(other["data"]["conversation_id"], sent["data"]["conversation_id"]);
    let count = |path: &str| world.own("GET", path, None).1["data"].as_array().unwrap().len();
    assert_eq!(count("/api/v1/turns"), 2);
    assert_eq!(count("/api/v1/turns?org=acme&agent=writer&state=queued"), 2);
    assert_eq!(count("/api/v1/conversations"), 2);
    assert_eq!(count("/api/v1/orgs/acme/agents"), 1);
    let (_, first) = world.own("GET", "/api/v1/turns?limit=1", None);
    assert_eq!(
        (&first["data"][0]["id"], &first["next"]),
        (&other["data"]["id"], &other["data"]["id"])
    );
    let next = format!("/api/v1/turns?limit=1&after={}", first["next"].as_str().unwrap());
    let (_, second) = world.own("GET", &next, None);
    assert_eq!((&second["data"][0]["id"], &second["next"]), (&sent["data"]["id"], &Value::Null));
    let id = sent["data"]["id"].as_str().unwrap();
    let (status, done) = world.own("POST", &format!("/api/v1/turns/{id}/cancel"), None);
    assert_eq!((status, &done["data"]["state"]), (200, &json!("cancelled")));

    let object = json!({});
    let elsewhere = [
        ("GET", "/api/v1/sessions", None),
        ("GET", "/api/v1/status", None),
        ("GET", "/api/v1/events", None),
        ("GET", "/api/v1/export", None),
        ("GET", "/api/v1/daemon", None),
        ("GET", "/api/v1/agents", None),
        ("GET", "/api/v1/orgs", None),
        ("GET", "/api/v1/leases", None),
        ("GET", "/api/v1/turnsx", None),
        ("GET", "/metrics", None),
        ("GET", "/openapi.json", None),
        ("POST", "/shutdown", None),
        ("POST", "/api/v1/orgs", Some(&object)),
        ("POST", "/api/v1/orgs/acme/agents", Some(&object)),
        ("PATCH", "/api/v1/orgs/acme/agents/writer/members", Some(&object)),
        ("POST", "/api/v1/login-links", None),
    ];
    for (method, path, body) in elsewhere {
        let (status, answer) = world.own(method, path, body);
        assert_eq!((status, &answer["code"]), (403, &json!("TOKEN_OF_ORG")), "{method} {path}");
    }
    // One that only reads sends nothing, and sees all.
    let reads = NamedTokens::of(world.served.dir()).create(&"reads".parse().unwrap()).unwrap();
    let (status, refused) = world.ask(&reads, "POST", "/api/v1/turns", Some(&body));
    assert_eq!((status, &refused["code"]), (403, &json!("TOKEN_READ_ONLY")));
    let (_, all) = world.ask(&reads, "GET", "/api/v1/turns", None);
    assert_eq!(all["data"].as_array().unwrap().len(), 3);

    let tokens = NamedTokens::of_org(world.served.dir(), &"acme".parse().unwrap());
    tokens.revoke(&"web".parse().unwrap()).unwrap();
    assert_eq!(world.own("GET", "/api/v1/turns", None).0, 401);
}

#[test]
fn a_bad_message_is_refused_by_its_code() {
    let world = World::new();
    let send = |mut body: Value| {
        if body.get("agent").is_none() {
            body["agent"] = "writer".into();
        }
        world.own("POST", "/api/v1/turns", Some(&body))
    };
    let long = "x".repeat(201);
    for (body, status, code) in [
        (json!({"text": ""}), 400, "INVALID_PROMPT"),
        (json!({"text": "a\0b"}), 400, "INVALID_PROMPT"),
        (json!({"text": "x", "key": ""}), 400, "INVALID_ID"),
        (json!({"text": "x", "key": long}), 400, "INVALID_ID"),
        (json!({"text": "x", "conversation": "a\nb"}), 400, "INVALID_ID"),
        (json!({"text": "x", "agent": "../x"}), 400, "INVALID_ID"),
        (json!({"text": "x", "user": {"platform": "", "user_id": "u"}}), 400, "INVALID_ID"),
        (json!({"text": "x", "txet": "x"}), 400, "INVALID_REQUEST"),
        (json!({"text": "x".repeat(1 << 20)}), 413, "INPUT_TOO_LARGE"),
    ] {
        let (found, answer) = send(body);
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{answer}");
    }
    send(json!({"text": "x", "key": "k"}));
    let (status, answer) = send(json!({"text": "y", "key": "k"}));
    assert_eq!((status, &answer["code"]), (409, &json!("TURN_KEY_USED")));
}

/// A client that follows a conversation.
struct Client {
    body: Incoming,
    text: String,
}

impl Client {
    async fn open(world: &World, path: &str, last: Option<&str>) -> Client {
        let request = Request::get(path).header("host", "localhost");
        let request = last.into_iter().fold(request, |it, last| it.header("last-event-id", last));
        let response = world.served.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Client { body: response.into_body(), text: String::new() }
    }

    /// The id, if there is one, the name and the data of the next item.
    async fn next(&mut self) -> Option<(Option<i64>, String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                let item = field("data: ").map(|data| {
                    let id = field("id: ").map(|id| id.parse().unwrap());
                    let name = field("event: ").unwrap().to_owned();
                    (id, name, serde_json::from_str(data).unwrap())
                });
                self.text = rest.to_owned();
                if item.is_some() {
                    return item;
                }
            }
            let frame = timeout(BOUND, self.body.frame()).await.expect("an event in time")?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The position, the name and the data of the next event.
    async fn item(&mut self) -> (i64, String, Value) {
        loop {
            let (id, name, data) = self.next().await.expect("an event");
            if let Some(id) = id {
                assert_eq!((&data["seq"], &data["kind"]), (&json!(id), &json!(name)));
                return (id, name, data);
            }
        }
    }

    /// The position, the name and the text of the next event.
    async fn event(&mut self) -> (i64, String, String) {
        let (id, name, data) = self.item().await;
        (id, name, data["text"].as_str().unwrap().to_owned())
    }
}

/// Claims the turn of the agent.
fn take(store: &Store) -> Box<Work> {
    let cause = Cause::now("test");
    let wanted = Claim {
        org: "acme".parse().unwrap(),
        agent: "writer".parse().unwrap(),
        worker: Instance::of_this_process("w1", "test", cause.at),
        silence: BOUND,
    };
    match store.write(cause, move |tx| claim(tx, &wanted)).unwrap().value {
        Claimed::Got(work) => work,
        other => panic!("{other:?}"),
    }
}

/// Answers a turn by these responses and a reply.
fn answer<const N: usize>(store: &Store, work: Box<Work>, all: [Response; N], text: &str) {
    let outcome = Outcome::Reply { text: text.to_owned(), snapshot: None };
    let prepared = Completion { outcome, usage: Usage::default() }.prepare().unwrap();
    let done = store.write(Cause::now("test"), move |tx| {
        for (number, response) in all.iter().enumerate() {
            append(tx, &work.held, &number.to_string(), response)?;
        }
        finish(tx, &work.held, &prepared)
    });
    assert_eq!(done.unwrap().value, Finished::Won);
}

#[test]
fn c2_to_c4_a_response_is_one_event_of_its_kind_in_its_conversation() {
    let world = World::new();
    let (turn, conversation) = world.send("acme");
    let text = |text: &str| text.to_owned();
    let all = [
        Response::Content(text("a card")),
        Response::Delta(text("a")),
        Response::Ephemeral(text("a hint")),
        Response::Status(text("it thinks")),
    ];
    let store = &world.served.store;
    answer(store, take(store), all, "a");
    let path = format!("/api/v1/conversations/{conversation}/events?from=2");
    let expected = [
        ("content", "a card"),
        ("delta", "a"),
        ("ephemeral", "a hint"),
        ("status", "it thinks"),
        ("complete", "a"),
    ];
    world.served.runtime.block_on(async {
        let mut client = Client::open(&world, &path, None).await;
        for (name, text) in expected {
            let (_, kind, data) = client.item().await;
            assert_eq!((kind.as_str(), &data["text"]), (name, &json!(text)));
            assert_eq!(data["turn_id"], json!(turn));
        }
    });
}

#[test]
fn e8_events_come_as_they_are_stored_and_continue_after_any_position() {
    let world = World::new();
    let (_, conversation) = world.send("acme");
    let path = format!("/api/v1/conversations/{conversation}/events");
    let store = world.served.store.clone();
    world.served.runtime.block_on(async {
        let mut live = Client::open(&world, &path, None).await;
        let (id, name, hello) = live.next().await.unwrap();
        assert_eq!((id, name.as_str(), &hello["position"]), (None, "hello", &json!(0)));
        assert_eq!(live.event().await, (1, "status".to_owned(), "accepted".to_owned()));
        let work = take(&store);
        assert_eq!(live.event().await, (2, "status".to_owned(), "running".to_owned()));
        answer(&store, work, [Response::Delta("a\nb".to_owned())], "a\nbc");
        assert_eq!(live.event().await, (3, "delta".to_owned(), "a\nb".to_owned()));
        assert_eq!(live.event().await, (4, "complete".to_owned(), "a\nbc".to_owned()));
        for (query, last, first) in [
            ("", None, 1),
            ("?from=2", None, 3),
            ("?from=0", Some("3"), 4),
            ("?from=3", Some(""), 4),
        ] {
            let mut again = Client::open(&world, &format!("{path}{query}"), last).await;
            assert_eq!(again.event().await.0, first, "{query} {last:?}");
        }
        for (query, code) in [
            ("?from=5", "CURSOR_IN_FUTURE"),
            ("?from=-1", "INVALID_CURSOR"),
            ("?from=1-1", "INVALID_CURSOR"),
            ("?form=1", "INVALID_REQUEST"),
        ] {
            let request = crate::served::get(&format!("{path}{query}"));
            let (status, body) = read(world.served.ask(request).await).await;
            assert_eq!((status.as_u16(), &body["code"]), (400, &json!(code)), "{query}");
        }
        let history = path.replace("/events", "/history?limit=3");
        let (_, page) = read(world.served.ask(crate::served::get(&history)).await).await;
        assert_eq!((page["data"].as_array().unwrap().len(), &page["next"]), (3, &json!("3")));
        let rest = history + "&after=3";
        let (_, page) = read(world.served.ask(crate::served::get(&rest)).await).await;
        assert_eq!((&page["data"][0]["text"], &page["next"]), (&json!("a\nbc"), &Value::Null));
    });
}

#[test]
fn lines_are_sent_to_who_asks_for_them_and_end_with_the_daemon() {
    let mut world = World::new();
    let (_, conversation) = world.send("acme");
    let path = format!("/api/v1/conversations/{conversation}/events?from=end");
    let request = Request::get(path).header("host", "localhost");
    let request = request.header("accept", "application/x-ndjson").body(Body::empty()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let response = runtime.block_on(async {
        let response = world.served.ask(request).await;
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        response
    });
    let all = runtime.spawn(whole(response));
    world.served.stop();
    let (_, _, body) = runtime.block_on(all).unwrap();
    let lines = String::from_utf8(body.to_vec()).unwrap();
    let controls: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = controls.iter().map(|it| it["control"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello", "bye"]);
}

#[test]
fn d1_d3_and_d4_a_message_goes_to_the_agent_of_its_organisation_and_to_none_of_another() {
    let world = World::new();
    let body = json!({"id": "default"});
    let add = |org: &str| {
        let path = format!("/api/v1/orgs/{org}/agents");
        let (status, made) = world.ask(&world.served.token(), "POST", &path, Some(&body));
        assert_eq!(status, 201, "{made}");
    };
    add("other");
    let bodies = [json!({"text": "x"}), json!({"text": "x", "agent": "default"})];
    for body in &bodies {
        let (status, refused) = world.own("POST", "/api/v1/turns", Some(body));
        assert_eq!((status, &refused["code"]), (404, &json!("AGENT_NOT_FOUND")), "{refused}");
        assert!(!refused.to_string().contains("other"), "{refused}");
    }
    let (_, all) = world.ask(&world.served.token(), "GET", "/api/v1/turns", None);
    assert_eq!(all["data"], json!([]));
    add("acme");
    let (status, sent) = world.own("POST", "/api/v1/turns", Some(&bodies[0]));
    assert_eq!(status, 202, "{sent}");
    assert_eq!(
        (&sent["data"]["org_id"], &sent["data"]["agent_id"]),
        (&json!("acme"), &json!("default"))
    );
}

#[test]
fn e1_and_e2_a_turn_that_no_client_follows_is_delivered_to_who_comes_later() {
    let mut world = World::new();
    let (_, conversation) = world.send("acme");
    let (store, path) =
        (world.served.store.clone(), format!("/api/v1/conversations/{conversation}/events"));
    // No client is needed for it, nor the daemon that ran then.
    let work = take(&store);
    answer(&store, work, [], "done");
    world.served.stop();
    world.served.start();
    world.served.runtime.block_on(async {
        let mut late = Client::open(&world, &path, None).await;
        for expected in
            [(1, "status", "accepted"), (2, "status", "running"), (3, "complete", "done")]
        {
            let (seq, kind, text) = late.event().await;
            assert_eq!((seq, kind.as_str(), text.as_str()), expected);
        }
    });
}

#[test]
fn e10_a_client_that_goes_away_at_any_time_leaves_nothing() {
    let world = World::new();
    let (_, conversation) = world.send("acme");
    let path = format!("/api/v1/conversations/{conversation}/events");
    let has_followers = || {
        let read = async {
            let answer = world.served.ask(crate::served::get("/metrics")).await;
            String::from_utf8(whole(answer).await.2.to_vec()).unwrap()
        };
        let text = world.served.runtime.block_on(read);
        let count = text.lines().find_map(|line| line.strip_prefix("ao_store_daemon_followers "));
        count.unwrap() != "0"
    };
    world.served.runtime.block_on(async {
        for number in 0..30 {
            let request = Request::get(&path).header("host", "localhost");
            let asked = world.served.ask(request.body(Body::empty()).unwrap());
            // Before it is answered, after the head, and after the first item.
            match number % 3 {
                0 => drop(timeout(std::time::Duration::from_micros(number * 50), asked).await),
                1 => drop(asked.await),
                _ => {
                    let mut client = Client { body: asked.await.into_body(), text: String::new() };
                    assert!(client.next().await.is_some());
                }
            }
        }
    });
    let deadline = std::time::Instant::now() + BOUND;
    while has_followers() {
        assert!(std::time::Instant::now() < deadline, "a follower is left");
    }
}
