//! A short way for the commands that run most often: only their own part of the command line is built.
//! Building all of it takes longer than a hook needs to write.
//!
//! Whatever is not plainly one of them, also a request for help or an error, is left to the complete command
//! line. So both ways always mean the same.

use std::ffi::OsString;

use clap::{Args as _, Command as Line, FromArgMatches, Subcommand};

use super::{Args, Delivery, Global, Hook, Send, Session, Tail, Turn};

/// The part of a frequent command.
fn part(name: &str) -> Option<Line> {
    match name {
        "delivery" => Some(Delivery::augment_subcommands(Line::new("delivery"))),
        "hook" => Some(Hook::augment_args(Line::new("hook"))),
        "send" => Some(Send::augment_args(Line::new("send"))),
        "session" => Some(Session::augment_subcommands(Line::new("session"))),
        "turn" => Some(Turn::augment_subcommands(Line::new("turn"))),
        "tail" => Some(Tail::augment_args(Line::new("tail"))),
        _ => None,
    }
}

/// The arguments, if the first word is a frequent command and nothing is wrong with the others.
pub(super) fn parse(words: impl Iterator<Item = OsString>) -> Option<Args> {
    let words: Vec<_> = words.collect();
    let part = part(words.get(1)?.to_str()?)?;
    let line = Global::augment_args(Line::new("ao-store")).subcommand(part);
    Args::from_arg_matches(&line.try_get_matches_from(words).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> (Option<String>, Option<String>) {
        let words = || line.split(' ').map(OsString::from);
        let complete = super::super::command().try_get_matches_from(words()).ok();
        let complete = complete.map(|it| Args::from_arg_matches(&it).unwrap());
        let text = |args: Args| format!("{args:?}");
        (parse(words()).map(text), complete.map(text))
    }

    #[test]
    fn the_short_way_means_what_the_complete_command_line_means() {
        for line in [
            "ao-store hook claude-code Stop",
            "ao-store hook codex Stop --json {}",
            "ao-store hook --data-dir d claude-code Stop",
            "ao-store session get demo-1 --json",
            "ao-store session ls -o json",
            "ao-store session wait demo-1 --for idle -vv",
            "ao-store delivery run demo-1",
            "ao-store send demo-1 text --wait written",
            "ao-store turn send hello --key k --no-wait",
            "ao-store turn ls --state queued,running",
            "ao-store tail -c 1 --no-follow --durability relaxed",
        ] {
            let (short, complete) = of(line);
            assert!(short.is_some(), "{line}");
            assert_eq!(short, complete, "{line}");
        }
    }

    #[test]
    fn help_and_errors_are_left_to_the_complete_command_line() {
        for line in [
            "ao-store hook",
            "ao-store hook --help",
            "ao-store session",
            "ao-store session help get",
            "ao-store session get",
            "ao-store session get --nothing",
            "ao-store tail -q -v",
            "ao-store --json hook claude-code Stop",
            "ao-store --version",
        ] {
            assert!(of(line).0.is_none(), "{line}");
        }
    }
}
