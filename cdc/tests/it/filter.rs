//! Filters: values of one kind are alternatives, every kind must match, and a change that does not pass
//! still moves the cursor on.

use std::time::Duration;

use ao_cdc::{Error, Filter, Start, Tail};
use ao_store::row::project;
use ao_store::{CHANGE_TYPES, SessionId};

use crate::support::{Fixture, SOON, add_project, add_sessions, cause, drain, prune, rename, seqs};

/// Two projects, of which one is named like a session of the other, and changes of five types.
fn twins() -> Fixture {
    let fixture = Fixture::empty();
    let store = &fixture.store;
    for id in ["demo", "demo-1", "Demo"] {
        add_project(store, id);
        add_sessions(store, id, 2);
    }
    for session in ["demo-1", "demo-1-1", "demo-2", "demo-1-2", "Demo-1", "demo-1"] {
        rename(store, "test", session, 2);
    }
    let gone: SessionId = "demo-2".parse().unwrap();
    store.write(cause("test"), move |tx| ao_store::row::session::delete(tx, &gone)).unwrap();
    add_project(store, "void");
    store.write(cause("test"), |tx| project::archive(tx, &"void".parse()?)).unwrap();
    add_project(store, "void");
    fixture
}

fn found(fixture: &Fixture, filter: &Filter) -> Vec<i64> {
    let tail = Tail::open(&fixture.store, Start::Beginning, filter.clone()).unwrap();
    seqs(&drain(tail))
}

#[test]
fn every_combination_of_kinds_passes_what_it_names() {
    let fixture = twins();
    let truth = fixture.truth();
    let types: [&[&str]; 6] = [
        &[],
        &["session_updated"],
        &["session_created", "session_deleted"],
        &["project_created", "project_archived", "project_restored"],
        &["pr_created"],
        &["session_updated", "session_updated", "project_created"],
    ];
    let projects: [&[&str]; 5] = [&[], &["demo"], &["demo-1"], &["demo", "void"], &["absent"]];
    let sessions: [&[&str]; 5] =
        [&[], &["demo-1"], &["demo-1-1", "demo-2"], &["Demo-1"], &["demo-9"]];
    let mut sizes = std::collections::BTreeSet::new();
    for types in types {
        for projects in projects {
            for sessions in sessions {
                let filter = Filter::new(
                    types.iter().map(ToString::to_string).collect(),
                    projects.iter().map(|id| id.parse().unwrap()).collect(),
                    sessions.iter().map(|id| id.parse().unwrap()).collect(),
                );
                let filter = filter.unwrap();
                let one_of = |values: &[&str], value: Option<&str>| {
                    values.is_empty() || value.is_some_and(|value| values.contains(&value))
                };
                let expected = truth.iter().filter(|change| {
                    one_of(types, Some(change.kind()))
                        && one_of(projects, change.project())
                        && one_of(sessions, change.session())
                });
                let expected = seqs(expected);
                assert_eq!(found(&fixture, &filter), expected, "{filter:?}");
                let matching = truth.iter().filter(|change| filter.matches(change));
                assert_eq!(seqs(matching), expected, "{filter:?}");
                sizes.insert(expected.len());
            }
        }
    }
    assert!(sizes.len() > 8, "the combinations differ: {sizes:?}");
}

#[test]
fn a_type_that_no_change_has_is_refused() {
    for unknown in ["", "session_update", "SESSION_UPDATED", "session_updated ", "*"] {
        let types = vec!["session_updated".to_owned(), unknown.to_owned()];
        let error = Filter::new(types, vec![], vec![]).unwrap_err();
        assert!(matches!(&error, Error::UnknownType(found) if found == unknown));
        assert_eq!((error.code().name(), error.code().exit_code()), ("INVALID_EVENT_TYPE", 2));
    }
    let all = CHANGE_TYPES.iter().map(ToString::to_string).collect();
    assert!(!Filter::new(all, vec![], vec![]).unwrap().is_empty());
}

#[test]
fn every_type_that_occurs_can_be_filtered_for() {
    let fixture = twins();
    let mut total = 0;
    for kind in CHANGE_TYPES {
        let filter = Filter::new(vec![(*kind).to_owned()], vec![], vec![]).unwrap();
        total += found(&fixture, &filter).len();
    }
    assert_eq!(total, fixture.truth().len());
}

#[test]
fn a_change_that_does_not_pass_moves_the_cursor_on() {
    let fixture = twins();
    let none = Filter::new(vec![], vec!["absent".parse().unwrap()], vec![]).unwrap();
    let open = |start| Tail::open(&fixture.store, start, none.clone()).unwrap();
    let mut to_head = open(Start::Beginning).to_head();
    assert!(to_head.next().is_none());
    assert_eq!(to_head.cursor(), fixture.head());
    let mut follow = open(Start::Beginning).follow();
    assert_eq!(follow.next_within(Duration::ZERO).unwrap(), None);
    assert_eq!(follow.cursor(), fixture.head());
    rename(&fixture.store, "test", "demo-1", 3);
    assert_eq!(follow.next_within(Duration::from_millis(150)).unwrap(), None);
    assert_eq!(follow.cursor(), fixture.head());
}

#[test]
fn a_tail_whose_filter_passes_nothing_does_not_expire() {
    let fixture = twins();
    let types = vec!["project_archived".to_owned(), "project_restored".to_owned()];
    let filter = Filter::new(types, vec![], vec![]).unwrap();
    let mut changes = Tail::open(&fixture.store, Start::End, filter).unwrap().follow();
    for _ in 0..3 {
        rename(&fixture.store, "test", "demo-1", 2);
        assert_eq!(changes.next_within(Duration::ZERO).unwrap(), None);
        prune(&fixture.store, fixture.head().seq.0 - 2);
    }
    fixture.store.write(cause("test"), |tx| project::archive(tx, &"void".parse()?)).unwrap();
    let change = changes.next_within(SOON).unwrap().expect("the change that passes");
    assert_eq!((change.kind(), change.seq), ("project_archived", fixture.head().seq));
}
