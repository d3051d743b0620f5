//! The command line, tested through the binary; and the rules of the project.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails its test")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod admin;
mod attention;
mod changed;
mod claim;
mod commands;
mod completion;
mod config;
mod consumer;
mod copies;
mod daemon;
mod deliver;
mod digest;
mod documented;
mod encoding;
mod errors;
mod examples;
mod exec;
mod exit_status;
mod fleet;
mod history;
mod ids;
mod lists;
mod metrics;
mod observe;
mod observer;
mod pages;
mod poll;
mod power;
mod pretty;
mod pty;
mod repair;
mod retention;
mod rotation;
mod scripts;
mod sessions;
mod stranded;
mod support;
mod sweep;
mod tail;
mod tail_times;
mod terminal;
mod tidy;
mod tour;
mod usage;
