//! What a hook of an agent reports, as evidence about its launch.

use ao_store::Timestamp;
use ao_store::activity::{Evidence, Source};
use ao_store::row::evidence::Report;
use serde_json::Value;

use crate::harness::{Harness, Heard};

/// The report of a hook about a launch; `None` when its harness gives the event no meaning.
#[must_use]
pub fn report(
    harness: &Harness,
    event: &str,
    payload: &Value,
    launch: &str,
    at: Timestamp,
) -> Option<Report> {
    let Heard { signal, native_id, prompt, question, message } =
        harness.hooks()?.read(event, payload);
    if signal.is_none() && native_id.is_empty() {
        return None;
    }
    let evidence = signal.map(|signal| Evidence { source: Source::Hook, at, seen: None, signal });
    Some(Report { native_id, prompt, question, message, ..Report::of(launch, evidence) })
}
