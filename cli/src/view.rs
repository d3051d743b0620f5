//! Rows as the JSON that this program prints, documented in docs/json.md. Rows themselves are never
//! serialised, so that a column can change without changing the contract.

use ao_store::log::consumer::{Bounds, Consumer, Lag, Policy};
use ao_store::observation::{Check, Comment, Review, Thread};
use ao_store::row::pr::{Freshness, Pr};
use ao_store::row::project::Project;
use ao_store::row::scm::{HostState, PrPoll};
use ao_store::row::session::Session;
use ao_store::{Applied, Delta, Timestamp};
use serde_json::{Value, json};

use crate::output::printable;

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    // Out of range is a lease for ever, or damage: the nearest says more than the epoch.
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn optional(at: Option<Timestamp>) -> Option<String> {
    at.map(time)
}

pub(crate) fn project(project: &Project) -> Value {
    json!({
        "id": project.id.as_str(),
        "name": project.name,
        "path": project.path,
        "origin_url": project.origin_url,
        "host": project.host,
        "repo": project.repo,
        "default_branch": project.default_branch,
        "created_at": time(project.created_at),
        "updated_at": time(project.updated_at),
        "archived_at": optional(project.archived_at),
    })
}

pub(crate) fn session(session: &Session) -> Value {
    json!({
        "id": session.id.as_str(),
        "project": session.project.as_str(),
        "num": session.num,
        "kind": session.kind.as_str(),
        "harness": session.harness,
        "name": session.name,
        "issue": session.issue,
        "branch": session.branch,
        "workspace_path": session.workspace_path,
        "runtime_handle": session.runtime_handle,
        "agent_session_id": session.agent_session_id,
        "activity": session.activity,
        "activity_at": time(session.activity_at),
        "is_terminated": session.is_terminated,
        "created_at": time(session.created_at),
        "updated_at": time(session.updated_at),
    })
}

pub(crate) fn pr(pr: &Pr) -> Value {
    json!({
        "id": pr.id.as_str(),
        "node_id": pr.node_id,
        "session": pr.session.as_str(),
        "project": pr.project.as_str(),
        "host": pr.host,
        "repo": pr.repo,
        "number": pr.number,
        "url": pr.url,
        "title": pr.title,
        "author": pr.author,
        "is_author_bot": pr.is_author_bot,
        "state": pr.state.as_str(),
        "head_ref": pr.head_ref,
        "head_repo": pr.head_repo,
        "head_sha": pr.head_sha,
        "base_ref": pr.base_ref,
        "base_sha": pr.base_sha,
        "is_cross_repo": pr.is_cross_repo,
        "additions": pr.additions,
        "deletions": pr.deletions,
        "changed_files": pr.changed_files,
        "ci": pr.ci.as_str(),
        "review_decision": pr.review_decision.as_str(),
        "mergeable": pr.mergeable.as_str(),
        "is_mergeable_stale": pr.is_mergeable_stale,
        "merge_state": pr.merge_state,
        "mergeability": pr.mergeability.as_str(),
        "is_in_merge_queue": pr.is_in_merge_queue,
        "is_auto_merge": pr.is_auto_merge,
        "merge_commit_sha": pr.merge_commit_sha,
        "checks_state": pr.checks_state.as_str(),
        "threads_state": pr.threads_state.as_str(),
        "reviews_state": pr.reviews_state.as_str(),
        "comments_state": pr.comments_state.as_str(),
        "provider_created_at": optional(pr.provider_created_at),
        "merged_at": optional(pr.merged_at),
        "closed_at": optional(pr.closed_at),
        "created_at": time(pr.created_at),
        "updated_at": time(pr.updated_at),
    })
}

pub(crate) fn freshness(freshness: &Freshness) -> Value {
    json!({
        "metadata": optional(freshness.metadata),
        "checks": optional(freshness.checks),
        "threads": optional(freshness.threads),
        "reviews": optional(freshness.reviews),
        "comments": optional(freshness.comments),
    })
}

/// What an observer keeps of a pull request, as far as it concerns people.
pub(crate) fn poll(poll: &PrPoll) -> Value {
    json!({
        "attribution": poll.attribution,
        "problem": poll.problem.as_str(),
        "problem_since": optional(poll.problem_since),
    })
}

