//! Mergeability, which GitHub computes late: the acceptance cases 22 and 23.

use ao_fake_github::NewPr;
use ao_store::observation::{Mergeability, Mergeable};

use super::rig::{REPO, Rig};

fn mergeable(rig: &Rig, pr: &str) -> (Mergeable, bool) {
    let row = rig.row(pr).unwrap();
    (row.mergeable, row.is_mergeable_stale)
}

/// Case 22.
#[test]
fn what_is_computed_anew_keeps_its_old_value_as_stale() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    assert_eq!(mergeable(&rig, &pr), (Mergeable::Mergeable, false));
    rig.world.set_conflicts(&pr, true);
    let mut seen = vec![mergeable(&rig, &pr)];
    let mut stale_at = None;
    for second in 0..60 {
        rig.seconds(1);
        let now = mergeable(&rig, &pr);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if now.1 {
            stale_at.get_or_insert(second);
        } else if now.0 == Mergeable::Conflicting {
            let waited = second - stale_at.unwrap();
            assert!(waited <= 10, "it is asked for again after 3 and 6 seconds: {waited}");
            break;
        }
    }
    assert_eq!(
        seen,
        [
            (Mergeable::Mergeable, false),
            (Mergeable::Mergeable, true),
            (Mergeable::Conflicting, false)
        ]
    );
    assert_eq!(rig.row(&pr).unwrap().mergeability, Mergeability::Conflicting);
}

/// Case 22.
#[test]
fn what_is_never_computed_is_not_asked_for_all_the_time() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    rig.world.counters.clear();
    rig.minutes(60);
    let usual = rig.world.counters.total();
    rig.world.set_permanent_unknown(&pr, true);
    rig.minutes(3);
    assert_eq!(mergeable(&rig, &pr), (Mergeable::Mergeable, true), "what was known stays");
    let head = rig.head();
    rig.world.counters.clear();
    rig.minutes(60);
    let polls = rig.world.counters.total();
    assert!(polls <= usual + usual / 5, "about as many as for any other: {polls}, {usual}");
    assert_eq!(rig.head(), head);
}

/// Case 23.
#[test]
fn a_push_to_the_base_costs_one_poll_per_cycle() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/root");
    let prs: Vec<_> =
        (0..50).map(|it| rig.world.open_pr(&NewPr::new(REPO, &format!("ao/{it}")))).collect();
    rig.minutes(20);
    rig.assert_observed();
    rig.world.counters.clear();
    rig.world.base_push(REPO, "main");
    rig.seconds(60);
    assert!(prs.iter().all(|pr| mergeable(&rig, pr) == (Mergeable::Mergeable, false)));
    let requests = &rig.world.counters.requests;
    assert!(rig.world.counters.total() <= 8, "not one for each of them: {requests:?}");
    assert!(rig.world.counters.graphql_points <= 10);
    assert_eq!(rig.world.counters.of("Detail"), 0, "nothing happened to them");
    rig.minutes(3);
    rig.assert_observed();
}
