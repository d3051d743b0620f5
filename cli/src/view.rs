//! Rows as the JSON documents of docs/json.md: each field has the name of its column in row images,
//! and only the fields listed here are printed.

use std::slice;

use ao_store::activity::{Activity, DecisionKind, Source};
use ao_store::attention::{self, Attention};
use ao_store::attribution::Unattributed;
use ao_store::log::consumer::{Bounds, Consumer, Lag, Policy};
use ao_store::observation::{
    Check, CheckKind, CheckStatus, Ci, Comment, CommentKind, Completeness, Mergeability, Mergeable,
    PrState, Review, ReviewDecision, ReviewState, Thread,
};
use ao_store::row::decision::{Decision, Resolution};
use ao_store::row::delivery::{Delivery, DeliveryKind, Stage};
use ao_store::row::launch::{Launch, LaunchKind, PromptStage};
use ao_store::row::pr::{Freshness, Pr};
use ao_store::row::project::Project;
use ao_store::row::scm::{Credential, HostState, PrPoll, Problem, SkippedPr, Unread};
use ao_store::row::session::{Session, SessionKind};
use ao_store::{Applied, Delta, LogInfo, Outcome, PrId, PrRef, ProjectId, SessionId, Timestamp};
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::{Map, Value, json};

use crate::output::printable;

/// A value of a row in a document.
trait Field {
    fn json(&self) -> Value;
}

macro_rules! fields {
    ($($type:ty)*: $value:ident => $json:expr) => {
        $(impl Field for $type {
            fn json(&self) -> Value {
                let $value = self;
                Value::from($json)
            }
        })*
    };
}

fields! { bool i64 u64: value => *value }
fields! { String: value => value.as_str() }
fields! { Timestamp: value => time(*value) }
fields! {
    ProjectId SessionId PrId SessionKind Activity Source DecisionKind Resolution DeliveryKind Stage LaunchKind PromptStage PrState Ci ReviewDecision Mergeable Mergeability Completeness
    CheckKind CheckStatus ReviewState CommentKind Credential Problem attention::Kind: value => value.as_str()
}

impl<T: Field> Field for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::json)
    }
}

/// An object of fields of a row, each under its own name or, as in `session_id = session`, another.
macro_rules! object {
    ($row:expr => $($name:ident $(= $field:ident)?),* $(,)?) => {{
        // With room for what a caller adds.
        let mut object = Map::with_capacity([$(stringify!($name)),*].len() + 6);
        $(object.insert(stringify!($name).to_owned(), object!(@field $row, $name $($field)?));)*
        Value::Object(object)
    }};
    (@field $row:expr, $name:ident) => { $row.$name.json() };
    (@field $row:expr, $name:ident $field:ident) => { $row.$field.json() };
}

/// The first millisecond of a year that has four digits.
const YEAR_0: i64 = -62_167_219_200_000;

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The time in RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    // A lease without end, or a damaged row, is out of range: the nearest time is the best text.
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    match at.0 >= YEAR_0 {
        // Many times faster, but with more digits for a year before 0.
        true => PRINTER.timestamp_to_string(&instant),
        false => instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    }
}

pub(crate) fn project(project: &Project) -> Value {
    object!(project => id, name, path, origin_url, host, repo, default_branch, copy_globs = copy,
        setup_command, setup_timeout_ms, max_live, created_at, updated_at, archived_at)
}

pub(crate) fn session(session: &Session) -> Value {
    object!(session => id, project_id = project, num, kind, harness, model, permission, parent_id = parent, name,
        issue, branch, base_ref, base_commit, worktree_path, runtime_kind, runtime_socket,
        runtime_pane, launch_id = launch, spawner, prompt_bytes, prompt_digest, activity, activity_source,
        activity_cause, activity_call, limit_ends_at, activity_at, activity_revision,
        is_terminated, terminated_at, terminated_reason, terminated_by, spawned_at, created_at,
        updated_at)
}

pub(crate) fn launch(launch: &Launch) -> Value {
    object!(launch => id, num, kind, native_id, prompt_stage, agent_pid, created_at, started_at,
        ended_at, exit_status, signal, cause)
}

/// What a launch was started from, for people.
pub(crate) fn launch_kind(kind: &str) -> &'static str {
    match kind {
        "prompt" => "from its prompt",
        "resume" => "from its conversation",
        _ => "without a prompt",
    }
}

