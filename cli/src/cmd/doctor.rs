//! Checks the store and its environment, and prints a fix for each problem.

use std::path::Path;

use ao_daemon::request::git;
use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::log::consumer::Policy;
use ao_store::row::project::{self, Project};
use ao_store::verify::{Depth, Report};
use ao_store::{BALLAST_BYTES, ClockReading, SCHEMA_VERSION, Stats, Store, Timestamp};
use serde_json::json;

use crate::context::Context;
use crate::doctor::{self, Finding, Level};
use crate::error::Result;
use crate::output::{self, Ended};
use crate::{shared_branch, view};

/// A consumer that is this many changes behind is a warning.
const LAG_EVENTS: u64 = 100_000;
/// A backup of this age, in milliseconds, is a warning.
const BACKUP_AGE_MS: i64 = 7 * 24 * 3600 * 1000;
/// How many milliseconds the newest change may be ahead of the clock.
const SKEW_MS: i64 = 60_000;

pub(crate) fn run(context: &Context) -> Result<Ended> {
    let now = ClockReading::now();
    let mut findings = vec![configuration(context)];
    match context.open() {
        Ok(store) => {
            findings.push(Finding::ok("db.open", output::path(context.database())));
            findings.push(Finding::ok("db.version", format!("schema {SCHEMA_VERSION}")));
            findings.extend(of_store(&store, now));
        }
        Err(error) => findings.push(Finding::fail(
            "db.open",
            format!("{}: {error}", error.code().name()),
            crate::hint::of(&error, context.invocation()),
        )),
    }
    findings.extend(doctor::machine(context.database(), BALLAST_BYTES));
    for finding in &mut findings {
        finding.fix = context.invocation().complete(&finding.fix);
    }
    let is_healthy = findings.iter().all(|finding| finding.level != Level::Fail);
    if context.is_json {
        let data = json!({"is_healthy": is_healthy, "findings": doctor::json(&findings)});
        output::document("doctor", &data)?;
    } else {
        output::styled(doctor::render(&findings).as_bytes())?;
    }
    Ok(if is_healthy { Ended::Done } else { Ended::Findings })
}

/// Which configuration file is in use; one that cannot be used ends every command.
fn configuration(context: &Context) -> Finding {
    let settings = context.settings();
    let message = match &settings.file {
        Some(path) if settings.file_exists => output::path(path),
        Some(path) => format!("none: {} does not exist", output::path(path)),
        None => "none: there is no home directory".to_owned(),
    };
    Finding::ok("config.file", message)
}

fn of_store(store: &Store, reading: ClockReading) -> Vec<Finding> {
    let now = reading.at;
    let mut findings = sums(store);
    findings.push(capture(store));
    match store.stats(reading) {
        Ok(stats) => findings.extend([
            pragmas(&stats),
            sqlite(),
            consumers(&stats, now),
            running(store, now),
            doctor::observer::credentials(&stats, now),
            doctor::observer::unread(&stats),
            work_trees(store),
            origins(store),
            shared_branch::check(store),
            unsealed(&stats),
            backup(&stats, now),
            clock(&stats, now),
        ]),
        Err(error) => {
            findings.push(Finding::fail("db.read", error.to_string(), "`ao-store verify`"))
        }
    }
    findings
}

