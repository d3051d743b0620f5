//! Durable consumers: create, list, inspect, pull, acknowledge, move, remove.

use std::time::{Duration, Instant};

use ao_cdc::wire::Images;
use ao_cdc::{Feed, FeedOptions, Filter, Origin, Start, Step};
use ao_daemon::document;
use ao_daemon::request::{create_consumer, policy as policy_of, resolve};
use ao_store::LogInfo;
use ao_store::lease::{Fence, Generation};
use ao_store::log::consumer::{self, Acknowledged, Bounds, Consumer, Lag, Policy};
use ao_store::{ClockReading, ConsumerName, Cursor, Store, Timestamp};
use serde_json::Value;

use crate::args::{Consumer as Command, Format, ListArgs, PolicyName};
use crate::cmd::{tail, unknown};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::printer::Printer;
use crate::table::{Cell, Column};
use crate::{hint, output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Create {
            name,
            from,
            filter,
            policy,
            max_events,
            max_bytes,
            max_age,
            if_not_exists,
        } => {
            let age_ms = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let bytes = max_bytes.map(|size| size.as_u64());
            let policy =
                policy_of(policy_name(policy), Bounds { events: max_events, bytes, age_ms })?;
            let filter = tail::filter(&filter)?;
            create(context, name.parse()?, &from, (&filter, policy), if_not_exists)
        }
        Command::Ls { list: args } => list(context, &args),
        Command::Get { name } => get(context, &name.parse()?),
        Command::Pull { name, count, wait, lease } => {
            let name: ConsumerName = name.parse()?;
            pull(context, &name, count, wait, lease).map_err(|error| error.of_consumer(&name))
        }
        Command::Ack { name, cursor, lease } => {
            acknowledge(context, &name.parse()?, cursor.parse()?, lease.map(Generation))
        }
        Command::Seek { name, to, force } => seek(context, name.parse()?, &to, fence(force)),
        Command::Rm { name, force, consent } => {
            let name: ConsumerName = name.parse()?;
            let store = context.open()?;
            store.read(|snapshot| consumer::require(snapshot, &name))?;
            match confirm::ask(context, &format!("delete consumer {name}"), consent)? {
                Answer::No => Ok(()),
                Answer::Yes => remove(context, &store, name, fence(force)),
            }
        }
    }
}

fn fence(force: bool) -> Fence {
    if force { Fence::Force } else { Fence::Respect }
}

fn policy_name(name: PolicyName) -> &'static str {
    match name {
        PolicyName::Bounded => "bounded",
        PolicyName::Block => "block",
        PolicyName::None => "none",
    }
}

/// The start that a text means, if that needs no filter.
fn parse_start(text: &str) -> Result<Start> {
    match tail::parse_start(text)? {
        Start::Last(_) => Err(Error::Usage("name beginning, end or a cursor".to_owned())),
        start => Ok(start),
    }
}

fn create(
    context: &Context,
    name: ConsumerName,
    from: &str,
    (wanted, policy): (&Filter, Policy),
    may_exist: bool,
) -> Result<()> {
    let store = context.open()?;
    let from = (parse_start(from)?, may_exist);
    if !create_consumer(&store, cause(), name.clone(), (wanted, policy), from)? {
        return show(context, &store, "consumer.create", &name, "exists already");
    }
    unknown::report(context, &store, wanted)?;
    context.say(&format!("next: `ao-store tail --consumer {name}`"));
    show(context, &store, "consumer.create", &name, "created")
}

fn list(context: &Context, args: &ListArgs) -> Result<()> {
    let reading = ClockReading::now();
    let (stats, now) = (context.open()?.stats(reading)?, reading.at);
    for (found, _) in &stats.consumers {
        say_stranded(context, found, &stats.log);
    }
    Listing {
        kind: "consumer.list",
        columns: columns(&stats.log, now),
        id: &|(consumer, _): &Listed| consumer.name.to_string(),
        document: &|(consumer, lag)| document::consumer(consumer, lag, &stats.log, now),
        empty: "no consumers yet; create one: `ao-store consumer create NAME`",
    }
    .print(context, args, stats.consumers)
}

type Listed = (Consumer, Lag);

fn columns(log: &LogInfo, now: Timestamp) -> Vec<Column<'_, Listed>> {
    type Of<'a> = Column<'a, Listed>;
    let owner = move |(consumer, _): &Listed| {
        let owner = consumer.live_lease(now).map(|lease| lease.owner.split(' ').next());
        owner.flatten().unwrap_or_default().to_owned()
    };
    let state = move |(consumer, _): &Listed| match consumer.stranded(log) {
        Some(_) => "stranded".to_owned(),
        None if consumer.live_lease(now).is_some() => "in use".to_owned(),
        None => "not in use".to_owned(),
    };
    let bytes = |lag: &Lag| bytesize::ByteSize(lag.bytes).to_string();
    vec![
        Of::new("name", |(consumer, _)| Cell::text(consumer.name.as_str())),
        Of::state("state", state),
        Of::new("policy", |(consumer, _)| Cell::text(consumer.policy.as_str())).rank(3),
        Of::new("acked", |(consumer, _)| Cell::text(consumer.acked.to_string())),
        Of::new("behind", |(_, lag)| Cell::number(lag.events, lag.events.to_string())),
        Of::new("bytes", move |(_, lag)| Cell::number(lag.bytes, bytes(lag))).rank(2),
        Of::new("age", |(_, lag)| Cell::number(lag.age_ms, view::duration(lag.age_ms))),
        Of::text("owner", owner).rank(1),
        Of::new("created", |(consumer, _)| Cell::age(consumer.created_at)).on_request(),
    ]
}

