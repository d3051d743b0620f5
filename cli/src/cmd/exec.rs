//! `tail --exec`: runs a command for each change of a consumer. A change is acknowledged when its
//! command has succeeded, before the next one runs: a killed process repeats at most the change whose
//! command was running.

use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use ao_cdc::wire::Encoder;
use ao_cdc::{Consumer, Takeover, has_settled};
use ao_daemon::document;
use ao_program::CommandLine;
use ao_store::lease::Owner;
use ao_store::log::change::ChangeRef;
use ao_store::log::changed::changed_fields;
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::{ConsumerName, Cursor, Epoch, LogInfo, Store, Timestamp};

use crate::args::Tail as Args;
use crate::cmd::tail::{self, TICK};
use crate::cmd::unknown;
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output::Ended;
use crate::signal::Signals;

/// Changes that are read at once.
const BATCH: usize = 64;

/// A change as its command gets it.
struct Event {
    cursor: Cursor,
    at: Timestamp,
    kind: String,
    json: Vec<u8>,
    variables: Vec<(&'static str, String)>,
}

/// Runs the command for each change until the stream ends.
pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    tail::check_times(args)?;
    let name: ConsumerName = args.consumer.as_deref().unwrap_or_default().parse()?;
    let command = args.exec.as_deref().unwrap_or_default();
    process(context, args, &name, command).map_err(|error| error.of_consumer(&name))
}

fn process(context: &Context, args: &Args, name: &ConsumerName, command: &str) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let store = context.open()?;
    let consumer = open(context, args, &store, name)?;
    let log = store.read(LogInfo::read)?;
    let encoder = Encoder::new(&log.log_id, log.epoch);
    let dir = context.database().parent().map(|dir| dir.to_string_lossy().into_owned());
    let dir = dir.unwrap_or_default();
    let by = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut runner =
        Runner { context, args, name, command, consumer, encoder, dir, signals, by, done: 0 };
    let ended = runner.run()?;
    if matches!(ended, Ended::BySignal(_)) {
        context.say(&format!("stopped: `ao-store consumer get {name}` shows what is acknowledged"));
    }
    runner.consumer.flush()?;
    Ok(ended)
}

/// The consumer; a new one has the filter of the command line and starts at the head.
fn open(context: &Context, args: &Args, store: &Store, name: &ConsumerName) -> Result<Consumer> {
    let filter = tail::filter(&args.filter)?;
    if store.read(|snapshot| consumer::get(snapshot, name))?.is_none() {
        let start = store.read(LogInfo::read)?.head_cursor();
        let new = NewConsumer {
            name: name.clone(),
            start,
            filter: filter.to_json(),
            policy: Policy::Block,
        };
        store.write(cause(), move |tx| consumer::create(tx, &new))?;
        context.say(&format!(
            "consumer {name} created after {start}: pruning keeps what it has not acknowledged; \
             delete it with `ao-store consumer rm {name}`"
        ));
    }
    unknown::report(context, store, &filter)?;
    let filter = (!filter.is_empty()).then_some(filter);
    let takeover = if args.take_over { Takeover::Always } else { Takeover::IfGone };
    Ok(Consumer::open(store, name, filter.as_ref(), &Owner::this_process(), takeover)?)
}

struct Runner<'a> {
    context: &'a Context,
    args: &'a Args,
    name: &'a ConsumerName,
    command: &'a str,
    consumer: Consumer,
    encoder: Encoder,
    dir: String,
    signals: Signals,
    by: Option<Instant>,
    done: u64,
}

