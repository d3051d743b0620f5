//! What an observer does, as the JSON documents of docs/json.md.

use ao_daemon::document;
use ao_observer::poll::Report;
use ao_observer::run::{Change, Cycle, Event, What};
use serde_json::{Value, json};

/// The kind and the data of the document for an event; `None` for what is only progress.
pub(super) fn event(event: &Event) -> Option<(&'static str, Value)> {
    let (kind, mut data) = match &event.what {
        What::LookUp | What::Send(_) | What::Recorded(_) | What::NothingToObserve => return None,
        What::Change(changed) => ("observe.change", change(changed)),
        What::Cycle(done) => ("observe.cycle", cycle(done)),
    };
    data["at"] = document::time(event.at).into();
    data["host"] = event.host.as_str().into();
    Some((kind, data))
}

fn change(change: &Change) -> Value {
    match change {
        Change::Credential { state, source, login } => json!({
            "change": "credential",
            "credential": state.as_str(),
            "source": source,
            "login": login,
        }),
        Change::BudgetLow { quota, remaining, reset_at } => json!({
            "change": "budget_low",
            "quota": quota,
            "remaining": remaining,
            "until": reset_at.map(document::time),
        }),
        Change::BudgetRestored { quota, remaining } => {
            json!({"change": "budget_restored", "quota": quota, "remaining": remaining})
        }
        Change::BackoffBegun { reason, until, failure } => json!({
            "change": "backoff_begun",
            "reason": reason.as_str(),
            "until": document::time(*until),
            "failure": failure,
        }),
        Change::BackoffEnded { reason } => {
            json!({"change": "backoff_ended", "reason": reason.as_str()})
        }
    }
}

fn cycle(cycle: &Cycle) -> Value {
    json!({
        "requests": cycle.requests,
        "rest_requests": cycle.rest_requests,
        "points": cycle.points,
        "failures": cycle.failures,
        "failed_writes": cycle.failed_writes,
        "tracked": cycle.tracked,
        "fresh": cycle.fresh,
        "found": cycle.found,
        "changed": cycle.changed.iter().map(|pr| pr.as_str()).collect::<Vec<_>>(),
        "rows_changed": cycle.rows_changed,
        "rows_unchanged": cycle.rows_unchanged,
        "unread": cycle.unread,
        "address": cycle.address,
        "failure": cycle.failure,
        "next_poll_at": cycle.next_at.map(document::time),
    })
}

/// What a run did at a host.
pub(super) fn host(report: &Report) -> Value {
    let Report { totals, written, .. } = report;
    json!({
        "host": report.host,
        "credential": report.credential.as_str(),
        "source": report.source,
        "requests": totals.requests,
        "rest_requests": totals.rest_requests,
        "points": totals.points,
        "failures": totals.failures,
        "tracked": report.tracked,
        "fresh": report.fresh,
        "problems": report.problems,
        "unread": report.unread,
        "outdated": totals.outdated,
        "skipped": report.skipped.iter().map(document::skipped).collect::<Vec<_>>(),
        "logs_left": report.logs_left,
        "found": written.found,
        "rows_changed": written.rows_changed,
        "rows_unchanged": written.rows_unchanged + totals.unchanged,
        "quota": report.budget.map(|(quota, _)| quota),
        "remaining": report.budget.map(|(_, remaining)| remaining),
        "address": report.address,
        "failure": report.failure,
        "blocked_until": report.backoff.map(|(_, until)| document::time(until)),
        "reason": report.backoff.map(|(reason, _)| reason.as_str()),
    })
}
