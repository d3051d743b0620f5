//! A host that fails is asked rarely, and one that can answer less at once is asked for less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ao_fake_github::{Access, Fault, Kind, NewPr, On, World};
use ao_store::observation::PrState;
use ao_store::row::scm::{Credential, Problem};
use serde_json::json;

use super::rig::Rig;

const HALF_AN_HOUR: i64 = 30 * 60_000;

/// Ways in which a whole host fails, how long a request to it takes, and the number of pull requests
/// with which it is tried.
fn outages() -> [(Kind, i64, usize); 4] {
    [
        (Kind::gateway(502), 1, 400),
        (Kind::internal(), 1, 60),
        // It does not answer within the deadline of a call.
        (Kind::Slow(60_000), 15_000, 120),
        (Kind::Transport(ao_fake_github::Transport::ResetBefore), 1, 60),
    ]
}

/// Nothing counts as read before the open pull requests of every repository were listed, and no
/// credentials count as accepted before an answer.
#[test]
fn a_host_that_fails_from_the_start_is_not_fresh() {
    let limits = [
        Kind::unauthorized(),
        Kind::secondary_limit(None),
        Kind::secondary_limit(Some("60")),
        Kind::graphql_rate_limited(),
        Kind::sso(),
    ];
    for kind in limits.into_iter().chain(outages().map(|(kind, ..)| kind)) {
        let name: String = format!("{kind:?}").chars().take(60).collect();
        let mut rig = Rig::new();
        rig.session("demo", "ao/demo-1");
        rig.world.faults.push(Fault::always(kind));
        rig.minutes(30);
        assert!(rig.calls > 0, "{name}");
        let host = rig.host();
        assert_eq!(host.fresh_at, None, "{name}");
        assert!(matches!(host.credential, Credential::Unknown | Credential::Invalid), "{name}");
        rig.world.faults.clear();
        rig.minutes(61);
        assert!(rig.now.0 - rig.host().fresh_at.unwrap().0 <= 120_000, "{name}");
        assert_eq!(rig.host().credential, Credential::Ok, "{name}");
    }
}

/// One of two repositories fails by itself.
#[test]
fn a_host_is_not_fresh_while_one_repository_was_not_listed() {
    let mut rig = Rig::of(World::fleet(2, 10, 2, 1));
    rig.project("p0", "octo/repo-0");
    rig.project("p1", "octo/repo-1");
    rig.session("p0", "ao/none");
    rig.session("p1", "ao/none");
    rig.tamper = Some(Box::new(|_, answer| {
        for alias in ["r0", "r1"] {
            let Some(repo) = answer["data"].get_mut(alias) else { continue };
            if repo["nameWithOwner"] == "octo/repo-1" {
                *repo = serde_json::Value::Null;
                answer["errors"] =
                    json!([{"path": [alias], "type": "INTERNAL", "message": "failed"}]);
            }
        }
    }));
    rig.minutes(10);
    assert_eq!(rig.host().fresh_at, None);
    assert_eq!(rig.host().failure, "octo/repo-1 could not be listed: failed");
    rig.tamper = None;
    rig.minutes(2);
    assert!(rig.now.0 - rig.host().fresh_at.unwrap().0 <= 120_000);
    assert_eq!(rig.host().failure, "");
}

/// The host answers, and what it answers is that an origin cannot be read.
#[test]
fn an_origin_that_cannot_be_read_is_shown() {
    let mut rig = Rig::new();
    rig.project("gone", "octo/gone");
    rig.session("gone", "ao/none");
    rig.minutes(10);
    let failure = rig.host().failure;
    assert!(failure.starts_with("octo/gone cannot be read (missing): "), "{failure}");
    let host = rig.host();
    assert_eq!((host.reason.as_str(), host.fresh_at), ("", None));
}

