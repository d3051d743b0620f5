//! Waits until sessions meet a condition. A signal ends the process: there is nothing to undo.

use std::time::{Duration, Instant};

use ao_cdc::{Condition, Outcome, Wait};
use ao_store::activity::Activity;
use ao_store::row::session;
use ao_store::{SessionId, Store};
use serde_json::{Value, json};

use crate::args::{self, Wait as Args};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, printable};

pub(super) fn run(context: &Context, args: &Args) -> Result<()> {
    let ids = args.sessions.iter().map(|id| id.parse()).collect::<ao_store::Result<Vec<_>>>()?;
    let after = args.after.as_deref().map(str::parse).transpose()?;
    let conditions: Vec<_> = args.conditions.iter().map(|it| condition(*it)).collect();
    // A time that the clock cannot represent never comes.
    let by = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let store = context.open()?;
    let mut wait = Wait::open(&store, &ids, &conditions, after)?;
    warn(context, &store, &ids, args)?;
    let mut met: Vec<Value> = Vec::new();
    while (met.is_empty() || !args.any) && !wait.is_over() {
        match next(&mut wait, by)? {
            Some(Outcome::Met { session, condition, reason, cursor }) => {
                if !context.is_json {
                    let reason = printable(&reason);
                    output::line(&format!("{session} {}: {reason}", condition.as_str()))?;
                }
                met.push(json!({
                    "session_id": session.as_str(),
                    "condition": condition.as_str(),
                    "reason": reason,
                    "cursor": cursor.to_string(),
                }));
            }
            Some(Outcome::Lost { session, reason }) if !args.any || wait.is_over() => {
                return Err(Error::ConditionLost { session, wanted: wanted(args), reason });
            }
            Some(Outcome::Lost { session, reason }) => {
                context.say(&printable(&format!("{session} cannot meet it any more: {reason}")));
            }
            None => return Err(timed_out(wait.pending(), args)),
        }
    }
    match context.is_json {
        true => output::document("session.wait", &json!({ "sessions": met })),
        false => Ok(()),
    }
}

/// Says which sessions may never meet a condition, because nothing reports what their agents do.
fn warn(context: &Context, store: &Store, ids: &[SessionId], args: &Args) -> Result<()> {
    let is_activity = |it| matches!(it, args::Condition::Idle | args::Condition::Waiting);
    if !args.conditions.iter().all(|it| is_activity(*it)) {
        return Ok(());
    }
    for id in ids {
        let session = store.read(|snapshot| session::require(snapshot, id))?;
        if session.activity == Activity::Unknown && !session.is_terminated {
            context.say(&format!(
                "warning: nothing reports what the agent of {id} does: only its end may end this wait"
            ));
        }
    }
    Ok(())
}

/// The next outcome; `None` after the time.
fn next(wait: &mut Wait, by: Option<Instant>) -> Result<Option<Outcome>> {
    loop {
        let left = by.map_or(Duration::MAX, |by| by.saturating_duration_since(Instant::now()));
        match wait.next_within(left)? {
            None if !left.is_zero() => {}
            outcome => return Ok(outcome),
        }
    }
}

fn timed_out(sessions: &[SessionId], args: &Args) -> Error {
    let sessions = sessions.iter().map(ToString::to_string).collect();
    Error::WaitTimedOut { sessions, wanted: wanted(args) }
}

/// The conditions in words.
fn wanted(args: &Args) -> String {
    let names: Vec<_> = args.conditions.iter().map(|it| condition(*it).as_str()).collect();
    names.join(" or ")
}

fn condition(named: args::Condition) -> Condition {
    match named {
        args::Condition::Idle => Condition::Idle,
        args::Condition::Waiting => Condition::Waiting,
        args::Condition::Exited => Condition::Exited,
        args::Condition::Pr => Condition::Pr,
        args::Condition::Ci => Condition::Ci,
    }
}
