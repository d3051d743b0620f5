//! The command line of this process, and the next commands that messages and hints name.

use std::ffi::OsStr;

use crate::args::Args;
use crate::config::name_of;
use crate::output::printable;

/// The global options of the user that another command needs to do the same: those that say which store,
/// and how to write it.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// Each with its value.
    options: Vec<(&'static str, String)>,
}

impl Invocation {
    /// Without options.
    pub(crate) fn plain() -> Invocation {
        Invocation { options: Vec::new() }
    }

    pub(crate) fn of(args: &Args) -> Invocation {
        let mut options = Vec::new();
        if let Some(dir) = &args.global.data_dir {
            // A command may be run in another directory than this one.
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
            options.push(("--data-dir", printable(&quoted(dir))));
        }
        if let Some(durability) = &args.global.durability {
            options.push(("--durability", name_of(durability)));
        }
        if let Some(busy) = args.global.busy_timeout {
            let shown = humantime::format_duration(busy).to_string();
            options.push(("--busy-timeout", shown.replace(' ', "")));
        }
        Invocation { options }
    }

    /// The text with the options of the user in each command of ours that it quotes, such as
    /// `` `ao-store status` ``. A command that has an option already keeps it.
    pub(crate) fn complete(&self, text: &str) -> String {
        let parts = text.split('`').enumerate();
        let parts = parts.map(|(index, part)| match index % 2 {
            0 => part.to_owned(),
            _ => self.complete_command(part),
        });
        parts.collect::<Vec<_>>().join("`")
    }

    /// The program can be behind another one, as in `sudo -u '#1000' ao-store doctor`.
    fn complete_command(&self, command: &str) -> String {
        let name = "ao-store ";
        let starts = command.match_indices(name).map(|(at, _)| at);
        let is_word = |at: &usize| command[..*at].is_empty() || command[..*at].ends_with(' ');
        let Some(at) = starts.into_iter().find(is_word) else { return command.to_owned() };
        let (before, after) = command.split_at(at + name.len());
        let missing = self.options.iter().filter(|(flag, _)| !command.contains(flag));
        let missing = missing.map(|(flag, value)| format!("{flag} {value} "));
        format!("{before}{}{after}", missing.collect::<String>())
    }

    /// The whole command line of this process, with one more flag.
    pub(crate) fn with(&self, flag: &str) -> String {
        let words: Vec<_> = std::env::args_os().skip(1).map(quoted).collect();
        with_flag(&words, flag)
    }
}

/// A flag has its place before `--`.
fn with_flag(words: &[String], flag: &str) -> String {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (flags, values) = words.split_at(end);
    let all = flags.iter().map(String::as_str).chain([flag]);
    let all = all.chain(values.iter().map(String::as_str));
    ["ao-store"].into_iter().chain(all).collect::<Vec<_>>().join(" ")
}

/// The whole command line of this process.
pub(crate) fn command_line() -> String {
    let words: Vec<_> = std::env::args_os().skip(1).map(quoted).collect();
    format!("ao-store {}", words.join(" ")).trim_end().to_owned()
}

/// A text as one word of a shell command.
pub(crate) fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    // Only a NUL cannot be quoted, and no argument or path contains one.
    shlex::try_quote(&word).map_or_else(|_| word.to_string(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_text_gets_the_options_and_other_text_does_not() {
        let options = vec![("--data-dir", "'/my data'".to_owned())];
        let invocation = Invocation { options };
        for (text, expected) in [
            (
                "ao-store needs `git` and `ao-store init`; then `ao-store up`",
                "ao-store needs `git` and `ao-store --data-dir '/my data' init`; then \
                    `ao-store --data-dir '/my data' up`",
            ),
            (
                "`sudo -u '#1000' ao-store doctor`",
                "`sudo -u '#1000' ao-store --data-dir '/my data' doctor`",
            ),
            ("`ao-store rm x --data-dir /y --yes`", "`ao-store rm x --data-dir /y --yes`"),
            ("`ls /srv/ao-store `", "`ls /srv/ao-store `"),
        ] {
            let completed = invocation.complete(text);
            assert_eq!(completed, expected);
            assert_eq!(invocation.complete(&completed), expected);
            assert_eq!(Invocation::plain().complete(text), text);
        }
    }

    #[test]
    fn a_flag_is_added_where_it_is_a_flag() {
        let with = |line: &str| {
            with_flag(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), "--yes")
        };
        assert_eq!(with("session rm demo-1"), "ao-store session rm demo-1 --yes");
        assert_eq!(with("session rm -- -x"), "ao-store session rm --yes -- -x");
    }

    #[test]
    fn a_path_is_one_word_of_a_command() {
        for (path, expected) in [
            ("/srv/ao-store/ao.db", "/srv/ao-store/ao.db"),
            ("/my data/ao.db", "'/my data/ao.db'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(path), expected);
        }
    }
}
