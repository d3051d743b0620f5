//! Applying observation documents, and what is said of what was applied.
//!
//! Each document is one transaction. The ones before a document that is refused stay applied, and
//! the error says which one it was.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ao_observer::Numbered;
use ao_store::observation::Observation;
use ao_store::{Applied, Delta, Outcome, Store, Timestamp, apply_observation};
use serde_json::{Value, json};

use crate::args::{Intake, Observe};
use crate::cmd::{deliver, poll};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output::Ended;
use crate::{output, view};

/// The most that one file of deliveries may hold; GitHub bounds a payload at 25 MiB.
const DELIVERIES_MAX: u64 = 256 << 20;

pub(crate) fn run(context: &Context, args: Observe) -> Result<Ended> {
    match args.command {
        None => return poll::run(context, &args.run),
        Some(Intake::Apply { file }) => apply(context, &file),
        Some(Intake::Deliver(args)) => deliver::run(context, args),
    }?;
    Ok(Ended::Done)
}

fn apply(context: &Context, file: &Path) -> Result<()> {
    let store = context.open()?;
    let mut report = Report::new(context.is_json);
    for document in ao_observer::documents(BufReader::new(open(file)?)) {
        let result = document.map_err(Error::from).and_then(|Numbered { value, .. }| {
            let observation = value.into_observation(Timestamp::now())?;
            write(&store, observation)
        });
        match result {
            Ok(outcome) => report.add_outcome(&outcome),
            Err(error) => return report.fail(error),
        }
        report.documents += 1;
    }
    report.finish("observe.apply")
}

fn write(store: &Store, observation: Observation) -> Result<Outcome> {
    Ok(store.write(cause(), move |tx| apply_observation(tx, &observation))?.value)
}

fn open(file: &Path) -> Result<Box<dyn Read>> {
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

pub(super) fn read_all(file: &Path) -> Result<Vec<u8>> {
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

/// The outcomes so far.
pub(super) struct Report {
    is_json: bool,
    pub(super) documents: u64,
    outcomes: Vec<Value>,
}

impl Report {
    pub(super) fn new(is_json: bool) -> Report {
        Report { is_json, documents: 0, outcomes: Vec::new() }
    }

    /// Text goes out at once; JSON is one document at the end.
    pub(super) fn add(&mut self, outcome: Value, text: String) {
        self.outcomes.push(outcome);
        if !self.is_json {
            // It may quote what the payload says.
            output::say(&output::printable(&text));
        }
    }

    pub(super) fn add_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Applied(applied) => self.add(view::applied(applied), describe(applied)),
            Outcome::Unattributed { pr, reason } => {
                let data =
                    json!({"outcome": "unattributed", "pr": pr.to_string(), "reason": reason});
                self.add(data, format!("unattributed: {pr}: {reason}"));
            }
            Outcome::Mismatched { pr, stored, observed } => {
                let data = json!({
                    "outcome": "mismatched",
                    "pr": pr.to_string(),
                    "stored_node_id": stored,
                    "observed_node_id": observed,
                });
                let text = format!("mismatched: {pr} is stored as {stored}, this is {observed}");
                self.add(data, text);
            }
        }
    }

    pub(super) fn finish(self, kind: &str) -> Result<()> {
        if self.is_json {
            return output::document(kind, &Value::Array(self.outcomes));
        }
        Ok(())
    }

    /// Says what was applied before the failure: those changes stand.
    pub(super) fn fail(self, error: Error) -> Result<()> {
        let applied = self.documents;
        if applied > 0 && !self.is_json {
            output::say(&format!("{applied} document(s) before the error were taken; they stand"));
        }
        Err(Error::Document { applied, source: Box::new(error) })
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
