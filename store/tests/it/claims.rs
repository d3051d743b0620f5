//! Claims: which session may take over a pull request from which other, and that a refusal writes
//! nothing.

use ao_store::observation::{Facet, Observation, PrFacts, PrState};
use ao_store::row::session::SessionKind;
use ao_store::row::{pr, scm, session};
use ao_store::{
    Claim, Code, Error, PrId, SessionId, Store, Takeover, Tx, claim_observed, claim_pr,
};

use crate::support::{
    Fixture, T0, add_session, assert_writes_nothing, cause, changes_after, code, fixture, head,
    kinds_of, new_project, new_session, observation, observe, place, raw, thread, threads,
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
    assert_eq!(made.iter().map(|c| c.kind()).collect::<Vec<_>>(), ["pr_created"]);
    assert_eq!(made[0].session(), Some("demo-2"));
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
    assert_eq!(made.iter().map(|c| c.kind()).collect::<Vec<_>>(), ["pr_session_changed"]);
    assert_eq!(made[0].session(), Some("demo-2"), "the new owner");
    let image = |text: Option<&str>| {
        let image: serde_json::Value = serde_json::from_str(text.unwrap()).unwrap();
        image["session_id"].clone()
    };
    assert_eq!(
        (image(made[0].before()), image(made[0].after())),
        ("demo-1".into(), "demo-2".into())
    );
    assert_eq!(attribution(store, &done.pr), "it was claimed");
    let later = threads(T0 + 2, Facet::replace(vec![thread("t1", true)]));
    observe(store, &later);
    assert_eq!(changes_after(store, made[0].seq).pop().unwrap().session(), Some("demo-2"));
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

#[test]
fn a_claim_with_what_the_provider_reports_stores_it_and_keeps_every_guard() {
    let fixture = fixture();
    let claim = |session: &str, seen: &Observation, takeover| {
        let (session, seen) = (session.parse::<SessionId>().unwrap(), seen.clone());
        let work = move |tx: &Tx<'_>| claim_observed(tx, &session, &seen, takeover);
        fixture.store.write(cause(), work).map(|done| done.value)
    };
    raw(&fixture.path())
        .execute_batch(
            "UPDATE project SET host = 'github.com', repo = 'octo/hello';
             UPDATE session SET is_terminated = 1 WHERE num = 2;",
        )
        .unwrap();
    let third = add_session(&fixture.store, "demo", "").to_string();
    let reported = |pr: &str, node_id: &str| {
        let facts = PrFacts { title: Some("reported".to_owned()), ..PrFacts::default() };
        let node_id = node_id.to_owned();
        Observation { pr: pr.parse().unwrap(), node_id, facts, ..observation(T0 + 1_000) }
    };
    let mut ended = reported("octo/hello#9", "PR_9");
    ended.facts.state = Some(PrState::Merged);
    // The store does not know yet that the tracked one has ended.
    let tracked = Observation { facts: ended.facts.clone(), ..reported("octo/hello#7", "PR_7") };
    for (session, seen, refused) in [
        ("demo-2", reported("octo/hello#9", "PR_9"), Code::SessionTerminated),
        ("ghost-1", reported("octo/hello#9", "PR_9"), Code::SessionNotFound),
        (&third, reported("stranger/thing#9", "PR_9"), Code::PrProjectMismatch),
        (&third, ended, Code::PrNotOpen),
        (&third, tracked, Code::PrNotOpen),
        (&third, reported("octo/hello#7", "PR_7"), Code::PrClaimed),
    ] {
        assert_writes_nothing(&fixture.path(), || {
            assert_eq!(code(claim(session, &seen, Takeover::Refuse)), refused);
        });
    }
    // A pull request from the origin to its upstream.
    let mut upstream = reported("upstream/hello#9", "PR_9");
    upstream.facts.head_repo = Some("octo/hello".to_owned());
    let mut new = None;
    let kinds = kinds_of(&fixture.store, || {
        new = Some(claim(&third, &upstream, Takeover::Refuse).unwrap());
    });
    assert_eq!((kinds.as_slice(), new.unwrap().previous), (&["pr_created".to_owned()][..], None));
    // The provider knows the tracked pull request under another name: it keeps its row.
    let moved = reported("octo/renamed#7", "PR_7");
    let taken = claim(&third, &moved, Takeover::Allow).unwrap();
    assert_eq!(taken.pr.as_str(), "github.com/octo/hello#7");
    let row = fixture.store.read(|it| pr::by_node(it, "PR_7")).unwrap().unwrap();
    assert_eq!(
        (row.session.as_str(), row.repo.as_str(), row.title.as_str()),
        (third.as_str(), "octo/renamed", "reported")
    );
}
