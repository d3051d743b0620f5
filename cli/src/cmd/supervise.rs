//! Runs the agent program of a launch, inside its pane.

use ao_store::Store;

use crate::context::Context;
use crate::error::Result;

pub(crate) fn run(context: &Context, launch: &str) -> Result<()> {
    let (database, options) = (context.database().to_owned(), context.options());
    let open = || Store::open(&database, options);
    ao_session::supervise(open, context.database_dir(), launch, &mut anstream::stdout())?;
    Ok(())
}
