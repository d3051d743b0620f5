//! Deliveries only say where to look; polling is complete without them.

use std::time::Duration;

use ao_fake_github::{CheckSpec, Conclusion, Rng};
use ao_store::row::scm;

use super::economy::looks;
use super::rig::Rig;

/// The least time between two looks that deliveries ask for.
const DEBOUNCE_MS: i64 = 2_500;

impl Rig {
    /// A delivery came about a pull request.
    fn poke(&self, pr: &str) {
        let (place, now) = (self.place(pr), self.now);
        self.store
            .write(self.cause(), move |tx| {
                scm::request_refresh(tx, &place.host, &place.repo, place.number, now)
            })
            .unwrap();
    }
}

/// Case 56: 200 deliveries a second for 50 pull requests.
#[test]
fn a_burst_of_deliveries_is_one_look_a_pull_request_in_each_window() {
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
            rig.poke(pr);
        }
        rig.run(Duration::from_millis(250));
    }
    let requests = rig.world.counters.total();
    for (pr, times) in looks(&mut rig) {
        for pair in times.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!(gap >= DEBOUNCE_MS, "{pr} was looked at again after {gap} ms");
        }
    }
    assert!(requests <= 18, "{requests} requests in 15 s of deliveries");
    rig.minutes(3);
    rig.assert_observed();
    let pokes = rig.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    assert_eq!(pokes, [], "what was asked for was done");
}

/// Case 56: a delivery makes a look come at once.
#[test]
fn what_a_delivery_tells_of_is_known_some_seconds_later() {
    let mut rig = Rig::fleet(2, 20);
    let pr = rig.world.prs().remove(7);
    // Nothing that a slim look sees, and no look is due by itself soon.
    for _ in 0..5 {
        rig.minutes(7);
        let thread = {
            let place = ao_fake_github::NewThread::at("b.rs", 1);
            rig.world.thread_add(&pr, "reviewer", &place, "Why?")
        };
        rig.poke(&pr);
        rig.seconds(5);
        assert!(rig.facets(&pr).threads.iter().any(|it| it.id == thread));
        rig.world.thread_resolve(&thread, "octo-dev");
        rig.poke(&pr);
        rig.seconds(5);
        rig.assert_pr(&pr);
    }
}

/// Case 56, and 12: half of the deliveries are lost, and a merge is seen within an interval.
#[test]
fn a_merge_whose_delivery_was_lost_is_seen_within_an_interval() {
    let mut rig = Rig::fleet(5, 50);
    for (index, pr) in rig.world.prs().into_iter().enumerate() {
        let at = rig.now;
        rig.world.merge(&pr);
        if index % 2 == 0 {
            rig.poke(&pr);
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

/// A look at what nobody tracks is forgotten, and asks nobody anything.
#[test]
fn a_delivery_about_something_else_is_forgotten() {
    let mut rig = Rig::fleet(1, 3);
    rig.minutes(10);
    let now = rig.now;
    rig.store
        .write(rig.cause(), move |tx| {
            scm::request_refresh(tx, "github.com", "octo/unknown", 7, now)
        })
        .unwrap();
    rig.minutes(2);
    let pokes = rig.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    assert_eq!(pokes, []);
}
