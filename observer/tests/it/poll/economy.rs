//! What observing costs: requests and points, counted by the fake as GitHub counts them.

use std::collections::BTreeMap;

use ao_fake_github::{CheckSpec, Conclusion, NewPr};
use ao_store::Timestamp;

use super::rig::Rig;

/// A time in which nothing happens.
fn idle(rig: &mut Rig, minutes: u64) {
    rig.minutes(10);
    rig.world.counters.clear();
    rig.world.log.clear();
    rig.minutes(minutes);
}

fn rest(rig: &Rig) -> u64 {
    let is_rest = |class: &&String| !matches!(class.as_str(), "Heartbeat" | "Full" | "Detail");
    let counters = &rig.world.counters;
    counters.requests.keys().filter(is_rest).map(|class| counters.of(class)).sum()
}

/// Case 44.
#[test]
fn an_idle_hour_of_a_hundred_pull_requests_costs_260_points() {
    let mut rig = Rig::fleet(10, 100);
    let head = rig.head();
    idle(&mut rig, 60);
    let counters = &rig.world.counters;
    let (heartbeats, full, points) =
        (counters.of("Heartbeat"), counters.of("Full"), counters.graphql_points);
    let (heartbeats_max, full_max, points_max) = (130, 70, 260);
    assert!(
        heartbeats <= heartbeats_max && full <= full_max && points <= points_max,
        "{counters:?}"
    );
    assert_eq!((rest(&rig), counters.of("Detail")), (0, 0));
    assert_eq!(rig.head(), head, "nothing is written");
}

/// Row 15 of the budgets: a cycle is no more than the theoretical minimum and its share of lists.
#[test]
fn an_idle_cycle_is_one_request_for_each_hundred() {
    for (repos, prs, minutes) in [(3, 10, 60), (10, 100, 20), (20, 400, 8)] {
        let mut rig = Rig::fleet(repos, prs);
        idle(&mut rig, minutes);
        let least = u64::try_from(prs).unwrap().div_ceil(100);
        let counters = &rig.world.counters;
        // A cycle is at least nine tenths of half a minute, and each fourth one is a full one.
        let cycles = minutes * 60 / 27 + 1;
        let full = u64::try_from(prs).unwrap().div_ceil(50) * (cycles / 4 + 1);
        assert!(counters.of("Heartbeat") <= cycles * least, "{prs}: {counters:?}");
        assert!(counters.of("Full") <= full, "{prs}: {counters:?}");
        assert!(counters.graphql_points <= cycles * least + 2 * full, "{prs}: {counters:?}");
        assert_eq!(rest(&rig), 0, "{prs}");
        let dear = rig.world.log.iter().filter(|it| it.class == "Heartbeat" && it.cost > 1).count();
        assert_eq!(dear, 0, "{prs}: a heartbeat query costs a point");
    }
}

/// Case 45.
#[test]
fn forty_transitions_of_checks_are_one_detail_a_cycle() {
    let mut rig = Rig::fleet(2, 20);
    let pr = rig.world.prs().remove(3);
    rig.world.push(&pr);
    rig.minutes(1);
    let runs: Vec<_> = (0..20)
        .map(|job| rig.world.check_start(&pr, &CheckSpec::job("ci", &format!("job-{job}"))))
        .collect();
    rig.world.log.clear();
    for run in &runs {
        rig.seconds(15);
        rig.world.check_progress(run, ao_fake_github::CheckStatus::InProgress);
        rig.seconds(15);
        rig.world.check_finish(run, Conclusion::Success);
    }
    let of = |class: &str| rig.world.log.iter().filter(|it| it.class == class).count();
    let (details, full) = (of("Detail"), of("Full"));
    assert!(details <= full && details <= 23, "{details} details after {full} full queries");
    rig.minutes(3);
    rig.assert_observed();
}

/// Case 46.
#[test]
fn activity_that_concerns_no_tracked_pull_request_costs_nothing() {
    let hour = |is_stormy: bool| {
        let mut rig = Rig::fleet(4, 40);
        let foreign = rig.world.open_pr(&NewPr::new("octo/repo-0", "another/branch"));
        rig.minutes(10);
        rig.world.counters.clear();
        for minute in 0..60 {
            if is_stormy {
                for _ in 0..10 {
                    rig.world.star("octo/repo-0");
                    rig.world.push(&foreign);
                    rig.world.comment_add(&foreign, "hubot", &format!("Remark {minute}"));
                    rig.world.check(&foreign, &CheckSpec::job("ci", "a"), Conclusion::Failure);
                }
            }
            rig.minutes(1);
        }
        rig.world.counters.clone()
    };
    let (quiet, storm) = (hour(false), hour(true));
    assert_eq!((storm.total(), storm.graphql_points), (quiet.total(), quiet.graphql_points));
}

