//! The roll-up of the checks of a commit, as the pull request or, on older servers, the commit has
//! it.

use ao_store::observation::Ci;
use serde::Deserialize;

use super::Leaf;
use super::check::Checks;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Rollup {
    #[serde(default)]
    state: String,
    pub(super) commit: Option<Leaf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
struct StateCount {
    state: String,
    count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Contexts {
    pub(super) total_count: i64,
    check_run_counts_by_state: Option<Vec<StateCount>>,
    status_context_counts_by_state: Option<Vec<StateCount>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Counts {
    pub(super) contexts: Contexts,
}

/// A commit with its roll-up, as older servers have it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CommitNode {
    pub(super) commit: Commit,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Commit {
    pub(super) oid: String,
    pub(super) rollup: Option<Rollup>,
    pub(super) counts: Option<Counts>,
    pub(super) checks: Option<Checks>,
}

/// The roll-up of GitHub itself, read apart from its contexts, counts what the page of the pull
/// request shows; what waits for approval is not in it.
pub(super) fn ci(rollup: Option<&Rollup>, is_waiting: bool) -> Ci {
    let known = match rollup.map(|rollup| rollup.state.as_str()) {
        Some("SUCCESS") => Ci::Passing,
        Some("FAILURE" | "ERROR") => Ci::Failing,
        Some("PENDING" | "EXPECTED") => Ci::Pending,
        _ => Ci::Unknown,
    };
    if is_waiting && known != Ci::Failing { Ci::Pending } else { known }
}
