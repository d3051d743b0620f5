//! One file a noun; each command calls the libraries and renders what they return.

mod admin;
mod agent;
mod attention;
mod backup;
mod config;
mod consumer;
mod conversation;
mod daemon;
mod decision;
mod deliver;
mod delivery;
mod digest;
mod doctor;
mod exec;
mod follow;
mod harness;
mod history;
mod hook;
mod lease;
mod manual;
mod observe;
mod orchestrator;
mod org;
mod poll;
mod pr;
mod project;
mod reaper;
mod reconcile;
mod repair;
mod retention;
mod send;
mod service;
mod session;
mod spawn;
mod status;
mod store;
mod supervise;
mod tail;
mod token;
mod turn;
mod unknown;
mod up;
mod worker;

use crate::apart;
use crate::args::Command;
use crate::completion;
use crate::context::Context;
use crate::error::Result;
use crate::output::{self, Ended};

pub(crate) use hook::run as hook;

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Ended> {
    if let Some(status) = apart::run(&command)? {
        return Ok(Ended::Elsewhere(status));
    }
    match command {
        Command::Up(args) => return up::run(context, &args),
        Command::Daemon(args) => return daemon::run(context, &args),
        Command::Start(args) => daemon::start(context, &args),
        Command::Stop(args) => daemon::stop(context, &args),
        Command::Token(command) => token::run(context, command),
        Command::Tail(args) if args.exec.is_some() => return exec::run(context, &args),
        Command::Tail(tail) => return tail::run(context, &tail),
        Command::Send(args) => return send::run(context, &args),
        Command::Turn(command) => return turn::run(context, command),
        Command::Conversation(command) => return conversation::run(context, command),
        Command::Verify(args) => return admin::verify(context, &args),
        Command::Attention(args) => return attention::run(context, &args),
        Command::Worker(command) => return worker::run(context, command),
        Command::Doctor => return doctor::run(context),
        Command::Service(command) => service::run(context, command),
        Command::Config(command) => config::run(context, &command),
        Command::History(args) => history::run(context, &args),
        Command::Digest(args) => digest::run(context, &args),
        Command::Consumer(command) => consumer::run(context, command),
        Command::Prune(args) => retention::prune(context, &args),
        Command::Retention(command) => retention::run(context, command),
        Command::Backup { out, keep } => backup::run(context, &out, keep),
        Command::RestoreDb { input, consent } => admin::restore(context, &input, consent),
        Command::Repair { drop_history, consent } => repair::run(context, drop_history, consent),
        Command::Export { out } => admin::export(context, &out),
        Command::Import(args) => admin::import(context, &args),
        Command::Metrics { out } => status::metrics(context, out.as_deref()),
        Command::Init => store::init(context),
        Command::Migrate { check } => store::migrate(context, check),
        Command::Status => status::run(context),
        Command::Project(command) => project::run(context, command),
        Command::Session(command) => session::run(context, command),
        Command::Decision(command) => decision::run(context, &command),
        Command::Spawn(args) => spawn::run(context, *args),
        Command::Org(command) => org::run(context, &command),
        Command::Agent(command) => agent::run(context, command),
        Command::Lease(command) => lease::run(context, &command),
        Command::Delivery(command) => delivery::run(context, command),
        Command::Orchestrator(command) => orchestrator::run(context, command),
        Command::Reconcile(args) => reconcile::run(context, &args),
        Command::Harness(command) => harness::run(context, &command),
        Command::Probe => reaper::run(context),
        Command::Supervise { launch } => supervise::run(context, &launch),
        Command::Pr(command) => pr::run(context, command),
        Command::Observe(args) => return observe::run(context, args),
        Command::Schema { name } => manual::schema(&name),
        Command::Completion { shell } => output::raw_bytes(completion::script(shell).as_bytes()),
        // Before there is a context: see `main`.
        Command::Complete { .. } | Command::Hook(_) => Ok(()),
        Command::Man { out } => manual::man(&out),
    }?;
    Ok(Ended::Done)
}