/// Case 47: whatever the number of sessions, a pull request belongs to one and is read once.
#[test]
fn a_pull_request_is_read_once_whatever_the_number_of_sessions() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    for _ in 0..200 {
        rig.session("demo", "ao/demo-1");
    }
    for stack in 0..100 {
        rig.session("demo", &format!("ao/demo-1/{stack}"));
    }
    rig.minutes(10);
    rig.queries = Some(Vec::new());
    rig.world.counters.clear();
    rig.minutes(60);
    let queries = rig.queries.take().unwrap();
    for (_, query) in &queries {
        assert!(query.matches(&pr).count() <= 1, "{query}");
    }
    let counters = &rig.world.counters;
    assert!(counters.of("Heartbeat") + counters.of("Full") <= 134, "{counters:?}");
    assert!(counters.graphql_points <= 134, "{counters:?}");
}

/// Case 50. The engine has one request in flight at a time by design.
#[test]
fn no_minute_sees_more_than_ninety_requests_however_much_there_is_to_read() {
    let mut rig = Rig::unseen(4, 40);
    let prs = rig.world.prs();
    for pr in &prs {
        for line in 0..60 {
            let location = ao_fake_github::NewThread::at("a.rs", line);
            rig.world.thread_add(pr, "reviewer", &location, "Why?");
        }
    }
    rig.minutes(4);
    for round in 0..3 {
        for pr in &prs {
            rig.world.comment_add(pr, "hubot", &format!("{round}"));
            rig.world.push(pr);
        }
        rig.minutes(3);
    }
    let times: Vec<_> = rig.world.log.iter().map(|served| served.at).collect();
    let within_a_minute = |(at, start): (usize, &i64)| {
        times[at..].iter().take_while(|time| **time < start + 60_000).count()
    };
    let most = times.iter().enumerate().map(within_a_minute).max().unwrap();
    assert!((30..=90).contains(&most), "{most} requests in a minute");
    assert!(rig.world.counters.secondary_minute_max <= 90);
    assert_eq!(rig.world.counters.graphql_in_flight_max, 0, "answered in the process");
    rig.minutes(10);
    rig.assert_observed();
}

/// Case 51.
#[test]
fn a_cold_start_with_many_stale_pull_requests_is_slow() {
    let mut rig = Rig::fleet(20, 400);
    let sizes = rig.host().memory;
    rig.sleep(std::time::Duration::from_secs(2 * 24 * 3_600));
    for pr in rig.world.prs() {
        rig.world.set_title(&pr, "Two days later");
    }
    rig.restart();
    rig.world.counters.clear();
    rig.seconds(30);
    let requests = rig.world.counters.total();
    assert!(requests <= 12, "{requests} in the first interval");
    rig.minutes(4);
    rig.assert_observed();
    assert!(!sizes.is_empty());
}

/// Case 51: what a restart must keep.
#[test]
fn a_restart_keeps_the_budget_and_reads_nothing_that_was_read() {
    let mut rig = Rig::fleet(4, 100);
    rig.minutes(10);
    let (head, before) = (rig.head(), rig.host());
    rig.restart();
    rig.world.counters.clear();
    rig.minutes(3);
    assert_eq!(rig.head(), head, "nothing is written");
    assert_eq!(rig.world.counters.of("Detail"), 0, "and nothing is read again");
    let after = rig.host();
    assert_eq!((after.quota, after.reset_at), (before.quota, before.reset_at));
    assert!(after.remaining < before.remaining);
}

/// When each pull request was polled, from the queries that name it.
pub(crate) fn polls(rig: &mut Rig) -> BTreeMap<String, Vec<Timestamp>> {
    let mut polls: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for (at, body) in rig.queries.take().unwrap_or_default() {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        for id in body["variables"]["ids"].as_array().into_iter().flatten() {
            polls.entry(id.as_str().unwrap().to_owned()).or_default().push(at);
        }
    }
    polls
}
