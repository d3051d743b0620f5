//! Follows the list: it is read again after every commit, and at least every ten seconds, because a
//! backoff ends and facts get stale without a commit.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use ao_daemon::document;
use ao_store::attention::{Attention, Filter};
use ao_store::{Store, Timestamp};
use serde_json::{Value, json};

use crate::args::{ListArgs, ListFormat};
use crate::cmd::tail::TICK;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};
use crate::printer::is_output_closed;
use crate::signal::Signals;

/// The longest time between two reads.
const REREAD: Duration = Duration::from_secs(10);
/// The shortest time between two reads: many commits in a row are one change of the list.
const PAUSE: Duration = Duration::from_millis(200);

/// Erases the screen, and moves the cursor to its beginning.
const CLEAR: &[u8] = b"\x1b[2J\x1b[3J\x1b[H";

pub(super) fn run(
    context: &Context,
    store: &Store,
    filter: &Filter,
    args: &ListArgs,
) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    // Before the first read, so that no commit is missed.
    let mut listener = store.listen()?;
    let mut shown: Option<Vec<Attention>> = None;
    loop {
        let items = super::read(store, filter)?;
        // On a terminal ages are drawn again, too.
        let is_drawn = is_table(context, args) && output::is_terminal();
        if is_drawn || shown.as_ref() != Some(&items) {
            print(context, args, shown.as_deref(), &items)?;
        }
        if shown.is_none() {
            context.say("ready: Ctrl-C ends it");
        }
        shown = Some(items);
        let by = Instant::now() + REREAD;
        thread::sleep(PAUSE);
        loop {
            if let Some(signal) = signals.received() {
                return Ok(Ended::BySignal(signal));
            }
            if is_output_closed() {
                return Err(Error::BrokenPipe);
            }
            if listener.wait(TICK)? || Instant::now() >= by {
                break;
            }
        }
    }
}

/// A terminal gets a table, a program the differences.
fn is_table(context: &Context, args: &ListArgs) -> bool {
    match args.output {
        None => output::is_terminal() && !context.is_json,
        Some(format) => format == ListFormat::Table,
    }
}

fn print(
    context: &Context,
    args: &ListArgs,
    before: Option<&[Attention]>,
    items: &[Attention],
) -> Result<()> {
    if !is_table(context, args) {
        return print_differences(context, args, before.unwrap_or_default(), items);
    }
    if !output::is_terminal() {
        return super::print(context, args, items.to_vec());
    }
    output::raw_bytes(CLEAR)?;
    // What does not fit would push the newest items out of sight.
    let fits = output::height().map(|rows| rows.saturating_sub(4).max(1) as u64);
    let args = ListArgs { limit: args.limit.or(fits), ..args.clone() };
    super::print(context, &args, items.to_vec())
}

fn print_differences(
    context: &Context,
    args: &ListArgs,
    before: &[Attention],
    items: &[Attention],
) -> Result<()> {
    let by_name = |items: &[Attention]| -> BTreeMap<(usize, String), Attention> {
        items.iter().map(|it| ((it.kind as usize, it.name.clone()), it.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(items));
    let removed = before.iter().filter(|(key, _)| !after.contains_key(key));
    let mut events: Vec<_> = removed.map(|(_, item)| ("removed", item)).collect();
    // The oldest first, as in every stream.
    for item in items.iter().rev() {
        match before.get(&(item.kind as usize, item.name.clone())) {
            None => events.push(("added", item)),
            Some(known) if known != item => events.push(("changed", item)),
            Some(_) => {}
        }
    }
    if args.output == Some(ListFormat::Name) {
        let added = events.iter().filter(|(event, _)| *event == "added");
        let names: String = added.map(|(_, item)| format!("{}\n", item.name)).collect();
        return output::text(&names);
    }
    let at = document::time(Timestamp::now());
    let line = |(event, item): &(&str, &Attention)| -> Value {
        json!({"v": 1, "event": event, "at": at, "item": super::document(context, item)})
    };
    let lines: String = events.iter().map(|event| format!("{}\n", line(event))).collect();
    output::json_lines(lines.as_bytes())
}
