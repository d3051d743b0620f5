//! Words of GitHub, in lower case, that stand in webhooks and answers alike.

use ao_store::observation::CheckStatus;

/// Where a check stands; a conclusion wins over a status.
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

/// Where a commit status stands.
pub(crate) fn commit_status(state: &str) -> CheckStatus {
    match state {
        "pending" | "expected" => CheckStatus::InProgress,
        "success" => CheckStatus::Passed,
        "failure" | "error" => CheckStatus::Failed,
        _ => CheckStatus::Unknown,
    }
}
