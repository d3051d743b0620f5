//! Rate limits of the host: how long nothing is sent, what is sent then, and what is shown.

use ao_fake_github::{Fault, Kind, On, Resource};
use ao_store::row::scm::Credential;
use std::time::Duration;

use super::rig::Rig;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// When requests were sent since, in milliseconds after it.
fn sent_since(rig: &Rig, since: i64) -> Vec<i64> {
    let log = rig.world.log.iter().map(|served| served.at - rig.skew - since);
    log.filter(|at| *at >= 0).collect()
}

/// Lets the next request fail in this way; returns when that was.
fn refuse_once(rig: &mut Rig, kind: Kind) -> i64 {
    rig.world.faults.push(Fault::times(1, kind));
    let before = rig.world.log.len();
    while rig.world.log.len() == before {
        rig.run(Duration::from_millis(500));
    }
    rig.world.log[before].at - rig.skew
}

/// Case 34.
#[test]
fn an_exhausted_budget_is_waited_for_and_then_one_request_probes() {
    for kind in
        [Kind::graphql_rate_limited(), Kind::graphql_rate_limit_code(), Kind::primary_limit()]
    {
        let mut rig = Rig::fleet(1, 3);
        let reset = rig.world.budget.at(Resource::Graphql, rig.world.now_ms()).reset_ms;
        let at = refuse_once(&mut rig, kind);
        assert_eq!(rig.host().reason, "rate limited");
        rig.world.faults.push(Fault::times(1, Kind::graphql_rate_limited()));
        rig.run(Duration::from_millis(u64::try_from(reset - at + 40_000).unwrap()));
        let sent = sent_since(&rig, at);
        assert_eq!(sent.len(), 2, "one was sent, and its answer held back all others: {sent:?}");
        let waited = at + sent[1] - reset;
        assert!((1_000..=32_000).contains(&waited), "{waited} ms after the reset");
        rig.minutes(63);
        rig.assert_observed();
        assert_eq!(rig.host().block(rig.now), None);
    }
}

/// Case 35. The host names no time: 60 s, and twice as long with each repetition.
#[test]
fn refusals_without_a_named_wait_are_repeated_ever_more_rarely() {
    for kind in [Kind::secondary_limit(None), Kind::too_many_requests(None), Kind::abuse()] {
        let mut rig = Rig::fleet(1, 3);
        rig.world.faults.push(Fault::times(7, kind));
        let start = rig.now.0;
        rig.minutes(80);
        let sent = sent_since(&rig, start);
        let gaps: Vec<_> = sent.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
        assert_eq!(gaps[..7], [60, 120, 240, 480, 900, 900, 900]);
        rig.assert_observed();
    }
}

/// Case 35: a backoff of ten minutes contains two requests at most, and then exactly one probes.
#[test]
fn during_a_backoff_of_ten_minutes_nothing_is_sent_but_the_probe_that_ends_it() {
    let mut rig = Rig::fleet(2, 120);
    let at = refuse_once(&mut rig, Kind::secondary_limit(Some("600")));
    rig.world.faults.push(Fault::times(1, Kind::secondary_limit(Some("600"))));
    rig.run(Duration::from_secs(11 * 60 + 1));
    assert_eq!(sent_since(&rig, at).len(), 2, "the refused one and the probe");
    rig.minutes(15);
    rig.assert_observed();
}

/// Case 36.
#[test]
fn a_wait_that_the_host_names_is_kept_and_an_invalid_one_is_bounded() {
    for (named, seconds) in [
        ("100", 100),
        ("0", 1),
        ("-5", 1),
        ("1000000000", 3_600),
        ("soon", 60),
        ("99999999999999999999", 60),
        ("Sun, 09 Sep 2001 01:47:00 GMT", 1),
    ] {
        let mut rig = Rig::fleet(1, 3);
        let at = refuse_once(&mut rig, Kind::too_many_requests(Some(named)));
        let until = rig.host().blocked_until.unwrap().0;
        rig.restart();
        rig.run(Duration::from_millis(u64::try_from(until - rig.now.0 + MINUTE).unwrap()));
        let waited = sent_since(&rig, at)[1];
        let bound = seconds * 1_000..=seconds * 1_100 + 1_500;
        assert!(bound.contains(&waited), "{named}: {waited} ms, also after a restart");
        assert_eq!(rig.host().block(rig.now), None, "{named}");
    }
}

