//! The command line of this process, and the next commands that messages and hints name.

use std::ffi::OsStr;

use crate::args::{Args, Durability};
use crate::output::printable;

/// The program with the global options that the user passed.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: String,
}

impl Invocation {
    /// Without options.
    pub(crate) fn plain() -> Invocation {
        Invocation { program: "ao-store".to_owned() }
    }

    pub(crate) fn of(args: &Args) -> Invocation {
        let Invocation { mut program } = Invocation::plain();
        if let Some(dir) = &args.data_dir {
            program += &format!(" --data-dir {}", printable(&quoted(dir)));
        }
        if matches!(args.durability, Durability::Relaxed) {
            program += " --durability relaxed";
        }
        Invocation { program }
    }

    /// The text with the options of the user in each command that it quotes, such as
    /// `` `ao-store status` ``; a command that has them already stays as it is.
    pub(crate) fn complete(&self, text: &str) -> String {
        let (bare, full) = ("`ao-store ", format!("`{} ", self.program));
        text.replace(&full, bare).replace(bare, &full)
    }

    /// The whole command line of this process, with one more flag.
    pub(crate) fn with(&self, flag: &str) -> String {
        let words = std::env::args_os().skip(1).map(|word| quoted(word) + " ");
        format!("ao-store {}{flag}", words.collect::<String>())
    }
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
        let invocation = Invocation { program: "ao-store --data-dir '/my data'".to_owned() };
        let text = "ao-store needs `git` and `ao-store init`; then `ao-store up`";
        let expected = "ao-store needs `git` and `ao-store --data-dir '/my data' init`; then \
            `ao-store --data-dir '/my data' up`";
        assert_eq!(invocation.complete(text), expected);
        assert_eq!(invocation.complete(expected), expected);
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
