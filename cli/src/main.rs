//! `ao-store`: the command line. It parses, calls the libraries, and is the only crate that prints.

mod adapter;
mod args;
mod cmd;
mod confirm;
mod context;
mod doctor;
mod error;
mod hint;
mod lines;
mod metrics;
mod output;
mod pretty;
mod signal;
mod view;

use std::process::ExitCode;

use crate::args::Args;
use crate::context::Context;

fn main() -> ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return output::usage(&error, wants_json),
    };
    args.color.apply();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(args.log_level())
        .without_time()
        .with_target(false)
        // By default there are warnings only, and they are for people.
        .with_level(args.verbose > 0)
        .init();
    let is_json = args.json;
    let result = Context::new(&args).and_then(|context| cmd::run(&context, args.command));
    output::exit(result, is_json)
}