/// Case 37: other programs spend the user's budget.
#[test]
fn what_others_spend_stretches_the_interval_and_the_reserve_is_theirs() {
    let mut rig = Rig::fleet(4, 400);
    let points = |rig: &Rig| rig.world.counters.graphql_points;
    rig.world.counters.clear();
    rig.minutes(5);
    let usual = points(&rig);

    let left = |rig: &mut Rig| {
        let now = rig.world.now_ms();
        rig.world.budget.at(Resource::Graphql, now).remaining()
    };
    let foreign = left(&mut rig) - 2_250;
    rig.world.spend_foreign(Resource::Graphql, foreign);
    rig.minutes(5);
    rig.world.counters.clear();
    rig.minutes(5);
    let stretched = points(&rig);
    assert!(stretched * 2 < usual, "{stretched} points in five minutes, {usual} before");
    assert!(stretched > 0, "polling continues");

    // They spend what remains above the reserve.
    rig.minutes(10);
    assert!(left(&mut rig) >= 2_000, "the reserve is theirs: {}", left(&mut rig));
    let foreign = left(&mut rig).saturating_sub(2_000);
    rig.world.spend_foreign(Resource::Graphql, foreign);
    rig.minutes(11);
    rig.world.counters.clear();
    let reset = rig.world.budget.at(Resource::Graphql, rig.world.now_ms()).reset_ms;
    rig.minutes(1);
    assert_eq!(rig.world.counters.total(), 0);
    let host = rig.host();
    assert_eq!(host.reason, "budget reserve reached");
    assert_eq!(host.blocked_until.unwrap().0 / 1_000, reset / 1_000);

    rig.run(Duration::from_millis(u64::try_from(reset - rig.now.0 + 1).unwrap()));
    rig.minutes(11);
    let prs = rig.world.prs();
    rig.world.set_title(&prs[7], "After the reset");
    rig.world.counters.clear();
    rig.minutes(5);
    let again = points(&rig);
    assert!(again * 2 > usual, "{again} points in five minutes, {usual} before");
    rig.assert_observed();
    assert_eq!(rig.host().reason, "");
}

/// Case 38.
#[test]
fn credentials_that_were_refused_once_are_looked_up_again_without_a_change_of_state() {
    let mut rig = Rig::fleet(1, 3);
    let (probes, since) = (rig.probes, rig.host().since);
    refuse_once(&mut rig, Kind::unauthorized());
    rig.minutes(1);
    assert_eq!(rig.probes, probes + 1);
    assert_eq!((rig.host().credential, rig.host().since), (Credential::Ok, since));
    rig.assert_observed();
}

/// Case 38.
#[test]
fn credentials_that_are_always_refused_are_invalid_and_tried_rarely() {
    let mut rig = Rig::fleet(1, 3);
    rig.world.remove_token("token");
    rig.minutes(2);
    assert_eq!(rig.host().credential, Credential::Invalid);
    rig.world.counters.clear();
    rig.minutes(60);
    let requests = rig.world.counters.total();
    assert!((6..=60).contains(&requests), "{requests} in an hour");

    rig.world.add_token("token", "octo-dev");
    let prs = rig.world.prs();
    rig.world.set_title(&prs[0], "Meanwhile");
    rig.minutes(11);
    assert_eq!(rig.host().credential, Credential::Ok);
    rig.assert_observed();
}

/// Case 38: the user provides another token.
#[test]
fn a_token_that_replaces_an_invalid_one_works_within_ten_minutes() {
    let mut rig = Rig::fleet(1, 3);
    rig.world.remove_token("token");
    rig.minutes(2);
    rig.world.add_token("other", "octo-dev");
    rig.token = Some("other");
    rig.minutes(5);
    assert_eq!(rig.host().credential, Credential::Ok);
}

