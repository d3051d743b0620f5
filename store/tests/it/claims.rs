//! Claims: which session may take over a pull request from which other, and that a refusal writes
//! nothing.

use ao_store::observation::{Facet, PrFacts, PrState};
use ao_store::row::session::SessionKind;
use ao_store::row::{pr, scm, session};
use ao_store::{Claim, Code, Error, PrId, SessionId, Store, Takeover, claim_pr};

use crate::support::{
    Fixture, T0, assert_writes_nothing, cause, changes_after, code, fixture, head, kinds_of,
    new_project, new_session, observation, observe, place, raw, thread, threads,
};

fn claim(store: &Store, session: &str, pr: &str, takeover: Takeover) -> Result<Claim, Error> {
    let (session, pr): (SessionId, _) = (session.parse().unwrap(), pr.parse().unwrap());
    store.write(cause(), move |tx| claim_pr(tx, &session, &pr, takeover)).map(|done| done.value)
}

fn attribution(store: &Store, pr: &PrId) -> String {
    store.read(|snapshot| scm::poll(snapshot, pr)).unwrap().unwrap().attribution
}

fn assert_refused(fixture: &Fixture, session: &str, pr: &str, takeover: Takeover, expected: Code) {
    assert_writes_nothing(&fixture.path(), || {
        assert_eq!(code(claim(&fixture.store, session, pr, takeover)), expected);
    });
}

#[test]
fn a_pull_request_that_is_not_stored_is_created_for_its_claimant() {
    let Fixture { store, dir: _dir } = fixture();
    let start = head(&store);
    let done =
        claim(&store, "demo-2", "https://github.com/octo/hello/pull/8/files", Takeover::Refuse)
            .unwrap();
    assert_eq!(
        (done.session.as_str(), done.previous, done.was_previous_terminated),
        ("demo-2", None, false)
    );
    let made = changes_after(&store, start);
    assert_eq!(made.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>(), ["pr_created"]);
    assert_eq!(made[0].session.as_deref(), Some("demo-2"));
    let claimed = store.read(|snapshot| pr::require(snapshot, &"octo/hello#8".parse()?)).unwrap();
    assert_eq!((claimed.session.as_str(), claimed.project.as_str()), ("demo-2", "demo"));
    assert_eq!(attribution(&store, &claimed.id), "it was claimed");
}

#[test]
fn a_repeated_claim_by_the_owner_writes_nothing() {
    let fixture = fixture();
    assert_writes_nothing(&fixture.path(), || {
        for takeover in [Takeover::Refuse, Takeover::Allow] {
            let done = claim(&fixture.store, "demo-1", "OCTO/hello#7", takeover).unwrap();
            assert_eq!(done.previous.unwrap().as_str(), "demo-1");
        }
    });
}

#[test]
fn an_active_owner_is_replaced_only_if_takeover_is_allowed() {
    let fixture = fixture();
    assert_refused(&fixture, "demo-2", "octo/hello#7", Takeover::Refuse, Code::PrClaimed);
    let store = &fixture.store;
    observe(store, &threads(T0 + 1, Facet::replace(vec![thread("t1", false)])));
    let start = head(store);
    let done = claim(store, "demo-2", "octo/hello#7", Takeover::Allow).unwrap();
    assert_eq!(
        (done.previous.as_ref().unwrap().as_str(), done.was_previous_terminated),
        ("demo-1", false)
    );
    let made = changes_after(store, start);
    assert_eq!(made.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>(), ["pr_session_changed"]);
    assert_eq!(made[0].session.as_deref(), Some("demo-2"), "the new owner");
    let image = |text: &Option<String>| {
        let image: serde_json::Value = serde_json::from_str(text.as_ref().unwrap()).unwrap();
        image["session_id"].clone()
    };
    assert_eq!((image(&made[0].before), image(&made[0].after)), ("demo-1".into(), "demo-2".into()));
    assert_eq!(attribution(store, &done.pr), "it was claimed");
    let later = threads(T0 + 2, Facet::replace(vec![thread("t1", true)]));
    observe(store, &later);
    assert_eq!(changes_after(store, made[0].seq).pop().unwrap().session.as_deref(), Some("demo-2"));
}

#[test]
fn a_terminated_owner_is_always_replaced() {
    let fixture = fixture();
    raw(&fixture.path()).execute("UPDATE session SET is_terminated = 1 WHERE num = 1", []).unwrap();
    let mut done = None;
    let kinds = kinds_of(&fixture.store, || {
        done = Some(claim(&fixture.store, "demo-2", "octo/hello#7", Takeover::Refuse).unwrap());
    });
    assert_eq!(kinds, ["pr_session_changed"]);
    assert!(done.unwrap().was_previous_terminated);
}

#[test]
fn sessions_that_cannot_own_a_pull_request_are_refused() {
    let fixture = fixture();
    let new = new_session("demo", SessionKind::Orchestrator, "");
    fixture.store.write(cause(), move |tx| session::create(tx, &new)).unwrap();
    assert_refused(&fixture, "demo-3", "octo/hello#7", Takeover::Allow, Code::SessionNotClaimable);
    assert_refused(&fixture, "demo-9", "octo/hello#7", Takeover::Allow, Code::SessionNotFound);
    raw(&fixture.path()).execute("UPDATE session SET is_terminated = 1 WHERE num = 2", []).unwrap();
    assert_refused(&fixture, "demo-2", "octo/hello#7", Takeover::Allow, Code::SessionTerminated);
}

#[test]
fn a_pull_request_of_another_project_is_refused() {
    let fixture = fixture();
    let new = ao_store::row::project::NewProject {
        repo: "octo/second".to_owned(),
        ..new_project("second")
    };
    let create = new_session("second", SessionKind::Worker, "");
    fixture
        .store
        .write(cause(), move |tx| {
            ao_store::row::project::add(tx, &new)?;
            session::create(tx, &create)
        })
        .unwrap();
    for pr in ["octo/hello#7", "octo/hello#8", "ghe.corp/octo/second#1"] {
        assert_refused(&fixture, "second-1", pr, Takeover::Allow, Code::PrProjectMismatch);
    }
    claim(&fixture.store, "second-1", "Octo/Second#1", Takeover::Refuse).unwrap();
}

#[test]
fn a_merged_or_closed_pull_request_is_refused() {
    for state in [PrState::Merged, PrState::Closed] {
        let fixture = fixture();
        let mut seen = observation(T0 + 1);
        seen.facts = PrFacts { state: Some(state), ..PrFacts::default() };
        observe(&fixture.store, &seen);
        for session in ["demo-1", "demo-2"] {
            assert_refused(&fixture, session, "octo/hello#7", Takeover::Allow, Code::PrNotOpen);
        }
    }
}

#[test]
fn the_observation_after_a_claim_goes_to_the_claimant() {
    let Fixture { store, dir: _dir } = fixture();
    claim(&store, "demo-2", "octo/hello#7", Takeover::Allow).unwrap();
    let applied = observe(&store, &threads(T0 + 1, Facet::replace(vec![thread("t1", false)])));
    assert_eq!(applied.value.session.as_str(), "demo-2");
    let mut seen = observation(T0 + 2);
    seen.session = Some("demo-1".parse().unwrap());
    assert_eq!(code(crate::support::try_observe(&store, &seen)), Code::PrOwnedByOther);
    let row = store.read(|snapshot| pr::require(snapshot, &place())).unwrap();
    assert_eq!(row.session.as_str(), "demo-2");
}
