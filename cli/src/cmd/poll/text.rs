//! What an observer does, in words: the lines of its log, its progress, and the summary of a run.

use ao_daemon::document::{self, attention::log_in};
use ao_observer::poll::{Reading, Report};
use ao_observer::run::{Change, Cycle, Event, Running, What};
use ao_store::row::scm::Credential;
use ao_store::{PrId, Timestamp};

use crate::doctor::observer;
use crate::view;

/// How many things a line names.
const NAMED_MAX: usize = 8;

/// What is shown when there is nothing to request.
const NOTHING: &str = "a token was found; there is nothing to poll until a session has a branch: \
    `ao-store session new --project ID --branch BRANCH`";

/// The line for an event; `None` when nobody needs to know of it.
pub(super) fn line(event: &Event) -> Option<String> {
    let Event { host, what, .. } = event;
    let text = match what {
        What::LookUp | What::Send(_) | What::Recorded(_) => return None,
        What::NothingToObserve => NOTHING.to_owned(),
        What::Change(change) => of_change(host, change),
        What::Cycle(cycle) if cycle.is_idle() => return None,
        What::Cycle(cycle) => of_cycle(cycle),
    };
    Some(format!("{host}: {text}"))
}

fn of_change(host: &str, change: &Change) -> String {
    match change {
        Change::Credential { state: Credential::Ok | Credential::Unknown, source, login } => {
            format!("observing as {login}, with the token from {source}")
        }
        Change::Credential { state: Credential::Invalid, source, .. } => {
            format!("the host refuses the token from {source}; log in again: {}", log_in(host))
        }
        Change::Credential { state: Credential::Missing, .. } => {
            format!("no token was found; log in: {}; it is then found within 10s", log_in(host))
        }
        Change::BudgetLow { quota, remaining, reset_at } => {
            let until =
                reset_at.map_or(String::new(), |at| format!(" until {}", document::time(at)));
            format!("budget low: {remaining} of {quota} points left{until}")
        }
        Change::BudgetRestored { quota, remaining } => {
            format!("budget restored: {remaining} of {quota} points left")
        }
        Change::BackoffBegun { reason, until, failure } => {
            let cause = if failure.is_empty() { "" } else { ": " };
            format!("backoff until {}: {}{cause}{failure}", document::time(*until), reason.as_str())
        }
        Change::BackoffEnded { reason } => format!("backoff ended: {}", reason.as_str()),
    }
}

fn of_cycle(cycle: &Cycle) -> String {
    let mut parts = Vec::new();
    if !cycle.changed.is_empty() {
        let names: Vec<_> = cycle.changed.iter().map(name).collect();
        let new = if cycle.found > 0 { format!(" ({} new)", cycle.found) } else { String::new() };
        let count = count(names.len(), "pull request");
        parts.push(format!("{count} changed{new}: {}", first_of(&names)));
    }
    if cycle.rows_changed > 0 {
        parts.push(format!("{} written", count(cycle.rows_changed, "row")));
    }
    if cycle.failures > 0 {
        let mut text = format!("{} failed", count(cycle.failures, "request"));
        if !cycle.failure.is_empty() {
            text += &format!(": {}: {}", cycle.address, cycle.failure);
        }
        parts.push(text);
    }
    if cycle.failed_writes > 0 {
        parts.push(format!("{} could not be stored", count(cycle.failed_writes, "batch")));
    }
    if !cycle.unread.is_empty() {
        parts.push(format!("cannot be read: {}", first_of(&cycle.unread)));
    }
    let sent = count(cycle.requests, "request");
    parts.push(format!("{sent}, {}", count(cycle.points, "point")));
    parts.join("; ")
}

/// What the first cycle found, changed or not, and when the next one begins.
pub(super) fn first_cycle(host: &str, cycle: &Cycle, now: Timestamp) -> String {
    let Cycle { tracked, fresh, .. } = cycle;
    let next = match cycle.next_at {
        Some(at) => format!("next poll in {}", until(at, now)),
        None => "no further poll is due".to_owned(),
    };
    let state = match tracked {
        0 => "no pull request of a session is open".to_owned(),
        _ => format!("{fresh} of {} read", count(*tracked, "open pull request")),
    };
    format!("{host}: {state}; {next}")
}

