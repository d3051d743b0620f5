//! A durable consumer: its retention policy, and where it starts.

use ao_cdc::{Filter, Start, Tail};
use ao_store::log::consumer::{self, Bounds, NewConsumer, Policy};
use ao_store::{Cause, ConsumerName, Cursor, Store};

use super::{Error, Result};

/// The policy of a name: `block`, `bounded`, which alone has bounds, or `none`.
///
/// # Errors
/// Bounds are missing, or belong to another policy.
pub fn policy(name: &str, bounds: Bounds) -> Result<Policy> {
    let has_bounds = bounds != Bounds::default();
    let invalid = |what: &str| Err(Error::Invalid(what.to_owned()));
    match name {
        "bounded" if !has_bounds => {
            invalid("the policy bounded needs a bound: a maximum of events, bytes or age")
        }
        "bounded" => Ok(Policy::Bounded(bounds)),
        _ if has_bounds => invalid("a maximum of events, bytes or age is for the policy bounded"),
        "none" => Ok(Policy::None),
        "block" => Ok(Policy::Block),
        _ => invalid("the policies are block, bounded and none"),
    }
}

/// The cursor of a start that needs no filter.
///
/// # Errors
/// `CURSOR_EXPIRED` and others of the stream.
pub fn resolve(store: &Store, start: Start) -> ao_cdc::Result<Cursor> {
    Ok(Tail::open(store, start, Filter::default())?.cursor())
}

/// Creates a consumer. With `may_exist`, one with this filter and policy is left where it is.
///
/// # Errors
/// `CONSUMER_EXISTS`, `CONSUMER_FILTER_MISMATCH`.
pub fn create_consumer(
    store: &Store,
    cause: Cause,
    name: ConsumerName,
    (filter, policy): (&Filter, Policy),
    (start, may_exist): (Start, bool),
) -> Result<bool, ao_cdc::Error> {
    let filter = filter.to_json();
    let found = store.read(|snapshot| consumer::get(snapshot, &name))?;
    if let Some(found) = found.filter(|_| may_exist) {
        found.require_settings(&filter, policy)?;
        return Ok(false);
    }
    let start = resolve(store, start)?;
    let new = NewConsumer { name, start, filter, policy };
    let created = store.write(cause, move |tx| match consumer::get(tx, &new.name)? {
        Some(found) if may_exist => found.require_settings(&new.filter, new.policy).map(|()| false),
        _ => consumer::create(tx, &new).map(|_| true),
    })?;
    Ok(created.value)
}
