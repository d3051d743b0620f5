//! Printing changes as they are committed.

use std::time::{Duration, Instant};

use ao_cdc::wire::Encoder;
use ao_cdc::{Filter, Start, Tail};
use ao_store::Store;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::{Format, Tail as Args};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};
use crate::pretty;
use crate::signal::{Signal, Signals};

/// Changes rendered in one read.
const BATCH: usize = 512;
/// How often an idle tail looks at the clock, at signals and at whether anybody still reads.
const TICK: Duration = Duration::from_millis(100);

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let start = parse_start(&args.from)?;
    let filter = Filter::new(
        args.types.clone(),
        args.projects.iter().map(|id| id.parse()).collect::<ao_store::Result<_>>()?,
        args.sessions.iter().map(|id| id.parse()).collect::<ao_store::Result<_>>()?,
    )?;
    let stop = Stop {
        at_head: args.no_follow,
        after: args.count,
        // A time beyond what the clock can say never comes.
        by: args.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
    };
    let format = args.format.unwrap_or_else(|| default_format(context));
    follow(context, &context.open()?, start, filter, format, stop)
}

/// Pretty for a person at a terminal, NDJSON for everything else.
pub(crate) fn default_format(context: &Context) -> Format {
    let is_for_people = output::is_terminal() && !context.is_json;
    if is_for_people { Format::Pretty } else { Format::Ndjson }
}

fn parse_start(text: &str) -> Result<Start> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match text.strip_prefix('-').map(str::parse) {
            Some(Ok(count)) => Ok(Start::Last(count)),
            _ => Ok(Start::Cursor(text.parse()?)),
        },
    }
}

/// When a tail ends by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stop {
    pub(crate) at_head: bool,
    pub(crate) after: Option<u64>,
    pub(crate) by: Option<Instant>,
}

/// Prints changes from a position on until it is told to stop.
pub(crate) fn follow(
    context: &Context,
    store: &Store,
    start: Start,
    filter: Filter,
    format: Format,
    stop: Stop,
) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let tail = Tail::open(store, start, filter)?;
    let encoder = Encoder::new(tail.log_id(), tail.cursor().epoch);
    let mut printer = Printer { tail, encoder, format, seen: 0, is_ready: false };
    loop {
        if stop.after.is_some_and(|wanted| printer.seen >= wanted) {
            return Ok(Ended::Done);
        }
        let is_at_head = printer.print(stop.after)?;
        let is_over = stop.by.is_some_and(|by| Instant::now() >= by);
        if let Some(signal) = signals.came() {
            return Ok(printer.interrupted(context, signal));
        }
        match stop.after {
            Some(wanted) if printer.seen >= wanted => return Ok(Ended::Done),
            _ if is_at_head && stop.at_head => return Ok(Ended::Done),
            Some(wanted) if is_over => {
                return Err(Error::TimedOut { seen: printer.seen, wanted });
            }
            None if is_over => return Ok(Ended::Done),
            _ => {}
        }
        if is_at_head {
            printer.say_ready(context);
            let left = stop.by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()));
            if !printer.tail.wait(left.min(TICK))? && is_output_closed() {
                return Err(Error::BrokenPipe);
            }
        }
    }
}

struct Printer {
    tail: Tail,
    encoder: Encoder,
    format: Format,
    seen: u64,
    is_ready: bool,
}

impl Printer {
    /// Renders what one read finds and writes it after the read; says whether that was all.
    fn print(&mut self, wanted: Option<u64>) -> Result<bool> {
        let room = wanted.map_or(u64::MAX, |wanted| wanted.saturating_sub(self.seen));
        let mut text = Vec::new();
        let (encoder, format) = (&mut self.encoder, self.format);
        let mut printed = 0;
        let visited = self.tail.visit(BATCH, |change| {
            if printed == room {
                return Ok(());
            }
            printed += 1;
            match format {
                Format::Pretty => pretty::write(change, &mut text),
                Format::Ndjson => encoder.ndjson(change, &mut text),
                Format::Cloudevents => encoder.cloudevents(change, &mut text),
            }
        })?;
        if !text.is_empty() {
            match format {
                Format::Pretty => output::bytes(&text)?,
                Format::Ndjson | Format::Cloudevents => output::raw_bytes(&text)?,
            }
        }
        self.seen += printed;
        Ok(visited.is_at_head)
    }

    /// Tells once that everything so far was printed and new changes come as they are committed.
    fn say_ready(&mut self, context: &Context) {
        if !self.is_ready {
            self.is_ready = true;
            context.say(&format!("ready: cursor {}", self.tail.cursor()));
        }
    }

    fn interrupted(&self, context: &Context, signal: Signal) -> Ended {
        context.say(&format!("stopped: cursor {}", self.tail.cursor()));
        Ended::BySignal(signal)
    }
}

/// Whether the reader of our output went away. Without this look an idle `tail | head -1` would
/// stand until the next change.
fn is_output_closed() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}
