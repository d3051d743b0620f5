//! A command line that cannot be parsed: which command was meant, what a value may be, and the hint.

use std::any::TypeId;
use std::ffi::OsString;
use std::time::Duration;

use bytesize::ByteSize;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::args;
use crate::nearest::nearest;

/// What people type for a command that has another name here.
const SYNONYMS: &[(&[&str], &[&str])] = &[
    (&["list", "ps"], &["ls", "session ls"]),
    (&["show", "view", "describe", "info", "inspect"], &["get", "status"]),
    (&["create", "new", "register"], &["new", "add", "create", "session new"]),
    (&["add"], &["new", "create", "project add"]),
    (&["delete", "remove", "del", "archive"], &["rm", "off"]),
    (&["update", "edit", "change"], &["set"]),
    (&["log", "logs", "watch", "follow", "events", "stream", "changes"], &["tail", "pull"]),
    (&["restore"], &["restore-db"]),
    (&["check", "fsck"], &["verify"]),
    (&["start", "run"], &["up"]),
    (&["sync", "poll"], &["observe"]),
    (&["commit", "acknowledge"], &["ack"]),
    (&["reset", "move"], &["seek"]),
];

/// Improves what the error suggests, and returns the hint.
pub(crate) fn explain(error: &mut clap::Error, root: &Command) -> String {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let (command, path) = named(root, &words);
    match error.kind() {
        ErrorKind::UnknownArgument => suggest_flag(error, command),
        ErrorKind::InvalidSubcommand => suggest_command(error, command),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            if let Some(accepted) = refused(error, command).and_then(accepted) {
                return accepted.to_owned();
            }
        }
        _ => {}
    }
    help_of(&path)
}

/// The hint for a command line of this process that can be parsed, but not be carried out.
pub(crate) fn help() -> String {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    help_of(&named(&args::command(), &words).1)
}

fn help_of(path: &str) -> String {
    format!("run `{path} --help`")
}

/// The command that the words name, and how to call it.
fn named<'c>(root: &'c Command, words: &[OsString]) -> (&'c Command, String) {
    let (mut command, mut path) = (root, "ao-store".to_owned());
    for word in words.iter().take_while(|word| *word != "--") {
        if let Some(next) = command.find_subcommand(word) {
            command = next;
            path = format!("{path} {}", next.get_name());
        }
    }
    (command, path)
}

/// The nearest flag of this command; clap also suggests those of other commands.
fn suggest_flag(error: &mut clap::Error, command: &Command) {
    error.remove(ContextKind::SuggestedArg);
    let usage = ContextValue::StyledStr(command.clone().render_usage());
    error.insert(ContextKind::Usage, usage);
    let Some(typed) = text(error, ContextKind::InvalidArg) else { return };
    let Some(typed) = typed.strip_prefix("--") else { return };
    let flags: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
    if let Some(flag) = nearest_flag(typed, &flags) {
        let flag = ContextValue::String(format!("--{flag}"));
        error.insert(ContextKind::SuggestedArg, flag);
        // That it is a value is no longer the best guess.
        error.remove(ContextKind::Suggested);
    }
}

/// A flag with at most two wrong letters, or one that begins as this does.
fn nearest_flag<'a>(typed: &str, flags: &[&'a str]) -> Option<&'a str> {
    let bound = (typed.len() / 2).min(2);
    let distances = flags.iter().map(|flag| (strsim::osa_distance(typed, flag), *flag));
    let best = distances.min_by_key(|(distance, _)| *distance);
    let near = best.filter(|(distance, _)| *distance <= bound).map(|(_, flag)| flag);
    let begins = |flag: &&&str| typed.len() >= 3 && flag.starts_with(typed);
    near.or_else(|| flags.iter().find(begins).copied())
}

fn suggest_command(error: &mut clap::Error, command: &Command) {
    let Some(typed) = text(error, ContextKind::InvalidSubcommand) else { return };
    let is_known = |meant: &&&str| {
        let first = meant.split(' ').next().unwrap_or_default();
        command.find_subcommand(first).is_some()
            && (first == **meant || command.get_name() == "ao-store")
    };
    let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let synonyms = SYNONYMS.iter().filter(|(typical, _)| typical.contains(&typed.as_str()));
    let meant = synonyms.flat_map(|(_, names)| *names).find(is_known).copied();
    if let Some(meant) = meant.or_else(|| nearest(&typed, &names)) {
        let meant = ContextValue::Strings(vec![meant.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
}

/// The argument whose value was refused.
fn refused<'c>(error: &clap::Error, command: &'c Command) -> Option<&'c Arg> {
    let shown = text(error, ContextKind::InvalidArg)?;
    command.get_arguments().find(|arg| arg.to_string() == shown)
}

/// What the value of an argument may be, with an example.
fn accepted(arg: &Arg) -> Option<&'static str> {
    let parsed = arg.get_value_parser().type_id();
    let is_number = [TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<i64>()];
    Some(match () {
        () if parsed == TypeId::of::<Duration>() => "pass a duration, such as 30s, 10m, 2h or 7d",
        () if parsed == TypeId::of::<ByteSize>() => "pass a size, such as 500KiB, 100MiB or 1GiB",
        () if is_number.iter().any(|number| parsed == *number) => {
            "pass a whole number, such as 100"
        }
        () => return None,
    })
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_near_by_its_letters_before_its_beginning() {
        let flags = ["format", "from", "timeout", "type", "all", "no-follow", "busy-timeout"];
        for (typed, expected) in [
            ("form", Some("from")),
            ("tiemout", Some("timeout")),
            ("al", Some("all")),
            ("types", Some("type")),
            ("busy", Some("busy-timeout")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest_flag(typed, &flags), expected, "{typed}");
        }
    }

    #[test]
    fn a_synonym_is_one_of_a_command_that_exists() {
        let root = args::command();
        for name in SYNONYMS.iter().flat_map(|(_, names)| *names) {
            let (first, rest) = name.split_once(' ').unwrap_or((name, ""));
            let nouns = std::iter::once(&root).chain(root.get_subcommands());
            let mut found = nouns.filter_map(|noun| noun.find_subcommand(first));
            let exists = found.any(|it| rest.is_empty() || it.find_subcommand(rest).is_some());
            assert!(exists, "{name}");
        }
    }
}
