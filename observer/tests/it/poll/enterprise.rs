//! An enterprise server: other paths, no reported limits, and an older schema.

use std::time::Duration;

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, NewThread, ReviewState};
use ao_store::observation::Ci;

use super::rig::Rig;
use super::socket::Socket;

/// Work of every kind on the first pull request.
fn work(rig: &mut Rig) {
    let pr = rig.world.prs().remove(0);
    rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    rig.world.comment_add(&pr, "hubot", "Hello");
    rig.world.thread_add(&pr, "reviewer", &NewThread::at("c.rs", 1), "Why?");
    rig.world.push(&pr);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
}

/// Case 55: the whole mode, over the paths of such a server.
#[test]
fn a_server_of_ones_own_is_observed_at_its_own_paths() {
    let mut rig = Rig::unseen(2, 5);
    let options = &mut rig.world.options;
    (options.api_prefix, options.rate_headers, options.no_pr_rollup) = (true, false, true);
    rig.socket = Some(Socket::new("/api/v3", Duration::from_secs(10)));
    rig.minutes(3);
    rig.assert_observed();
    work(&mut rig);
    rig.minutes(3);
    rig.assert_observed();
    let counters = &rig.world.counters;
    assert_eq!(counters.of("not found"), 0, "{counters:?}");
    assert_eq!(counters.of("GET /repos/{o}/{r}/actions/jobs/{id}/logs"), 1, "{counters:?}");
    let host = rig.host();
    assert_eq!((host.quota, host.remaining, host.reset_at), (None, None, None));
}

/// Case 55: without reported limits the observer keeps its own limit.
#[test]
fn a_host_without_limits_is_asked_no_more_than_others() {
    let mut rig = Rig::unseen(4, 40);
    rig.world.options.rate_headers = false;
    rig.minutes(5);
    rig.assert_observed();
    for pr in rig.world.prs() {
        rig.world.push(&pr);
    }
    rig.minutes(10);
    assert!(rig.world.counters.secondary_minute_max <= 60);
    rig.minutes(10);
    rig.world.counters.clear();
    rig.minutes(60);
    assert!(rig.world.counters.total() <= 200, "{:?}", rig.world.counters);
    // A refusal without a named wait has the same effect there.
    rig.world.faults.push(Fault::times(1, Kind::graphql_rate_limit_code()));
    rig.minutes(3);
    rig.assert_observed();
}

/// Case 55: the roll-up of checks at commits only.
#[test]
fn an_older_schema_is_noticed_once_and_read_in_its_own_way() {
    let mut rig = Rig::unseen(2, 5);
    rig.world.options.no_pr_rollup = true;
    rig.queries = Some(Vec::new());
    rig.minutes(3);
    work(&mut rig);
    rig.minutes(3);
    rig.assert_observed();
    assert!(rig.world.prs().iter().all(|pr| rig.row(pr).unwrap().ci != Ci::Unknown));
    let is_newer = |query: &String| {
        let is_poll = query.contains("Facts on PullRequest");
        is_poll && !query.contains("commits(last:4)")
    };
    let queries = rig.queries.replace(Vec::new()).unwrap();
    let refused = queries.iter().filter(|(_, query)| is_newer(query)).count();
    assert_eq!(refused, 1, "it was asked in the newer way once");
    rig.restart();
    rig.minutes(2);
    let queries = rig.queries.take().unwrap();
    assert!(!queries.iter().any(|(_, query)| is_newer(query)), "a restart remembers");
    rig.assert_observed();
}