pub(crate) fn host(state: &HostState, problems: u64) -> Value {
    json!({
        "host": state.host,
        "credential": state.credential.as_str(),
        "source": state.source,
        "login": state.login,
        "since": optional(state.since),
        "quota": state.quota,
        "remaining": state.remaining,
        "reset_at": optional(state.reset_at),
        "blocked_until": optional(state.blocked_until),
        "reason": state.reason,
        "fresh_at": optional(state.fresh_at),
        "problems": problems,
        "updated_at": time(state.updated_at),
    })
}

pub(crate) fn check(check: &Check) -> Value {
    json!({
        "head_sha": check.head_sha,
        "kind": check.kind.as_str(),
        "app": check.app,
        "workflow": check.workflow,
        "event": check.event,
        "name": check.name,
        "external_id": check.external_id,
        "status": check.status.as_str(),
        "conclusion": check.conclusion,
        "is_required": check.is_required,
        "url": check.url,
        "started_at": optional(check.started_at),
        "completed_at": optional(check.completed_at),
    })
}

pub(crate) fn thread(thread: &Thread) -> Value {
    json!({
        "id": thread.id,
        "path": thread.path,
        "line": thread.line,
        "original_line": thread.original_line,
        "side": thread.side,
        "is_resolved": thread.is_resolved,
        "is_outdated": thread.is_outdated,
        "is_bot": thread.is_bot,
        "resolved_by": thread.resolved_by,
        "comments_total": thread.comments_total,
    })
}

pub(crate) fn review(review: &Review) -> Value {
    json!({
        "id": review.id,
        "author": review.author,
        "is_bot": review.is_bot,
        "state": review.state.as_str(),
        "body": review.body,
        "commit_sha": review.commit_sha,
        "url": review.url,
        "submitted_at": optional(review.submitted_at),
    })
}

pub(crate) fn comment(comment: &Comment) -> Value {
    json!({
        "id": comment.id,
        "kind": comment.kind.as_str(),
        "thread_id": comment.thread_id,
        "reply_to": comment.reply_to,
        "author": comment.author,
        "is_bot": comment.is_bot,
        "path": comment.path,
        "line": comment.line,
        "body": comment.body,
        "url": comment.url,
        "is_minimized": comment.is_minimized,
        "created_at": optional(comment.created_at),
        "edited_at": optional(comment.edited_at),
    })
}

pub(crate) fn applied(applied: &Applied) -> Value {
    json!({
        "outcome": "applied",
        "pr": applied.pr.as_str(),
        "session": applied.session.as_str(),
        "is_new": applied.is_new,
        "is_updated": applied.is_updated,
        "checks": delta(&applied.checks),
        "threads": delta(&applied.threads),
        "reviews": delta(&applied.reviews),
        "comments": delta(&applied.comments),
        "stale": applied.stale,
    })
}

fn delta(delta: &Delta) -> Value {
    json!({
        "inserted": delta.inserted,
        "updated": delta.updated,
        "deleted": delta.deleted,
        "unchanged": delta.unchanged,
    })
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
        "lease_until": optional(lease.map(|lease| lease.until)),
        "created_at": time(consumer.created_at),
        "acked_at": optional(consumer.acked_at),
    })
}

/// Milliseconds for people.
pub(crate) fn duration(ms: u64) -> String {
    let rounded = if ms >= 1000 { ms / 1000 * 1000 } else { ms };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}

/// The fields of an object for people, one a line, without those that are empty; a list is one line
/// an element.
pub(crate) fn fields(object: &Value) -> String {
    let mut text = String::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(value) if value.is_empty() => {}
            Value::String(value) => text += &format!("{name:<20}{}\n", printable(value)),
            Value::Array(items) => {
                for item in items {
                    text += &format!("{:<20}{}\n", name.trim_end_matches('s'), summary(item));
                }
            }
            Value::Object(parts) => {
                let known = parts.iter().filter_map(|(part, value)| Some((part, value.as_str()?)));
                for (part, value) in known {
                    text += &format!("{:<20}{value}\n", format!("{name} {part}"));
                }
            }
            other => text += &format!("{name:<20}{other}\n"),
        }
    }
    text
}

/// An element of a list in one line: its values that say something.
fn summary(item: &Value) -> String {
    let says = |name: &str| match &item[name] {
        Value::String(text) if !text.is_empty() => Some(printable(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some(name.trim_start_matches("is_").to_owned()),
        _ => None,
    };
    let names = ["name", "status", "state", "author", "path", "line", "is_resolved", "body"];
    let parts: Vec<_> = names.iter().filter_map(|name| says(name)).collect();
    parts.join(" ").chars().take(100).collect()
}
