//! The orchestrator of a project: ensured by any number of callers, listed.

use ao_store::row::session::{Filter, SessionKind};

use crate::args::Orchestrator as Command;
use crate::cmd::session::{self, lifecycle};
use crate::cmd::spawn;
use crate::context::Context;
use crate::error::Result;

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Ensure { replace, common } => {
            let request = spawn::request(context, *common)?;
            let ensured = context.sessions()?.ensure_orchestrator(&request, replace)?;
            let what = if ensured.is_new { "spawned" } else { "is active" };
            lifecycle::print(
                context,
                "orchestrator.ensure",
                &ensured.session,
                what,
                &ensured.warnings,
            )
        }
        Command::Ls { project, all, list } => {
            let project = project.map(|id| id.parse()).transpose()?;
            let filter = Filter { project, terminated: all };
            session::list_of_kind(context, &filter, SessionKind::Orchestrator, &list)
        }
    }
}
