//! The accounts that have reached a limit.

use ao_daemon::document;
use ao_store::row::account::{self, Limit};
use ao_store::{Cause, Timestamp};
use serde_json::{Value, json};

use crate::args::ListArgs;
use crate::context::{ACTOR, Context};
use crate::error::Result;
use crate::listing::Listing;
use crate::output::printable;
use crate::table::{Cell, Column};

/// Lists those that hold, after clearing one.
pub(super) fn run(context: &Context, clear: Option<&str>, list: &ListArgs) -> Result<()> {
    let store = context.open()?;
    if let Some(account) = clear {
        let name = account.to_owned();
        let cleared =
            store.write(Cause::now(ACTOR), move |tx| account::clear_account(tx, &name))?;
        let message = match cleared.value {
            true => format!("the limit of {account} is cleared"),
            false => format!("account \"{account}\" has no limit: nothing is cleared"),
        };
        context.say(&printable(&message));
    }
    let now = Timestamp::now();
    let mut limits = store.read(account::limits)?;
    limits.retain(|limit| limit.holds(now));
    Listing {
        kind: "limit.list",
        columns: columns(),
        id: &|limit: &Limit| limit.account.clone(),
        document: &document,
        empty: "no account has reached a limit",
    }
    .print(context, list, limits)
}

fn columns() -> Vec<Column<'static, Limit>> {
    vec![
        Column::new("account", |limit: &Limit| Cell::text(&limit.account)),
        Column::new("since", |limit: &Limit| Cell::age(limit.reported_at)),
        Column::text("until", |limit: &Limit| limit.until.map(document::time).unwrap_or_default()),
        Column::new("session", |limit: &Limit| Cell::text(limit.session.as_str())).rank(1),
        Column::new("message", |limit: &Limit| Cell::text(&limit.message)).rank(2),
    ]
}

fn document(limit: &Limit) -> Value {
    json!({
        "account": limit.account,
        "session_id": limit.session.as_str(),
        "message": limit.message,
        "reported_at": document::time(limit.reported_at),
        "ends_at": limit.until.map(document::time),
    })
}
