//! `ao-store`: the command line. It parses arguments, calls the libraries, and is the only crate that
//! prints.

mod args;
mod cmd;
mod confirm;
mod context;
mod doctor;
mod error;
mod exit;
mod git;
mod hint;
mod invocation;
mod metrics;
mod output;
mod pretty;
mod printer;
mod shared_branch;
mod signal;
mod view;

use std::process::ExitCode;

use crate::args::Args;
use crate::context::Context;
use crate::invocation::Invocation;

fn main() -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error, wants_json),
    };
    args.color.apply();
    tracing_subscriber::fmt()
        .with_writer(|| output::LogOut)
        .with_max_level(args.log_level())
        .without_time()
        .with_target(false)
        // Without -v there are only warnings, for people: they need no level.
        .with_level(args.verbose > 0)
        .init();
    let (invocation, is_json) = (Invocation::of(&args), args.json);
    let result = Context::new(&args).and_then(|context| cmd::run(&context, args.command));
    exit::exit(result, &invocation, is_json)
}
