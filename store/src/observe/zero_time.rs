//! Zero times: a program written in Go reports the year 1 where there is no time. For every source alike,
//! that is no time.

use std::borrow::Cow;

use crate::model::observation::Observation;
use crate::model::time::Timestamp;

/// The end of the first second of the year 1, in milliseconds.
const ZERO_END: i64 = -62_135_596_799_000;

/// The observation without zero times; borrowed if it has none, as nearly every one.
pub(super) fn without(observation: &Observation) -> Cow<'_, Observation> {
    let is_zero = |time: Option<Timestamp>| time.is_some_and(|at| at.0 < ZERO_END);
    let Observation { facts, checks, reviews, comments, .. } = observation;
    let facts = [observation.provider_at, facts.created_at, facts.merged_at, facts.closed_at];
    let has_zero = facts.into_iter().any(is_zero)
        || checks.items.iter().any(|it| is_zero(it.started_at) || is_zero(it.completed_at))
        || reviews.items.iter().any(|it| is_zero(it.submitted_at))
        || comments.items.iter().any(|it| is_zero(it.created_at) || is_zero(it.edited_at));
    if !has_zero {
        return Cow::Borrowed(observation);
    }
    let clear = |times: &mut [&mut Option<Timestamp>]| {
        for time in times {
            time.take_if(|at| at.0 < ZERO_END);
        }
    };
    let mut without = observation.clone();
    let facts = &mut without.facts;
    clear(&mut [&mut facts.created_at, &mut facts.merged_at, &mut facts.closed_at]);
    clear(&mut [&mut without.provider_at]);
    for it in &mut without.checks.items {
        clear(&mut [&mut it.started_at, &mut it.completed_at]);
    }
    for it in &mut without.reviews.items {
        clear(&mut [&mut it.submitted_at]);
    }
    for it in &mut without.comments.items {
        clear(&mut [&mut it.created_at, &mut it.edited_at]);
    }
    Cow::Owned(without)
}
