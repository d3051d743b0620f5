//! The figures of the store, for people, as JSON, and for Prometheus.

use ao_store::row::scm::HostState;
use ao_store::{ClockReading, SCHEMA_VERSION, Stats, Timestamp};
use bytesize::ByteSize;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::doctor::observer;
use crate::doctor::readers::{WalReader, wal_readers};
use crate::error::{Error, Result};
use crate::{metrics, output, view};

/// Shows where the store is and what it holds.
pub(crate) fn run(context: &Context) -> Result<()> {
    let reading = ClockReading::now();
    let (stats, now) = (context.open()?.stats(reading)?, reading.at);
    let readers = wal_readers(context.database());
    if context.is_json {
        return output::document("store.status", &document(context, &stats, &readers, now));
    }
    output::text(&describe(context, &stats, &readers, now))
}

/// Prints the same in the text format of Prometheus.
pub(crate) fn print_metrics(context: &Context) -> Result<()> {
    if context.is_json {
        let what =
            "metrics does not accept --json: `ao-store status --json` prints the same figures";
        return Err(Error::Usage(what.to_owned()));
    }
    let stats = context.open()?.stats(ClockReading::now())?;
    let readers = wal_readers(context.database()).len();
    output::raw_bytes(metrics::render(&stats, readers).as_bytes())
}

fn document(context: &Context, stats: &Stats, readers: &[WalReader], now: Timestamp) -> Value {
    let Stats { log, .. } = stats;
    let rows: Map<_, _> =
        stats.rows.iter().map(|(table, count)| ((*table).to_owned(), json!(count))).collect();
    let consumers = stats.consumers.iter().map(|(found, lag)| view::consumer(found, lag, now));
    let reservations = stats.reservations.iter().map(|held| {
        json!({
            "cursor": log.cursor(held.seq).to_string(),
            "holder": held.holder,
            "until": view::time(held.until),
        })
    });
    let readers = readers.iter().map(|it| json!({"pid": it.pid, "command": it.command}));
    json!({
        "path": context.database().to_string_lossy(),
        "schema_version": SCHEMA_VERSION,
        "log_id": log.log_id,
        "epoch": log.epoch.0,
        "head": log.head_cursor().to_string(),
        "floor": log.cursor(log.floor).to_string(),
        "changes": log.head.0 - log.floor.0,
        "log_bytes": stats.log_bytes,
        "unsealed": stats.unsealed,
        "database_bytes": stats.database_bytes,
        "free_bytes": stats.free_bytes,
        "wal_bytes": stats.wal_bytes,
        "wal_readers": readers.collect::<Vec<_>>(),
        "rows": rows,
        "consumers": consumers.collect::<Vec<_>>(),
        "reservations": reservations.collect::<Vec<_>>(),
        "hosts": stats.hosts.iter().map(|(state, problems)| view::host(state, *problems)).collect::<Vec<_>>(),
        "skipped": stats.skipped.iter().map(view::skipped).collect::<Vec<_>>(),
        "unread": stats.unread.iter().map(view::unread).collect::<Vec<_>>(),
        "backup_at": stats.backup_at.map(view::time),
    })
}

fn describe(context: &Context, stats: &Stats, readers: &[WalReader], now: Timestamp) -> String {
    let Stats { log, .. } = stats;
    let mut lines = vec![
        ("store", output::path(context.database())),
        ("schema", SCHEMA_VERSION.to_string()),
        ("log", format!("{}, epoch {}", log.log_id, log.epoch)),
        ("head", log.head_cursor().to_string()),
        ("floor", log.cursor(log.floor).to_string()),
        ("changes", format!("{}, {}", log.head.0 - log.floor.0, ByteSize(stats.log_bytes))),
        (
            "size",
            format!(
                "{} database, {} of it free, {} write-ahead log",
                ByteSize(stats.database_bytes),
                ByteSize(stats.free_bytes),
                ByteSize(stats.wal_bytes)
            ),
        ),
        ("backup", stats.backup_at.map_or("never".to_owned(), view::time)),
    ];
    for WalReader { pid, command } in readers {
        lines.push((
            "reader",
            format!("pid {pid} ({}) has a read transaction", output::printable(command)),
        ));
    }
    for held in &stats.reservations {
        let holder = output::printable(&held.holder);
        lines.push(("reserved", format!("{} by {holder}", log.cursor(held.seq))));
    }
    for (found, lag) in &stats.consumers {
        let is_read = if found.live_lease(now).is_some() { "in use" } else { "not in use" };
        let (age, bytes) = (view::duration(lag.age_ms), ByteSize(lag.bytes));
        let behind = format!("{} changes, {bytes}, {age} behind", lag.events);
        lines.push(("consumer", format!("{} at {}: {behind}, {is_read}", found.name, found.acked)));
    }
    for (state, problems) in &stats.hosts {
        lines.push(("observer", output::printable(&describe_host(state, *problems, now))));
    }
    if stats.hosts.is_empty() {
        lines.push(("observer", "has never run".to_owned()));
    }
    for skipped in &stats.skipped {
        let text = view::describe_skipped(skipped);
        lines.push(("skipped", context.invocation().complete(&text)));
    }
    for unread in &stats.unread {
        let (what, fix) = (observer::describe_unread(unread), observer::fix_of(unread));
        let text = output::printable(&format!("{what}: {fix}"));
        lines.push(("unread", context.invocation().complete(&text)));
    }
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect();
    for (table, count) in &stats.rows {
        text += &format!("{table:<18}{count:>8}\n");
    }
    text
}

/// The state of the observer of a host.
fn describe_host(state: &HostState, problems: u64, now: Timestamp) -> String {
    let mut parts = vec![observer::describe(state)];
    if let Some((quota, left)) = state.quota.zip(state.remaining) {
        let until = match state.reset_at {
            Some(at) if at <= now => format!(", renewed at {}", view::time(at)),
            Some(at) => format!(" until {}", view::time(at)),
            None => String::new(),
        };
        parts.push(format!("{left} of {quota} points left{until}"));
    }
    if !state.failure.is_empty() {
        parts.push(format!("{}: {}", state.address, state.failure));
    }
    if let Some(until) = state.block(now) {
        parts.push(format!("backoff until {}: {}", view::time(until), state.reason));
    }
    parts.push(match state.fresh_at {
        Some(at) => {
            let age = u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0);
            format!("last full poll {} ago", view::duration(age))
        }
        None => "no full poll yet".to_owned(),
    });
    if problems > 0 {
        parts.push(format!("{problems} pull request(s) cannot be read"));
    }
    parts.join("; ")
}