/// Case 39.
#[test]
fn half_an_hour_of_errors_costs_forty_requests_and_leaves_no_delay() {
    for (kind, takes, prs) in outages() {
        let mut rig = Rig::fleet(8, prs);
        let name: String = format!("{kind:?}").chars().take(60).collect();
        let start = rig.now;
        let head = rig.head();
        rig.world.counters.clear();
        let end = rig.world.now_ms() + HALF_AN_HOUR;
        rig.world.faults.push(Fault::always(kind).until(end));
        rig.run(Duration::from_millis(u64::try_from(HALF_AN_HOUR).unwrap()));
        let requests = rig.world.counters.total();
        assert!(requests <= 40, "{name}: {requests} requests");
        assert_eq!(rig.types_since(head), [""; 0], "{name}: an outage is not a change");
        let host = rig.host();
        assert_eq!(host.reason, "outage", "{name}");
        assert!(host.fresh_at.unwrap() <= start, "{name}: the age of the data is shown");

        let prs = rig.world.prs();
        rig.world.set_title(&prs[prs.len() - 1], "After the outage");
        let before = rig.world.log.len();
        rig.seconds(85);
        let after: Vec<_> = rig.world.log[before..].iter().filter(|it| it.status == 200).collect();
        let recovered = after[0].at;
        assert!(recovered - end <= 66_000 + takes, "{name}: {} ms", recovered - end);
        let burst = after.iter().filter(|it| it.at < recovered + 1_000).count();
        assert!(burst <= 5, "{name}: {burst} requests within a second");
        rig.seconds(45);
        rig.assert_observed();
        let behind = rig.now.0 - rig.host().fresh_at.unwrap().0;
        assert!(behind <= 120_000, "{name}: the oldest poll is {behind} ms old");
        assert_eq!(rig.host().reason, "", "{name}");
        // The outage has no lasting effect on sizes, which did not cause it.
        rig.minutes(3);
        rig.world.log.clear();
        rig.minutes(5);
        let largest =
            rig.world.log.iter().filter(|it| it.class == "Heartbeat").map(|it| it.ids).max();
        assert!(largest >= Some(50), "{name}: {largest:?} pull requests per request");
    }
}

/// Case 31.
#[test]
fn a_host_that_can_answer_less_at_once_is_asked_for_less() {
    let mut rig = Rig::fleet(1, 100);
    for kind in [Kind::gateway(504), Kind::something_went_wrong()] {
        let limit = Fault::always(kind.clone()).on(On::Larger(30));
        rig.world.faults.push(limit.until(rig.world.now_ms() + 10 * 60_000));
        let prs = rig.world.prs();
        rig.world.log.clear();
        rig.seconds(60);
        let seen: usize = rig.world.log.iter().filter(|it| it.status == 200).map(|it| it.ids).sum();
        assert!(seen >= 100, "{seen} polls of 100 pull requests within two cycles");
        rig.world.set_title(&prs[99], &format!("{} requests", rig.calls));
        rig.minutes(5);
        rig.assert_observed();
        rig.minutes(5);
    }
    // The size is remembered for a day, and then it grows again.
    let largest = |rig: &Rig| rig.world.log.iter().map(|served| served.ids).max();
    rig.world.log.clear();
    rig.minutes(10);
    assert!(largest(&rig) <= Some(60), "{:?}", largest(&rig));
    rig.restart();
    rig.world.log.clear();
    rig.minutes(2);
    assert!(largest(&rig) <= Some(60), "a restart keeps the sizes: {:?}", largest(&rig));
    rig.sleep(Duration::from_secs(24 * 3_600));
    let prs = rig.world.prs();
    for pr in &prs {
        rig.world.set_title(pr, "The day after");
    }
    rig.minutes(30);
    assert_eq!(largest(&rig), Some(100));
}

/// Case 32.
#[test]
fn what_a_host_could_answer_before_it_gave_up_is_used() {
    let mut rig = Rig::fleet(1, 40);
    let prs = rig.world.prs();
    for pr in &prs {
        rig.world.set_title(pr, "Another");
    }
    rig.world.faults.push(Fault::times(1, Kind::ResourceLimits(50)).on(On::operation("Full")));
    while !rig.world.faults.is_empty() {
        rig.run(Duration::from_millis(500));
    }
    let known = |rig: &Rig| prs.iter().filter(|pr| rig.row(pr).unwrap().title == "Another").count();
    assert_eq!(known(&rig), 20);
    rig.minutes(3);
    assert_eq!(known(&rig), 40);
    rig.assert_observed();
}

