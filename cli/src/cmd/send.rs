//! Sends a message to an agent, and waits until a stage of its delivery is reached: woken by the stream, it
//! reads the delivery again after each commit.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use ao_daemon::document;
use ao_program::Environment;
use ao_session::{MESSAGE_MAX, Message, Sent};
use ao_store::row::delivery::{self, Delivery, Refusal, Stage};
use ao_store::row::session;
use ao_store::text_input::without_mark;
use ao_store::{SessionId, Store};

use crate::args::{Send as Args, StageName};
use crate::cmd::spawn;
use crate::cmd::tail::TICK;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended, printable};
use crate::signal::Signals;

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let session: SessionId = args.session.parse()?;
    let text = match (&args.file, args.text.as_deref()) {
        (Some(path), _) => read(path)?,
        (None, Some("-")) => read(Path::new("-"))?,
        (None, text) => text.unwrap_or_default().to_owned(),
    };
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let store = context.open()?;
    let sender = spawn::caller(&store, &Environment::of_process())?;
    let wanted = args.wait.map_or(Stage::Accepted, stage);
    let message = Message {
        session,
        text,
        key: args.key.clone(),
        sender: sender.map(|id| id.to_string()).unwrap_or_default(),
        wanted,
        force: args.force,
    };
    let Sent { delivery, is_new } = context.sessions()?.send(&message)?;
    let Some(delivery) = wait(&store, delivery, wanted, args.timeout, &signals)? else {
        return Ok(signals.received().map_or(Ended::Done, Ended::BySignal));
    };
    if context.is_json {
        let mut data = document::delivery::document(&delivery);
        data["is_new"] = is_new.into();
        output::document("send", &data)?;
        return Ok(Ended::Done);
    }
    let known = if is_new { "" } else { " (this message was sent before)" };
    context.say(&printable(&format!("message to {}: {}{known}", delivery.session, delivery.stage)));
    output::line(&delivery.id)?;
    Ok(Ended::Done)
}

fn stage(name: StageName) -> Stage {
    match name {
        StageName::Accepted => Stage::Accepted,
        StageName::Written => Stage::Written,
        StageName::Submitted => Stage::Submitted,
        StageName::Started => Stage::Started,
        StageName::Finished => Stage::Finished,
    }
}

/// The text of a message in a file, or on standard input with `-`.
pub(super) fn read(path: &Path) -> Result<String> {
    // One more byte than a message may have, and a byte order mark, so that a longer one is refused.
    let most = MESSAGE_MAX as u64 + 4;
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut text))
    };
    read.map_err(|source| Error::file("read", path, source))?;
    let invalid = |reason| Error::Session(ao_session::Error::InvalidMessage(reason));
    let text = without_mark(&text).map_err(invalid)?;
    if text.len() > MESSAGE_MAX {
        return Err(invalid("it is longer than 1 MiB"));
    }
    String::from_utf8(text.to_vec()).map_err(|_| invalid("it is not UTF-8"))
}

/// Waits until a stage is reached; `None` after a signal.
fn wait(
    store: &Store,
    accepted: Delivery,
    wanted: Stage,
    timeout: Option<Duration>,
    signals: &Signals,
) -> Result<Option<Delivery>> {
    if wanted == Stage::Accepted {
        return Ok(Some(accepted));
    }
    // A time that the clock cannot represent never comes.
    let by = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // Before the first read, so that no commit is missed.
    let mut listener = store.listen()?;
    loop {
        let (delivery, refusal) = store.read(|snapshot| {
            let session = session::require(snapshot, &accepted.session)?;
            let delivery = delivery::require(snapshot, &accepted.id)?;
            Ok((delivery, delivery::refusal(snapshot, &session)?))
        })?;
        if has_reached(&delivery, wanted) {
            return Ok(Some(delivery));
        }
        if delivery.has_ended() {
            return Err(Error::DeliveryEnded(Box::new(delivery)));
        }
        if delivery.stage == Stage::Accepted && refusal == Some(Refusal::AgentEnded) {
            return Err(Error::DeliveryWaits(Box::new(delivery)));
        }
        loop {
            let left = by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()));
            if signals.received().is_some() {
                return Ok(None);
            }
            if listener.wait(left.min(TICK))? {
                break;
            }
            if left.is_zero() {
                return Err(Error::DeliveryNotReached { delivery: Box::new(delivery), wanted });
            }
        }
    }
}

fn has_reached(delivery: &Delivery, wanted: Stage) -> bool {
    match wanted {
        Stage::Written => delivery.written_at.is_some(),
        Stage::Submitted => delivery.submitted_at.is_some(),
        Stage::Started => delivery.started_at.is_some(),
        // A turn that ended by a failure is not the one that was asked for.
        Stage::Finished => delivery.stage == Stage::Finished && delivery.reason.is_empty(),
        _ => true,
    }
}
