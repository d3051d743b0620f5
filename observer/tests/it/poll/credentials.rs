//! Credentials are looked up before anything else, whether or not there is something to observe.

use ao_fake_github::{NewPr, World};
use ao_observer::poll::{CredentialLookup, Step};
use ao_store::Timestamp;
use ao_store::row::scm::Credential;

use super::rig::{REPO, Rig};

/// Bug 7 of issue #152: without sessions the missing token was never reported, and a token that came
/// later was never found.
#[test]
fn bug_7_without_a_token_and_without_subjects_that_is_known_at_once_and_nothing_is_sent() {
    let mut rig = Rig::of(World::new(7));
    rig.token = None;
    rig.seconds(1);
    assert_eq!((rig.probes, rig.calls), (1, 0));
    let host = rig.host();
    assert_eq!(
        (host.credential, host.since),
        (Credential::Missing, Some(Timestamp(rig.now.0 - 1_000)))
    );
    rig.seconds(8);
    assert_eq!((rig.probes, rig.calls), (1, 0), "exactly one");
    rig.minutes(60);
    assert_eq!((rig.probes, rig.calls), (361, 0), "and one each ten seconds, without a request");
}

/// Case 6.
#[test]
fn a_token_that_appears_later_works_without_a_restart() {
    let mut rig = Rig::of(World::new(7));
    rig.world.add_repo(REPO);
    rig.token = None;
    rig.minutes(30);
    rig.project("demo", REPO);
    rig.session("demo", "ao/demo-1");
    let pr = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    rig.minutes(5);
    assert_eq!(rig.calls, 0);
    rig.token = Some("token");
    rig.minutes(2);
    assert_eq!(rig.host().credential, Credential::Ok);
    assert_eq!((rig.host().source.as_str(), rig.host().login.as_str()), ("GH_TOKEN", "octo-dev"));
    rig.assert_pr(&pr);
}

/// Case 6: a failed lookup is not an answer.
#[test]
fn a_search_for_credentials_that_failed_is_repeated_and_is_no_verdict() {
    let mut rig = Rig::new();
    assert_eq!(rig.poller.next(rig.now), Step::FindCredentials);
    rig.poller
        .record_credentials(CredentialLookup::Failed("gh took too long".to_owned()), rig.now)
        .unwrap();
    assert_eq!(rig.host().credential, Credential::Unknown);
    let Step::Wait(until) = rig.poller.next(rig.now) else { panic!("it waits") };
    assert!(until.0 - rig.now.0 <= 60_000);
    rig.tracked("ao/demo-1");
    assert_eq!(rig.host().credential, Credential::Ok);
    rig.assert_observed();
}
