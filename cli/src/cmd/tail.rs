//! Printing changes as they are committed, after a snapshot and under a consumer where asked for.

use std::time::{Duration, Instant};

use ao_cdc::wire::{Encoder, Images};
use ao_cdc::{Consumer, Filter, Owner, SnapshotReader, Start, Tail, Takeover};
use ao_store::{ConsumerName, Cursor, Store, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::{self, FilterArgs, Format, Tail as Args};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::lines::Lines;
use crate::output::{self, Ended};
use crate::signal::{Signal, Signals};

/// Changes rendered in one read.
const BATCH: usize = 512;
/// How often an idle tail looks at the clock, at signals and at whether anybody still reads.
const TICK: Duration = Duration::from_millis(100);
/// How often a snapshot says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let Some(name) = &args.consumer else { return print(context, args, None) };
    let name: ConsumerName = name.parse()?;
    print(context, args, Some(&name)).map_err(|error| error.of_consumer(&name))
}

fn print(context: &Context, args: &Args, name: Option<&ConsumerName>) -> Result<Ended> {
    let stop = Stop {
        at_head: args.no_follow,
        after: args.count,
        // A time beyond what the clock can say never comes.
        by: args.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
    };
    let start = start(args)?;
    let filter = filter(&args.filter)?;
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let store = context.open()?;
    let (source, rows) = open(&store, args, name, start, filter)?;
    let format = args.format.unwrap_or_else(|| default_format(context));
    let heartbeat = args.heartbeat.or(args.snapshot.then_some(HEARTBEAT));
    let mut printer = Printer::new(source, format, images(args.images), heartbeat)?;
    if let Some(rows) = rows
        && let Some(ended) = printer.print_snapshot(context, rows, &signals)?
    {
        return Ok(ended);
    }
    printer.follow(context, &signals, stop)
}

/// Where the changes come from, and the rows before them where asked for. All that can be refused is
/// refused here, before the first line names a position.
fn open(
    store: &Store,
    args: &Args,
    name: Option<&ConsumerName>,
    start: Start,
    filter: Filter,
) -> Result<(Source, Option<SnapshotReader>)> {
    let holder = format!("ao-store tail, pid {}", std::process::id());
    if let Some(name) = name {
        let mut consumer = consumer(store, name, &filter, args)?;
        let tail = consumer.tail_mut();
        let (start, filter) = (Start::Cursor(tail.cursor()), tail.filter().clone());
        let rows = args.snapshot.then(|| SnapshotReader::open(store, start, filter, &holder));
        return Ok((Source::Consumer(Box::new(consumer)), rows.transpose()?));
    }
    let rows = match &args.resume {
        Some(position) => Some(SnapshotReader::resume(store, position, filter.clone(), &holder)?),
        None if args.snapshot => Some(SnapshotReader::open(store, start, filter.clone(), &holder)?),
        None => None,
    };
    // The stream begins where the snapshot does, also where that began before.
    let start = rows.as_ref().map_or(start, |rows| Start::Cursor(rows.cursor()));
    Ok((Source::Tail(Box::new(Tail::open(store, start, filter)?)), rows))
}

/// Prints changes from a position on until it is told to stop.
pub(crate) fn follow(
    context: &Context,
    store: &Store,
    start: Start,
    format: Format,
) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let source = Source::Tail(Box::new(Tail::open(store, start, Filter::default())?));
    Printer::new(source, format, Images::Full, None)?.follow(context, &signals, Stop::default())
}

/// Pretty for a person at a terminal, NDJSON for everything else.
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
    Ok(filter.of_entities(args.entities.clone())?)
}

fn start(args: &Args) -> Result<Start> {
    match (&args.from, &args.since) {
        (_, Some(time)) => since(time),
        (Some(text), None) => parse_start(text),
        (None, None) if args.snapshot => Ok(Start::End),
        (None, None) => Ok(Start::Last(10)),
    }
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

/// A point in time, or how long ago.
fn since(text: &str) -> Result<Start> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Start::Since(Timestamp(time.as_millisecond())));
    }
    let ago = humantime::parse_duration(text).map_err(|_| {
        Error::Usage(format!(
            "{text:?} is neither a time such as 2026-11-21T10:00:00Z nor how long ago, such as 10m"
        ))
    })?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Start::Since(Timestamp(Timestamp::now().0.saturating_sub(ago))))
}

fn consumer(store: &Store, name: &ConsumerName, filter: &Filter, args: &Args) -> Result<Consumer> {
    let takeover = if args.take_over { Takeover::Always } else { Takeover::IfGone };
    // No filter on the command line is no other filter.
    let filter = (!filter.is_empty()).then_some(filter);
    Ok(Consumer::open(store, name, filter, &Owner::this_process(), takeover)?)
}

/// When a tail ends by itself.
#[derive(Debug, Clone, Copy, Default)]
struct Stop {
    at_head: bool,
    after: Option<u64>,
    by: Option<Instant>,
}

/// Where the changes come from.
enum Source {
    Tail(Box<Tail>),
    Consumer(Box<Consumer>),
}

