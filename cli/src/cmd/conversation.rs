//! Conversations: list, show, reset, and their events.

use std::time::{Duration, Instant};

use ao_daemon::document::turn as document;
use ao_store::turn::conversation::{self, Caller, Conversation};
use ao_store::turn::event::{self, Event};
use ao_store::turn::{org, reset};
use ao_store::{AgentId, OrgId, Store};

use crate::args::{Conversation as Command, ListArgs};
use crate::cmd::follow::Follower;
use crate::cmd::tail::TICK;
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::output::{self, Ended, printable};
use crate::printer::is_output_closed;
use crate::signal::Signals;
use crate::table::{Cell, Column, cut};
use crate::{state_color, time, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<Ended> {
    match command {
        Command::Ls { agent, org, list: args } => {
            let agent = agent.as_deref().map(str::parse).transpose()?;
            let org = org.org.as_deref().map(str::parse).transpose()?;
            list(context, (org.as_ref(), agent.as_ref()), &args)
        }
        Command::Get { id } => get(context, &id),
        Command::Reset { id } => reset(context, &id),
        Command::Tail { id, from, follow, heartbeat } => {
            return tail(context, &id, from, (follow, heartbeat));
        }
    }?;
    Ok(Ended::Done)
}

fn list(
    context: &Context,
    (org, agent): (Option<&OrgId>, Option<&AgentId>),
    args: &ListArgs,
) -> Result<()> {
    let found = context.open()?.read(|snapshot| {
        if let Some(org) = org {
            org::require(snapshot, org)?;
        }
        conversation::page(snapshot, &Caller::Operator, ("", usize::MAX), |it| {
            org.is_none_or(|org| *org == it.org) && agent.is_none_or(|agent| *agent == it.agent)
        })
    })?;
    let number = |number: i64| Cell::number(number.unsigned_abs(), number.to_string());
    type Of = Column<'static, Conversation>;
    Listing {
        kind: "conversation.list",
        columns: vec![
            Of::new("id", |it| Cell::text(it.id.as_str())),
            Of::new("agent", |it| Cell::text(it.agent.as_str())),
            Of::new("org", |it| Cell::text(it.org.as_str())).rank(2),
            Of::text("thread", |it| it.thread.clone()),
            Of::text("user", |it| format!("{}/{}", it.platform, it.user)).rank(1),
            Of::count("turns", move |it| number(it.last_num)).rank(1),
            Of::count("head", move |it| number(it.head_seq)).rank(2),
            Of::new("created", |it| Cell::age(it.created_at)),
        ],
        id: &|it: &Conversation| it.id.clone(),
        document: &document::conversation,
        empty: "no conversations; the first turn makes one: `ao-store turn send TEXT`",
    }
    .print(context, args, found)
}

fn get(context: &Context, id: &str) -> Result<()> {
    let found = context.open()?.read(|snapshot| conversation::require(snapshot, id))?;
    show(context, "conversation.get", &found)
}

fn show(context: &Context, kind: &str, found: &Conversation) -> Result<()> {
    let data = document::conversation(found);
    match context.is_json {
        true => output::document(kind, &data),
        false => output::text(&view::fields(&data)),
    }
}

fn reset(context: &Context, id: &str) -> Result<()> {
    let id = id.to_owned();
    let done = context.open()?.write(cause(), move |tx| {
        reset::reset(tx, &Caller::Operator, &id)?;
        conversation::require(tx, &id)
    })?;
    context.say("its agent begins without a memory of it");
    show(context, "conversation.reset", &done.value)
}

/// Prints the events of a conversation after a position, and then new ones, if wanted.
fn tail(
    context: &Context,
    id: &str,
    from: i64,
    (is_followed, heartbeat): (bool, Option<Duration>),
) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let store = context.open()?;
    let out = Lines::open(context, &store, id, from)?;
    let mut follower = Follower::new(&store, id, from)?;
    if heartbeat.is_some() {
        out.control("hello", &follower)?;
    }
    let mut printed_at = Instant::now();
    loop {
        let events = follower.next()?;
        if signals.received().is_some() || events.is_empty() && !is_followed {
            break;
        }
        if !events.is_empty() {
            out.events(&events)?;
            printed_at = Instant::now();
            continue;
        }
        if heartbeat.is_some_and(|every| printed_at.elapsed() >= every) {
            out.control("bookmark", &follower)?;
            printed_at = Instant::now();
        }
        if is_output_closed() {
            return Err(Error::BrokenPipe);
        }
        follower.wait(TICK)?;
    }
    if heartbeat.is_some() {
        out.control("bye", &follower)?;
    }
    Ok(signals.received().map_or(Ended::Done, Ended::BySignal))
}

/// How events are printed.
struct Lines<'a> {
    conversation: &'a str,
    is_for_people: bool,
}

impl<'a> Lines<'a> {
    /// Refuses a conversation that does not exist, and a position that it does not have.
    fn open(context: &Context, store: &Store, id: &'a str, from: i64) -> Result<Lines<'a>> {
        store.read(|snapshot| {
            conversation::require(snapshot, id)?;
            event::after(snapshot, id, from, 1).map(|_| ())
        })?;
        let is_for_people = output::is_terminal() && !context.is_json;
        Ok(Lines { conversation: id, is_for_people })
    }

    fn events(&self, events: &[Event]) -> Result<()> {
        if self.is_for_people {
            return output::styled(events.iter().map(line).collect::<String>().as_bytes());
        }
        let line = |event| document::event_line(self.conversation, event).to_string() + "\n";
        output::json_lines(events.iter().map(line).collect::<String>().as_bytes())
    }

    fn control(&self, control: &str, follower: &Follower<'_>) -> Result<()> {
        let (position, head) = (follower.position, follower.head()?);
        let line = document::control_line(control, self.conversation, position, head);
        match self.is_for_people {
            true => Ok(()),
            false => output::json_lines(format!("{line}\n").as_bytes()),
        }
    }
}

/// An event for people, in one line of the terminal.
fn line(event: &Event) -> String {
    let when = time::local(event.at).strftime("%H:%M:%S").to_string();
    let kind = event.kind.as_str();
    let style = state_color::style(if event.kind.is_last() && !event.reason.as_str().is_empty() {
        "failed"
    } else {
        kind
    });
    let start = format!("{:>5}  {when}  {:<17}  ", event.seq, event.turn);
    let text = printable(&event.text.replace('\n', " ⏎ "));
    let room = output::width().unwrap_or(usize::MAX).saturating_sub(start.len() + kind.len() + 3);
    format!("{start}{style}{kind}{style:#}  {}\n", cut(&text, room.max(10)))
}
