//! What needs a person now: sessions, pull requests, hosts and consumers in one list, newest first.

mod watch;

use std::sync::OnceLock;

use ao_daemon::document::attention;
use ao_session::harness::Harnesses;
use ao_store::attention::{self as stored, Attention, Filter, Kind};
use ao_store::{Store, Timestamp, row::scm};
use serde_json::Value;

use crate::args::{Attention as Args, ListArgs, ListFormat};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output::Ended;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let filter = Filter {
        project: args.project.as_deref().map(str::parse).transpose()?,
        session: args.session.as_deref().map(str::parse).transpose()?,
        kinds: args.kinds.iter().map(|kind| Kind::parse(kind)).collect(),
    };
    let store = context.open()?;
    if args.watch {
        return watch::run(context, &store, &filter, &args.list);
    }
    let items = read(&store, &filter)?;
    let is_any = !items.is_empty();
    let is_for_people = matches!(args.list.output, None | Some(ListFormat::Table));
    let next = items.first().filter(|_| is_for_people).map(|item| next(context, item));
    print(context, &args.list, items)?;
    if let Some(next) = next {
        context.say(&format!("next: {next}"));
    } else if is_for_people && store.read(scm::hosts)?.is_empty() {
        context.say("no observer has run yet: `ao-store observe`");
    }
    Ok(if is_any && args.exit_code { Ended::Findings } else { Ended::Done })
}

fn read(store: &Store, filter: &Filter) -> Result<Vec<Attention>> {
    Ok(store.read(|snapshot| stored::attention(snapshot, filter, Timestamp::now()))?)
}

fn print(context: &Context, args: &ListArgs, items: Vec<Attention>) -> Result<()> {
    Listing {
        kind: "attention.list",
        columns: columns(context),
        id: &|item: &Attention| item.name.clone(),
        document: &|item| document(context, item),
        empty: "nothing needs you",
    }
    .print(context, args, items)
}

fn document(context: &Context, item: &Attention) -> Value {
    attention::document(item, &command(context, item))
}

fn columns(context: &Context) -> Vec<Column<'_, Attention>> {
    type Of<'a> = Column<'a, Attention>;
    let session = |item: &Attention| item.session.as_ref().map_or("", |id| id.as_str()).to_owned();
    let project = |item: &Attention| item.project.as_ref().map_or("", |id| id.as_str()).to_owned();
    vec![
        Of::new("kind", |item| Cell::state(item.kind.as_str())),
        Of::new("what", |item| Cell::text(&item.name)),
        Of::new("session", move |item| Cell::text(session(item))).rank(1),
        Of::new("since", |item| item.since.map_or(Cell::absent(), Cell::age)),
        Of::text("detail", detail),
        Of::text("title", |item| item.title.clone()).on_request(),
        Of::new("project", move |item| Cell::text(project(item))).on_request(),
        Of::new("url", |item| Cell::text(&item.url)).on_request(),
        Of::new("next", |item| Cell::text(command(context, item))).on_request(),
    ]
}

/// The reason, with the number where there are several; where none is known, the title.
fn detail(item: &Attention) -> String {
    let text = if item.text.is_empty() { &item.title } else { &item.text };
    let is_counted = matches!(item.kind, Kind::ThreadsUnresolved | Kind::FactsStale);
    match item.count.filter(|count| is_counted && *count > 1) {
        Some(count) => format!("({count}) {text}"),
        None => text.clone(),
    }
}

/// What to do next, as a message has it: commands are in backticks.
pub(super) fn next(context: &Context, item: &Attention) -> String {
    static HARNESSES: OnceLock<Option<Harnesses>> = OnceLock::new();
    let load = || Harnesses::load(context.harness_file().as_deref()).ok();
    attention::next(item, HARNESSES.get_or_init(load).as_ref())
}

/// The command of that alone, with the options of the user.
fn command(context: &Context, item: &Attention) -> String {
    attention::command(&context.invocation().complete(&next(context, item))).to_owned()
}
