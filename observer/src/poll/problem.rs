//! Why a pull request cannot be read, as the polls show it one after another. Pure.

use ao_store::Timestamp;
use ao_store::row::scm::{PrPoll, Problem};

/// A pull request that was missing this often, and for this long, is unreachable.
const MISSES: i64 = 3;
const MISSES_MS: i64 = 600_000;

/// The host reports that there is no such pull request. It counts as missing and after some time
/// as unreachable, but never as closed: credentials that lost their access get the same answer.
pub(crate) fn record_missing(poll: &mut PrPoll, now: Timestamp) {
    poll.failures += 1;
    let since = *poll.problem_since.get_or_insert(now);
    let is_long = now.0.saturating_sub(since.0) >= MISSES_MS;
    let is_final = poll.failures >= MISSES && is_long;
    poll.problem = if is_final { Problem::Unreachable } else { Problem::Missing };
}

pub(crate) fn set(poll: &mut PrPoll, problem: Problem, now: Timestamp) {
    if poll.problem != problem {
        poll.problem = problem;
        poll.problem_since = Some(now);
    }
}

pub(crate) fn clear(poll: &mut PrPoll) {
    poll.failures = 0;
    poll.problem = Problem::None;
    poll.problem_since = None;
}
