//! Prints the changes of one project, session, pull request or item.

use ao_cdc::wire::{Control, Encoder};
use ao_cdc::{History, Thing};
use ao_store::row::{pr, project, session};
use ao_store::{PrId, Store, Timestamp};

use crate::args::{Format, History as Args, ThingKind};
use crate::cmd::pr::name;
use crate::cmd::tail;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;
use crate::pretty::Pretty;

pub(crate) fn run(context: &Context, args: &Args) -> Result<()> {
    let store = context.open()?;
    let (thing, missing) = thing(context, &store, args)?;
    let mut history = History::open(&store, thing, args.since, args.lines)?;
    if let Some(error) = missing.filter(|_| !history.is_found()) {
        return Err(error.into());
    }
    let (log, begin) = (history.log().clone(), history.cursor());
    if history.is_pruned() {
        let oldest = log.cursor(log.floor);
        context.say(&format!("earlier changes were pruned: the log begins after {oldest}"));
    } else if !history.is_found() {
        let since = if args.since.is_some() { " since then" } else { "" };
        context.say(&format!("the log has no change of {}{since}", args.named()));
    }
    let format = args.format.unwrap_or_else(|| tail::default_format(context));
    let mut encoder = Encoder::new(&log.log_id, log.epoch);
    let mut pretty = Pretty::new(log.epoch, context.is_verbose);
    let mut out = Vec::new();
    let hello = Control::Hello { cursor: begin, log: &log, lease: None };
    match format {
        Format::Pretty => {}
        Format::Ndjson => encoder.control(&hello, &mut out),
        Format::Cloudevents => encoder.control_cloudevent(&hello, Timestamp::now(), &mut out),
    }
    loop {
        let has_more = history.visit(|change| match format {
            Format::Pretty => pretty.change(change, &mut out),
            Format::Ndjson => encoder.ndjson(change, &mut out),
            Format::Cloudevents => encoder.cloudevents(change, &mut out),
        })?;
        pretty.finish(!has_more, &mut out);
        match format {
            Format::Pretty => output::styled(&out)?,
            Format::Ndjson | Format::Cloudevents => output::json_lines(&out)?,
        }
        out.clear();
        if !has_more {
            return Ok(());
        }
    }
}

/// What the history is of, and the error if neither the store nor the log has it.
fn thing(
    context: &Context,
    store: &Store,
    args: &Args,
) -> Result<(Thing, Option<ao_store::Error>)> {
    let is_item = !matches!(args.entity, ThingKind::Project | ThingKind::Session | ThingKind::Pr);
    let item = match (&args.item, is_item) {
        (Some(item), true) => item.clone(),
        (None, false) => String::new(),
        (None, true) => {
            return Err(Error::Usage(
                "name the pull request and the item, such as `ao-store history check octo/hello#7 lint`"
                    .to_owned(),
            ));
        }
        (Some(item), false) => {
            return Err(Error::Usage(format!("{item:?} is one argument too many: omit it")));
        }
    };
    Ok(match args.entity {
        ThingKind::Project => {
            let id: ao_store::ProjectId = args.key.parse()?;
            let found = store.read(|snapshot| project::get(snapshot, &id))?;
            let missing = found.is_none().then(|| ao_store::Error::ProjectNotFound(id.clone()));
            (Thing::Project(id), missing)
        }
        ThingKind::Session => {
            let id: ao_store::SessionId = args.key.parse()?;
            let missing = store.read(|snapshot| Ok(session::require(snapshot, &id).err()))?;
            (Thing::Session { id, with_prs: !args.only }, missing)
        }
        ThingKind::Pr => {
            (Thing::Pr { id: pr_id(context, store, &args.key)?, with_items: !args.only }, None)
        }
        ThingKind::Check => of_item(context, store, args, "pr_check", item)?,
        ThingKind::Thread => of_item(context, store, args, "pr_review_thread", item)?,
        ThingKind::Review => of_item(context, store, args, "pr_review", item)?,
        ThingKind::Comment => of_item(context, store, args, "pr_comment", item)?,
    })
}

fn of_item(
    context: &Context,
    store: &Store,
    args: &Args,
    entity: &'static str,
    id: String,
) -> Result<(Thing, Option<ao_store::Error>)> {
    Ok((Thing::Item { entity, pr: pr_id(context, store, &args.key)?, id }, None))
}

fn pr_id(context: &Context, store: &Store, text: &str) -> Result<PrId> {
    let name = name::resolve(context, text)?;
    Ok(store.read(|snapshot| pr::require_named(snapshot, &name))?.id)
}
