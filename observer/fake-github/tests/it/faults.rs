//! Each fault happens as often, and on those requests, as configured.

use ao_fake_github::{Fault, Kind, On, Request, Response, When, World};
use serde_json::{Value, json};

use crate::support::{ask, single, slim};

fn fleet() -> (World, Request) {
    let world = World::fleet(1, 4, 2, 1);
    let request =
        Request::graphql(&slim(), &json!({"ids": world.prs(), "o0": "octo", "n0": "repo-0"}));
    (world, request)
}

/// The answer to Heartbeat under one fault.
fn under(kind: Kind) -> Response {
    let (mut world, request) = fleet();
    world.faults.push(Fault::times(1, kind));
    let answer = world.answer(&request);
    assert!(world.faults.is_empty());
    assert_eq!(world.answer(&request).value()["data"]["nodes"][3]["number"], 4);
    answer
}

#[test]
fn faults_have_a_count_an_end_and_a_target() {
    let (mut world, request) = fleet();
    world.faults.push(Fault::times(2, Kind::gateway(502)).on(On::operation("Heartbeat")));
    let status = |world: &mut World| world.answer(&request).status;
    assert_eq!(world.answer(&Request::get("/user")).status, 200);
    assert_eq!([status(&mut world), status(&mut world), status(&mut world)], [502, 502, 200]);
    assert_eq!(world.counters.graphql_points, 3, "a timeout is charged");
    let until = world.now_ms() + 1000;
    world.faults.push(Fault::always(Kind::internal()).on(On::route("/user")).until(until));
    assert_eq!(status(&mut world), 200);
    assert_eq!(world.answer(&Request::get("/api/v3/user")).status, 500);
    world.advance(1000);
    assert_eq!(world.answer(&Request::get("/user")).status, 200);
    assert!(world.faults.is_empty());
    world.faults.extend([Fault::times(1, Kind::gateway(503)), Fault::times(1, Kind::abuse())]);
    assert_eq!([status(&mut world), status(&mut world), status(&mut world)], [503, 403, 200]);
    let always = Fault { on: On::Graphql, when: When::Always, kind: Kind::unauthorized() };
    world.faults.push(always);
    assert_eq!(status(&mut world), 401);
    assert_eq!(world.answer(&Request::get("/user")).status, 200);
    let third = world.prs()[2].clone();
    for (on, concerns) in [
        (On::Larger(3), true),
        (On::Larger(4), false),
        (On::Node(third), true),
        (On::Node("PR_".to_owned()), false),
    ] {
        world.faults = vec![Fault::always(Kind::internal()).on(on.clone())];
        assert_eq!(status(&mut world) == 500, concerns, "{on:?}");
        assert_eq!(world.answer(&Request::get("/user")).status, 200);
    }
}

#[test]
fn refusals_equal_those_of_github() {
    let spent = under(Kind::primary_limit());
    assert_eq!((spent.status, spent.header("x-ratelimit-remaining")), (403, Some("0")));
    let secondary = under(Kind::secondary_limit(Some("42")));
    assert_eq!((secondary.status, secondary.header("retry-after")), (403, Some("42")));
    assert_eq!(under(Kind::too_many_requests(None)).header("retry-after"), None);
    assert!(String::from_utf8(under(Kind::abuse()).body).unwrap().contains("abuse detection"));
    assert!(under(Kind::sso()).header("x-github-sso").is_some());
    assert!(
        under(Kind::not_accessible()).value()["message"]
            .as_str()
            .unwrap()
            .contains("not accessible")
    );
    assert!(under(Kind::gateway(504)).body.starts_with(b"<html>"));
    let limited = under(Kind::graphql_rate_limited());
    assert_eq!((limited.status, limited.header("x-ratelimit-remaining")), (200, Some("0")));
    assert_eq!(
        under(Kind::graphql_rate_limit_code()).value()["errors"][0]["code"],
        "graphql_rate_limit"
    );
    assert_eq!(under(Kind::data_null(None)).value(), json!({"data": null}));
    assert!(!under(Kind::something_went_wrong()).value()["errors"].is_null());
    let skewed = Kind::Headers(vec![("X-RateLimit-Reset".to_owned(), "1".to_owned())]);
    assert_eq!(under(skewed).header("x-ratelimit-reset"), Some("1"));
}

