//! Shows what an observer does, as it happens: as a log, as JSON, or as progress on a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ao_daemon::document;
use ao_observer::poll::Report;
use ao_observer::run::{Event, What};
use ao_store::Timestamp;

use super::{json, text};
use crate::context::Context;
use crate::error::Result;
use crate::invocation::Invocation;
use crate::output;
use crate::progress;
use crate::table;

/// How often the progress line is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// A line of the log: when it happened, in UTC, and what.
fn log(event: &Event, text: &str, invocation: &Invocation) {
    output::say(&format!("{} {}", document::time(event.at), invocation.complete(text)));
}

/// Shows the events of `observe`.
pub(super) struct Show<'a> {
    context: &'a Context,
    /// Whether the run ends when everything was read: its end is shown, and only progress before.
    is_once: bool,
    progress: Option<Progress>,
}

impl Show<'_> {
    pub(super) fn new(context: &Context, is_once: bool) -> Show<'_> {
        let has_progress = !context.is_json && !output::is_quiet() && progress::is_possible();
        Show { context, is_once, progress: has_progress.then(Progress::default) }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn event(&mut self, event: &Event) -> Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.record(event);
            // The facts that change are in the stream; a person at a terminal wants to see the state.
            if matches!(&event.what, What::Cycle(cycle) if cycle.failures == 0) {
                return Ok(());
            }
        }
        if self.is_once {
            return Ok(());
        }
        if self.context.is_json {
            return json::event(event).map_or(Ok(()), |(kind, data)| output::document(kind, &data));
        }
        if let Some(text) = text::line(event) {
            log(event, &text, self.context.invocation());
        }
        Ok(())
    }

    /// Draws the progress line, if it is time.
    pub(super) fn tick(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.tick();
        }
    }
}

impl Drop for Show<'_> {
    fn drop(&mut self) {
        progress::clear();
    }
}

/// The state of each host as a progress line.
#[derive(Default)]
struct Progress {
    hosts: BTreeMap<String, Host>,
    drawn_at: Option<Instant>,
}

#[derive(Default)]
struct Host {
    /// What it is doing; empty while it waits.
    doing: String,
    report: Option<Report>,
    next_at: Option<Timestamp>,
}

impl Progress {
    fn record(&mut self, event: &Event) {
        let Event { host: name, what, .. } = event;
        let host = self.hosts.entry(name.clone()).or_default();
        match what {
            What::LookUp => host.doing = format!("{name}: looking for credentials"),
            What::Send(reading) => host.doing = text::reading(name, reading),
            What::Recorded(report) => {
                host.doing.clear();
                host.report = Some(Report::clone(report));
                host.next_at = None;
            }
            What::Cycle(cycle) => host.next_at = cycle.next_at,
            What::Change(_) | What::NothingToObserve => {}
        }
    }

    fn tick(&mut self) {
        if self.drawn_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.drawn_at = Some(Instant::now());
        let now = Timestamp::now();
        let lines = self.hosts.values().map(|host| match &host.report {
            Some(report) if host.doing.is_empty() => text::state(report, host.next_at, now),
            _ => host.doing.clone(),
        });
        let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        progress::show(&table::cut(&output::printable(&line), progress::width()));
    }
}

/// Shows the events of the observer that runs beside a stream: what the observer may do, what fails, and
/// the first cycle. What changes is in the stream.
#[derive(Default)]
pub(crate) struct BesideStream {
    begun: BTreeSet<String>,
}

impl BesideStream {
    pub(crate) fn event(&mut self, event: &Event, invocation: &Invocation) {
        let text = match &event.what {
            What::Cycle(cycle) if cycle.failures == 0 && self.begun.insert(event.host.clone()) => {
                Some(text::first_cycle(&event.host, cycle, event.at))
            }
            What::Cycle(cycle)
                if cycle.failures == 0 && cycle.failed_writes == 0 && cycle.unread.is_empty() =>
            {
                None
            }
            _ => text::line(event),
        };
        if let Some(text) = text {
            log(event, &text, invocation);
        }
    }
}
