//! Completion in a shell: the scripts, and the candidates for a word that is typed.
//!
//! The scripts call `ao-store complete -- WORD...`, whose last word is to be completed. It prints one
//! candidate per line, with a description after a tab; a line that begins with a tab stands for the
//! files or directories, which the shell knows. It creates nothing, prints no error, and offers only
//! values that a shell reads as one plain word.

mod known;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, complete};

use crate::args::{self, Args, Global, Shell};
use crate::completion::known::Known;
use crate::config::Settings;
use crate::context::Context;
use crate::output;

/// Tab waits at most this long for a writer that holds the store.
const BUSY: Duration = Duration::from_millis(100);

/// What stands for the files in a list of candidates, and for the directories.
const FILES: &str = "\tfiles";
const DIRECTORIES: &str = "\tdirectories";

/// The script of a shell.
pub(crate) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("ao-store.bash"),
        Shell::Zsh => include_str!("ao-store.zsh"),
        Shell::Fish => include_str!("ao-store.fish"),
    }
}

/// Prints the candidates for the last of these words. It always succeeds: an error would be printed into
/// the line that is being typed.
pub(crate) fn run(args: Args, words: &[OsString]) -> ExitCode {
    let words = joined(words);
    let data_dir = data_dir(&words).or(args.global.data_dir);
    let global = Global { data_dir, busy_timeout: Some(BUSY), ..args.global };
    let args = Args { global, ..args };
    let context = Settings::read(&args).and_then(|settings| Context::new(&args, settings));
    let context = context.ok().map(Arc::new);
    let found = candidates(context.as_ref(), words);
    let lines: String = found.iter().filter_map(line).collect();
    let _ = output::raw_bytes(lines.as_bytes());
    ExitCode::SUCCESS
}

/// The words as the user typed them: bash splits `--type=pr_created` into three words.
fn joined(words: &[OsString]) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut is_open = false;
    for word in words {
        match joined.last_mut() {
            Some(last) if is_open || word == "=" => last.push(word),
            _ => joined.push(word.clone()),
        }
        is_open = word == "=";
    }
    joined
}

/// The value of `--data-dir` in the words. The shell has not expanded a tilde in them yet.
fn data_dir(words: &[OsString]) -> Option<PathBuf> {
    let flag = "--data-dir";
    let (_, before) = words.split_last()?;
    let after = before.iter().position(|word| word == flag).and_then(|at| before.get(at + 1));
    let value = match after {
        Some(value) => value.to_str()?,
        None => before.iter().find_map(|word| word.to_str()?.strip_prefix("--data-dir="))?,
    };
    let value = shlex::split(value).and_then(|words| words.into_iter().next())?;
    match value.strip_prefix("~/") {
        Some(rest) => Some(PathBuf::from(std::env::var_os("HOME")?).join(rest)),
        None => Some(PathBuf::from(value)),
    }
}

/// What can be the last of the words.
fn candidates(context: Option<&Arc<Context>>, words: Vec<OsString>) -> Vec<CompletionCandidate> {
    let Some(last) = words.len().checked_sub(1) else { return Vec::new() };
    let is_flag = words[last].as_encoded_bytes().starts_with(b"-");
    let command = with_values(args::command(), "", context);
    let mut command = with_key(command, &words, context);
    let mut found = complete(&mut command, words, last, None).unwrap_or_default();
    // Beside values and commands, flags are offered only when one is begun.
    let is_value = |it: &CompletionCandidate| !it.get_value().as_encoded_bytes().starts_with(b"-");
    if !is_flag && found.iter().any(is_value) {
        found.retain(is_value);
    }
    found
}

/// The command with the values of the store for each argument that takes one. `noun` is the first word of
/// its command line.
fn with_values(command: Command, noun: &str, context: Option<&Arc<Context>>) -> Command {
    let command = command.mut_args(|arg| with_value(arg, noun, context));
    command.mut_subcommands(|verb| {
        let noun = if noun.is_empty() { verb.get_name().to_owned() } else { noun.to_owned() };
        with_values(verb, &noun, context)
    })
}

/// The command in which the key of `history` is one of the kind that was typed before it.
fn with_key(command: Command, words: &[OsString], context: Option<&Arc<Context>>) -> Command {
    let kind = words.iter().skip_while(|word| *word != "history").nth(1);
    let known = match kind.and_then(|kind| kind.to_str()) {
        Some("project") => Known::Project,
        Some("session") => Known::Session,
        Some("pr" | "check" | "thread" | "review" | "comment") => Known::Pr,
        _ => return command,
    };
    // `mut_arg` would move it behind the other arguments.
    let with_known = |arg: Arg| match arg.get_id().as_str() {
        "key" => known_value(arg, known, context),
        _ => arg,
    };
    command.mut_subcommand("history", |history| history.mut_args(with_known))
}

fn known_value(arg: Arg, known: Known, context: Option<&Arc<Context>>) -> Arg {
    let context = context.cloned();
    arg.add(ArgValueCandidates::new(move || known.values(context.as_deref())))
}

fn with_value(arg: Arg, noun: &str, context: Option<&Arc<Context>>) -> Arg {
    if let Some(known) = Known::of(noun, &arg) {
        return known_value(arg, known, context);
    }
    let shown = match arg.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath => FILES,
        ValueHint::DirPath => DIRECTORIES,
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(move |_: &OsStr| vec![CompletionCandidate::new(shown)]))
}

/// A candidate as one line, if a shell reads it as one plain word.
fn line(candidate: &CompletionCandidate) -> Option<String> {
    let value = candidate.get_value().to_str()?;
    if let Some(shown) = [FILES, DIRECTORIES].iter().find(|it| value.ends_with(*it)) {
        return Some(format!("{shown}\n"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/#=,@+".contains(c);
    if !value.chars().all(is_plain) {
        return None;
    }
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    let help = output::printable(help.lines().next().unwrap_or_default());
    Some(format!("{value}\t{help}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn words_that_bash_splits_are_joined() {
        for (given, expected) in [
            (&["a", "--type", "=", "pr"][..], &["a", "--type=pr"][..]),
            (&["a", "--type", "="], &["a", "--type="]),
            (&["a", "--changed", "ci", "=", "f"], &["a", "--changed", "ci=f"]),
            (&["a", "b", ""], &["a", "b", ""]),
        ] {
            assert_eq!(joined(&words(given)), words(expected), "{given:?}");
        }
    }

    #[test]
    fn the_data_directory_is_the_one_that_is_typed() {
        for (given, expected) in [
            (&["a", "--data-dir", "/srv/x", "tail"][..], Some("/srv/x")),
            (&["a", "--data-dir='/my data'", "tail"], Some("/my data")),
            (&["a", "tail", "--data-dir", "/sr"], None),
            (&["a", "tail"], None),
        ] {
            assert_eq!(data_dir(&words(given)), expected.map(PathBuf::from), "{given:?}");
        }
    }

    #[test]
    fn a_value_that_a_shell_would_read_as_more_than_a_word_is_left_out() {
        for value in ["a b", "a;b", "$(x)", "a*", "a\nb", "a'b", "`x`", "a\u{1b}b", "~", "é"] {
            assert_eq!(line(&CompletionCandidate::new(value)), None, "{value:?}");
        }
        let plain = CompletionCandidate::new("octo/hello#7").help(Some("a\tb\nc".into()));
        assert_eq!(line(&plain).unwrap(), "octo/hello#7\ta\u{fffd}b\n");
    }
}