/// Another process observes, for one that would.
pub(crate) fn another(other: Option<&Running>) -> String {
    let who = other.map_or("another process".to_owned(), observer::who);
    format!("{who} observes for this store; this process observes as soon as that one has ended")
}

/// What is read now.
pub(super) fn reading(host: &str, reading: &Reading) -> String {
    let text = match reading {
        Reading::Poll { repos, prs } => {
            let all: Vec<_> = repos.iter().cloned().chain(prs.iter().map(name)).collect();
            all.join(", ")
        }
        Reading::Lists(prs) => {
            let names: Vec<_> = prs.iter().map(name).collect();
            format!("checks and discussions of {}", names.join(", "))
        }
        Reading::Log(pr) => format!("the log of a failed check of {}", name(pr)),
    };
    format!("{host}: reading {text}")
}

/// The state of a host between two cycles, the most important first: a terminal may cut the rest.
pub(super) fn state(report: &Report, next_at: Option<Timestamp>, now: Timestamp) -> String {
    let Report { host, tracked, fresh, .. } = report;
    if let Some(text) = disabled(report) {
        return format!("{host}: {text}");
    }
    let mut line = format!("{host}: {fresh} of {} fresh", count(*tracked, "pull request"));
    if let Some((reason, until)) = report.backoff {
        line += &format!(", backoff until {}: {}", document::time(until), reason.as_str());
    } else if let Some(at) = next_at {
        line += &format!(", next poll in {}", until(at, now));
    }
    if report.problems > 0 {
        line += &format!(", {} cannot be read", report.problems);
    }
    if !report.failure.is_empty() {
        line += &format!(", {}", report.failure);
    }
    line + &format!(", {}", budget(report))
}

/// What a run did at a host, in one line.
pub(super) fn summary(report: &Report) -> String {
    let Report { host, totals, written, tracked, fresh, .. } = report;
    if let Some(text) = disabled(report) {
        return format!("{host}: {text}");
    }
    let mut line = format!(
        "{host}: {} ({} REST), {}; {fresh} of {tracked} pull requests fresh; \
         {} rows changed, {} unchanged; {}",
        count(totals.requests, "request"),
        totals.rest_requests,
        count(totals.points, "point"),
        written.rows_changed,
        written.rows_unchanged + totals.unchanged,
        budget(report),
    );
    if totals.outdated > 0 {
        let what = count(totals.outdated, "answer");
        line += &format!(
            "; {what} older than what is stored, such as a webhook delivery: not stored, read again later"
        );
    }
    if report.problems > 0 {
        line += &format!("; {} cannot be read", report.problems);
    }
    if !report.skipped.is_empty() {
        let count = report.skipped.len();
        line += &format!("; {count} of somebody else on branches of sessions: `ao-store status`");
    }
    if report.logs_left > 0 {
        line += &format!("; {} logs of failed checks are left for the next run", report.logs_left);
    }
    if !report.failure.is_empty() {
        line += &format!("; {}: {}", report.address, report.failure);
    }
    if let Some((reason, until)) = report.backoff {
        line += &format!("; backoff until {}: {}", document::time(until), reason.as_str());
    }
    line
}

fn disabled(report: &Report) -> Option<&'static str> {
    match report.credential {
        Credential::Missing => Some("disabled, no credentials"),
        Credential::Invalid => Some("disabled, the host refuses the credentials"),
        Credential::Ok | Credential::Unknown => None,
    }
}

fn budget(report: &Report) -> String {
    report.budget.map_or("rate limit unknown".to_owned(), |(quota, left)| {
        format!("{left} of {quota} points left")
    })
}

/// A pull request as commands accept it.
fn name(pr: &PrId) -> String {
    let id = pr.as_str();
    id.strip_prefix("github.com/").unwrap_or(id).to_owned()
}

fn first_of(texts: &[String]) -> String {
    let shown = texts.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// A number with its noun.
fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = match (number, noun.ends_with("ch")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{plural}")
}

/// The time that is left, in whole seconds.
fn until(at: Timestamp, now: Timestamp) -> String {
    let left = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
    view::duration(left.div_ceil(1000) * 1000)
}
