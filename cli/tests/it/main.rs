//! The command line, tested through the binary; and the rules of the project.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails its test")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod admin;
mod claim;
mod commands;
mod consumer;
mod copies;
mod deliver;
mod documented;
mod encoding;
mod errors;
mod ids;
mod observe;
mod observer;
mod poll;
mod power;
mod repair;
mod support;
mod sweep;
mod tail;
mod terminal;
mod tidy;
mod tour;