/// Case 40: both clocks are wrong.
#[test]
fn a_host_whose_clock_differs_is_waited_for_as_long_as_it_asks() {
    for skew in [-10 * MINUTE, 10 * MINUTE] {
        let mut rig = Rig::unseen(1, 3);
        rig.set_clock(ao_store::Timestamp(rig.now.0 - skew));
        rig.minutes(5);
        let now = rig.world.now_ms();
        let reset = rig.world.budget.at(Resource::Graphql, now).reset_ms - rig.skew;
        let at = refuse_once(&mut rig, Kind::graphql_rate_limited());
        rig.run(Duration::from_millis(u64::try_from(reset - at + 40_000).unwrap()));
        let waited = at + sent_since(&rig, at)[1] - reset;
        assert!((-1_000..=33_000).contains(&waited), "{waited} ms after the reset, skew {skew}");
        rig.assert_observed();
    }
}

/// Case 40: the machine sleeps.
#[test]
fn a_machine_that_slept_polls_everything_soon_and_not_all_at_once() {
    for (hours, prs) in [(1, 40), (8, 120), (100, 40)] {
        let mut rig = Rig::fleet(4, prs);
        rig.sleep(Duration::from_secs(hours * 3_600));
        let prs = rig.world.prs();
        rig.world.set_title(&prs[3], "While it slept");
        rig.world.merge(&prs[4]);
        rig.world.counters.clear();
        rig.seconds(30);
        let requests = rig.world.counters.total();
        assert!(requests <= 12, "{requests} in the first interval after {hours} h");
        rig.minutes(2);
        rig.assert_observed();
    }
}

/// Case 40: the clock of this machine is set.
#[test]
fn a_clock_that_is_set_delays_nothing() {
    for by in [-5 * HOUR, -10 * MINUTE, 10 * MINUTE, 5 * HOUR] {
        let mut rig = Rig::fleet(1, 3);
        let pr = rig.world.prs().remove(0);
        rig.set_clock(ao_store::Timestamp(rig.now.0 + by));
        rig.world.set_title(&pr, "Meanwhile");
        let spec = ao_fake_github::CheckSpec::job("ci", "job-0");
        rig.world.check(&pr, &spec, ao_fake_github::Conclusion::Failure);
        rig.world.comment_add(&pr, "hubot", "Hello");
        rig.minutes(4);
        rig.assert_observed();
        // The budget is recorded again, and refusals have the same effect.
        let known = rig.host().reset_at.unwrap().0 - rig.now.0;
        assert!((0..=HOUR + MINUTE).contains(&known), "{by}: {known}");
        let at = refuse_once(&mut rig, Kind::secondary_limit(Some("30")));
        rig.minutes(2);
        assert!(sent_since(&rig, at)[1] >= 30_000, "{by}");
    }
}

/// Case 40: a wait does not become longer when the clock goes back during it.
#[test]
fn a_clock_that_is_set_back_makes_no_backoff_longer() {
    let mut rig = Rig::fleet(1, 3);
    refuse_once(&mut rig, Kind::secondary_limit(Some("60")));
    rig.set_clock(ao_store::Timestamp(rig.now.0 - 30 * MINUTE));
    rig.world.counters.clear();
    rig.minutes(3);
    assert!(rig.world.counters.total() > 0);
    assert_eq!(rig.host().block(rig.now), None);
}

/// Case 30: a log or a repository that cannot be read holds back nothing else.
#[test]
fn an_exhausted_rest_budget_does_not_hold_back_polls() {
    let mut rig = Rig::fleet(1, 3);
    let prs = rig.world.prs();
    let spec = ao_fake_github::CheckSpec::job("ci", "job-0");
    rig.world.faults.push(Fault::times(1, Kind::primary_limit()).on(On::route("/repos/")));
    rig.world.check(&prs[0], &spec, ao_fake_github::Conclusion::Failure);
    rig.minutes(5);
    assert!(rig.world.faults.is_empty(), "the log was refused");
    assert_eq!(rig.host().reason, "");
    rig.world.set_title(&prs[1], "Meanwhile");
    rig.minutes(2);
    rig.assert_observed();
}
