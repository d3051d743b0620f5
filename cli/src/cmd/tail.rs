//! Prints changes as they are committed, after a snapshot and for a consumer if wanted.

use std::time::{Duration, Instant};

use ao_cdc::wire::Images;
use ao_cdc::{Feed, FeedOptions, Filter, Origin, Start, Step, Takeover};
use ao_daemon::CancellationToken;
use ao_store::lease::Owner;
use ao_store::{ConsumerName, Store, Timestamp};

use crate::args::{self, FilterArgs, Format, Tail as Args};
use crate::cmd::unknown;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};
use crate::printer::Printer;
use crate::signal::Signals;

/// How often an idle stream checks the clock, signals and whether its output is still open.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// The maximum silence of a stream that begins with a snapshot.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let name: Option<ConsumerName> = args.consumer.as_deref().map(str::parse).transpose()?;
    let ended = print(context, args, name.as_ref());
    match name {
        Some(name) => ended.map_err(|error| error.of_consumer(&name)),
        None => ended,
    }
}

fn print(context: &Context, args: &Args, name: Option<&ConsumerName>) -> Result<Ended> {
    check_times(args)?;
    let stop = Stop {
        at_head: args.no_follow,
        after: args.count,
        // A time that the clock cannot represent never comes.
        by: args.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        when: None,
    };
    let origin = origin(args, name)?;
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let options = FeedOptions {
        snapshot: args.snapshot,
        holder: format!("ao-store tail, pid {}", std::process::id()),
        heartbeat: args.heartbeat.or(args.snapshot.then_some(HEARTBEAT)),
        limit: args.count,
        until: args.until,
    };
    let store = context.open()?;
    let feed = Feed::open(&store, origin, &options)?;
    unknown::report(context, &store, &filter(&args.filter)?)?;
    let format = args.format.unwrap_or_else(|| default_format(context));
    print_feed(
        context,
        Printer::new(feed, format, images(args.images), context.is_verbose),
        &signals,
        stop,
    )
}

fn origin(args: &Args, name: Option<&ConsumerName>) -> Result<Origin> {
    let (start, filter) = (start(args)?, filter(&args.filter)?);
    Ok(match (name, &args.resume) {
        (Some(name), _) => Origin::Consumer {
            name: name.clone(),
            // No filter on the command line means the filter of the consumer.
            filter: (!filter.is_empty()).then_some(filter),
            owner: Owner::this_process(),
            takeover: if args.take_over { Takeover::Always } else { Takeover::IfGone },
        },
        (None, Some(position)) => Origin::Snapshot { position: position.clone(), filter },
        (None, None) => Origin::Log { start, filter },
    })
}

/// Prints changes from a position on until a signal or `stop` ends it.
pub(crate) fn follow(
    context: &Context,
    store: &Store,
    start: Start,
    format: Format,
    stop: &CancellationToken,
) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let origin = Origin::Log { start, filter: Filter::default() };
    let feed = Feed::open(store, origin, &FeedOptions::default())?;
    print_feed(
        context,
        Printer::new(feed, format, Images::Full, context.is_verbose),
        &signals,
        Stop { when: Some(stop.clone()), ..Stop::default() },
    )
}

/// Pretty at a terminal, else NDJSON.
pub(crate) fn default_format(context: &Context) -> Format {
    let is_for_people = output::is_terminal() && !context.is_json;
    if is_for_people { Format::Pretty } else { Format::Ndjson }
}

pub(crate) fn filter(args: &FilterArgs) -> Result<Filter> {
    let filter = Filter::new(
        args.types.clone(),
        args.projects.iter().map(|id| id.parse()).collect::<ao_store::Result<_>>()?,
        args.sessions.iter().map(|id| id.parse()).collect::<ao_store::Result<_>>()?,
    )?;
    Ok(filter.of_entities(args.entities.clone())?.of_changed(&args.changed)?)
}

/// Refuses times between which nothing can be, and a wait for a time that has passed.
pub(crate) fn check_times(args: &Args) -> Result<()> {
    let Some(until) = args.until else { return Ok(()) };
    let has_passed = until <= Timestamp::now();
    let reason = match args.since {
        Some(since) if until <= since => "--until is not after --since: no change is between them",
        _ if has_passed && args.follow => "--until has passed, so --follow has nothing to wait for",
        _ => return Ok(()),
    };
    Err(Error::Usage(reason.to_owned()))
}

fn start(args: &Args) -> Result<Start> {
    if let Some(since) = args.since {
        return Ok(Start::Since(since));
    }
    let is_finite = args.no_follow || args.until.is_some_and(|until| until <= Timestamp::now());
    let start = match (&args.from, args.lines, args.count) {
        (Some(text), _, _) => parse_start(text)?,
        (None, Some(lines), _) => Start::Last(lines),
        (None, None, _) if args.snapshot => Start::End,
        (None, None, Some(count)) if is_finite => Start::Last(count),
        (None, None, _) => Start::Last(10),
    };
    Ok(match (start, args.until) {
        (Start::Last(count), Some(until)) => Start::LastBefore(count, until),
        (start, _) => start,
    })
}

pub(crate) fn parse_start(text: &str) -> Result<Start> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match text.strip_prefix('-').map(str::parse) {
            Some(Ok(count)) => Ok(Start::Last(count)),
            _ => Ok(Start::Cursor(text.parse()?)),
        },
    }
}

fn images(images: args::Images) -> Images {
    match images {
        args::Images::Full => Images::Full,
        args::Images::After => Images::After,
        args::Images::None => Images::None,
    }
}

/// When a stream ends by itself.
#[derive(Debug, Clone, Default)]
struct Stop {
    when: Option<CancellationToken>,
    at_head: bool,
    after: Option<u64>,
    by: Option<Instant>,
}

fn print_feed(
    context: &Context,
    mut printer: Printer,
    signals: &Signals,
    stop: Stop,
) -> Result<Ended> {
    let ended = print_until(context, &mut printer, signals, stop)?;
    let is_stopped = matches!(ended, Ended::BySignal(_));
    if is_stopped && let Some(position) = printer.feed.resume() {
        context.say(&format!("stopped: resume with --snapshot --resume {position}"));
        return Ok(ended);
    }
    let cursor = printer.feed.cursor();
    printer.bye()?;
    if is_stopped {
        context.say(&format!("stopped: cursor {cursor}"));
    }
    Ok(ended)
}

fn print_until(
    context: &Context,
    printer: &mut Printer,
    signals: &Signals,
    stop: Stop,
) -> Result<Ended> {
    let left = || stop.by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()));
    let mut is_ready = false;
    loop {
        let step = printer.next(left().min(TICK))?;
        if let Some(signal) = signals.received() {
            return Ok(Ended::BySignal(signal));
        }
        if stop.when.as_ref().is_some_and(CancellationToken::is_cancelled) {
            return Ok(Ended::Done);
        }
        match step {
            Step::Snapshot => continue,
            Step::Complete => return Ok(Ended::Done),
            Step::AtHead if stop.at_head => return Ok(Ended::Done),
            Step::AtHead | Step::Behind => {}
        }
        match stop.after {
            _ if !left().is_zero() => {}
            Some(wanted) => return Err(Error::TimedOut { seen: printer.feed.sent(), wanted }),
            None => return Ok(Ended::Done),
        }
        if step == Step::AtHead && !is_ready {
            is_ready = true;
            context.say(&format!("ready: cursor {}", printer.feed.cursor()));
        }
    }
}
