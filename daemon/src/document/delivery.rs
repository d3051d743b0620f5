//! Deliveries: a row of a list, and one with what proves each of its stages.

use ao_store::Timestamp;
use ao_store::row::delivery::{self, Delivery, Stage};
use serde_json::{Value, json};

use super::field::time;
use super::row;

pub use super::row::delivery as listed;

/// A stage that was reached, when, and what proves it.
pub type Reached = (Stage, Timestamp, &'static str);

/// A delivery with what proves each of its stages.
#[must_use]
pub fn document(delivery: &Delivery) -> Value {
    let mut data = row::delivery(delivery);
    let stages = stages(delivery)
        .into_iter()
        .map(|(stage, at, proof)| json!({"stage": stage.as_str(), "at": time(at), "proof": proof}));
    data["stages"] = stages.collect();
    data
}

/// The stages that were reached, with their times and proofs.
#[must_use]
pub fn stages(delivery: &Delivery) -> Vec<Reached> {
    let is_seen = delivery.reason == delivery::END_NOT_REPORTED;
    let reached = [
        (Stage::Accepted, Some(delivery.accepted_at), "store"),
        (Stage::Written, delivery.written_at, "runner"),
        (Stage::Submitted, delivery.submitted_at, "hook"),
        (Stage::Started, delivery.started_at, "hook"),
        (Stage::Finished, delivery.finished_at, if is_seen { "screen" } else { "hook" }),
    ];
    reached.into_iter().filter_map(|(stage, at, proof)| Some((stage, at?, proof))).collect()
}
