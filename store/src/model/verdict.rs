//! Facts derived from other facts: pure functions without a database.

use crate::model::observation::{
    CheckStatus, Ci, Mergeability, Mergeable, PrState, ReviewDecision,
};

/// Rolls the checks of a commit up: failing beats pending beats passing; none is unknown.
/// Skipped checks and those of unknown status do not count.
#[must_use]
pub(crate) fn ci(statuses: &[CheckStatus]) -> Ci {
    let mut result = Ci::Unknown;
    for status in statuses {
        match status {
            CheckStatus::Failed | CheckStatus::Cancelled => return Ci::Failing,
            CheckStatus::Queued | CheckStatus::InProgress => result = Ci::Pending,
            CheckStatus::Passed if result == Ci::Unknown => result = Ci::Passing,
            CheckStatus::Passed | CheckStatus::Skipped | CheckStatus::Unknown => {}
        }
    }
    result
}

/// The input of [`mergeability`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergeFacts<'a> {
    /// The provider's statement on conflicts.
    pub(crate) mergeable: Mergeable,
    /// The provider's merge state in lower case, such as `clean` or `blocked`; may be empty.
    pub(crate) merge_state: &'a str,
    /// The checks.
    pub(crate) ci: Ci,
    /// The reviews.
    pub(crate) review: ReviewDecision,
    /// Draft, open, merged or closed.
    pub(crate) state: PrState,
    /// Whether it waits in a merge queue.
    pub(crate) is_in_merge_queue: bool,
}

/// Whether the pull request could be merged now. The first matching rule decides.
#[must_use]
pub(crate) fn mergeability(facts: MergeFacts<'_>) -> Mergeability {
    use ReviewDecision::{Approved, ChangesRequested, None, ReviewRequired, Unknown};
    if matches!(facts.state, PrState::Merged | PrState::Closed) {
        Mergeability::Ended
    } else if facts.is_in_merge_queue {
        Mergeability::Queued
    } else if facts.merge_state == "dirty" || facts.mergeable == Mergeable::Conflicting {
        Mergeability::Conflicting
    } else if matches!(facts.merge_state, "blocked" | "draft")
        || facts.state == PrState::Draft
        || facts.ci == Ci::Failing
        || matches!(facts.review, ChangesRequested | ReviewRequired)
    {
        Mergeability::Blocked
    } else if facts.merge_state == "unstable" {
        Mergeability::Unstable
    } else if facts.mergeable == Mergeable::Mergeable
        && matches!(facts.merge_state, "clean" | "has_hooks" | "")
        && matches!(facts.review, None | Approved | Unknown)
    {
        Mergeability::Mergeable
    } else {
        Mergeability::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        use CheckStatus::{Cancelled, Failed, InProgress, Passed, Queued, Skipped, Unknown};
        assert_eq!(ci(&[]), Ci::Unknown);
        assert_eq!(ci(&[Skipped, Unknown]), Ci::Unknown);
        assert_eq!(ci(&[Passed, Skipped]), Ci::Passing);
        assert_eq!(ci(&[Queued, Passed]), Ci::Pending);
        assert_eq!(ci(&[Passed, InProgress]), Ci::Pending);
        assert_eq!(ci(&[InProgress, Failed, Passed]), Ci::Failing);
        assert_eq!(ci(&[Passed, Cancelled]), Ci::Failing);
    }

    #[test]
    fn mergeability_follows_the_order_of_its_rules() {
        let clean = MergeFacts {
            mergeable: Mergeable::Mergeable,
            merge_state: "clean",
            ci: Ci::Passing,
            review: ReviewDecision::Approved,
            state: PrState::Open,
            is_in_merge_queue: false,
        };
        let cases = [
            (clean, Mergeability::Mergeable),
            (
                MergeFacts { state: PrState::Merged, is_in_merge_queue: true, ..clean },
                Mergeability::Ended,
            ),
            (
                MergeFacts { state: PrState::Closed, merge_state: "dirty", ..clean },
                Mergeability::Ended,
            ),
            (MergeFacts { is_in_merge_queue: true, ..clean }, Mergeability::Queued),
            (
                MergeFacts { merge_state: "dirty", ci: Ci::Failing, ..clean },
                Mergeability::Conflicting,
            ),
            (MergeFacts { mergeable: Mergeable::Conflicting, ..clean }, Mergeability::Conflicting),
            (MergeFacts { state: PrState::Draft, ..clean }, Mergeability::Blocked),
            (
                MergeFacts { ci: Ci::Failing, merge_state: "unstable", ..clean },
                Mergeability::Blocked,
            ),
            (MergeFacts { review: ReviewDecision::ReviewRequired, ..clean }, Mergeability::Blocked),
            (MergeFacts { merge_state: "unstable", ..clean }, Mergeability::Unstable),
            (MergeFacts { merge_state: "behind", ..clean }, Mergeability::Unknown),
            (MergeFacts { mergeable: Mergeable::Unknown, ..clean }, Mergeability::Unknown),
        ];
        for (facts, expected) in cases {
            assert_eq!(mergeability(facts), expected, "{facts:?}");
        }
    }
}
