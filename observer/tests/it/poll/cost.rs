//! The queries that are sent: each is one of GitHub's schema, costs what the published formula computes,
//! and no more than before.

use std::collections::BTreeSet;
use std::path::Path;

use ao_fake_github::{
    CheckSpec, Conclusion, NewPr, NewThread, ReviewState, Schema, cost, validate,
};
use ao_store::observation::Observation;
use ao_store::{PrRef, apply_observation};
use serde_json::Value;

use super::rig::Rig;

/// What an observer sends about a world with everything in it.
fn sent(no_pr_rollup: bool) -> BTreeSet<String> {
    let mut rig = Rig::unseen(2, 4);
    rig.world.options.no_pr_rollup = no_pr_rollup;
    // A pull request that another writer stored, without its node id.
    rig.world.open_pr(&NewPr::new("octo/repo-0", "local"));
    let location = PrRef::new("github.com", "octo/repo-0", 3).unwrap();
    let session = Some(rig.session("p0", "local"));
    let stored = Observation { session, ..Observation::new(location, rig.now) };
    rig.store.write(rig.cause(), move |tx| apply_observation(tx, &stored)).unwrap();
    rig.queries = Some(Vec::new());
    rig.minutes(3);
    let pr = rig.world.prs().remove(0);
    rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    for line in 0..120 {
        rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", line), "Why?");
        rig.world.comment_add(&pr, "hubot", "Hello");
        let job = CheckSpec::job("ci", &format!("job-{line}"));
        rig.world.check(&pr, &job, Conclusion::Success);
    }
    let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("b.rs", 1), "Why?");
    for _ in 0..60 {
        rig.world.thread_reply(&thread, "octo-dev", "Because.");
    }
    rig.minutes(5);
    rig.assert_observed();
    let queries = rig.queries.take().unwrap().into_iter().map(|(_, body)| {
        let body: Value = serde_json::from_str(&body).unwrap();
        body["query"].as_str().unwrap().to_owned()
    });
    let queries: BTreeSet<_> = queries.collect();
    for part in [
        "Heartbeat",
        "Full",
        "contexts(",
        "reviews(",
        "comments(",
        "reviewThreads(",
        "on PullRequestReviewThread",
        "r0:",
        "p0:",
    ] {
        assert!(queries.iter().any(|query| query.contains(part)), "{part} was sent");
    }
    queries
}

/// Case 49.
#[test]
fn every_query_is_valid_by_the_schema_of_github() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/github/schema.graphql");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: there is no schema at {}", path.display());
        return;
    };
    let schema = Schema::parse(&text);
    for no_pr_rollup in [false, true] {
        for document in &sent(no_pr_rollup) {
            assert_eq!(validate(&schema, document), Ok(()), "{document}");
        }
    }
}

/// Case 48: the host charged what the formula computes for the same request.
#[test]
fn every_query_costs_what_the_formula_says() {
    let mut rig = Rig::unseen(3, 60);
    rig.queries = Some(Vec::new());
    rig.minutes(8);
    let queries = rig.queries.take().unwrap();
    let charged =
        rig.world.log.iter().filter(|it| it.class != "GET /repos/{o}/{r}/actions/jobs/{id}/logs");
    let charged: Vec<_> = charged.map(|served| served.cost).collect();
    assert_eq!(charged.len(), queries.len());
    for ((_, body), charged) in queries.iter().zip(charged) {
        let body: Value = serde_json::from_str(body).unwrap();
        let predicted = cost(body["query"].as_str().unwrap(), &body["variables"]).unwrap();
        assert_eq!(predicted.points, charged, "{body}");
        assert!(predicted.nodes <= 500_000, "{predicted:?}");
    }
}

/// The price of one of the largest queries of a kind that the observer sends for a fleet of this size.
fn largest(repos: usize, prs: usize, kind: &str, no_pr_rollup: bool) -> (usize, u64, u64) {
    let mut rig = Rig::unseen(repos, prs);
    rig.world.options.no_pr_rollup = no_pr_rollup;
    rig.queries = Some(Vec::new());
    rig.minutes(3);
    let queries = rig.queries.take().unwrap().into_iter();
    let priced = queries.filter_map(|(_, body)| {
        let body: Value = serde_json::from_str(&body).unwrap();
        let document = body["query"].as_str().unwrap();
        let cost = cost(document, &body["variables"]).unwrap();
        let ids = body["variables"]["ids"].as_array().map_or(0, Vec::len);
        let listings = document.matches(":repository(").count();
        let is_it = match kind {
            "listing" => document.starts_with("query Heartbeat") && ids == 0 && listings > 0,
            name => document.starts_with(&format!("query {name}")),
        };
        let size = if kind == "Detail" {
            document.matches(":node(").count()
        } else {
            ids.max(usize::from(kind == "listing") * listings)
        };
        is_it.then_some((size, cost.requests, cost.points))
    });
    priced.max().unwrap()
}

/// Case 48: a change that makes a query dearer fails here.
#[test]
fn no_query_becomes_dearer() {
    for (what, repos, prs, kind, no_pr_rollup, expected) in [
        ("100 heartbeats, 1 list", 1, 100, "Heartbeat", false, (100, 1, 1)),
        ("50 full, 1 list", 1, 100, "Full", false, (50, 201, 2)),
        ("50 lists", 50, 50, "listing", false, (50, 50, 1)),
        ("100 details", 1, 100, "Detail", false, (100, 100, 1)),
        ("100 heartbeats of an older server", 1, 100, "Heartbeat", true, (100, 101, 1)),
        ("50 full of an older server", 1, 100, "Full", true, (50, 401, 4)),
    ] {
        assert_eq!(largest(repos, prs, kind, no_pr_rollup), expected, "{what}");
    }
}
