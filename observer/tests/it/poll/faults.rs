//! An error in an answer never becomes a fact, and has no effect after the next good answer.

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, NewThread, On, ReviewState, StatusState};

use super::rig::Rig;

/// Two pull requests with some of everything; returns them, the one that will change first.
fn rich() -> (Rig, [String; 2]) {
    let mut rig = Rig::new();
    let prs = [rig.tracked("ao/demo-1"), rig.tracked("ao/demo-2")];
    for pr in &prs {
        rig.world.review(pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
        rig.world.comment_add(pr, "hubot", "Hello");
        let thread = rig.world.thread_add(pr, "reviewer", &NewThread::at("a.rs", 1), "Why?");
        rig.world.thread_reply(&thread, "octo-dev", "Because.");
        rig.world.thread_add(pr, "reviewer", &NewThread::at("b.rs", 2), "And this?");
        rig.world.check(pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
        rig.world.check(pr, &CheckSpec::app("other", "lint"), Conclusion::Success);
        rig.world.status_set(pr, "ci/external", StatusState::Success);
    }
    rig.minutes(5);
    rig.assert_observed();
    (rig, prs)
}

/// Something of every kind is added, and nothing is removed.
fn grow(rig: &mut Rig, pr: &str) {
    rig.world.comment_add(pr, "hubot", "Again");
    rig.world.thread_add(pr, "reviewer", &NewThread::at("c.rs", 3), "More");
    rig.world.review(pr, "mona", ReviewState::Approved, "Fine.");
    let build = format!("build {}", rig.world.expected(pr).checks.len());
    rig.world.check(pr, &CheckSpec::job("ci", &build), Conclusion::Success);
    rig.world.set_title(pr, "Another title");
}

/// The changes since that record what never happened: that something went away or was closed.
fn false_facts(rig: &Rig, head: i64) -> Vec<String> {
    let is_false = |kind: &String| {
        ["deleted", "removed", "closed", "merged", "dismissed"].iter().any(|it| kind.contains(it))
    };
    rig.types_since(head).into_iter().filter(is_false).collect()
}

fn null(alias: &str, error: Option<&str>) -> Kind {
    Kind::AliasNull(alias.to_owned(), error.map(str::to_owned))
}

fn node(error: Option<&str>) -> Kind {
    Kind::NodeNull(0, error.map(str::to_owned))
}

fn field(name: &str) -> Kind {
    Kind::NullField(name.to_owned())
}

fn header(name: &str, value: &str) -> Kind {
    Kind::Headers(vec![(name.to_owned(), value.to_owned())])
}

/// Every fault of the fake for a query, except those of the connection.
fn every_fault() -> Vec<Kind> {
    let fields = ["mergeable", "mergeStateStatus", "reviewDecision", "status", "conclusion"];
    // A deleted author is a fact, and one that reappears is found by the next full read.
    let gone = ["headRepository", "headRef"];
    let mut kinds = vec![
        Kind::gateway(502),
        Kind::gateway(503),
        Kind::gateway(504),
        Kind::internal(),
        Kind::unauthorized(),
        Kind::secondary_limit(None),
        Kind::secondary_limit(Some("7")),
        Kind::too_many_requests(None),
        Kind::too_many_requests(Some("Sun, 09 Sep 2001 01:47:00 GMT")),
        Kind::abuse(),
        Kind::sso(),
        Kind::not_accessible(),
        Kind::something_went_wrong(),
        Kind::data_null(None),
        Kind::data_null(Some("boom")),
        Kind::status(200, ""),
        Kind::status(200, "[]"),
        Kind::status(200, "{}"),
        Kind::status(200, "{\"data\":{}}"),
        Kind::status(200, "{\"data\":{\"nodes\":[]}}"),
        Kind::status(200, "{\"data\":{\"nodes\":null}}"),
        Kind::status(301, ""),
        Kind::status(304, ""),
        Kind::status(404, "{\"message\":\"Not Found\"}"),
        Kind::status(451, ""),
        node(None),
        node(Some("NOT_FOUND")),
        node(Some("FORBIDDEN")),
        node(Some("SOMETHING_NEW")),
        null("nodes", None),
        null("nodes", Some("SOMETHING_NEW")),
        null("r0", None),
        null("r0", Some("NOT_FOUND")),
        null("r0", Some("FORBIDDEN")),
        null("d0", None),
        null("d0", Some("NOT_FOUND")),
        null("d0", Some("FORBIDDEN")),
        null("viewer", None),
        null("rateLimit", None),
        Kind::ResourceLimits(0),
        Kind::ResourceLimits(50),
        Kind::NextPageWithoutCursor,
        Kind::CursorLoop,
        Kind::DuplicateNodes,
        Kind::Slow(9_000),
        Kind::Slow(60_000),
        Kind::TruncatedJson,
        Kind::InvalidUtf8,
        Kind::InvalidJson,
        header("x-ratelimit-reset", "1"),
        header("x-ratelimit-reset", "99999999999"),
    ];
    // A part of a node that could not be answered, with the error that GitHub reports for it.
    for part in ["rollup", "counts", "reviews", "reviewThreads", "headRef", "author"] {
        kinds.push(null(&format!("nodes/0/{part}"), Some("SOMETHING_NEW")));
    }
    for part in ["checks", "reviews", "comments"] {
        kinds.push(null(&format!("d0/{part}"), Some("SOMETHING_NEW")));
    }
    kinds.extend(fields.map(|field| Kind::UnknownEnum(field.to_owned())));
    kinds.extend(gone.map(field));
    kinds
}

/// Cases 29 to 41 in one table: whatever fails in some requests, nothing false is stored, and
/// afterwards everything is stored as it is.
#[test]
fn no_error_becomes_a_fact_and_all_of_them_end() {
    let (mut rig, [pr, _]) = rich();
    for kind in every_fault() {
        assert_harmless(&mut rig, &pr, &kind, 3);
    }
    // Each of these asks to wait for the end of the hour.
    for kind in [
        Kind::primary_limit(),
        Kind::graphql_rate_limited(),
        Kind::graphql_rate_limit_code(),
        header("x-ratelimit-remaining", "-5"),
    ] {
        assert_harmless(&mut rig, &pr, &kind, 1);
        rig.minutes(62);
        rig.assert_observed();
    }
}

/// A deleted account is a fact and not an error; where it was an error, the next full read corrects
/// it.
#[test]
fn authors_that_are_gone_for_a_while_are_back_within_a_sweep() {
    for name in ["author", "resolvedBy"] {
        let (mut rig, [pr, _]) = rich();
        let head = rig.head();
        grow(&mut rig, &pr);
        rig.world.faults.push(Fault::times(3, field(name)).on(On::Graphql));
        rig.minutes(10);
        assert_eq!(false_facts(&rig, head), [""; 0], "{name}");
        rig.minutes(7 * 60);
        rig.assert_observed();
    }
}

/// Case 27 among the faults: answers about an older state of the world.
#[test]
fn a_replica_that_lags_reverts_nothing() {
    let (mut rig, [pr, _]) = rich();
    for times in [1, 2, 3, 5, 8] {
        let kind = Kind::Stale(rig.world.snapshot());
        rig.minutes(1);
        grow(&mut rig, &pr);
        rig.minutes(3);
        assert_harmless(&mut rig, &pr, &kind, times);
        rig.assert_observed();
    }
}

fn assert_harmless(rig: &mut Rig, pr: &str, kind: &Kind, times: u32) {
    let head = rig.head();
    grow(rig, pr);
    rig.world.faults.push(Fault::times(times, kind.clone()).on(On::Graphql));
    rig.minutes(10);
    let name: String = format!("{kind:?}").chars().take(100).collect();
    assert_eq!(false_facts(rig, head), [""; 0], "{name}");
    let is_long = rig.host().block(rig.now).is_some();
    if !is_long {
        assert!(rig.world.faults.is_empty(), "{name}");
        let is_so = std::panic::AssertUnwindSafe(|| rig.assert_observed());
        assert!(std::panic::catch_unwind(is_so).is_ok(), "{name}");
    }
}
