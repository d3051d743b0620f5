//! Every document of the observer is resolved completely and is valid by the published schema.

use std::path::Path;

use ao_fake_github::{
    CheckSpec, Conclusion, NewThread, ReviewState, Schema, StatusState, World, validate,
};
use serde_json::json;

use crate::support::{DETAILS, FALLBACK, data, detail, single, slim, wide};

/// A pull request with at least one object of each type.
fn rich() -> (World, String, String) {
    let (mut world, pr) = single();
    world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Failure);
    world.check_start(&pr, &CheckSpec::app("circle", "lint"));
    world.status_set(&pr, "ci/jenkins", StatusState::Pending);
    world.review(&pr, "mona", ReviewState::Approved, "fine");
    let thread = world.thread_add(&pr, None, &NewThread::at("a.rs", 3), "why?");
    world.thread_reply(&thread, "bot[bot]", "because");
    world.thread_resolve(&thread, "mona");
    world.comment_add(&pr, "mona", "hello \u{1f980}");
    world.protect("octo/hello", true, &["build"]);
    (world, pr, thread)
}

#[test]
fn the_heartbeat_and_the_full_query_are_resolved() {
    let (mut world, pr, thread) = rich();
    let variables = json!({"ids": [pr], "o0": "octo", "n0": "hello", "b0": "ao/demo-1"});
    let slim = data(&mut world, &slim(), &variables);
    let node = &slim["nodes"][0];
    assert_eq!(node["__typename"], "PullRequest");
    assert_eq!(node["rollup"]["state"], "FAILURE");
    assert_eq!(node["rollup"]["commit"]["oid"], node["headRefOid"]);
    assert_eq!(node["reviewDecision"], "APPROVED");
    assert_eq!(node["totalCommentsCount"], 3);
    assert_eq!(slim["r0"]["pullRequests"]["nodes"][0]["id"], pr);
    assert_eq!(slim["b0"]["pullRequests"]["nodes"][0]["author"]["login"], "octo-dev");
    assert_eq!(
        (&slim["viewer"]["login"], &slim["rateLimit"]["cost"]),
        (&json!("octo-dev"), &json!(1))
    );
    let wide = data(&mut world, &wide(), &json!({"ids": [pr]}));
    let node = &wide["nodes"][0];
    assert_eq!(node["counts"]["contexts"]["totalCount"], 3);
    let counts = json!([{"state": "FAILURE", "count": 1}, {"state": "IN_PROGRESS", "count": 1}]);
    assert_eq!(node["counts"]["contexts"]["checkRunCountsByState"], counts);
    assert_eq!(node["reviewThreads"]["nodes"][0]["id"], thread);
    let suites = &node["headRef"]["target"]["checkSuites"];
    assert_eq!(suites["nodes"][0]["workflowRun"]["workflow"]["name"], "ci");
    assert_eq!(suites["nodes"][1]["workflowRun"], json!(null));
    assert_eq!(node["reviews"]["totalCount"], 3);
}

#[test]
fn details_are_resolved() {
    let (mut world, pr, thread) = rich();
    let mut ask = |what: &str, id: &str| data(&mut world, &detail(what), &json!({"i0": id}));
    let checks = ask("checks", &pr);
    let nodes = checks["d0"]["checks"]["contexts"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes[0]["isRequired"], true);
    assert!(nodes[0]["databaseId"].as_u64().unwrap() > u64::from(u32::MAX));
    assert_eq!(nodes[2]["creator"], json!({"login": "status-bot", "__typename": "Bot"}));
    assert_eq!(ask("reviews", &pr)["d0"]["reviews"]["nodes"][0]["body"], "fine");
    assert_eq!(ask("comments", &pr)["d0"]["comments"]["totalCount"], 1);
    assert_eq!(ask("threads", &pr)["d0"]["reviewThreads"]["nodes"][0]["isResolved"], true);
    let found = ask("thread", &thread);
    let comments = &found["d0"]["comments"]["nodes"];
    assert_eq!(comments[0]["author"], json!(null));
    assert_eq!(comments[1]["replyTo"]["id"], comments[0]["id"]);
    assert_eq!(comments[1]["author"]["__typename"], "Bot");
    assert_eq!(found["d0"]["resolvedBy"]["login"], "mona");
}

#[test]
fn documents_are_valid_by_the_published_schema() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/fixtures/github/schema.graphql");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return println!("skipped: there is no schema at {}", file.display());
    };
    let schema = Schema::parse(&text);
    let details = DETAILS.map(detail);
    let documents = details.iter().map(String::as_str);
    for document in documents.chain([slim().as_str(), wide().as_str(), FALLBACK]) {
        assert_eq!(validate(&schema, document), Ok(()), "{document}");
    }
}

#[test]
fn validation_reports_each_violation() {
    let schema = Schema::parse(
        r#"schema { query: Query } "doc \" { }" type Query implements Node & Other @x(a: "b") {
           """ block { """ node(id: ID!, n: [Int!]! = [1, 2] @d): Node things(first: Int = 5): [Thing!]! }
           interface Node { id: ID! } type Thing implements Node { id: ID! id: ID! name: String }
           type Lone { x: Int } enum E { A B } input I { a: Int = -1, b: I2 = {a: [1]} }
           union Any = | Thing | Lone"#,
    );
    let wrong = |document: &str| validate(&schema, document).unwrap_err().join("; ");
    assert_eq!(validate(&schema, "query($i:ID!){ node(id:$i){ ... on Thing{ name } } }"), Ok(()));
    assert_eq!(wrong("{ node{ id } }"), "Query.node lacks the argument id");
    assert_eq!(wrong("{ things{ nme } }"), "Thing has no field nme");
    assert_eq!(wrong("{ things(last:1){ id } }"), "Query.things has no argument last");
    assert_eq!(wrong("{ things }"), "Query.things needs a selection");
    assert_eq!(wrong("{ things{ id{ x } } }"), "Thing.id is a leaf");
    assert_eq!(wrong("{ things{ ... on Lone{ x } } }"), "a Thing is never a Lone");
    assert_eq!(
        wrong("query($a:Int){ things(first:$b){ id } }"),
        "$b is not declared; $a is not used"
    );
    assert_eq!(wrong("{ things{ ...F } }"), "there is no fragment F");
    assert!(!wrong("{ things").is_empty());
}