impl Source {
    fn tail(&mut self) -> &mut Tail {
        match self {
            Source::Tail(tail) => tail,
            Source::Consumer(consumer) => consumer.tail_mut(),
        }
    }
}

struct Printer {
    source: Source,
    lines: Lines,
    seen: u64,
    /// Everything up to here was printed or does not pass.
    printed: Cursor,
    is_ready: bool,
    /// Holds retention back until the stream has caught up.
    snapshot: Option<SnapshotReader>,
}

impl Printer {
    fn new(
        mut source: Source,
        format: Format,
        images: Images,
        heartbeat: Option<Duration>,
    ) -> Result<Printer> {
        let tail = source.tail();
        let encoder = Encoder::new(tail.log_id(), tail.cursor().epoch).with_images(images);
        let mut lines = Lines::new(encoder, format, heartbeat);
        let (printed, log) = (tail.cursor(), tail.log()?);
        lines.hello(printed, &log, None)?;
        Ok(Printer { source, lines, seen: 0, printed, is_ready: false, snapshot: None })
    }

    /// Prints the rows; returns how it ended when it was interrupted.
    fn print_snapshot(
        &mut self,
        context: &Context,
        mut reader: SnapshotReader,
        signals: &Signals,
    ) -> Result<Option<Ended>> {
        let cursor = reader.cursor();
        self.lines.snapshot_begin(cursor)?;
        while let Some(rows) = reader.next_rows()? {
            if let Err(error) = self.lines.rows(cursor, &rows) {
                // Whoever read us may come back for the rest.
                reader.leave();
                return Err(error);
            }
            if let Some(signal) = signals.came() {
                context.say(&format!("stopped: go on with --snapshot --resume {}", rows.position));
                reader.leave();
                return Ok(Some(Ended::BySignal(signal)));
            }
            if let Source::Consumer(consumer) = &mut self.source {
                consumer.keep()?;
            }
        }
        self.lines.snapshot_end(cursor)?;
        self.snapshot = Some(reader);
        Ok(None)
    }

    fn follow(mut self, context: &Context, signals: &Signals, stop: Stop) -> Result<Ended> {
        let ended = self.print_until(context, signals, stop)?;
        self.lines.bye(self.printed)?;
        if let Source::Consumer(consumer) = &mut self.source {
            consumer.flush()?;
        }
        if let Ended::BySignal(_) = ended {
            context.say(&format!("stopped: cursor {}", self.printed));
        }
        Ok(ended)
    }

    fn print_until(&mut self, context: &Context, signals: &Signals, stop: Stop) -> Result<Ended> {
        let is_enough = |seen| stop.after.is_some_and(|wanted| seen >= wanted);
        if is_enough(self.seen) {
            return Ok(Ended::Done);
        }
        loop {
            let is_at_head = self.print(stop.after)?;
            let is_over = stop.by.is_some_and(|by| Instant::now() >= by);
            if let Some(signal) = signals.came() {
                return Ok(ended_by(signal));
            }
            if is_enough(self.seen) || (is_at_head && stop.at_head) {
                return Ok(Ended::Done);
            }
            match stop.after {
                Some(wanted) if is_over => {
                    return Err(Error::TimedOut { seen: self.seen, wanted });
                }
                None if is_over => return Ok(Ended::Done),
                _ => {}
            }
            if let Some(reader) = &mut self.snapshot {
                reader.keep()?;
            }
            if is_at_head {
                self.snapshot = None;
                self.say_ready(context);
                let left = stop.by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()));
                if !self.source.tail().wait(left.min(TICK))? && is_output_closed() {
                    return Err(Error::BrokenPipe);
                }
            }
        }
    }

    /// Renders what one read finds and writes it after the read; says whether that was all. Only
    /// what was written is acknowledged.
    fn print(&mut self, wanted: Option<u64>) -> Result<bool> {
        let room = wanted.map_or(u64::MAX, |wanted| wanted.saturating_sub(self.seen));
        let (lines, tail) = (&mut self.lines, self.source.tail());
        let (mut count, mut last) = (0, None);
        let visited = tail.visit(BATCH, |change| {
            if count == room {
                return Ok(());
            }
            count += 1;
            last = Some(change.seq());
            lines.change(change)
        })?;
        let mut printed = tail.cursor();
        if let Some(last) = last.filter(|_| count == room) {
            printed.seq = last;
        }
        self.lines.flush(printed, || Ok(tail.log()?.head_cursor()))?;
        self.printed = printed;
        self.seen += count;
        if let Source::Consumer(consumer) = &mut self.source {
            consumer.ack(printed)?;
        }
        Ok(visited.is_at_head)
    }

    /// Tells once that everything so far was printed and new changes come as they are committed.
    fn say_ready(&mut self, context: &Context) {
        if !self.is_ready {
            self.is_ready = true;
            context.say(&format!("ready: cursor {}", self.printed));
        }
    }
}

fn ended_by(signal: Signal) -> Ended {
    Ended::BySignal(signal)
}

/// Whether the reader of our output went away. Without this look an idle `tail | head -1` would
/// stand until the next change.
pub(crate) fn is_output_closed() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}
