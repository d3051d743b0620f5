//! The filter by transitions, against a model that parses every image, over a random history.

use ao_cdc::{Filter, SnapshotReader, Start, Tail, Unknown};
use ao_store::log::change::Change;
use serde_json::{Map, Value};

use crate::support::{Fixture, Random, drain, has_shell, seed, seqs};
use crate::world::{act, act_foreign, settle};

/// What the filters of the test name: fields and values of several entities and kinds.
const WANTED: &[&[&str]] = &[
    &["title"],
    &["state=merged"],
    &["state=open"],
    &["session_id"],
    &["is_resolved=true"],
    &["is_resolved=false", "status=passed"],
    &["line"],
    &["line=1"],
    &["line=null"],
    &["status=queued", "state", "body"],
    &["body="],
    &["name", "archived_at", "author=ann"],
    &["checks_state=complete"],
];

fn history() -> Fixture {
    let fixture = Fixture::empty();
    settle(&fixture.store);
    let mut random = Random(seed() | 1);
    for _ in 0..400 {
        act(&fixture.store, "test", &mut random);
    }
    if has_shell() {
        (0..40).for_each(|_| act_foreign(fixture.path(), &mut random));
    }
    fixture
}

fn image(text: Option<&str>) -> Option<Map<String, Value>> {
    text.map(|text| serde_json::from_str(text).unwrap())
}

/// Decided by parsing, independently of the filter under test.
fn is_wanted(change: &Change, wanted: &[&str]) -> bool {
    let (before, after) = (image(change.before()), image(change.after()));
    let Some(after) = after else { return false };
    wanted.iter().any(|wanted| {
        let (field, value) = wanted.split_once('=').map_or((*wanted, None), |(f, v)| (f, Some(v)));
        let Some(now) = after.get(field) else { return false };
        let text = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        let is_new = before.as_ref().map_or(value.is_some(), |before| before[field] != *now);
        is_new && value.is_none_or(|value| text(now) == value)
    })
}

fn filter(wanted: &[&str]) -> Filter {
    let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    Filter::default().of_changed(&wanted).unwrap()
}

#[test]
fn transitions_select_what_a_parser_of_the_images_selects() {
    let fixture = history();
    let truth = fixture.truth();
    let mut sizes = Vec::new();
    for wanted in WANTED {
        let filter = filter(wanted);
        let expected = seqs(truth.iter().filter(|change| is_wanted(change, wanted)));
        let tail = Tail::open(&fixture.store, Start::Beginning, filter.clone()).unwrap();
        assert_eq!(seqs(&drain(tail)), expected, "{wanted:?}: borrowed");
        let owned = truth.iter().filter(|change| filter.matches(change));
        assert_eq!(seqs(owned), expected, "{wanted:?}: owned");
        let again = Filter::from_json(&filter.to_json()).unwrap();
        assert_eq!((&again, again.to_json()), (&filter, filter.to_json()));
        let last = Tail::open(&fixture.store, Start::Last(2), filter).unwrap();
        assert_eq!(seqs(&drain(last)), expected[expected.len().saturating_sub(2)..], "{wanted:?}");
        sizes.push(expected.len());
    }
    assert!(sizes.iter().filter(|size| **size > 0).count() >= 10, "{sizes:?}");
}

#[test]
fn every_kind_must_match() {
    let fixture = history();
    let wanted = ["state".to_owned(), "title".to_owned()];
    let both = Filter::new(vec!["pr_merged".to_owned()], vec!["demo".parse().unwrap()], vec![]);
    let both = both.unwrap().of_changed(&wanted).unwrap();
    for change in fixture.truth() {
        let expected = change.kind() == "pr_merged" && change.project() == Some("demo");
        assert_eq!(both.matches(&change), expected, "{change:?}");
    }
}

/// A row has no transition.
#[test]
fn a_snapshot_has_the_rows_of_the_entities_that_can_have_the_transition() {
    let fixture = history();
    let entities = |wanted: &[&str]| {
        let open = SnapshotReader::open(&fixture.store, Start::End, filter(wanted), "test");
        let mut reader = open.unwrap();
        let mut found = Vec::new();
        while let Some(chunk) = reader.next_rows().unwrap() {
            if !chunk.rows.is_empty() {
                found.push(chunk.entity);
            }
        }
        found.dedup();
        found
    };
    // The random history may have deleted every row of an entity.
    let all = entities(&[]);
    for (wanted, expected) in [
        (&["state=merged"][..], &["pr"][..]),
        (&["is_resolved"], &["pr_review_thread"]),
        (&["state", "archived_at"], &["project", "pr", "pr_review"]),
    ] {
        let expected: Vec<_> = expected.iter().copied().filter(|it| all.contains(it)).collect();
        assert_eq!(entities(wanted), expected);
    }
}

#[test]
fn names_that_the_store_does_not_have_are_reported_and_no_error() {
    let fixture = Fixture::empty();
    settle(&fixture.store);
    let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<_>>();
    let sessions = ["demo-1", "demo-7777"].iter().map(|id| id.parse().unwrap()).collect();
    let filter = Filter::new(vec![], ids(&["demo", "absent"]), sessions).unwrap();
    let unknown = fixture.store.read(|snapshot| filter.unknown(snapshot)).unwrap();
    let expected = [
        Unknown::Project("absent".parse().unwrap()),
        Unknown::Session("demo-7777".parse().unwrap()),
    ];
    assert_eq!(unknown, expected);
}
