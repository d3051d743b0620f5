//! The figures of the store, for people, as JSON, and for Prometheus.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ao_daemon::disk::Space;
use ao_daemon::document::status::Status;
use ao_daemon::document::{self, metrics};
use ao_daemon::wal_reader::{WalReader, wal_readers};
use ao_observer::run::{Running, running, unobservable};
use ao_program::Environment;
use ao_store::row::project;
use ao_store::row::scm::HostState;
use ao_store::{ClockReading, SCHEMA_VERSION, Stats, Store, Timestamp, WAL_LIMIT};
use bytesize::ByteSize;

use super::daemon;
use crate::context::Context;
use crate::doctor::{disk, observer};
use crate::error::{Error, Result};
use crate::{hint, output, time, view};

/// Shows where the store is and what it holds.
pub(crate) fn run(context: &Context) -> Result<()> {
    let reading = ClockReading::now();
    let store = context.open()?;
    let (stats, now) = (store.stats(reading)?, reading.at);
    let observer = Observer::read(&store)?;
    let readers = wal_readers(context.database());
    let found = daemon::find(context)?;
    let space = Space::of(context.database()).ok();
    let loops = daemon::loops(&found);
    if context.is_json {
        let status = Status {
            database: context.database(),
            stats: &stats,
            space,
            readers: &readers,
            observer: &observer.running,
            daemon: (found.state, found.run_file.as_ref()),
            loops: &loops,
            now,
        };
        return output::document("store.status", &status.document());
    }
    let daemon = daemon::describe(found.state, found.run_file.as_ref());
    let mut daemon = output::printable(&context.invocation().complete(&daemon));
    for failed in loops.as_array().into_iter().flatten().filter(|it| it["state"] == "failed") {
        let [name, outcome] =
            ["name", "outcome"].map(|key| failed[key].as_str().unwrap_or_default());
        daemon += &format!("\n{}", output::printable(&format!("{name} failed: {outcome}")));
    }
    output::text(&describe(context, (&stats, space), &observer, &daemon, &readers, now))
}

/// Prints the same in the text format of Prometheus, or replaces a file with it.
pub(crate) fn metrics(context: &Context, out: Option<&Path>) -> Result<()> {
    if context.is_json {
        let what =
            "metrics does not accept --json: `ao-store status --json` prints the same figures";
        return Err(Error::Usage(what.to_owned()));
    }
    let stats = context.open()?.stats(ClockReading::now())?;
    let readers = wal_readers(context.database()).len();
    let space = Space::of(context.database()).ok();
    let text = metrics::render(&stats, space, readers, None);
    match out {
        None => output::raw_bytes(text.as_bytes()),
        Some(file) => replace(file, text.as_bytes())
            .map_err(|source| Error::file("write the metrics to", file, source)),
    }
}

/// Writes a file beside this one and renames it. The collector runs as another user, and reads no file
/// whose name begins with a dot.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new()
        .prefix(".ao-store-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(dir)?;
    new.write_all(content)?;
    new.persist(file).map_err(|failed| failed.error)?;
    Ok(())
}

/// The observer, and whether there is something to observe.
struct Observer {
    /// An error if that cannot be found out.
    running: ao_observer::Result<Option<Running>>,
    /// How many projects can be observed.
    projects: usize,
}

impl Observer {
    fn read(store: &Store) -> Result<Observer> {
        let environment = Environment::of_process();
        let projects = store.read(|snapshot| project::list(snapshot, false))?;
        let projects = projects.iter().filter(|it| unobservable(it, &environment).is_none());
        Ok(Observer { running: running(store.path()), projects: projects.count() })
    }

    fn describe(&self, now: Timestamp) -> String {
        match (&self.running, self.projects) {
            (Ok(Some(running)), _) => observer::describe_running(running, now),
            (Ok(None), 0) => "not running; no project has an origin on GitHub".to_owned(),
            (Ok(None), _) => format!("not running: {}", observer::START),
            (Err(error), _) => format!("unknown: {}", observer::why(error)),
        }
    }
}

/// Lines with a label; several lines of one value have the label once.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, label: &str, value: impl AsRef<str>) {
        for (index, line) in value.as_ref().lines().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.0 += &format!("{label:<10}{}\n", output::printable(line));
        }
    }
}