/// How a launch ended, for people.
pub(crate) fn launch_end(cause: &str, exit_status: Option<i64>, signal: Option<i64>) -> String {
    let how = match (exit_status, signal) {
        (Some(status), _) => format!("exited with status {status}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => String::new(),
    };
    match (cause, how.is_empty()) {
        ("exec_failed", _) => "could not be started".to_owned(),
        ("runtime_lost", _) => "runtime lost".to_owned(),
        ("stopped", true) => "stopped".to_owned(),
        ("stopped", false) => format!("stopped, {how}"),
        (_, true) => "disappeared".to_owned(),
        (_, false) => how,
    }
}

pub(crate) fn decision(decision: &Decision) -> Value {
    object!(decision => id, session_id = session, project_id = project, launch_id = launch, kind, tool,
        call, text, options, source, requested_at, resolved_at, resolution, answer, hook_ends_at)
}

pub(crate) fn delivery(delivery: &Delivery) -> Value {
    object!(delivery => id, session_id = session, project_id = project, kind, key, sender, last_stage,
        cursor, bytes, digest, stage, reason, runner, launch_id = launch, accepted_at, written_at,
        submitted_at, started_at, finished_at)
}

pub(crate) fn pr(pr: &Pr) -> Value {
    object!(pr => id, node_id, session_id = session, project_id = project, host, repo, number, url,
        title, author, is_author_bot, state, head_ref, head_repo, head_sha, base_ref, base_sha,
        is_cross_repo, additions, deletions, changed_files, ci, review_decision,
        provider_mergeable = mergeable, is_mergeable_stale, provider_merge_state = merge_state,
        mergeability, is_in_merge_queue, is_auto_merge, merge_commit_sha, checks_state, threads_state,
        reviews_state, comments_state, provider_created_at, merged_at, closed_at, created_at,
        updated_at)
}

pub(crate) fn freshness(freshness: &Freshness) -> Value {
    object!(freshness => metadata, checks, threads, reviews, comments)
}

/// The polling state of a pull request, without what only the observer reads.
pub(crate) fn poll(poll: &PrPoll) -> Value {
    object!(poll => attribution, problem, problem_since)
}

pub(crate) fn host(state: &HostState, problems: u64, now: Timestamp) -> Value {
    let mut host = object!(state => host, credential, source, login, since, quota, remaining, reset_at,
        blocked_until, reason, address, failure, fresh_at, interval_ms, updated_at);
    host["is_stale"] = state.age(now).is_stale.into();
    host["problems"] = problems.into();
    host
}

pub(crate) fn skipped(skipped: &SkippedPr) -> Value {
    object!(skipped => host, repo, number, session_id = session, head_ref, author, reason, since)
}

/// A skipped pull request for people, with what to do.
pub(crate) fn describe_skipped(skipped: &SkippedPr) -> String {
    let SkippedPr { host, repo, number, session, author, reason, .. } = skipped;
    let place = if host == "github.com" { String::new() } else { format!("{host}/") };
    let author = if author.is_empty() { "a deleted account" } else { author };
    let claim = format!("`ao-store pr claim {session} {place}{repo}#{number}`");
    let text =
        format!("{host}/{repo}#{number} of {author} is on the branch of {session} ({reason})");
    printable(&format!("{text}; to track it: {claim}"))
}

pub(crate) fn unread(unread: &Unread) -> Value {
    object!(unread => host, repo, number, reason, since)
}

/// `next` is the command that shows or solves it, or empty.
pub(crate) fn attention(item: &Attention, next: &str) -> Value {
    let mut shown = object!(item => kind, name, project_id = project, session_id = session, pr_id = pr,
        host, url, title, count, text, since);
    shown["next"] = next.into();
    shown
}

pub(crate) fn check(check: &Check) -> Value {
    object!(check => head_sha, kind, app, workflow, event, name, suite, external_id, status,
        conclusion, is_required, url, started_at, completed_at)
}

pub(crate) fn thread(thread: &Thread) -> Value {
    object!(thread => id, path, line, original_line, side, is_resolved, is_outdated, is_bot,
        resolved_by, comments_total)
}

pub(crate) fn review(review: &Review) -> Value {
    object!(review => id, author, is_bot, state, body, commit_sha, url, submitted_at)
}

pub(crate) fn comment(comment: &Comment) -> Value {
    object!(comment => id, kind, thread_id, reply_to, author, is_bot, path, line, body, url,
        is_minimized, created_at, edited_at)
}

impl Field for Delta {
    fn json(&self) -> Value {
        object!(self => inserted, updated, deleted, unchanged)
    }
}

pub(crate) fn applied(applied: &Applied) -> Value {
    let mut outcome = object!(applied => pr_id = pr, session_id = session, is_new, is_updated, checks,
        threads, reviews, comments);
    outcome["outcome"] = "applied".into();
    outcome["stale"] = json!(applied.stale);
    outcome
}

pub(crate) fn consumer(consumer: &Consumer, lag: &Lag, log: &LogInfo, now: Timestamp) -> Value {
    let bounds = match consumer.policy {
        Policy::Bounded(bounds) => bounds,
        Policy::Block | Policy::None => Bounds::default(),
    };
    let filter: Value = serde_json::from_str(&consumer.filter).unwrap_or_default();
    let lease = consumer.live_lease(now);
    json!({
        "name": consumer.name.as_str(),
        "acked": consumer.acked.to_string(),
        "policy": consumer.policy.as_str(),
        "max_events": bounds.events,
        "max_bytes": bounds.bytes,
        "max_age_ms": bounds.age_ms,
        "filter": filter,
        "stranded": consumer.stranded(log).map(|why| why.code().name()),
        "lag_events": lag.events,
        "lag_bytes": lag.bytes,
        "lag_seconds": lag.age_ms as f64 / 1000.0,
        "lease": consumer.generation.0,
        "lease_owner": lease.map(|lease| lease.owner.as_str()),
        "lease_until": lease.map(|lease| time(lease.until)),
        "created_at": time(consumer.created_at),
        "acked_at": consumer.acked_at.map(time),
    })
}

/// The outcome of an observation.
pub(crate) fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Applied(it) => applied(it),
        Outcome::Unattributed { pr, why } => unattributed(Some(pr), why),
        Outcome::Mismatched { pr, stored, observed } => json!({
            "outcome": "mismatched",
            "pr": pr.to_string(),
            "stored_node_id": stored,
            "observed_node_id": observed,
        }),
    }
}