/// Case 31, for a request that is too heavy at every size.
#[test]
fn one_pull_request_that_is_too_much_for_the_host_keeps_no_other_back() {
    for prs in [20, 70] {
        let mut rig = Rig::fleet(2, prs);
        let prs = rig.world.prs();
        rig.world.faults.push(Fault::always(Kind::gateway(502)).on(On::Node(prs[0].clone())));
        rig.minutes(30);
        for pr in &prs {
            rig.world.set_title(pr, "Another");
        }
        rig.world.counters.clear();
        rig.minutes(5);
        for pr in &prs[1..] {
            assert_eq!(rig.row(pr).unwrap().title, "Another");
        }
        rig.minutes(60);
        let requests = rig.world.counters.total();
        assert!(requests <= 500, "{requests} in an hour for {} of them", prs.len());
        rig.world.faults.clear();
        rig.minutes(20);
        rig.assert_observed();
    }
}

/// Case 29: one of a hundred is missing on the host, in both forms of the answer.
#[test]
fn a_pull_request_that_the_host_does_not_know_is_unreachable_in_the_end_and_never_closed() {
    for is_logged in [false, true] {
        let mut rig = Rig::fleet(1, 99);
        rig.world.add_repo("octo/other");
        rig.project("other", "octo/other");
        rig.session("other", "ao/other");
        rig.world.open_pr(&NewPr::new("octo/other", "ao/other"));
        rig.minutes(2);
        let prs = rig.world.prs();
        let lost = &prs[99];
        let head = rig.head();
        if is_logged {
            rig.world.set_access("octo/other", Access::Revoked);
        } else {
            rig.world.faults.push(Fault::always(Kind::NodeGone(lost.clone())));
        }
        rig.world.set_title(&prs[50], "Another");
        rig.minutes(3);
        assert_eq!(rig.row(&prs[50]).unwrap().title, "Another");
        assert_eq!(rig.poll(lost).problem, Problem::Missing);
        rig.minutes(20);
        assert_eq!(rig.poll(lost).problem, Problem::Unreachable);
        assert_eq!(rig.row(lost).unwrap().state, PrState::Open);
        assert_eq!(rig.changes_since(head).len(), 1, "logged {is_logged}");
        assert!(rig.now.0 - rig.host().fresh_at.unwrap().0 < 120_000, "the others are fresh");

        rig.world.faults.clear();
        rig.world.set_access("octo/other", Access::Granted);
        rig.world.set_title(lost, "It is back");
        rig.minutes(15);
        assert_eq!(rig.poll(lost).problem, Problem::None);
        rig.assert_observed();
    }
}

/// Case 30.
#[test]
fn a_repository_that_cannot_be_read_is_logged_once_and_affects_no_other() {
    let mut rig = Rig::fleet(2, 20);
    let head = rig.head();
    rig.world.set_access("octo/repo-0", Access::Forbidden);
    assert_eq!(warnings(|| rig.minutes(20)), 1, "one notice for ten pull requests");
    assert_eq!(rig.types_since(head), [""; 0]);
    let (lost, seen): (Vec<_>, Vec<_>) =
        rig.world.prs().into_iter().partition(|pr| rig.row(pr).unwrap().repo == "octo/repo-0");
    for pr in &lost {
        assert_eq!(rig.poll(pr).problem, Problem::Forbidden);
        assert_eq!(rig.row(pr).unwrap().state, PrState::Open);
    }
    rig.world.set_title(&seen[0], "Another");
    rig.minutes(3);
    assert_eq!(rig.row(&seen[0]).unwrap().title, "Another");
    assert_eq!(rig.host().reason, "");
    rig.world.set_access("octo/repo-0", Access::Granted);
    rig.world.set_title(&lost[0], "Another");
    rig.minutes(61);
    rig.assert_observed();
    assert!(lost.iter().all(|pr| rig.poll(pr).problem == Problem::None));
}

/// How many warnings are logged meanwhile.
fn warnings(work: impl FnOnce()) -> u32 {
    let count = Arc::new(AtomicU32::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&count)), work);
    count.load(Ordering::Relaxed)
}

struct Warnings(Arc<AtomicU32>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if self.enabled(event.metadata()) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
