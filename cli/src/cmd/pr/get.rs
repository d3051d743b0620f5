//! Shows one pull request: as a page, with -v as a list of all fields, or as a document; now or as of a
//! cursor.

use ao_daemon::document::pull::Details;
use ao_store::{Cursor, PrName, Timestamp};

use crate::context::Context;
use crate::error::Result;
use crate::page::{self, Page};
use crate::{output, view};

pub(super) fn now(context: &Context, name: &PrName) -> Result<()> {
    let now = Timestamp::now();
    let details = context.open()?.read(|snapshot| Details::read(snapshot, name, now))?;
    print(context, &details, now)
}

/// The pull request of a reference as of a cursor, with its items.
pub(super) fn as_of(context: &Context, name: &PrName, cursor: Cursor) -> Result<()> {
    let details = context.open()?.read(|snapshot| Details::as_of(snapshot, name, cursor))?;
    print(context, &details, Timestamp::now())
}

fn print(context: &Context, details: &Details, now: Timestamp) -> Result<()> {
    if context.is_json {
        return output::document("pr.get", &details.document());
    }
    if context.is_verbose {
        return output::text(&view::fields(&details.document()));
    }
    let mut page = Page::new();
    page::pr::write(&mut page, details, context.invocation(), now);
    page.print()
}