#[test]
fn parts_of_an_answer_are_lost() {
    let silent = under(Kind::NodeNull(2, None)).value();
    assert!(silent["data"]["nodes"][2].is_null() && silent["errors"].is_null());
    let spoken = under(Kind::NodeNull(2, Some("NOT_FOUND".to_owned()))).value();
    assert_eq!(spoken["errors"][0]["path"], json!(["nodes", 2]));
    let alias = under(Kind::AliasNull("r0".to_owned(), Some("FORBIDDEN".to_owned()))).value();
    assert!(alias["data"]["r0"].is_null() && alias["data"]["nodes"][0].is_object());
    let (world, _) = fleet();
    let gone = under(Kind::NodeGone(world.prs()[1].clone())).value();
    assert!(gone["data"]["nodes"][1].is_null() && gone["errors"].is_null());
    assert!(gone["data"]["nodes"][0].is_object());
    let deep = Kind::AliasNull("nodes/1/rollup".to_owned(), Some("FORBIDDEN".to_owned()));
    let deep = under(deep).value();
    assert!(deep["data"]["nodes"][1]["rollup"].is_null() && deep["data"]["nodes"][1].is_object());
    assert_eq!(deep["errors"][0]["path"], json!(["nodes", 1, "rollup"]));
    let limits = under(Kind::ResourceLimits(50)).value();
    let there = |nodes: &Value| nodes.as_array().unwrap().iter().filter(|it| !it.is_null()).count();
    assert_eq!(there(&limits["data"]["nodes"]), 2);
    assert_eq!(limits["errors"][0]["type"], "RESOURCE_LIMITS_EXCEEDED");
    let null = under(Kind::NullField("author".to_owned())).value();
    assert!(null["data"]["r0"]["pullRequests"]["nodes"][0]["author"].is_null());
    let unknown = under(Kind::UnknownEnum("mergeable".to_owned())).value();
    assert_eq!(unknown["data"]["nodes"][0]["mergeable"], "FROM_THE_FUTURE");
    let twice = under(Kind::DuplicateNodes).value();
    let nodes = twice["data"]["r0"]["pullRequests"]["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), &nodes[4]), (5, &nodes[0]));
}

#[test]
fn pages_never_end() {
    let none = under(Kind::NextPageWithoutCursor).value();
    let page = &none["data"]["r0"]["pullRequests"]["pageInfo"];
    assert_eq!(page, &json!({"hasNextPage": true, "endCursor": null}));
    let (mut world, _) = fleet();
    world.faults.push(Fault::always(Kind::CursorLoop));
    let mut after = Value::Null;
    for _ in 0..3 {
        let variables = json!({"ids": [], "o0": "octo", "n0": "repo-0", "a0": after});
        let found = ask(&mut world, &slim(), &variables);
        let prs = &found["data"]["r0"]["pullRequests"];
        assert_eq!(
            (prs["nodes"].as_array().unwrap().len(), &prs["pageInfo"]["hasNextPage"]),
            (4, &json!(true))
        );
        after = prs["pageInfo"]["endCursor"].clone();
    }
}

#[test]
fn bodies_are_corrupted() {
    let broken = |kind| serde_json::from_slice::<Value>(&under(kind).body).is_err();
    assert!(broken(Kind::TruncatedJson) && broken(Kind::InvalidJson) && broken(Kind::InvalidUtf8));
    assert!(String::from_utf8(under(Kind::InvalidUtf8).body).is_err());
    assert_eq!(under(Kind::Slow(700)).latency_ms, 700);
}

#[test]
fn a_stale_replica_answers_with_the_former_state() {
    let (mut world, pr) = single();
    world.options.history = 3;
    let snapshot = world.snapshot();
    let query = "query Title($id:ID!){ node(id:$id){ ... on PullRequest{ title updatedAt } } }";
    for title in ["one", "two", "three"] {
        world.advance(1000);
        world.set_title(&pr, title);
    }
    world.faults.push(Fault::times(1, Kind::StaleBy(1)));
    world.faults.push(Fault::times(1, Kind::Stale(snapshot)).on(On::operation("Other")));
    let mut title = || ask(&mut world, query, &json!({"id": pr}))["data"]["node"]["title"].take();
    assert_eq!((title(), title()), (json!("two"), json!("three")));
    world.faults[0].on = On::All;
    let mut title = || ask(&mut world, query, &json!({"id": pr}))["data"]["node"]["title"].take();
    assert_eq!(title(), "Work on ao/demo-1");
}
