//! Reconciles the sessions with the machine, and reports each action.

use ao_session::{Action, Mode, Report};
use serde_json::{Value, json};

use crate::args::Reconcile as Args;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, printable};

const UNCONFIRMED: &str = "the sessions were recorded on another machine, or before a restore: nothing was \
    changed; if they run on this machine: `ao-store reconcile --yes`";

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    let mode = match (args.dry_run, args.yes) {
        (true, _) => Mode::DryRun,
        (_, true) => Mode::Confirm,
        _ => Mode::Act,
    };
    let report = context.sessions()?.reconcile(mode)?;
    if context.is_json {
        output::document("reconcile", &document(&report, args.dry_run))?;
    } else {
        for text in preface(&report) {
            context.say(&printable(&text));
        }
        for action in report.actions.iter().filter(|action| action.what != "left") {
            output::line(&printable(&line(action, mode == Mode::DryRun)))?;
        }
    }
    match report.actions.into_iter().find_map(|action| action.error) {
        Some(error) => Err(Error::Session(error)),
        None => Ok(()),
    }
}

/// What a person should know of a report of the daemon, at its start or after terminals were lost.
pub(super) fn news(report: &Report) -> Vec<String> {
    let is_news = |action: &&Action| !["left", "adopted"].contains(&action.what);
    let actions = report.actions.iter().filter(is_news).map(|action| line(action, false));
    let lines = preface(report).into_iter().chain(actions);
    lines.map(|line| printable(&line)).collect()
}

fn preface(report: &Report) -> Vec<String> {
    let unconfirmed = (!report.is_confirmed).then(|| UNCONFIRMED.to_owned());
    unconfirmed.into_iter().chain(report.events.iter().cloned()).collect()
}

fn line(action: &Action, dry_run: bool) -> String {
    let Action { session, what, reason, error } = action;
    let what = if dry_run { format!("would be {what}") } else { (*what).to_owned() };
    match error {
        Some(error) => format!("{session}: not {what} ({reason}): {error}"),
        None => format!("{session}: {what} ({reason})"),
    }
}

fn document(report: &Report, dry_run: bool) -> Value {
    let actions = report.actions.iter().map(|action| {
        let error = action.error.as_ref();
        json!({
            "session_id": action.session.as_str(),
            "action": action.what,
            "reason": action.reason,
            "error": error.map(|error| {
                json!({"code": error.code().name(), "message": error.to_string()})
            }),
        })
    });
    json!({
        "dry_run": dry_run,
        "is_confirmed": report.is_confirmed,
        "events": report.events,
        "actions": actions.collect::<Vec<_>>(),
    })
}
