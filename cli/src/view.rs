//! Rows as the JSON documents of docs/json.md: each field has the name of its column in row images,
//! and only the fields listed here are printed.

use ao_store::attribution::Unattributed;
use ao_store::log::consumer::{Bounds, Consumer, Lag, Policy};
use ao_store::observation::{
    Check, CheckKind, CheckStatus, Ci, Comment, CommentKind, Completeness, Mergeability, Mergeable,
    PrState, Review, ReviewDecision, ReviewState, Thread,
};
use ao_store::row::pr::{Freshness, Pr};
use ao_store::row::project::Project;
use ao_store::row::scm::{Credential, HostState, PrPoll, Problem, SkippedPr, Unread};
use ao_store::row::session::{Session, SessionKind};
use ao_store::{Applied, Delta, PrId, PrRef, ProjectId, SessionId, Timestamp};
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
    ProjectId SessionId PrId SessionKind PrState Ci ReviewDecision Mergeable Mergeability Completeness
    CheckKind CheckStatus ReviewState CommentKind Credential Problem: value => value.as_str()
}

impl<T: Field> Field for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::json)
    }
}

/// An object of fields of a row, each under its own name or, as in `session_id = session`, another.
macro_rules! object {
    ($row:expr => $($name:ident $(= $field:ident)?),* $(,)?) => {{
        let mut object = Map::new();
        $(object.insert(stringify!($name).to_owned(), object!(@field $row, $name $($field)?));)*
        Value::Object(object)
    }};
    (@field $row:expr, $name:ident) => { $row.$name.json() };
    (@field $row:expr, $name:ident $field:ident) => { $row.$field.json() };
}

/// The time in RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    // A lease without end, or a damaged row, is out of range: the nearest time is the best text.
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(crate) fn project(project: &Project) -> Value {
    object!(project => id, name, path, origin_url, host, repo, default_branch, created_at, updated_at,
        archived_at)
}

pub(crate) fn session(session: &Session) -> Value {
    object!(session => id, project_id = project, num, kind, harness, name, issue, branch,
        workspace_path, runtime_handle, agent_session_id, activity, activity_at, is_terminated,
        created_at, updated_at)
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

pub(crate) fn host(state: &HostState, problems: u64) -> Value {
    let mut host = object!(state => host, credential, source, login, since, quota, remaining, reset_at,
        blocked_until, reason, address, failure, fresh_at, updated_at);
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

pub(crate) fn consumer(consumer: &Consumer, lag: &Lag, now: Timestamp) -> Value {
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
                let known = parts.iter().filter_map(|(part, value)| Some((part, value.as_str()?)));
                for (part, value) in known {
                    text += &format!("{:<20}{}\n", format!("{name} {part}"), printable(value));
                }
            }
            other => text += &format!("{name:<19} {other}\n"),
        }
    }
    text
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
    fn a_long_name_is_apart_from_its_value() {
        let shown = fields(&json!({"provider_merge_state": "clean", "state": "open"}));
        assert_eq!(shown, "provider_merge_state clean\nstate               open\n");
    }
}