/// The outcome of facts that no session owns; `pr` is `None` when they name no pull request.
pub(crate) fn unattributed(pr: Option<&PrRef>, why: &Unattributed) -> Value {
    json!({
        "outcome": "unattributed",
        "pr": pr.map(PrRef::to_string),
        "code": why.reason.as_str(),
        "reason": why.text,
    })
}

/// A duration in milliseconds for people, such as `3m 12s`.
pub(crate) fn duration(ms: u64) -> String {
    let rounded = if ms >= 1000 { ms / 1000 * 1000 } else { ms };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}

/// A duration in milliseconds in its largest unit, such as `3h`.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The fields of an object for people, one per line, without the empty ones; a list has one line per
/// element.
pub(crate) fn fields(object: &Value) -> String {
    let mut text = String::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(value) if value.is_empty() => {}
            Value::String(value) => text += &format!("{name:<19} {}\n", printable(value)),
            Value::Array(items) => {
                for item in items {
                    text += &format!("{:<20}{}\n", name.trim_end_matches('s'), summary(item));
                }
            }
            Value::Object(parts) => {
                for (part, value) in parts {
                    let texts = value.as_array().map_or(slice::from_ref(value), Vec::as_slice);
                    let texts: Vec<_> = texts.iter().filter_map(scalar).collect();
                    if !texts.is_empty() {
                        let texts = printable(&texts.join(", "));
                        text += &format!("{:<20}{texts}\n", format!("{name} {part}"));
                    }
                }
            }
            other => text += &format!("{name:<19} {other}\n"),
        }
    }
    text
}

/// A text that is not empty, a number, or a truth value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// An element of a list in one line: its most important values.
fn summary(item: &Value) -> String {
    let shown = |name: &str| match &item[name] {
        Value::String(text) if !text.is_empty() => Some(printable(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some(name.trim_start_matches("is_").to_owned()),
        _ => None,
    };
    let of_check = ["workflow", "event", "name", "status"];
    let of_others = ["state", "author", "path", "line", "is_resolved", "body"];
    let names = of_check.iter().chain(&of_others);
    let parts: Vec<_> = names.filter_map(|name| shown(name)).collect();
    parts.join(" ").chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_whatever_the_year() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_800_000_000_120, "2027-01-15T08:00:00.120Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (YEAR_0, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(time(Timestamp(ms)), shown);
        }
        for ms in [YEAR_0 - 1, i64::MIN] {
            let shown = time(Timestamp(ms));
            assert!(shown.starts_with('-') && shown.ends_with('Z'), "{shown}");
        }
    }

    #[test]
    fn a_long_name_is_apart_from_its_value() {
        let shown = fields(&json!({"provider_merge_state": "clean", "state": "open"}));
        assert_eq!(shown, "provider_merge_state clean\nstate               open\n");
    }
}
