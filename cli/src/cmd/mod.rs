//! One file a noun; each command calls the libraries and renders what they return.

mod admin;
mod consumer;
mod deliver;
mod doctor;
mod manual;
mod observe;
mod poll;
mod pr;
mod project;
mod repair;
mod retention;
mod session;
mod status;
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
        Command::Up(args) => return up::run(context, &args),
        Command::Tail(tail) => return tail::run(context, &tail),
        Command::Verify(args) => return admin::verify(context, &args),
        Command::Doctor => return doctor::run(context),
        Command::Consumer(command) => consumer::run(context, command),
        Command::Prune(args) => retention::prune(context, &args),
        Command::Retention(command) => retention::run(context, command),
        Command::Backup { out } => admin::backup(context, &out),
        Command::RestoreDb { input, consent } => admin::restore(context, &input, consent),
        Command::Repair { drop_history, consent } => repair::run(context, drop_history, consent),
        Command::Export { out } => admin::export(context, &out),
        Command::Import(args) => admin::import(context, &args),
        Command::Metrics => status::print_metrics(context),
        Command::Init => store::init(context),
        Command::Migrate { check } => store::migrate(context, check),
        Command::Status => status::run(context),
        Command::Project(command) => project::run(context, command),
        Command::Session(command) => session::run(context, command),
        Command::Pr(command) => pr::run(context, command),
        Command::Observe(args) => return observe::run(context, args),
        Command::Schema => manual::schema(),
        Command::Completion { shell } => manual::completion(shell),
        Command::Man { out } => manual::man(&out),
    }?;
    Ok(Ended::Done)
}
