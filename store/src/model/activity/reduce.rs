//! The reducer of evidence: one pure function, whose table of transitions is docs/activity.md.

use std::time::Duration;

use super::{Activity, DecisionKind, Evidence, Signal, Source, State};
use crate::model::time::Timestamp;

/// How long what a hook reported takes precedence over the screen, which may be that of a moment before.
pub const QUIET: Duration = Duration::from_secs(5);

/// The state after a piece of evidence; `None` when it changes nothing.
///
/// Evidence that is older than the state is ignored, unless the clock was set back since; so is an
/// observation of another revision. An ended program stays ended.
#[must_use]
pub fn reduce(stored: &State, evidence: &Evidence, now: Timestamp) -> Option<State> {
    if stored.activity == Activity::Exited || is_stale(stored, evidence, now) {
        return None;
    }
    let next = next(stored, &evidence.signal, evidence.source, now)?;
    let is_same = (next.activity, &next.cause, &next.call, next.until)
        == (stored.activity, &stored.cause, &stored.call, stored.until);
    (!is_same).then(|| State {
        source: evidence.source,
        at: evidence.at,
        revision: stored.revision.saturating_add(1),
        ..next
    })
}

fn is_stale(stored: &State, evidence: &Evidence, now: Timestamp) -> bool {
    let is_of_another = evidence.seen.is_some_and(|revision| revision != stored.revision);
    let is_older = evidence.at < stored.at && stored.at <= now;
    (is_of_another || is_older) && evidence.signal != Signal::Ended
}

fn to(activity: Activity) -> Option<State> {
    Some(State { activity, ..State::default() })
}

/// The activity, cause, call and limit that follow.
fn next(stored: &State, signal: &Signal, source: Source, now: Timestamp) -> Option<State> {
    use Activity::{Active, Blocked, Exited, Idle, Limited, Starting, Unknown, Waiting};

    let is_open = matches!(stored.activity, Waiting | Blocked);
    let is_its_call = |call: &String| !call.is_empty() && *call == stored.call;
    match signal {
        Signal::Ended => to(Exited),
        Signal::Ready if !matches!(stored.activity, Starting | Unknown) && !is_open => None,
        Signal::Ready => to(if stored.has_prompt { Starting } else { Idle }),
        Signal::TurnStarted => to(Active),
        // Of several calls only that which waits releases the state.
        Signal::ToolStarted(call) | Signal::ToolEnded(call) if is_open && !is_its_call(call) => {
            None
        }
        // What ends after its turn does not begin another one.
        Signal::ToolEnded(_) if matches!(stored.activity, Idle | Limited) => None,
        Signal::ToolStarted(_) | Signal::ToolEnded(_) => to(Active),
        Signal::Asked { kind, call } => asked(stored, *kind, call),
        Signal::Decided(call) => {
            let is_meant = call.is_empty() || stored.call.is_empty() || is_its_call(call);
            if stored.activity == Waiting && is_meant { to(Active) } else { None }
        }
        // It may repeat a request that is answered, or come after the end of a turn.
        Signal::Notified => match stored.activity {
            Starting | Unknown | Active => asked(stored, DecisionKind::Permission, ""),
            _ => None,
        },
        Signal::TurnEnded if stored.activity == Limited => None,
        Signal::TurnEnded => to(Idle),
        Signal::TurnFailed(_) if stored.activity == Limited => None,
        Signal::TurnFailed(cause) => Some(State { cause: cause.clone(), ..to(Blocked)? }),
        Signal::Limited(until) => Some(State { until: *until, ..to(Limited)? }),
        Signal::Shown(activity, cause) => shown(stored, *activity, cause, source, now),
        Signal::Silent if matches!(stored.activity, Starting | Active) => to(Unknown),
        // Nothing else has ever said so.
        Signal::Silent
            if stored.source == Source::Screen && (is_open || stored.activity == Idle) =>
        {
            to(Unknown)
        }
        Signal::Silent => None,
    }
}

fn asked(stored: &State, kind: DecisionKind, call: &str) -> Option<State> {
    let is_repeated =
        stored.decision().is_some() && (call.is_empty() || call == stored.call.as_str());
    if is_repeated {
        return None;
    }
    let activity = match kind {
        DecisionKind::Trust | DecisionKind::Login => Activity::Blocked,
        _ => Activity::Waiting,
    };
    let (cause, call) = (kind.as_str().to_owned(), call.to_owned());
    Some(State { cause, call, ..to(activity)? })
}

/// What a screen shows counts when nothing else was reported shortly before.
fn shown(
    stored: &State,
    activity: Activity,
    cause: &str,
    source: Source,
    now: Timestamp,
) -> Option<State> {
    let quiet_ms = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
    let is_quiet = now.0.saturating_sub(stored.at.0).unsigned_abs() >= quiet_ms.unsigned_abs();
    // A program that was given a prompt shows an empty one at first.
    let is_early = stored.has_prompt && activity == Activity::Idle;
    let is_fresh = matches!(stored.activity, Activity::Starting | Activity::Unknown) && !is_early;
    let is_limited = stored.activity == Activity::Limited && stored.until.is_none_or(|at| at > now);
    let is_limit_over = activity == Activity::Active || !is_limited;
    // The same dialog, of which a hook reported more.
    let is_known = stored.activity == activity && (cause.is_empty() || stored.cause == cause);
    if is_known || !(is_quiet || is_fresh || stored.source == source) || !is_limit_over {
        return None;
    }
    let until = stored.until.filter(|_| activity == Activity::Limited);
    Some(State { cause: cause.to_owned(), until, ..to(activity)? })
}

#[cfg(test)]
mod tests;
