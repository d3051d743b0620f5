//! The figures of a store.

use std::path::Path;

use ao_observer::run::Running;
use ao_store::{SCHEMA_VERSION, Stats, Timestamp, WAL_LIMIT};
use serde_json::{Map, Value, json};

use super::{consumer, host, skipped, time, unread};
use crate::disk::Space;
use crate::loops::LoopStatus;
use crate::run_file::RunFile;
use crate::state::State;
use crate::wal_reader::WalReader;

/// What is shown.
#[derive(Debug)]
pub struct Status<'a> {
    /// The database file.
    pub database: &'a Path,
    /// Its figures.
    pub stats: &'a Stats,
    /// The space on its disk, if that can be read.
    pub space: Option<Space>,
    /// The processes with a read transaction.
    pub readers: &'a [WalReader],
    /// The observer of the store; an error if that cannot be found out.
    pub observer: &'a ao_observer::Result<Option<Running>>,
    /// The daemon of the store.
    pub daemon: (State, Option<&'a RunFile>),
    /// Its loops, as [`loops_of`] describes them; null if it does not answer.
    pub loops: &'a Value,
    /// The time of the figures.
    pub now: Timestamp,
}

impl Status<'_> {
    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let Status { database, stats, space, readers, observer, daemon, loops, now } = self;
        let (Stats { log, .. }, now) = (stats, *now);
        let rows = stats.rows.iter().map(|(table, count)| ((*table).to_owned(), json!(count)));
        let rows: Map<_, _> = rows.collect();
        let consumers = stats.consumers.iter().map(|(found, lag)| consumer(found, lag, log, now));
        let reservations = stats.reservations.iter().map(|held| {
            json!({
                "cursor": log.cursor(held.seq).to_string(),
                "holder": held.holder,
                "until": time(held.until),
            })
        });
        let readers = readers.iter().map(|it| json!({"pid": it.pid, "command": it.command}));
        let hosts = stats.hosts.iter().map(|(state, problems)| host(state, *problems, now));
        let mut daemon = daemon_of(daemon.0, daemon.1);
        daemon["loops"] = (*loops).clone();
        json!({
            "path": database.to_string_lossy(),
            "schema_version": SCHEMA_VERSION,
            "log_id": log.log_id,
            "epoch": log.epoch.0,
            "head": log.head_cursor().to_string(),
            "floor": log.cursor(log.floor).to_string(),
            "changes": log.head.0 - log.floor.0,
            "log_bytes": stats.log_bytes,
            "log_budget_bytes": stats.retention.max_bytes,
            "unsealed": stats.unsealed,
            "database_bytes": stats.database_bytes,
            "free_bytes": stats.free_bytes,
            "wal_bytes": stats.wal_bytes,
            "wal_budget_bytes": WAL_LIMIT,
            "disk": space.map(|space| json!({
                "free_bytes": space.free,
                "wanted_bytes": space.wanted(),
                "is_low": space.is_low(),
            })),
            "wal_readers": readers.collect::<Vec<_>>(),
            "rows": rows,
            "consumers": consumers.collect::<Vec<_>>(),
            "reservations": reservations.collect::<Vec<_>>(),
            "hosts": hosts.collect::<Vec<_>>(),
            "skipped": stats.skipped.iter().map(skipped).collect::<Vec<_>>(),
            "unread": stats.unread.iter().map(unread).collect::<Vec<_>>(),
            "backup_at": stats.backup_at.map(time),
            "observer": observer_of(observer),
            "daemon": daemon,
        })
    }
}

fn observer_of(observer: &ao_observer::Result<Option<Running>>) -> Value {
    let shown = observer.as_ref().ok().and_then(Option::as_ref);
    json!({
        "is_running": observer.as_ref().ok().map(Option::is_some),
        "pid": shown.and_then(|it| it.pid),
        "command": shown.map(|it| &it.command),
        "since": shown.and_then(Running::since).map(time),
        "next_poll_at": shown.and_then(Running::next_at).map(time),
    })
}

/// A daemon, with what it published about itself.
#[must_use]
pub fn daemon_of(state: State, run_file: Option<&RunFile>) -> Value {
    json!({
        "state": state.as_str(),
        "pid": run_file.map(|it| it.pid),
        "started_at": run_file.map(|it| &it.started_at),
        "url": run_file.map(|it| &it.url),
        "socket": run_file.map(|it| it.socket.to_string_lossy()),
        "supervisor": run_file.and_then(|it| it.supervisor.as_ref()).map(|it| it.to_string_lossy()),
        "version": run_file.map(|it| &it.version),
        "owner": run_file.and_then(|it| it.owner.as_ref()),
    })
}

/// The loops of a daemon, and what the writer of its store does.
#[must_use]
pub fn loops_of(statuses: &[LoopStatus]) -> Value {
    let of = |status: &LoopStatus| {
        json!({
            "name": status.name,
            "state": status.state.as_str(),
            "at": status.at.map(time),
            "outcome": status.outcome,
            "restarts": status.restarts,
        })
    };
    statuses.iter().map(of).collect()
}
