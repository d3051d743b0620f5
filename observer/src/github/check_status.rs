//! The states and statuses of GitHub, which answers and webhook payloads share, as values of the
//! store.

use ao_store::Timestamp;
use ao_store::observation::{Check, CheckKind, CheckStatus, PrState};

/// The state of a pull request; merged takes precedence over closed, closed over draft, draft over
/// open.
pub(crate) fn pr_state(state: &str, is_draft: bool, is_merged: bool) -> PrState {
    match state.to_ascii_lowercase().as_str() {
        _ if is_merged => PrState::Merged,
        "merged" => PrState::Merged,
        "closed" => PrState::Closed,
        "open" if is_draft => PrState::Draft,
        "open" => PrState::Open,
        _ => PrState::Unknown,
    }
}

/// The status of a check; a conclusion takes precedence over a status.
pub(crate) fn check_status(status: Option<&str>, conclusion: Option<&str>) -> CheckStatus {
    match conclusion.filter(|conclusion| !conclusion.is_empty()) {
        Some("success" | "neutral") => CheckStatus::Passed,
        Some("failure" | "timed_out" | "action_required" | "startup_failure") => {
            CheckStatus::Failed
        }
        Some("cancelled") => CheckStatus::Cancelled,
        Some("skipped" | "stale") => CheckStatus::Skipped,
        Some(_) => CheckStatus::Unknown,
        None => match status {
            Some("queued" | "waiting" | "requested" | "pending") => CheckStatus::Queued,
            Some("in_progress") => CheckStatus::InProgress,
            _ => CheckStatus::Unknown,
        },
    }
}

/// A commit status as a check without commit and name. Each state is a record of its own, made when
/// that state was reached.
pub(crate) fn commit_status(state: String, at: Option<Timestamp>, url: Option<String>) -> Check {
    let status = match state.as_str() {
        "pending" | "expected" => CheckStatus::InProgress,
        "success" => CheckStatus::Passed,
        "failure" | "error" => CheckStatus::Failed,
        _ => CheckStatus::Unknown,
    };
    let is_pending = status == CheckStatus::InProgress;
    Check {
        kind: CheckKind::Status,
        status,
        conclusion: state,
        url: url.unwrap_or_default(),
        started_at: at.filter(|_| is_pending),
        completed_at: at.filter(|_| !is_pending),
        ..Check::default()
    }
}
