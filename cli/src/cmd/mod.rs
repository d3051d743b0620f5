//! One file a noun; each command calls the libraries and renders what they return.

mod manual;
mod observe;
mod pr;
mod project;
mod session;
mod store;
mod tail;
mod up;

use crate::args::Command;
use crate::context::Context;
use crate::error::Result;
use crate::output::Ended;

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Ended> {
    match command {
        Command::Up { path } => return up::run(context, &path),
        Command::Tail(tail) => return tail::run(context, &tail),
        Command::Init => store::init(context),
        Command::Migrate { check } => store::migrate(context, check),
        Command::Status => store::status(context),
        Command::Project(command) => project::run(context, command),
        Command::Session(command) => session::run(context, command),
        Command::Pr(command) => pr::run(context, command),
        Command::Observe(command) => observe::run(context, command),
        Command::Schema => manual::schema(),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { out } => manual::man(&out),
    }?;
    Ok(Ended::Done)
}
