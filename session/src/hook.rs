//! What a hook of an agent reports, as evidence about its launch, and the answer that it waits for.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_store::activity::{Evidence, Signal, Source};
use ao_store::row::decision::{self, Decision};
use ao_store::row::evidence::{self, Report};
use ao_store::row::launch;
use ao_store::{SessionId, Store, Timestamp, Tx};
use serde_json::Value;

use crate::error::Result;
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

/// What recording a report of a hook has led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// The decision whose answer the hook waits for.
    pub decision: Option<String>,
    /// The sessions to which a delivery can be written now: a runner must be started for each.
    pub deliver_to: Vec<SessionId>,
}

/// Records a report about a launch of this session. With `until` the hook waits until then for the answer to the
/// decision that it asks for. What is no launch of the session is ignored.
///
/// # Errors
/// When the store cannot be written.
pub fn record(
    tx: &Tx<'_>,
    session: &str,
    report: &Report,
    until: Option<Timestamp>,
) -> ao_store::Result<Reported> {
    let launch = launch::get(tx, &report.launch)?;
    if launch.is_none_or(|launch| launch.session.as_str() != session) {
        return Ok(Reported::default());
    }
    let recorded = evidence::record(tx, report)?;
    let decision = until.map(|until| await_answer(tx, report, until)).transpose()?.flatten();
    let deliver_to = recorded.map(|recorded| recorded.deliver_to).unwrap_or_default();
    Ok(Reported { decision, deliver_to })
}

/// Records until when the hook that reports a permission waits for its answer. Returns the decision; `None` when
/// there is none to answer.
fn await_answer(
    tx: &Tx<'_>,
    report: &Report,
    until: Timestamp,
) -> ao_store::Result<Option<String>> {
    match report.evidence.as_ref().map(|evidence| &evidence.signal) {
        Some(Signal::Asked { call, .. }) => {
            decision::wait_for_answer(tx, &report.launch, call, until)
        }
        _ => Ok(None),
    }
}

/// Waits until an answer is offered to the hook that waits for a decision until a time; returns whether one
/// is. It is not when the decision was resolved, or a later hook waits. Nothing is locked meanwhile.
///
/// # Errors
/// When the store cannot be read.
pub fn wait_for_answer(store: &Store, decision: &str, until: Timestamp) -> Result<bool> {
    // A commit after this line wakes it.
    let mut listener = store.listen()?;
    loop {
        let found = store.read(|snapshot| decision::get(snapshot, decision))?;
        let is_mine = |it: &Decision| it.resolved_at.is_none() && it.hook_ends_at == Some(until);
        let Some(found) = found.filter(is_mine) else { return Ok(false) };
        if !found.answer.is_empty() {
            return Ok(true);
        }
        let left = u64::try_from(until.0.saturating_sub(Timestamp::now().0)).unwrap_or(0);
        if left == 0 {
            return Ok(false);
        }
        listener.wait(Duration::from_millis(left))?;
    }
}

/// Takes the answer that is offered to that hook, and records that the agent goes on. Returns it with the sessions
/// that need a runner; `None` when it was withdrawn, or the decision resolved.
///
/// # Errors
/// When the store cannot be written.
pub fn take_answer(
    tx: &Tx<'_>,
    decision: &str,
    until: Timestamp,
) -> ao_store::Result<Option<(String, Vec<SessionId>)>> {
    if !decision::take(tx, decision, until)? {
        return Ok(None);
    }
    let Some(taken) = decision::get(tx, decision)? else { return Ok(None) };
    let signal = Signal::Decided(taken.call);
    let evidence = Evidence { source: Source::Hook, at: tx.now(), seen: None, signal };
    let recorded = evidence::record(tx, &Report::of(&taken.launch, Some(evidence)))?;
    Ok(Some((taken.answer, recorded.map(|it| it.deliver_to).unwrap_or_default())))
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
