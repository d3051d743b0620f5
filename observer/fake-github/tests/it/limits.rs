//! Rate limits: windows, exhaustion, spending of other tools, and authentication.

use ao_fake_github::{Request, Resource, World};
use serde_json::json;

use crate::support::{ask, slim};

fn viewer() -> Request {
    Request::graphql("query Me{ viewer{ login } rateLimit{ cost remaining used } }", &json!({}))
}

#[test]
fn an_exhausted_window_is_renewed() {
    let mut world = World::new(1);
    let first = world.answer(&viewer());
    assert_eq!(first.header("x-ratelimit-remaining"), Some("4999"));
    assert_eq!(first.header("x-ratelimit-resource"), Some("graphql"));
    assert_eq!(
        first.value()["data"]["rateLimit"],
        json!({"cost": 1, "remaining": 4999, "used": 1})
    );
    world.spend_foreign(Resource::Graphql, 4999);
    let refused = world.answer(&viewer());
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (200, Some("0")));
    assert_eq!(refused.value()["errors"][0]["type"], "RATE_LIMITED");
    let reset: i64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
    world.set_now_ms(reset * 1000 - 1);
    assert_eq!(world.answer(&viewer()).value()["errors"][0]["type"], "RATE_LIMITED");
    world.advance(1);
    assert_eq!(world.answer(&viewer()).header("x-ratelimit-used"), Some("1"));
    assert_eq!((world.counters.of("Me"), world.counters.graphql_points), (4, 2));
    world.spend_foreign(Resource::Core, 5000);
    let rest = world.answer(&Request::get("/user"));
    assert_eq!((rest.status, rest.header("x-ratelimit-remaining")), (403, Some("0")));
    assert_eq!(
        world.answer(&Request::get("/rate_limit")).value()["resources"]["core"]["remaining"],
        0
    );
}

#[test]
fn without_limits_there_are_no_charges_and_no_headers() {
    let mut world = World::new(1);
    world.options.rate_headers = false;
    world.options.api_prefix = true;
    let mut request = viewer();
    assert_eq!(world.answer(&request).status, 404);
    request.path_and_query = "/api/graphql".to_owned();
    let answer = world.answer(&request);
    assert_eq!(answer.header("x-ratelimit-remaining"), None);
    assert_eq!(answer.value()["data"]["rateLimit"], json!(null));
    assert_eq!(world.answer(&Request::get("/api/v3/user")).value()["login"], "octo-dev");
    assert_eq!(world.answer(&Request::get("/user")).status, 404);
    assert_eq!((world.counters.graphql_points, world.counters.core_points), (0, 0));
}

#[test]
fn a_request_needs_a_known_token_and_a_user_agent() {
    let mut world = World::new(1);
    world.add_repo("octo/hello");
    world.set_private("octo/hello", true);
    let mut status = |request: Request| world.answer(&request).status;
    let anonymous = |mut request: Request| {
        request.headers.retain(|(name, _)| name != "authorization");
        request
    };
    assert_eq!(status(viewer().with("authorization", "Bearer stolen")), 401);
    assert_eq!(status(anonymous(viewer())), 401);
    assert_eq!(status(anonymous(Request::get("/user"))), 401);
    assert_eq!(status(anonymous(Request::get("/repos/octo/hello"))), 404);
    assert_eq!(status(Request::get("/repos/octo/hello").with("authorization", "token token")), 200);
    let mut bare = viewer();
    bare.headers.retain(|(name, _)| name != "user-agent");
    assert_eq!(status(bare), 403);
    assert!(!world.log[1].is_authorized && world.log[0].is_authorized);
}

#[test]
fn secondary_points_are_counted_by_the_minute() {
    let mut world = World::fleet(1, 3, 0, 0);
    world.set_now_ms(1_900_000_020_000);
    let variables = json!({"ids": world.prs(), "o0": "octo", "n0": "repo-0"});
    for _ in 0..5 {
        ask(&mut world, &slim(), &variables);
    }
    world.advance(60_000);
    ask(&mut world, &slim(), &variables);
    assert_eq!((world.counters.secondary_points, world.counters.secondary_minute_max), (6, 5));
    assert_eq!((world.log[0].ids, world.log[0].cost), (3, 1));
    world.counters.clear();
    assert_eq!(world.counters.total(), 0);
}
