//! Durable consumers: create, list, inspect, pull, acknowledge, move, remove.

use std::time::{Duration, Instant};

use ao_cdc::wire::Images;
use ao_cdc::{Feed, FeedOptions, Filter, Origin, Start, Step, Tail};
use ao_store::LogInfo;
use ao_store::lease::{Fence, Generation};
use ao_store::log::consumer::{self, Bounds, NewConsumer, Policy};
use ao_store::{ClockReading, ConsumerName, Cursor, Store};
use serde_json::{Value, json};

use crate::args::{Consumer as Command, Format, PolicyName};
use crate::cmd::tail;
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::printer::Printer;
use crate::{output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Create { name, from, filter, policy, max_events, max_bytes, max_age } => {
            let age_ms = max_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let bytes = max_bytes.map(|size| size.as_u64());
            let policy = policy_of(policy, Bounds { events: max_events, bytes, age_ms })?;
            create(context, name.parse()?, &from, &tail::filter(&filter)?, policy)
        }
        Command::Ls => list(context),
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

/// Bounds belong to the policy that has them.
fn policy_of(name: PolicyName, bounds: Bounds) -> Result<Policy> {
    let has_bounds = bounds != Bounds::default();
    match name {
        PolicyName::Bounded if !has_bounds => Err(Error::Usage(
            "the policy bounded needs a bound: --max-events, --max-bytes or --max-age".to_owned(),
        )),
        PolicyName::Bounded => Ok(Policy::Bounded(bounds)),
        _ if has_bounds => {
            Err(Error::Usage("--max-… are the bounds of the policy bounded".to_owned()))
        }
        PolicyName::Block => Ok(Policy::Block),
        PolicyName::None => Ok(Policy::None),
    }
}

/// The cursor of a start that needs no filter.
fn resolve(store: &Store, text: &str) -> Result<Cursor> {
    let start = tail::parse_start(text)?;
    if matches!(start, Start::Last(_)) {
        return Err(Error::Usage("name beginning, end or a cursor".to_owned()));
    }
    Ok(Tail::open(store, start, Filter::default())?.cursor())
}

fn create(
    context: &Context,
    name: ConsumerName,
    from: &str,
    filter: &Filter,
    policy: Policy,
) -> Result<()> {
    let store = context.open()?;
    let start = resolve(&store, from)?;
    let new = NewConsumer { name: name.clone(), start, filter: filter.to_json(), policy };
    store.write(cause(), move |tx| consumer::create(tx, &new))?;
    context.say(&format!("next: `ao-store tail --consumer {name}`"));
    show(context, &store, "consumer.create", &name, "created")
}

fn list(context: &Context) -> Result<()> {
    let reading = ClockReading::now();
    let (stats, now) = (context.open()?.stats(reading)?, reading.at);
    if context.is_json {
        let item = |(found, lag): &_| view::consumer(found, lag, now);
        return output::list("consumer.list", || stats.consumers.iter().map(item));
    }
    if stats.consumers.is_empty() {
        context.say("no consumers yet; create one: `ao-store consumer create NAME`");
        return Ok(());
    }
    let rows = stats.consumers.into_iter().map(|(found, lag)| {
        let owner = found.live_lease(now).map_or("-".to_owned(), |lease| lease.owner.clone());
        vec![
            found.name.to_string(),
            found.policy.as_str().to_owned(),
            found.acked.to_string(),
            lag.events.to_string(),
            bytesize::ByteSize(lag.bytes).to_string(),
            view::duration(lag.age_ms),
            owner.split(' ').next().unwrap_or_default().to_owned(),
        ]
    });
    let header = ["NAME", "POLICY", "ACKED", "BEHIND", "BYTES", "AGE", "OWNER"];
    output::table(&header, rows.collect())
}

fn get(context: &Context, name: &ConsumerName) -> Result<()> {
    let data = data(&context.open()?, name)?;
    if context.is_json {
        return output::document("consumer.get", &data);
    }
    output::text(&view::fields(&data))
}

fn data(store: &Store, name: &ConsumerName) -> Result<Value> {
    let now = ClockReading::now();
    Ok(store.read(|snapshot| {
        let found = consumer::require(snapshot, name)?;
        let lag = consumer::lag(snapshot, &LogInfo::read(snapshot)?, &found, now)?;
        Ok(view::consumer(&found, &lag, now.at))
    })?)
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
    let mut printer = Printer::new(feed, Format::Ndjson, Images::Full);
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
        Ok(_) => show(context, &store, "consumer.ack", name, "acknowledged"),
        // The stored cursor of the consumer belongs to another epoch, not the given one.
        Err(error @ ao_store::Error::CursorEpoch { asked, .. }) if asked != cursor => {
            Err(Error::from(error).of_consumer(name))
        }
        Err(error) => Err(error.into()),
    }
}

fn seek(context: &Context, name: ConsumerName, to: &str, fence: Fence) -> Result<()> {
    let store = context.open()?;
    let to = resolve(&store, to)?;
    let moved = name.clone();
    store.write(cause(), move |tx| consumer::seek(tx, &moved, to, fence))?;
    show(context, &store, "consumer.seek", &name, "moved")
}

fn remove(context: &Context, store: &Store, name: ConsumerName, fence: Fence) -> Result<()> {
    let removed = name.clone();
    store.write(cause(), move |tx| consumer::remove(tx, &removed, fence))?;
    if context.is_json {
        return output::document("consumer.rm", &json!({"name": name.as_str(), "deleted": true}));
    }
    output::say(&format!("consumer {name} deleted"));
    Ok(())
}
