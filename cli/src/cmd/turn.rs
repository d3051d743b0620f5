//! Turns: send, list, show, cancel.

mod answer;
mod send;

use ao_daemon::document::turn as document;
use ao_store::turn::cancel::{self, Cancelled};
use ao_store::turn::conversation::{self, Caller};
use ao_store::turn::finish::{self, Refused};
use ao_store::turn::{self, State, Turn, event, org};
use ao_store::{AgentId, OrgId, Timestamp};

use crate::args::{Turn as Command, TurnFilter};
use crate::context::{Context, cause};
use crate::error::Result;
use crate::listing::Listing;
use crate::output::{self, Ended, printable_lines};
use crate::page::{self, Page};
use crate::table::{Cell, Column};
use crate::view;

/// How many turns are listed unless another number is asked for.
const NEWEST: u64 = 50;

pub(crate) fn run(context: &Context, command: Command) -> Result<Ended> {
    match command {
        Command::Send(args) => return send::run(context, &args),
        Command::Ls(filter) => list(context, &filter),
        Command::Get { id } => get(context, &id),
        Command::Cancel { id } => cancel(context, &id),
    }?;
    Ok(Ended::Done)
}

fn list(context: &Context, filter: &TurnFilter) -> Result<()> {
    let org: Option<OrgId> = filter.org.org.as_deref().map(str::parse).transpose()?;
    let agent: Option<AgentId> = filter.agent.as_deref().map(str::parse).transpose()?;
    let states: Vec<_> = filter.states.iter().map(|state| State::parse(state)).collect();
    let limit = usize::try_from(filter.list.limit.unwrap_or(NEWEST)).unwrap_or(usize::MAX);
    let mut turns = context.open()?.read(|snapshot| {
        if let Some(org) = &org {
            org::require(snapshot, org)?;
        }
        if let Some(id) = &filter.conversation {
            conversation::require(snapshot, id)?;
        }
        turn::list(snapshot, None, limit.saturating_add(1), |turn| {
            org.as_ref().is_none_or(|org| *org == turn.org)
                && agent.as_ref().is_none_or(|agent| *agent == turn.agent)
                && filter.conversation.as_ref().is_none_or(|id| *id == turn.conversation)
                && (states.is_empty() || states.contains(&turn.state))
        })
    })?;
    let has_more = turns.len() > limit;
    turns.truncate(limit);
    Listing {
        kind: "turn.list",
        columns: columns(),
        id: &|turn: &Turn| turn.id.clone(),
        document: &document::listed,
        empty: "no turns; send a message: `ao-store turn send TEXT`",
    }
    .print(context, &filter.list, turns)?;
    if has_more && filter.list.output.is_none() {
        context.say(&format!("the newest {limit}; for more: --limit"));
    }
    Ok(())
}

fn columns() -> Vec<Column<'static, Turn>> {
    type Of = Column<'static, Turn>;
    let size = |bytes: i64| Cell::number(bytes.unsigned_abs(), bytes.to_string());
    vec![
        Of::new("id", |turn| Cell::text(turn.id.as_str())),
        Of::state("state", |turn| turn.state.as_str().to_owned()),
        Of::new("accepted", |turn| Cell::age(turn.accepted_at)),
        Of::new("agent", |turn| Cell::text(turn.agent.as_str())),
        Of::new("org", |turn| Cell::text(turn.org.as_str())).rank(3),
        Of::new("conversation", |turn| Cell::text(turn.conversation.as_str())).rank(1),
        Of::text("reason", |turn| turn.reason.as_str().to_owned()).rank(1),
        Of::count("bytes", move |turn| size(turn.input_bytes)).rank(2),
        Of::count("reply", move |turn| turn.reply_bytes.map_or(Cell::absent(), size)).rank(2),
        Of::text("key", |turn| turn.key.clone()).on_request(),
        Of::new("started", |turn| turn.started_at.map_or(Cell::absent(), Cell::age)).on_request(),
        Of::new("ended", |turn| turn.ended_at.map_or(Cell::absent(), Cell::age)).on_request(),
    ]
}

fn get(context: &Context, id: &str) -> Result<()> {
    let (turn, data, refused, last, input) = context.open()?.read(|snapshot| {
        let turn = turn::require(snapshot, id)?;
        let data = document::whole(snapshot, &turn)?;
        let last = event::last_of(snapshot, id)?;
        let refused = finish::refused(snapshot, id)?;
        Ok((turn, data, refused, last, turn::input_of(snapshot, id)?))
    })?;
    if context.is_json {
        return output::document("turn.get", &data);
    }
    if context.is_verbose {
        output::text(&view::fields(&document::listed(&turn)))?;
    } else {
        let mut page = Page::new();
        page::turn::write(&mut page, &turn, Timestamp::now());
        page.print()?;
    }
    output::text(&format!("\nMessage\n{}\n", printable_lines(&input)))?;
    if let Some(last) = last {
        let name = if turn.state == State::Completed { "Answer" } else { "Error" };
        output::text(&format!("\n{name}\n{}\n", printable_lines(&last.text)))?;
    }
    refused.iter().try_for_each(print_refused)
}

fn print_refused(refused: &Refused) -> Result<()> {
    let text = printable_lines(&refused.text);
    output::text(&format!("\nRefused completion {}\n{text}\n", refused.digest))
}

fn cancel(context: &Context, id: &str) -> Result<()> {
    let name = id.to_owned();
    let done = context.open()?.write(cause(), move |tx| {
        let done = cancel::cancel(tx, &Caller::Operator, &name)?;
        Ok((done, turn::require(tx, &name)?))
    })?;
    let (cancelled, turn) = done.value;
    if context.is_json {
        return output::document("turn.cancel", &document::listed(&turn));
    }
    context.say(&in_words(&turn.id, cancelled));
    output::line(&turn.id)
}

/// What became of a request to cancel a turn.
fn in_words(id: &str, cancelled: Cancelled) -> String {
    match cancelled {
        Cancelled::Now => format!("turn {id}: cancelled"),
        Cancelled::Requested => {
            format!("turn {id}: its worker has {} s to end it", cancel::GRACE.as_secs())
        }
        Cancelled::Ended(state) => format!("turn {id}: it has ended, {state}"),
    }
}
