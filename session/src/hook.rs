//! What a hook of an agent reports, as evidence about its launch.

use ao_store::Timestamp;
use ao_store::activity::{Evidence, Signal, Source};
use ao_store::row::evidence::Report;
use serde_json::Value;

use crate::harness::{Harness, Heard, limit};

/// The report of a hook about a launch; `None` when its harness gives the event no meaning.
#[must_use]
pub fn report(
    harness: &Harness,
    event: &str,
    payload: &Value,
    launch: &str,
    at: Timestamp,
) -> Option<Report> {
    let Heard { mut signal, native_id, prompt, question, message, until } =
        harness.hooks()?.read(event, payload);
    if signal.is_none() && native_id.is_empty() {
        return None;
    }
    if let Some(Signal::Limited(end)) = &mut signal {
        *end = limit::end(&until, &message, at);
    }
    let evidence = signal.map(|signal| Evidence { source: Source::Hook, at, seen: None, signal });
    Some(Report { native_id, prompt, question, message, ..Report::of(launch, evidence) })
}
