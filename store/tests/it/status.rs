//! The derived status: each rule, in its order, and one list that agrees with every single session.

use ao_store::row::launch::{self, End, EndCause, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::instance::{self, Instance};
use ao_store::row::lifecycle::operation::{self, Verb};
use ao_store::row::session::{self, Filter};
use ao_store::status::{self, Status};
use ao_store::{SessionId, Store, Timestamp};

use crate::support::{Fixture, T0, add_session, cause, fixture, raw};

fn status_of(store: &Store, id: &str) -> (Status, String) {
    let id: SessionId = id.parse().unwrap();
    let found = store.read(|snapshot| {
        let session = session::require(snapshot, &id)?;
        let alone = status::of(snapshot, &session)?;
        let all = status::list(snapshot, &Filter { project: None, terminated: true })?;
        let listed = all.into_iter().find(|(it, _)| it.id == id).unwrap();
        assert_eq!(listed, (session, alone.clone()), "the list agrees");
        Ok(alone)
    });
    let found = found.unwrap();
    (found.status, found.reason)
}

#[test]
fn the_first_rule_that_applies_decides() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    let set = |sql: &str| conn.execute(sql, []).unwrap();
    let status = || status_of(&store, "demo-1").0;
    assert_eq!(status_of(&store, "demo-2").0, Status::Unknown);
    assert_eq!(status_of(&store, "demo-2").1, "another program runs it");
    for (sql, expected) in [
        ("UPDATE pr SET state = 'merged'", Status::Merged),
        ("UPDATE pr SET state = 'open', mergeability = 'mergeable'", Status::Mergeable),
        ("UPDATE pr SET mergeability = 'blocked', review_decision = 'approved'", Status::Approved),
        ("UPDATE pr SET review_decision = 'none'", Status::PrOpen),
        ("UPDATE pr SET review_decision = 'review_required'", Status::ReviewPending),
        ("UPDATE pr SET state = 'draft'", Status::Draft),
        ("UPDATE pr SET review_decision = 'changes_requested'", Status::ChangesRequested),
        ("UPDATE pr SET ci = 'failing'", Status::CiFailed),
        ("UPDATE session SET activity = 'blocked'", Status::NeedsInput),
        ("UPDATE session SET activity = 'waiting'", Status::NeedsInput),
        ("UPDATE session SET activity = 'active'", Status::Working),
        ("UPDATE session SET activity = 'exited'", Status::Exited),
        ("UPDATE session SET is_terminated = 1, terminated_at = 5", Status::Terminated),
        ("UPDATE pr SET state = 'merged'", Status::Merged),
    ] {
        set(sql);
        assert_eq!(status(), expected, "{sql}");
    }
}

#[test]
fn the_end_of_a_launch_says_how_its_agent_ended() {
    let Fixture { store, dir: _dir } = fixture();
    let id = add_session(&store, "demo", "third");
    for (number, (cause_of_end, exit_status, signal, expected, reason)) in [
        (EndCause::Exited, Some(3), None, Status::Exited, "its agent exited with status 3"),
        (EndCause::Killed, None, Some(9), Status::Lost, "its agent was ended by signal 9"),
        (
            EndCause::RuntimeLost,
            None,
            Some(1),
            Status::Lost,
            "its tmux server or the machine ended",
        ),
        (EndCause::ExecFailed, None, None, Status::Exited, "its program could not be started"),
    ]
    .into_iter()
    .enumerate()
    {
        let (session, launch) = (id.clone(), format!("l{number}"));
        let new = NewLaunch {
            reports: false,
            id: launch.clone(),
            kind: LaunchKind::Fresh,
            instance: "i".to_owned(),
            boot_id: "b".to_owned(),
            native_id: String::new(),
            prompt_stage: PromptStage::None,
        };
        let write = store.write(cause(), move |tx| {
            let row = session::require(tx, &session)?;
            launch::begin(tx, &row, &new)?;
            launch::ended(tx, &launch, End { exit_status, signal, cause: cause_of_end }, "tail")
        });
        assert!(write.unwrap().value);
        assert_eq!(status_of(&store, id.as_str()), (expected, reason.to_owned()));
    }
    let session = id.clone();
    store.write(cause(), move |tx| operation::begin(tx, &session, Verb::Relaunch, "i")).unwrap();
    let interrupted = "relaunch was interrupted; `reconcile` finishes or undoes it".to_owned();
    assert_eq!(status_of(&store, id.as_str()), (Status::Lost, interrupted));
    let owner = Instance::of_this_process("i", "test", Timestamp(T0));
    store.write(cause(), move |tx| instance::register(tx, &owner, &[])).unwrap();
    assert_eq!(status_of(&store, id.as_str()).0, Status::Starting);
    let late = store.write(cause(), |tx| {
        launch::ended(
            tx,
            "l0",
            End { exit_status: Some(0), signal: None, cause: EndCause::Exited },
            "",
        )
    });
    assert!(!late.unwrap().value, "an end is recorded once");
}

#[test]
fn a_stacked_pull_request_says_only_what_somebody_must_do() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    let set = |sql: &str| conn.execute(sql, []).unwrap();
    set(
        "UPDATE pr SET state = 'open', mergeability = 'mergeable', head_ref = 'fix', base_ref = 'main'",
    );
    set("INSERT INTO pr (id, session_id, project_id, host, repo, number, url, state, review_decision,
        head_ref, base_ref, created_at, updated_at) SELECT 'github.com/octo/hello#8', session_id,
        project_id, host, repo, 8, 'u', 'open', 'review_required', 'child', 'fix', 1, 1 FROM pr");
    assert_eq!(status_of(&store, "demo-1").0, Status::Mergeable, "the child waits for its parent");
    set("UPDATE pr SET ci = 'failing' WHERE number = 8");
    assert_eq!(
        status_of(&store, "demo-1"),
        (Status::CiFailed, "octo/hello#8: checks failed".to_owned())
    );
}
