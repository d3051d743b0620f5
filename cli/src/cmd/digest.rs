//! Prints what happened in a time, by session and pull request.

use ao_cdc::{Counts, Digest, Subject, digest};
use serde_json::Value;

use crate::args::Digest as Args;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::output::printable;
use crate::table::{Cell, Column};
use crate::time;

/// The columns with their counts; those of a high rank are left out first. Short names, since a header
/// is not cut.
const RANKS: [(&str, &str, u8); 19] = [
    ("merged", "merged", 1),
    ("ci_fail", "ci_failed", 1),
    ("requested", "changes_requested", 2),
    ("approved", "approved", 2),
    ("opened", "opened", 3),
    ("comments", "comments", 3),
    ("reviews", "reviews", 4),
    ("threads", "threads_opened", 5),
    ("resolved", "threads_resolved", 5),
    ("ci_pass", "ci_passed", 6),
    ("closed", "closed", 7),
    ("changes", "changes", 8),
    ("reopened", "reopened", 9),
    ("started", "sessions_started", 9),
    ("ended", "sessions_ended", 9),
    ("launches", "launches_started", 9),
    ("exits", "launches_ended", 9),
    ("messages", "messages", 9),
    ("lost", "messages_lost", 6),
];

type Row = (Subject, Counts);

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    if args.until.is_some_and(|until| until <= args.since) {
        let reason = "--until is not after --since: no change is between them";
        return Err(Error::Usage(reason.to_owned()));
    }
    let Digest { rows, pruned } = digest(&context.open()?, args.since, args.until)?;
    if let Some(pruned) = pruned {
        context.say(&format!("the changes up to {pruned} were pruned and are not counted"));
    }
    let mut total = Counts::default();
    for (_, counts) in &rows {
        total.add(counts);
    }
    let since = time::local(args.since).strftime("%Y-%m-%d %H:%M").to_string();
    context.say(&summary(&since, &total));
    // A column that is zero everywhere says nothing.
    let is_shown = |name: &str| total.iter().any(|(count, number)| count == name && number > 0);
    let columns = RANKS.iter().map(|&(name, count, rank)| {
        let column = Column::count(name, move |(_, counts): &Row| number(counts, count)).rank(rank);
        if is_shown(count) { column } else { column.on_request() }
    });
    let project = Column::new("project", |(subject, _): &Row| name(subject.project.as_deref()));
    let is_nameless = |(subject, _): &Row| subject.session.is_none() && subject.pr.is_none();
    let names = [
        if rows.iter().any(is_nameless) { project.rank(9) } else { project.on_request() },
        Column::new("session", |(subject, _): &Row| name(subject.session.as_deref())),
        Column::new("pr", |(subject, _): &Row| {
            name(subject.pr.as_deref().map(|pr| pr.strip_prefix("github.com/").unwrap_or(pr)))
        }),
    ];
    let listing = Listing {
        kind: "digest.list",
        columns: names.into_iter().chain(columns).collect(),
        id: &|(subject, _): &Row| {
            let Subject { project, session, pr } = subject;
            pr.clone().or(session.clone()).or(project.clone()).unwrap_or_default()
        },
        document: &document,
        empty: "nothing changed",
    };
    listing.print(context, &args.list, rows)
}

fn name(name: Option<&str>) -> Cell {
    name.map_or_else(Cell::absent, Cell::text)
}

fn number(counts: &Counts, name: &str) -> Cell {
    let found = counts.iter().find(|(count, _)| *count == name);
    match found.map_or(0, |(_, number)| number) {
        0 => Cell::absent(),
        number => Cell::number(number, number.to_string()),
    }
}

fn document((subject, counts): &Row) -> Value {
    let mut document = serde_json::json!({
        "project": subject.project,
        "session": subject.session,
        "pr": subject.pr,
    });
    for (name, number) in counts.iter() {
        document[name] = number.into();
    }
    document
}

/// The totals in one line.
fn summary(since: &str, total: &Counts) -> String {
    let parts = total.iter().filter(|(name, number)| *number > 0 && *name != "changes");
    let parts: Vec<_> =
        parts.map(|(name, number)| format!("{} {number}", name.replace('_', " "))).collect();
    let what = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    printable(&format!("since {since}: {} changes{what}", total.changes))
}
