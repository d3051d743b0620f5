//! The outcomes of observations and webhook deliveries.

use ao_observer::webhook::Recorded;
use ao_store::attribution::Unattributed;
use ao_store::{Applied, Outcome, PrRef};
use serde_json::{Value, json};

use super::field::{Field, object};

fn applied(applied: &Applied) -> Value {
    let mut outcome = object!(applied => pr_id = pr, session_id = session, is_new, is_updated, checks,
        threads, reviews, comments);
    outcome["outcome"] = "applied".into();
    outcome["stale"] = json!(applied.stale);
    outcome
}

/// The outcome of an observation.
#[must_use]
pub fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Applied(it) => applied(it),
        Outcome::Unattributed { pr, why } => unattributed(Some(pr), why),
        Outcome::Mismatched { pr, stored, observed } => json!({
            "outcome": "mismatched",
            "pr": pr.to_string(),
            "stored_node_id": stored,
            "observed_node_id": observed,
        }),
    }
}

/// The outcome of facts that no session owns; `pr` is `None` when they name no pull request.
#[must_use]
pub fn unattributed(pr: Option<&PrRef>, why: &Unattributed) -> Value {
    json!({
        "outcome": "unattributed",
        "pr": pr.map(PrRef::to_string),
        "code": why.reason.as_str(),
        "reason": why.text,
    })
}

/// The outcomes of a recorded webhook delivery of this id.
#[must_use]
pub fn delivered(recorded: &Recorded, id: &str) -> Vec<Value> {
    match recorded {
        Recorded::Applied(outcomes) => outcomes.iter().map(outcome).collect(),
        Recorded::Duplicate => vec![json!({"outcome": "duplicate", "delivery_id": id})],
        Recorded::Unattributed(why) => vec![unattributed(None, why)],
        Recorded::Ignored(reason) => vec![json!({"outcome": "ignored", "reason": reason})],
    }
}