impl Runner<'_> {
    fn run(&mut self) -> Result<Ended> {
        let mut is_ready = false;
        loop {
            // Before the read, which then finds the changes of before that time.
            let is_past = self.args.until.is_some_and(|it| has_settled(it, Timestamp::now()));
            let mut events = Vec::new();
            let (encoder, dir) = (&mut self.encoder, &self.dir);
            let tail = self.consumer.tail_mut();
            let epoch = tail.cursor().epoch;
            let visited = tail.visit(BATCH, |change| {
                events.push(Event::of(change, epoch, encoder, dir)?);
                Ok(())
            })?;
            for event in events {
                if let Some(ended) = self.ended(Some(event.at))? {
                    return Ok(ended);
                }
                self.process(&event)?;
            }
            if let Some(ended) = self.ended(None)? {
                return Ok(ended);
            }
            // What did not pass needs no command.
            self.consumer.ack(self.consumer.cursor())?;
            if !visited.is_at_head {
                continue;
            }
            if self.args.no_follow || is_past {
                return Ok(Ended::Done);
            }
            if !is_ready {
                is_ready = true;
                self.context.say(&format!("ready: cursor {}", self.consumer.cursor()));
            }
            self.consumer.tail_mut().wait(TICK)?;
        }
    }

    /// Whether the stream ends, before a change of this time if there is one.
    fn ended(&self, next: Option<Timestamp>) -> Result<Option<Ended>> {
        if let Some(signal) = self.signals.received() {
            return Ok(Some(Ended::BySignal(signal)));
        }
        let is_past = next.zip(self.args.until).is_some_and(|(at, until)| at >= until);
        if is_past || self.args.count == Some(self.done) {
            return Ok(Some(Ended::Done));
        }
        match (self.by, self.args.count) {
            (Some(by), _) if Instant::now() < by => Ok(None),
            (Some(_), Some(wanted)) => Err(Error::TimedOut { seen: self.done, wanted }),
            (Some(_), None) => Ok(Some(Ended::Done)),
            (None, _) => Ok(None),
        }
    }

    /// Runs the command for a change and acknowledges it.
    fn process(&mut self, event: &Event) -> Result<()> {
        let Event { cursor, json, variables, .. } = event;
        let line = CommandLine { text: self.command, variables, input: json };
        let mut kept = Ok(());
        let consumer = &mut self.consumer;
        // A lease that was lost is reported once the command has ended: it is not killed halfway.
        let status = line.run(TICK, || {
            if kept.is_ok() {
                kept = consumer.keep();
            }
        });
        let status = status.map_err(Error::Command)?;
        if !status.success() {
            // Ctrl-C reaches the command too: then it did not fail.
            if self.signals.received().is_some() {
                return Ok(());
            }
            return Err(Error::CommandFailed {
                name: self.name.clone(),
                cursor: *cursor,
                kind: event.kind.clone(),
                status: status.code(),
                signal: status.signal(),
            });
        }
        kept?;
        self.consumer.ack(*cursor)?;
        self.consumer.flush()?;
        self.done += 1;
        Ok(())
    }
}

impl Event {
    fn of(
        change: &ChangeRef<'_>,
        epoch: Epoch,
        encoder: &mut Encoder,
        dir: &str,
    ) -> ao_store::Result<Event> {
        let mut json = Vec::new();
        encoder.ndjson(change, &mut json)?;
        let cursor = Cursor { epoch, seq: change.seq() };
        let (kind, entity, at) = (change.kind()?.into_owned(), change.entity()?, change.at()?);
        let key: Vec<String> = serde_json::from_str(&change.key()?).unwrap_or_default();
        let is_of_pr = entity == "pr" || entity.starts_with("pr_");
        let pr = key.into_iter().next().filter(|_| is_of_pr).unwrap_or_default();
        let changed = match (change.before()?, change.after()?) {
            (Some(before), Some(after)) => changed_fields(&before, &after)
                .map(|field| field.name)
                .collect::<Vec<_>>()
                .join(","),
            _ => String::new(),
        };
        let text = |text: Option<std::borrow::Cow<'_, str>>| text.unwrap_or_default().into_owned();
        let variables = vec![
            ("AO_TYPE", kind.clone()),
            ("AO_SEQ", change.seq().0.to_string()),
            ("AO_CURSOR", cursor.to_string()),
            ("AO_AT", document::time(at)),
            ("AO_ENTITY", entity.into_owned()),
            ("AO_OP", change.op()?.into_owned()),
            ("AO_PROJECT", text(change.project()?)),
            ("AO_SESSION", text(change.session()?)),
            ("AO_PR", pr),
            ("AO_CHANGED", changed),
            ("AO_DATA_DIR", dir.to_owned()),
        ];
        Ok(Event { cursor, at, kind, json, variables })
    }
}
