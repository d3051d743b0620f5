//! The figures of a store in the text format of Prometheus. Base units; a consumer or a host is a
//! label, a session never is, because their number is not bounded.

use std::sync::atomic::AtomicU64;

use ao_store::row::scm::HostState;
use ao_store::{Stats, Timestamp, WAL_LIMIT};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::printable::printable;
use crate::disk::Space;
use crate::loops::{LoopState, LoopStatus};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    sqlite: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Consumer {
    consumer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Host {
    host: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostCredential {
    host: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostFailure {
    host: String,
    address: String,
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Loop {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    name: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: String,
}

/// One number.
type Number = Gauge<u64, AtomicU64>;

/// What a daemon knows about itself.
#[derive(Debug)]
pub struct OfDaemon {
    /// Its loops.
    pub loops: Vec<LoopStatus>,
    /// How many clients follow the changes.
    pub followers: usize,
}

/// Renders everything; `space` is that of the disk, if it can be read, and `daemon` is the one that asks, if one
/// does.
#[must_use]
pub fn render(
    stats: &Stats,
    space: Option<Space>,
    wal_readers: usize,
    daemon: Option<&OfDaemon>,
) -> String {
    let mut registry = Registry::with_prefix("ao_store");
    // The text format of Prometheus has no type `info`.
    let build = Family::<Build, Number>::default();
    let sqlite = ao_store::sqlite_version().to_owned();
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION"), sqlite }).set(1);
    registry.register("build_info", "The program", build);
    let log = &stats.log;
    let numbers = [
        ("epoch", "The epoch of the log", unsigned(log.epoch.0)),
        ("head_seq", "The newest change", unsigned(log.head.0)),
        ("floor_seq", "The newest change that was pruned", unsigned(log.floor.0)),
        ("log_events", "Changes that are kept", unsigned(log.head.0 - log.floor.0)),
        ("log_bytes", "Bytes of the changes that are kept", stats.log_bytes),
        ("unsealed_events", "Changes of other writers without a block digest", stats.unsealed),
        ("db_bytes", "Size of the database file", stats.database_bytes),
        ("db_free_bytes", "Free pages in the database file", stats.free_bytes),
        ("wal_bytes", "Size of the write-ahead log", stats.wal_bytes),
        ("wal_budget_bytes", "The size to which checkpoints truncate it", WAL_LIMIT),
        ("wal_readers", "Other processes with a read transaction", wal_readers as u64),
        ("reservations", "Snapshots that hold pruning back", stats.reservations.len() as u64),
    ];
    for (name, help, value) in numbers {
        let gauge = Number::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    let optional = [
        (
            "log_budget_bytes",
            "The size to which retention prunes the log",
            stats.retention.max_bytes,
        ),
        ("disk_free_bytes", "Free space on the disk of the database", space.map(|it| it.free)),
        (
            "disk_wanted_bytes",
            "Free space below which a warning is shown",
            space.map(|it| it.wanted()),
        ),
        ("backup_timestamp_seconds", "The time of the last backup", stats.backup_at.map(seconds)),
    ];
    for (name, help, value) in optional {
        if let Some(value) = value {
            let gauge = Number::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    }
    rows(&mut registry, stats);
    consumers(&mut registry, stats);
    hosts(&mut registry, stats);
    if let Some(daemon) = daemon {
        of_daemon(&mut registry, daemon);
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn seconds(at: Timestamp) -> u64 {
    unsigned(at.0.div_euclid(1000))
}

fn rows(registry: &mut Registry, stats: &Stats) {
    let rows = Family::<Table, Number>::default();
    for (table, count) in &stats.rows {
        rows.get_or_create(&Table { table: (*table).to_owned() }).set(*count);
    }
    registry.register("rows", "Rows of a captured table", rows);
}

fn consumers(registry: &mut Registry, stats: &Stats) {
    let (events, bytes, seconds) = (
        Family::<Consumer, Number>::default(),
        Family::default(),
        Family::<_, Gauge<f64, AtomicU64>>::default(),
    );
    for (consumer, lag) in &stats.consumers {
        let label = Consumer { consumer: consumer.name.to_string() };
        events.get_or_create(&label).set(lag.events);
        Family::<Consumer, Number>::get_or_create(&bytes, &label).set(lag.bytes);
        seconds.get_or_create(&label).set(lag.age_ms as f64 / 1000.0);
    }
    registry.register("consumer_lag_events", "Changes not acknowledged", events);
    registry.register("consumer_lag_bytes", "Bytes of the changes not acknowledged", bytes);
    registry.register("consumer_lag_seconds", "Age of the oldest change not acknowledged", seconds);
}

/// A figure that the host does not report has no line.
fn hosts(registry: &mut Registry, stats: &Stats) {
    let credentials = Family::<HostCredential, Number>::default();
    for (HostState { host, credential, .. }, _) in &stats.hosts {
        let (host, state) = (printable(host), credential.as_str());
        credentials.get_or_create(&HostCredential { host, state }).set(1);
    }
    registry.register("observer_credential", "The state of the credential", credentials);
    let failures = Family::<HostFailure, Number>::default();
    for (HostState { host, address, failure, .. }, _) in &stats.hosts {
        let (host, address, cause) = (printable(host), printable(address), printable(failure));
        if !cause.is_empty() {
            failures.get_or_create(&HostFailure { host, address, cause }).set(1);
        }
    }
    registry.register("observer_failure", "What the host did not answer, and why", failures);
    type Value = fn(&HostState, u64) -> Option<u64>;
    let numbers: [(&str, &str, Value); 6] = [
        ("budget", "The rate limit of one period", |it, _| it.quota.map(unsigned)),
        ("budget_remaining", "The remaining rate limit, as last reported", |it, _| {
            it.remaining.map(unsigned)
        }),
        ("budget_reset_timestamp_seconds", "When the next period begins", |it, _| {
            it.reset_at.map(seconds)
        }),
        ("blocked_until_timestamp_seconds", "No request is made before this time", |it, _| {
            it.blocked_until.map(seconds)
        }),
        ("fresh_timestamp_seconds", "The time of the last full poll", |it, _| {
            it.fresh_at.map(seconds)
        }),
        ("problems", "Pull requests that cannot be read", |_, problems| Some(problems)),
    ];
    for (name, help, value) in numbers {
        let family = Family::<Host, Number>::default();
        for (state, problems) in &stats.hosts {
            if let Some(value) = value(state, *problems) {
                family.get_or_create(&Host { host: printable(&state.host) }).set(value);
            }
        }
        registry.register(format!("observer_{name}"), help, family);
    }
}

/// A loop that has not ended a pass has no age.
fn of_daemon(registry: &mut Registry, daemon: &OfDaemon) {
    let followers = Number::default();
    followers.set(daemon.followers as u64);
    registry.register("daemon_followers", "Clients that follow the changes", followers);
    let states = Family::<InState, Number>::default();
    let restarts = Family::<Loop, Number>::default();
    let ages = Family::<Loop, Gauge<f64, AtomicU64>>::default();
    let now = Timestamp::now();
    for &LoopStatus { name, state, at, restarts: count, .. } in &daemon.loops {
        for each in [LoopState::Running, LoopState::Waiting, LoopState::Failed, LoopState::Done] {
            let label = InState { name, state: each.as_str() };
            states.get_or_create(&label).set(u64::from(each == state));
        }
        restarts.get_or_create(&Loop { name }).set(count);
        if let Some(at) = at {
            let ms = now.0.saturating_sub(at.0).max(0);
            ages.get_or_create(&Loop { name }).set(ms as f64 / 1000.0);
        }
    }
    registry.register("daemon_loop_state", "Whether a loop of the daemon is in this state", states);
    registry.register(
        "daemon_loop_restarts",
        "Starts of a loop after a failure; failures of retention and checkpoint",
        restarts,
    );
    let help = "Time since the last pass of a loop ended";
    registry.register("daemon_loop_outcome_age_seconds", help, ages);
}
