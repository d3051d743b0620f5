//! What the observer knows of its hosts, and what it does not track.

use ao_store::Timestamp;
use ao_store::row::scm::{HostState, SkippedPr, Unread};
use serde_json::Value;

use super::field::{Field, object};

/// The state of the observer of a host; `problems` is the number of pull requests that cannot be read.
#[must_use]
pub fn host(state: &HostState, problems: u64, now: Timestamp) -> Value {
    let mut host = object!(state => host, credential, source, login, since, quota, remaining, reset_at,
        blocked_until, reason, address, failure, fresh_at, interval_ms, updated_at);
    host["is_stale"] = state.age(now).is_stale.into();
    host["problems"] = problems.into();
    host
}

/// A pull request that is not tracked.
#[must_use]
pub fn skipped(skipped: &SkippedPr) -> Value {
    object!(skipped => host, repo, number, session_id = session, head_ref, author, reason, since)
}

/// What cannot be read.
#[must_use]
pub fn unread(unread: &Unread) -> Value {
    object!(unread => host, repo, number, reason, since)
}
