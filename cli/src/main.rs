//! `ao-store`: the command line. It parses arguments, calls the libraries, and is the only crate that
//! prints.

mod apart;
mod args;
mod cmd;
mod completion;
mod config;
mod confirm;
mod context;
mod doctor;
mod error;
mod exit;
mod hint;
mod invocation;
mod listing;
mod nearest;
mod output;
mod page;
mod pretty;
mod printer;
mod progress;
mod shared_branch;
mod signal;
mod state_color;
mod table;
mod time;
mod usage;
mod view;

use std::process::ExitCode;

use crate::args::{Args, Color, Command};
use crate::config::Settings;
use crate::context::Context;
use crate::invocation::Invocation;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        // An agent takes some exit statuses of a hook for a refusal of what it does.
        Err(_) if std::env::args_os().nth(1).is_some_and(|word| word == "hook") => {
            return ExitCode::SUCCESS;
        }
        Err(error) => return exit::refused(error, args::wants_json()),
    };
    if let Command::Hook(hook) = &args.command {
        cmd::hook(&args, &hook.harness, &hook.event);
        return ExitCode::SUCCESS;
    }
    if let Command::Complete { words } = &args.command {
        let words = words.clone();
        return completion::run(args, &words);
    }
    let settings = Settings::read(&args);
    // With a file that cannot be used, its error is printed as the flag demands.
    let color = settings.as_ref().ok().map(|settings| settings.color.value).or(args.global.color);
    color.unwrap_or(Color::Auto).apply();
    output::set_quiet(args.global.quiet);
    tracing_subscriber::fmt()
        .with_writer(|| output::LogOut)
        .with_max_level(args.log_level())
        .without_time()
        .with_target(false)
        // Without -v there are only warnings, for people: they need no level.
        .with_level(args.global.verbose > 0)
        .init();
    let (invocation, is_json) = (Invocation::of(&args), args.global.json);
    let result = settings
        .and_then(|settings| Context::new(&args, settings))
        .and_then(|context| cmd::run(&context, args.command));
    exit::exit(result, &invocation, is_json)
}