/// The findings of `verify`: the schema with every trigger, the file, and that the log explains the
/// tables.
fn sums(store: &Store) -> Vec<Finding> {
    let report = match store.verify(Depth::Sums) {
        Ok(report) => report,
        Err(error) => {
            let fix = "keep a copy and restore a backup: `ao-store restore-db BACKUP`";
            return vec![Finding::fail("db.integrity", error.to_string(), fix)];
        }
    };
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let explained =
        format!("{rows} rows match {} changes, log digest {}", report.changes, report.log);
    type IsOf = fn(&str) -> bool;
    let parts: [(&'static str, String, IsOf); 3] = [
        ("db.schema", "every table and trigger matches the migrations".to_owned(), |id| {
            id == "db.schema"
        }),
        ("db.integrity", "SQLite reports no damage".to_owned(), |id| {
            id.starts_with("db.") && id != "db.schema"
        }),
        ("change_log.chain", explained, |id| !id.starts_with("db.")),
    ];
    let fix = "list all: `ao-store verify --deep`; repair it: `ao-store repair`; or restore a backup: `ao-store restore-db BACKUP`";
    let parts = parts.into_iter().map(|(id, sound, is_of)| {
        let mut found = report.findings.iter().filter(|finding| is_of(finding.id));
        match (found.next(), found.count()) {
            (None, _) => Finding::ok(id, sound),
            (Some(first), 0) => Finding::fail(id, first.message.clone(), fix),
            (Some(first), more) => {
                Finding::fail(id, format!("{}, and {more} more", first.message), fix)
            }
        }
    });
    parts.chain([texts(&report)]).collect()
}

fn texts(report: &Report) -> Finding {
    let (id, count) = ("db.text", report.warnings.len());
    let Some(first) = report.warnings.first() else {
        return Finding::ok(id, "every text is UTF-8");
    };
    let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
    let fix = "`ao-store repair`; for a key: `ao-store export FILE`, correct it there, `ao-store --data-dir NEW import FILE --skip-bad`";
    Finding::warn(id, format!("{}{more}", first.message), fix)
}

/// The settings that the file stores; each connection sets the others itself.
fn pragmas(stats: &Stats) -> Finding {
    let (id, journal) = ("db.pragmas", &stats.journal_mode);
    if journal != "wal" {
        let message = format!("the journal mode is {journal}, not wal");
        return Finding::warn(id, message, "the next write of ao-store sets it");
    }
    if !stats.is_auto_vacuum {
        let fix = "move the facts to a new store: `ao-store export FILE`, then `ao-store --data-dir NEW import FILE`";
        return Finding::warn(id, "free pages cannot be released: auto_vacuum is off", fix);
    }
    Finding::ok(id, "wal, incremental auto_vacuum")
}

/// Whether git can read the work tree of every project.
fn work_trees(store: &Store) -> Finding {
    let id = "project.work_trees";
    let projects = match projects(store, id) {
        Ok(projects) => projects,
        Err(finding) => return finding,
    };
    let problems = projects.iter().filter_map(|it| {
        let error = git::work_tree(Path::new(&it.path)).err()?;
        Some(format!("{}: {error}", it.id))
    });
    let problems: Vec<_> = problems.collect();
    if problems.is_empty() {
        return Finding::ok(id, "git can read the work tree of every project");
    }
    let fix = "move it back, or archive the project: `ao-store project rm ID`; for another cause run `git status` in it";
    Finding::warn(id, problems.join("; "), fix)
}

fn projects(store: &Store, id: &'static str) -> std::result::Result<Vec<Project>, Finding> {
    let projects = store.read(|snapshot| project::list(snapshot, false));
    projects.map_err(|error| Finding::fail(id, error.to_string(), "`ao-store verify`"))
}

/// Whether a process observes the projects that can be observed.
fn running(store: &Store, now: Timestamp) -> Finding {
    let projects = match projects(store, "observer.running") {
        Ok(projects) => projects,
        Err(finding) => return finding,
    };
    let environment = Environment::of_process();
    let count = projects.iter().filter(|it| unobservable(it, &environment).is_none()).count();
    doctor::observer::running(&ao_observer::run::running(store.path()), count, now)
}

/// Whether the pull requests of every project can be observed.
fn origins(store: &Store) -> Finding {
    let id = "observer.origins";
    let projects = match projects(store, id) {
        Ok(projects) => projects,
        Err(finding) => return finding,
    };
    let environment = Environment::of_process();
    let reasons = projects.iter().filter_map(|it| Some((&it.id, unobservable(it, &environment)?)));
    let reasons: Vec<_> = reasons.map(|(id, reason)| format!("{id}: {reason}")).collect();
    if reasons.is_empty() {
        return Finding::ok(id, "every project has an origin on GitHub");
    }
    let fix = "correct the remote of the work tree, then run `ao-store project add PATH` again";
    Finding::warn(id, format!("cannot be observed: {}", reasons.join("; ")), fix)
}

fn capture(store: &Store) -> Finding {
    let id = "change_log.capture";
    match store.probe_capture() {
        Ok(faults) if faults.is_empty() => {
            Finding::ok(id, "a test row in every captured table was logged, then rolled back")
        }
        Ok(faults) => {
            let fix = "another program changed the triggers: `ao-store repair`";
            Finding::fail(id, faults.join("; "), fix)
        }
        // A store that cannot be written now may still capture correctly.
        Err(error) => {
            let fix = "try again while no other process writes, with free space on the disk";
            Finding::warn(id, format!("the test rows could not be written: {error}"), fix)
        }
    }
}

fn sqlite() -> Finding {
    Finding::ok("sqlite.bundled", format!("SQLite {}", ao_store::sqlite_version()))
}

fn consumers(stats: &Stats, now: Timestamp) -> Finding {
    let id = "consumers.lag";
    // A stranded consumer is worse than one that is only behind.
    for (consumer, _) in &stats.consumers {
        let name = &consumer.name;
        if let Some(error) = consumer.stranded(&stats.log) {
            let message = format!("consumer {name} is stranded: {error}");
            let fix = crate::hint::of_stranded(name);
            let is_expired = matches!(error, ao_store::Error::CursorExpired { .. });
            // These policies permit that pruning strands a consumer.
            return match consumer.policy {
                Policy::None | Policy::Bounded(_) if is_expired => Finding::warn(id, message, fix),
                _ => Finding::fail(id, message, fix),
            };
        }
    }
    for (consumer, lag) in &stats.consumers {
        let name = &consumer.name;
        if lag.events >= LAG_EVENTS {
            let age = view::duration(lag.age_ms);
            let idle =
                if consumer.live_lease(now).is_none() { ", and no process reads it" } else { "" };
            let message = format!("consumer {name} is {} changes behind, {age}{idle}", lag.events);
            let fix = format!("start its reader, or delete it: `ao-store consumer rm {name}`");
            return Finding::warn(id, message, fix);
        }
    }
    let most = stats.consumers.iter().map(|(_, lag)| lag.events).max().unwrap_or(0);
    let count = stats.consumers.len();
    Finding::ok(id, format!("{count} consumers, at most {most} changes behind"))
}

fn unsealed(stats: &Stats) -> Finding {
    let message = match stats.unsealed {
        0 => "every change is covered by a block digest".to_owned(),
        count => format!("the next commit of ao-store covers {count} changes of other writers"),
    };
    Finding::ok("change_log.seals", message)
}

fn backup(stats: &Stats, now: Timestamp) -> Finding {
    let (id, fix) = ("backup.age", "`ao-store backup FILE`");
    match stats.backup_at {
        None if stats.log.head.0 == 0 => Finding::ok(id, "nothing to back up yet"),
        None => Finding::warn(id, "the store was never backed up", fix),
        Some(at) => {
            let age = now.0.saturating_sub(at.0);
            let shown = view::duration(age.unsigned_abs());
            // By a clock that was ahead: its age is unknown.
            let is_ahead = age < -SKEW_MS;
            let message = match is_ahead {
                true => format!("the time of the last backup is {shown} ahead of the clock"),
                false => format!("the last backup is {shown} old"),
            };
            if is_ahead || age > BACKUP_AGE_MS {
                Finding::warn(id, message, fix)
            } else {
                Finding::ok(id, message)
            }
        }
    }
}

fn clock(stats: &Stats, now: Timestamp) -> Finding {
    let id = "clock.skew";
    let ahead = stats.newest_at.map_or(0, |newest| newest.0.saturating_sub(now.0));
    if ahead > SKEW_MS {
        let shown = view::duration(ahead.unsigned_abs());
        let message = format!(
            "the newest change is {shown} ahead of the clock; until then new changes get its time"
        );
        let fix = "set the clock if it is wrong; order and retention are not affected";
        return Finding::warn(id, message, fix);
    }
    Finding::ok(id, "the clock is not behind the log")
}
