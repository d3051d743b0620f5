//! Webhook deliveries only request a refresh; polling is complete without them.

use std::time::Duration;

use ao_fake_github::{CheckSpec, Conclusion, Rng};
use ao_store::row::scm;

use super::economy::polls;
use super::rig::Rig;

/// The minimum time between two polls that webhook deliveries request.
const DEBOUNCE_MS: i64 = 2_500;

impl Rig {
    /// A webhook delivery requests to refresh a pull request.
    fn request_refresh(&self, pr: &str) {
        let (location, now) = (self.location(pr), self.now);
        self.store
            .write(self.cause(), move |tx| {
                scm::request_refresh(tx, &location.host, &location.repo, location.number, now)
            })
            .unwrap();
    }
}

/// Case 56: 200 webhook deliveries per second for 50 pull requests.
#[test]
fn a_burst_of_deliveries_is_one_poll_per_pull_request_in_each_window() {
    let mut rig = Rig::fleet(5, 50);
    rig.minutes(5);
    let prs = rig.world.prs();
    let mut rng = Rng::with_seed(1);
    rig.queries = Some(Vec::new());
    rig.world.counters.clear();
    for tick in 0..60 {
        for _ in 0..50 {
            let pr = rng.choice(&prs).unwrap();
            if tick % 10 == 0 {
                rig.world.check(pr, &CheckSpec::job("ci", "job-0"), Conclusion::Success);
            }
            rig.request_refresh(pr);
        }
        rig.run(Duration::from_millis(250));
    }
    let requests = rig.world.counters.total();
    for (pr, times) in polls(&mut rig) {
        for pair in times.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!(gap >= DEBOUNCE_MS, "{pr} was polled again after {gap} ms");
        }
    }
    assert!(requests <= 25, "{requests} requests in 15 s of webhook deliveries");
    rig.minutes(3);
    rig.assert_observed();
    let waiting = rig.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    assert_eq!(waiting, [], "every request was answered");
}

/// Case 56: a webhook delivery brings the next poll forward.
#[test]
fn what_a_delivery_reports_is_stored_some_seconds_later() {
    let mut rig = Rig::fleet(2, 20);
    let pr = rig.world.prs().remove(7);
    // A heartbeat query does not see it, and no full query is due soon by itself.
    for _ in 0..5 {
        rig.minutes(7);
        let thread = {
            let location = ao_fake_github::NewThread::at("b.rs", 1);
            rig.world.thread_add(&pr, "reviewer", &location, "Why?")
        };
        rig.request_refresh(&pr);
        rig.seconds(5);
        assert!(rig.facets(&pr).threads.iter().any(|it| it.id == thread));
        rig.world.thread_resolve(&thread, "octo-dev");
        rig.request_refresh(&pr);
        rig.seconds(5);
        rig.assert_pr(&pr);
    }
}

/// Cases 56 and 12: half of the webhook deliveries are lost, and a merge is seen within an interval.
#[test]
fn a_merge_whose_delivery_was_lost_is_seen_within_an_interval() {
    let mut rig = Rig::fleet(5, 50);
    for (index, pr) in rig.world.prs().into_iter().enumerate() {
        let at = rig.now;
        rig.world.merge(&pr);
        if index % 2 == 0 {
            rig.request_refresh(&pr);
        }
        while rig.row(&pr).unwrap().state.as_str() != "merged" {
            rig.run(Duration::from_millis(500));
            let took = rig.now.0 - at.0;
            assert!(took <= if index % 2 == 0 { 4_000 } else { 33_500 }, "{took} ms");
        }
    }
    rig.minutes(5);
    rig.assert_observed();
}

/// A request to refresh what is not tracked is deleted without any request to the host.
#[test]
fn a_request_for_something_else_is_deleted() {
    let mut rig = Rig::fleet(1, 3);
    rig.minutes(10);
    let now = rig.now;
    rig.store
        .write(rig.cause(), move |tx| {
            scm::request_refresh(tx, "github.com", "octo/unknown", 7, now)
        })
        .unwrap();
    rig.minutes(2);
    let waiting = rig.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    assert_eq!(waiting, []);
}