fn get(context: &Context, name: &ConsumerName) -> Result<()> {
    let store = context.open()?;
    let data = data(&store, name)?;
    if context.is_json {
        return output::document("consumer.get", &data);
    }
    let (found, log) = store
        .read(|snapshot| Ok((consumer::require(snapshot, name)?, LogInfo::read(snapshot)?)))?;
    say_stranded(context, &found, &log);
    output::text(&view::fields(&data))
}

/// Says that a consumer is stranded, and what helps.
fn say_stranded(context: &Context, found: &Consumer, log: &LogInfo) {
    if let Some(why) = found.stranded(log) {
        let (name, fix) = (&found.name, hint::of_stranded(&found.name));
        context.say(&format!("consumer {name} is stranded, {why}; to move it: {fix}"));
    }
}

fn data(store: &Store, name: &ConsumerName) -> Result<Value> {
    let now = ClockReading::now();
    Ok(store.read(|snapshot| document::consumer_now(snapshot, name, now))?)
}

fn show(
    context: &Context,
    store: &Store,
    kind: &str,
    name: &ConsumerName,
    what: &str,
) -> Result<()> {
    let data = data(store, name)?;
    if context.is_json {
        return output::document(kind, &data);
    }
    let acked = data["acked"].as_str().unwrap_or_default();
    output::say(&format!("consumer {name} {what}: it is at {acked}"));
    output::line(name.as_str())
}

/// Prints the next changes without acknowledging them.
fn pull(
    context: &Context,
    name: &ConsumerName,
    count: u64,
    wait: Duration,
    lease: Option<Duration>,
) -> Result<()> {
    // An owner that cannot be looked up keeps the lease until it expires, also when this process has
    // ended.
    let lease = lease.map(|ttl| (ttl, format!("pull by pid {}", std::process::id())));
    let options = FeedOptions {
        heartbeat: Some(Duration::MAX),
        limit: Some(count),
        ..FeedOptions::default()
    };
    let origin = Origin::Peek { name: name.clone(), lease };
    let feed = Feed::open(&context.open()?, origin, &options).map_err(|error| match error {
        // The hint to a lease that is held depends on the command: only `tail` can take it over.
        ao_cdc::Error::Store(error) => Error::Store(error),
        error => error.into(),
    })?;
    let mut printer = Printer::new(feed, Format::Ndjson, Images::Full, false);
    let started = Instant::now();
    loop {
        let left = wait.saturating_sub(started.elapsed());
        let step = printer.next(left.min(tail::TICK))?;
        let is_over = printer.feed.sent() > 0 || started.elapsed() >= wait;
        if step == Step::Complete || (step == Step::AtHead && is_over) {
            return printer.bookmark();
        }
    }
}

fn acknowledge(
    context: &Context,
    name: &ConsumerName,
    cursor: Cursor,
    lease: Option<Generation>,
) -> Result<()> {
    let store = context.open()?;
    let acked = name.clone();
    match store.write(cause(), move |tx| consumer::ack(tx, &acked, cursor, lease)) {
        Ok(done) => show_acknowledged(context, &store, &done.value, cursor),
        // The stored cursor of the consumer belongs to another epoch, not the given one.
        Err(error @ ao_store::Error::CursorEpoch { asked, .. }) if asked != cursor => {
            Err(Error::from(error).of_consumer(name))
        }
        Err(error) => Err(error.into()),
    }
}

fn show_acknowledged(
    context: &Context,
    store: &Store,
    done: &Acknowledged,
    asked: Cursor,
) -> Result<()> {
    let name = &done.consumer.name;
    if context.is_json {
        let mut data = data(store, name)?;
        data["moved"] = done.is_moved().into();
        data["previous"] = done.previous.to_string().into();
        return output::document("consumer.ack", &data);
    }
    let (acked, previous) = (done.consumer.acked, done.previous);
    context.say(&match done.is_moved() {
        true => format!("consumer {name} acknowledged: it moved from {previous} to {acked}"),
        false if asked == acked => {
            format!("consumer {name} did not move: it is at {acked} already")
        }
        false => format!("consumer {name} did not move: it is at {acked}, and {asked} is older"),
    });
    output::line(name.as_str())
}

fn seek(context: &Context, name: ConsumerName, to: &str, fence: Fence) -> Result<()> {
    let store = context.open()?;
    let to = resolve(&store, parse_start(to)?)?;
    let moved = name.clone();
    store.write(cause(), move |tx| consumer::seek(tx, &moved, to, fence))?;
    show(context, &store, "consumer.seek", &name, "moved")
}

fn remove(context: &Context, store: &Store, name: ConsumerName, fence: Fence) -> Result<()> {
    let removed = name.clone();
    store.write(cause(), move |tx| consumer::remove(tx, &removed, fence))?;
    if context.is_json {
        return output::document("consumer.rm", &document::consumer_deleted(&name));
    }
    output::say(&format!("consumer {name} deleted"));
    Ok(())
}
