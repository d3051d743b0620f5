//! Leases: those of consumers, which the processes have that read for them.

use ao_daemon::document::turn as document;
use ao_store::Timestamp;
use ao_store::log::consumer::{self, Consumer};

use crate::args::{Lease as Command, ListArgs};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Ls { list: args } => list(context, args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<()> {
    let now = Timestamp::now();
    let mut found = context.open()?.read(consumer::list)?;
    found.retain(|consumer| consumer.live_lease(now).is_some());
    let owner = |it: &Consumer| it.lease.as_ref().map_or(String::new(), |it| it.owner.clone());
    type Of = Column<'static, Consumer>;
    Listing {
        kind: "lease.list",
        columns: vec![
            Of::new("name", |it| Cell::text(it.name.as_str())),
            Of::count("lease", |it| {
                Cell::number(it.generation.0.unsigned_abs(), it.generation.0.to_string())
            }),
            Of::text("owner", owner),
            Of::new("until", |it| match &it.lease {
                Some(lease) => Cell::text(ao_daemon::document::time(lease.until)),
                None => Cell::absent(),
            })
            .rank(1),
        ],
        id: &|it: &Consumer| it.name.to_string(),
        document: &|it| document::lease(it, now).unwrap_or_default(),
        empty: "no leases",
    }
    .print(context, args, found)
}
