//! Deliveries: list, show, write again, and the process that writes them.

use ao_daemon::document::delivery as document;
use ao_store::row::delivery::{self, Delivery};
use ao_store::row::session;
use ao_store::{SessionId, Timestamp};

use crate::args::{Delivery as Command, ListArgs};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output::{self, printable, printable_lines};
use crate::page::{self, Page};
use crate::table::{Cell, Column};
use crate::view;

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Ls { session, list: args } => {
            let session = session.map(|id| id.parse()).transpose()?;
            list(context, session.as_ref(), &args)
        }
        Command::Get { id } => get(context, &id),
        Command::Resend { id } => resend(context, &id),
        Command::Run { session } => Ok(context.sessions()?.deliver(&session.parse()?)?),
    }
}

fn list(context: &Context, to: Option<&SessionId>, args: &ListArgs) -> Result<()> {
    let deliveries = context.open()?.read(|snapshot| match to {
        Some(id) => {
            session::require(snapshot, id)?;
            delivery::of_session(snapshot, id)
        }
        None => delivery::all(snapshot),
    })?;
    Listing {
        kind: "delivery.list",
        columns: columns(),
        id: &|it: &Delivery| it.id.clone(),
        document: &document::listed,
        empty: "no deliveries; send a message: `ao-store send SESSION TEXT`",
    }
    .print(context, args, deliveries)
}

fn columns() -> Vec<Column<'static, Delivery>> {
    type Of = Column<'static, Delivery>;
    vec![
        Of::new("id", |it| Cell::text(it.id.as_str())),
        Of::new("session", |it| Cell::text(it.session.as_str())),
        Of::state("stage", |it| it.stage.as_str().to_owned()),
        Of::new("accepted", |it| Cell::age(it.accepted_at)),
        Of::new("kind", |it| Cell::text(it.kind.as_str())).rank(3),
        Of::text("sender", |it| it.sender.clone()).rank(2),
        Of::count("bytes", |it| Cell::number(it.bytes.unsigned_abs(), it.bytes.to_string()))
            .rank(2),
        Of::text("reason", |it| it.reason.clone()).rank(1),
        Of::text("key", |it| it.key.clone()).on_request(),
    ]
}

fn get(context: &Context, id: &str) -> Result<()> {
    let (delivery, text) = context.open()?.read(|snapshot| {
        Ok((delivery::require(snapshot, id)?, delivery::text_of(snapshot, id)?))
    })?;
    let mut data = document::document(&delivery);
    if context.is_json {
        data["text"] = text.into();
        return output::document("delivery.get", &data);
    }
    if context.is_verbose {
        output::text(&view::fields(&document::listed(&delivery)))?;
    } else {
        let mut page = Page::new();
        page::delivery::write(&mut page, &delivery, &document::stages(&delivery), Timestamp::now());
        page.print()?;
    }
    if delivery.can_be_resent() {
        context.say(&format!("to write it again: `ao-store delivery resend {}`", printable(id)));
    }
    output::text(&format!("\n{}\n", printable_lines(&text)))
}

fn resend(context: &Context, id: &str) -> Result<()> {
    let delivery = context.sessions()?.resend(id)?;
    if context.is_json {
        return output::document("delivery.resend", &document::document(&delivery));
    }
    context.say(&format!("message to {}: {}", delivery.session, delivery.stage));
    output::line(&delivery.id)
}
