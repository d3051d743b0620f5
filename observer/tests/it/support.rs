//! Recorded webhook deliveries, and short ways to read inputs.

use std::path::Path;

use ao_observer::Result;
use ao_observer::webhook::{self, CommitFacts, Delivery};
use ao_store::Timestamp;
use ao_store::observation::Observation;
use serde_json::{Value, json};

/// The time at which every test receives its input.
pub(crate) const NOW: Timestamp = Timestamp(1_900_000_000_000);

/// The recorded payloads of an event; none, with a printed reason, where the fixtures are absent.
#[expect(clippy::print_stdout, reason = "prints why a test was skipped")]
pub(crate) fn recorded(event: &str) -> Vec<Value> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/github/webhooks");
    if !folder.exists() {
        println!("skipped: there are no recorded webhook deliveries at {}", folder.display());
        return Vec::new();
    }
    let file = folder.join(format!("{event}.json"));
    if !file.exists() {
        println!("skipped: there are no recorded webhook deliveries of {event}");
        return Vec::new();
    }
    let text = std::fs::read(file).unwrap();
    let mut file: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(file["event"], event);
    serde_json::from_value(file["examples"].take()).unwrap()
}

pub(crate) fn delivered(event: &str, payload: &Value) -> Result<Delivery> {
    webhook::read(event, payload.to_string().as_bytes(), None, NOW)
}

/// The one observation of a webhook delivery.
pub(crate) fn one(event: &str, payload: &Value) -> Observation {
    match delivered(event, payload).unwrap() {
        Delivery::Prs(mut prs) if prs.len() == 1 => prs.remove(0),
        other => panic!("{event}: {other:?}"),
    }
}

/// The commit facts of a webhook delivery.
pub(crate) fn commit(event: &str, payload: &Value) -> CommitFacts {
    match delivered(event, payload).unwrap() {
        Delivery::Commit(facts) => facts,
        other => panic!("{event}: {other:?}"),
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub(crate) fn repository() -> Value {
    json!({"id": 1, "full_name": "octo/hello", "html_url": "https://github.com/octo/hello",
        "url": "https://api.github.com/repos/octo/hello"})
}

/// A pull request as the payloads of its own event have it.
pub(crate) fn pull_request(updated_at: &str) -> Value {
    json!({
        "number": 7, "node_id": "PR_7", "state": "open", "draft": false, "title": "Add it",
        "html_url": "https://github.com/octo/hello/pull/7", "updated_at": updated_at,
        "user": {"login": "mona", "type": "User"}, "mergeable": null, "mergeable_state": "unknown",
        "head": {"ref": "ao/demo-1", "sha": "aaa", "repo": {"id": 1, "full_name": "octo/hello"}},
        "base": {"ref": "main", "sha": "bbb", "repo": {"id": 1, "full_name": "octo/hello"}}
    })
}
