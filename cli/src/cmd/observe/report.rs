//! The input of `observe apply` and `observe deliver`, and the report of what was applied.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ao_daemon::document;
use ao_store::{Applied, Delta, Outcome};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{Error, Result};
use crate::output;

/// The maximum size of a file of webhook deliveries; GitHub limits one payload to 25 MiB.
const DELIVERIES_MAX: u64 = 256 << 20;

/// Opens a file for reading, or standard input for `-`.
pub(in crate::cmd) fn open(file: &Path) -> Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::InvalidPath { path: file.to_owned(), reason: "there is no such file".to_owned() }
        }
        _ => Error::file("open", file, error),
    })?;
    if opened.metadata().is_ok_and(|found| found.is_dir()) {
        let reason = "it is a directory".to_owned();
        return Err(Error::InvalidPath { path: file.to_owned(), reason });
    }
    Ok(Box::new(opened))
}

/// Reads a whole file of webhook deliveries.
pub(in crate::cmd) fn read_all(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(file)?.take(DELIVERIES_MAX + 1).read_to_end(&mut bytes);
    let read = read.map_err(|source| Error::file("read", file, source))?;
    if read as u64 > DELIVERIES_MAX {
        let too_large =
            ao_observer::Error::TooLarge { document: 1, line: 1, limit: DELIVERIES_MAX };
        return Err(too_large.into());
    }
    Ok(bytes)
}

/// The outcomes of the documents so far. Text is printed at once and not kept, so that an endless input
/// needs the memory of one document. JSON is one document at the end, since nothing is printed if a later
/// document is refused.
pub(in crate::cmd) struct Report {
    is_json: bool,
    pub(in crate::cmd) documents: u64,
    /// As JSON text, which takes a fraction of the memory of a value. Empty without `--json`.
    outcomes: Vec<Box<RawValue>>,
}

impl Report {
    pub(in crate::cmd) fn new(is_json: bool) -> Report {
        Report { is_json, documents: 0, outcomes: Vec::new() }
    }

    pub(in crate::cmd) fn add(&mut self, outcome: &Value, text: &str) -> Result<()> {
        if self.is_json {
            self.outcomes.push(to_raw_value(outcome).map_err(|error| Error::Stdout(error.into()))?);
        } else {
            // It may quote the payload.
            output::say(&output::printable(text));
        }
        Ok(())
    }

    pub(in crate::cmd) fn add_outcome(&mut self, outcome: &Outcome) -> Result<()> {
        let text = match outcome {
            Outcome::Applied(applied) => describe(applied),
            Outcome::Unattributed { .. } => format!("unattributed: {}", reason_of(outcome)),
            Outcome::Mismatched { .. } => format!("mismatched: {}", reason_of(outcome)),
        };
        self.add(&document::outcome(outcome), &text)
    }

    pub(in crate::cmd) fn finish(self, kind: &str) -> Result<()> {
        if self.is_json {
            return output::document(kind, &self.outcomes);
        }
        Ok(())
    }

    /// Reports how many documents were applied before the failure.
    pub(in crate::cmd) fn fail(self, error: Error) -> Result<()> {
        let applied = self.documents;
        if applied > 0 && !self.is_json {
            output::say(&format!(
                "{applied} document(s) before the error were applied and stay applied"
            ));
        }
        Err(Error::Document { applied, source: Box::new(error) })
    }
}

/// The error of an observation that was not applied; `None` for one that was.
pub(super) fn refuse(outcome: &Outcome) -> Option<Error> {
    let is_applied = matches!(outcome, Outcome::Applied(_));
    let refused = || Error::NotApplied {
        reason: format!("nothing was stored: {}", reason_of(outcome)),
        outcome: document::outcome(outcome),
    };
    (!is_applied).then(refused)
}

fn reason_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied(applied) => describe(applied),
        Outcome::Unattributed { pr, why } => format!("{pr}: {why}"),
        Outcome::Mismatched { pr, stored, observed } => {
            format!("{pr} is stored as {stored}, this is {observed}")
        }
    }
}

fn describe(applied: &Applied) -> String {
    let mut parts = Vec::new();
    if applied.is_new {
        parts.push("new".to_owned());
    }
    if applied.is_updated {
        parts.push("metadata changed".to_owned());
    }
    let facets = [
        ("checks", &applied.checks),
        ("threads", &applied.threads),
        ("reviews", &applied.reviews),
        ("comments", &applied.comments),
    ];
    for (name, delta) in facets.into_iter().filter(|(_, delta)| delta.is_change()) {
        let Delta { inserted, updated, deleted, .. } = delta;
        parts.push(format!("{name} +{inserted} ~{updated} -{deleted}"));
    }
    if !applied.stale.is_empty() {
        parts.push(format!("older than stored: {}", applied.stale.join(", ")));
    }
    let what = if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") };
    format!("{} ({}): {what}", applied.pr, applied.session)
}
