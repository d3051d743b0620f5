//! Costs: published live readings, and those of the observer's documents.

use ao_fake_github::{Cost, cost};
use serde_json::json;

use crate::support::{detail, slim, wide};

/// What the readings were taken with: 33 connections for each pull request.
fn sculptor(threads: usize) -> String {
    format!(
        "nodes{{ ... on PullRequest{{ commits(last:1){{ nodes{{ commit{{ statusCheckRollup{{
         contexts(first:50){{ nodes{{ __typename }} }} }} }} }} }}
         reviewThreads(first:{threads}){{ nodes{{ comments(first:10){{ nodes{{ id }} }} }} }} }} }}"
    )
}

fn points(query: &str) -> u64 {
    cost(query, &json!({})).unwrap().points
}

#[test]
fn the_published_readings_are_reproduced() {
    let search = |prs| {
        points(&format!("{{ search(first:{prs}, type:ISSUE, query:\"\"){{ {} }} }}", sculptor(30)))
    };
    assert_eq!([1, 4, 10, 20, 50, 100].map(search), [1, 1, 3, 7, 17, 33]);
    let repository = |prs: usize, threads: usize| {
        format!(
            "repository(owner:\"o\",name:\"n\"){{ pullRequests(first:{prs}){{ {} }} }}",
            sculptor(threads)
        )
    };
    let prs = |prs| points(&format!("{{ {} }}", repository(prs, 30)));
    assert_eq!([1, 2, 3, 5, 10].map(prs), [1, 1, 1, 2, 3]);
    let threads = |threads| points(&format!("{{ {} }}", repository(5, threads)));
    assert_eq!([1, 5, 10, 30, 50].map(threads), [1, 1, 1, 2, 3]);
    let aliases: String = (0..4).map(|at| format!("a{at}: {}\n", repository(5, 30))).collect();
    assert_eq!(points(&format!("{{ {aliases} }}")), 7);
}

#[test]
fn the_heartbeat_costs_a_point_for_a_hundred_and_the_full_query_its_connections() {
    let ids: Vec<_> = (0..100).map(|at| format!("PR_{at}")).collect();
    let variables = json!({"ids": ids, "o0": "o", "n0": "n"});
    assert_eq!(cost(&slim(), &variables), Ok(Cost { requests: 2, points: 1, nodes: 123 }));
    let fifty = json!({"ids": &ids[..50]});
    // Per pull request: contexts, reviews, threads, suites, and the runs of 50 suites.
    let Cost { requests, points, nodes } = cost(&wide(), &fifty).unwrap();
    assert_eq!((requests, points, nodes), (50 * (4 + 50), 27, 50 * (1 + 100 + 50)));
    let without_runs = wide().replace("checkRuns{totalCount}", "");
    assert_eq!(cost(&without_runs, &fifty).unwrap().points, 2);
    let one = json!({"i0": "x"});
    assert_eq!(cost(&detail("thread"), &one).unwrap().requests, 1);
    assert!(cost(&slim(), &json!({})).is_err());
}
