//! REST: conditional requests, pages, moves, and the volatile parts of bodies.

use ao_fake_github::{CheckSpec, Conclusion, Request, World};
use serde_json::json;

use crate::support::single;

const PULLS: &str = "/repos/octo/hello/pulls?state=open&per_page=100";

#[test]
fn a_request_with_a_current_etag_is_free() {
    let (mut world, _) = single();
    let first = world.answer(&Request::get(PULLS));
    let etag = first.header("etag").unwrap().to_owned();
    let again = world.answer(&Request::get(PULLS).with("if-none-match", &etag));
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("x-ratelimit-used"), Some("1"));
    assert_eq!((world.counters.core_points, world.counters.secondary_points), (1, 2));
    world.star("octo/hello");
    let starred = world.answer(&Request::get(PULLS).with("if-none-match", &etag));
    assert_eq!(
        (starred.status, starred.value()[0]["head"]["repo"]["stargazers_count"].clone()),
        (200, json!(1))
    );
    let etag = starred.header("etag").unwrap().to_owned();
    world.add_token("fresh", "octo-dev");
    let rotated =
        Request::get(PULLS).with("if-none-match", &etag).with("authorization", "Bearer fresh");
    assert_eq!(world.answer(&rotated).status, 200);
    world.options.stable_etags = true;
    let stable = world.answer(&rotated).header("etag").unwrap().to_owned();
    assert_eq!(world.answer(&Request::get(PULLS).with("if-none-match", &stable)).status, 304);
}

#[test]
fn lists_have_pages_and_links() {
    let mut world = World::fleet(1, 5, 3, 0);
    let route = "/repos/octo/repo-0/pulls?sort=created&direction=asc&per_page=2&page=2";
    let page = world.answer(&Request::get(route));
    let numbers =
        page.value().as_array().unwrap().iter().map(|pr| pr["number"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers, [3, 4]);
    let link = page.header("link").unwrap();
    assert!(
        link.contains("page=3>; rel=\"next\"") && link.contains("page=1>; rel=\"prev\""),
        "{link}"
    );
    let pr = world.prs().remove(0);
    let oid = world.expected(&pr).head_oid;
    let route = format!("/repos/octo/repo-0/commits/{oid}/check-runs?per_page=2");
    let runs = world.answer(&Request::get(&route));
    assert_eq!((&runs.value()["total_count"], runs.header("link").is_some()), (&json!(3), true));
    let status = world.answer(&Request::get(&format!("/repos/octo/repo-0/commits/{oid}/status")));
    assert_eq!(status.value()["state"], "success");
    assert_eq!(world.counters.of("GET /repos/{o}/{r}/pulls"), 1);
}

#[test]
fn a_renamed_repository_redirects() {
    let (mut world, pr) = single();
    world.rename_repo("octo/hello", "new");
    let moved = world.answer(&Request::get("/repos/octo/hello/pulls/1").with("host", "h:1"));
    assert_eq!(moved.status, 301);
    let location = moved.header("location").unwrap().strip_prefix("http://h:1").unwrap().to_owned();
    let found = world.answer(&Request::get(&location));
    assert_eq!(found.value()["node_id"], pr);
    assert_eq!(found.value()["base"]["repo"]["full_name"], "octo/new");
    assert_eq!(world.answer(&Request::get("/repos/octo/new/pulls/1")).status, 200);
    assert_eq!(world.answer(&Request::get("/repos/octo/new/pulls/2")).status, 404);
}

#[test]
fn a_read_over_rest_starts_the_computation_of_mergeability() {
    let (mut world, _) = single();
    let read = |world: &mut World| {
        world.answer(&Request::get("/repos/octo/hello/pulls/1")).value()["mergeable"].clone()
    };
    assert_eq!(read(&mut world), json!(null));
    world.advance(5000);
    assert_eq!(read(&mut world), json!(true));
}

#[test]
fn only_actions_has_logs() {
    let (mut world, pr) = single();
    let job = world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Failure);
    let other = world.check(&pr, &CheckSpec::app("circle", "build"), Conclusion::Failure);
    world.set_log(&job, "boom");
    let mut log = |run: &str| {
        let route = format!("/repos/octo/hello/actions/jobs/{}/logs", world.job_id(run));
        world.answer(&Request::get(&route))
    };
    assert_eq!(log(&job).body, b"boom");
    assert_eq!(log(&other).status, 404);
}
