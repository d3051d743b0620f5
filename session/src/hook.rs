//! What a hook of an agent reports, as evidence about its launch.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

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

/// The most payloads of an event that are kept.
const KEPT: usize = 5;

/// Where the payloads of a harness are kept while it is recorded.
pub(crate) fn payload_dir(data_dir: &Path, harness: &str) -> PathBuf {
    data_dir.join("run/probe").join(harness)
}

/// Keeps the payload of an event if its harness is recorded. What fails is not kept.
pub fn keep_payload(data_dir: &Path, harness: &Harness, event: &str, payload: &Value) {
    let dir = payload_dir(data_dir, harness.name());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !dir.is_dir() || event.len() > 64 || !event.bytes().all(is_plain) {
        return;
    }
    let text = format!("{payload:#}\n");
    let files = (1..=KEPT).map(|number| dir.join(format!("{event}.{number}.json")));
    for mut file in files.filter_map(|path| File::create_new(path).ok()).take(1) {
        let _ = file.write_all(text.as_bytes());
    }
}