/// What needs attention comes first, then how much there is of everything.
fn describe(
    context: &Context,
    (stats, space): (&Stats, Option<Space>),
    observer: &Observer,
    daemon: &str,
    readers: &[WalReader],
    now: Timestamp,
) -> String {
    let mut lines = Lines::default();
    lines.add("store", context.database().to_string_lossy());
    lines.add("daemon", daemon);
    if let Some(warning) = space.and_then(|space| disk::warning(space, context.database())) {
        lines.add("disk", format!("low: {warning}"));
    }
    lines.add("observer", context.invocation().complete(&observer.describe(now)));
    for (state, problems) in &stats.hosts {
        lines.add("host", describe_host(state, *problems, now));
    }
    for unread in &stats.unread {
        let text = format!("{}: {}", observer::describe_unread(unread), observer::fix_of(unread));
        lines.add("unread", context.invocation().complete(&text));
    }
    for skipped in &stats.skipped {
        lines.add("skipped", context.invocation().complete(&view::describe_skipped(skipped)));
    }
    add_readers(&mut lines, context, stats, readers, now);
    add_sizes(&mut lines, stats, space, now);
    for (table, count) in &stats.rows {
        lines.0 += &format!("{table:<18}{count:>8}\n");
    }
    lines.0
}

/// The readers of the log.
fn add_readers(
    lines: &mut Lines,
    context: &Context,
    stats: &Stats,
    readers: &[WalReader],
    now: Timestamp,
) {
    let Stats { log, .. } = stats;
    for (found, lag) in &stats.consumers {
        let name = &found.name;
        if let Some(why) = found.stranded(log) {
            let text = format!("{name}: stranded, {why}: {}", hint::of_stranded(name));
            lines.add("consumer", context.invocation().complete(&text));
            continue;
        }
        let is_read = if found.live_lease(now).is_some() { "in use" } else { "not in use" };
        let (age, bytes) = (view::duration(lag.age_ms), ByteSize(lag.bytes));
        let behind = format!("{} changes, {bytes}, {age} behind", lag.events);
        lines.add("consumer", format!("{name} at {}: {behind}, {is_read}", found.acked));
    }
    for WalReader { pid, command } in readers {
        lines.add("reader", format!("pid {pid} ({command}) has a read transaction"));
    }
    for held in &stats.reservations {
        lines.add("reserved", format!("{} by {}", log.cursor(held.seq), held.holder));
    }
}

/// How much is stored, and where.
fn add_sizes(lines: &mut Lines, stats: &Stats, space: Option<Space>, now: Timestamp) {
    let Stats { log, .. } = stats;
    lines.add("backup", stats.backup_at.map_or("never".to_owned(), |at| ago(at, now)));
    lines.add("schema", SCHEMA_VERSION.to_string());
    lines.add("log", format!("{}, epoch {}", log.log_id, log.epoch));
    lines.add("head", log.head_cursor().to_string());
    lines.add("floor", log.cursor(log.floor).to_string());
    let changes = log.head.0 - log.floor.0;
    let budget = stats.retention.max_bytes.map(|it| format!(" of {}", ByteSize(it)));
    let budget = budget.unwrap_or_default();
    lines.add("changes", format!("{changes}, {}{budget}", ByteSize(stats.log_bytes)));
    let [database, unused, wal] =
        [stats.database_bytes, stats.free_bytes, stats.wal_bytes].map(ByteSize);
    lines.add("size", format!("{database} database, {unused} of it free"));
    lines.add("wal", format!("{wal} of {}", ByteSize(WAL_LIMIT)));
    if let Some(space) = space.filter(|space| !space.is_low()) {
        lines.add("disk", format!("{} free", ByteSize(space.free)));
    }
}

/// A time before now for people: how long ago, and when by the local clock.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let age = u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0);
    format!("{} ago ({})", age_text(age), time::local(at).strftime("%Y-%m-%d %H:%M"))
}

/// An age with its two largest units.
fn age_text(ms: u64) -> String {
    let text = view::duration(ms);
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// The state of the observer of a host, one thing per line.
fn describe_host(state: &HostState, problems: u64, now: Timestamp) -> String {
    let mut parts = vec![observer::describe(state)];
    parts.push(match state.fresh_at {
        Some(at) => {
            let stale = if state.age(now).is_stale { ": its facts are stale" } else { "" };
            format!("last full poll {}{stale}", ago(at, now))
        }
        None => "no full poll yet".to_owned(),
    });
    if !state.failure.is_empty() {
        parts.push(format!("{}: {}", state.address, state.failure));
    }
    if let Some(until) = state.block(now) {
        parts.push(format!("backoff until {}: {}", document::time(until), state.reason));
    }
    if problems > 0 {
        parts.push(format!("{problems} pull request(s) cannot be read"));
    }
    if let Some((quota, left)) = state.quota.zip(state.remaining) {
        let until = match state.reset_at {
            Some(at) if at <= now => format!(", renewed at {}", document::time(at)),
            Some(at) => format!(" until {}", document::time(at)),
            None => String::new(),
        };
        parts.push(format!("{left} of {quota} points left{until}"));
    }
    // A cause may have line breaks of its own.
    parts.iter().map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n")
}
