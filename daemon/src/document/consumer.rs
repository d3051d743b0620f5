//! Durable consumers, with how far behind they are.

use ao_store::log::consumer::{self, Bounds, Consumer, Lag, Policy};
use ao_store::{ClockReading, ConsumerName, LogInfo, Result, Snapshot, Timestamp};
use serde_json::{Value, json};

use super::field::time;

/// A consumer.
#[must_use]
pub fn consumer(consumer: &Consumer, lag: &Lag, log: &LogInfo, now: Timestamp) -> Value {
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
        "stranded": consumer.stranded(log).map(|why| why.code().name()),
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

/// The consumer of a name, as it is now.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`.
pub fn consumer_now(
    snapshot: &Snapshot<'_>,
    name: &ConsumerName,
    now: ClockReading,
) -> Result<Value> {
    let (found, log) = (consumer::require(snapshot, name)?, LogInfo::read(snapshot)?);
    let lag = consumer::lag(snapshot, &log, &found, now)?;
    Ok(consumer(&found, &lag, &log, now.at))
}

/// That a consumer was deleted.
#[must_use]
pub fn consumer_deleted(name: &ConsumerName) -> Value {
    json!({"name": name.as_str(), "deleted": true})
}
