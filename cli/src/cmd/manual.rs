//! The documentation in the program: the schema of its input, and the man pages.

use std::fs;
use std::io;
use std::path::Path;

use ao_daemon::document::contract;
use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Args;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::output;

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "The command succeeded."),
    ("1", "It failed for a reason that has no other status."),
    ("2", "The command line or the input is wrong."),
    ("3", "Something named does not exist."),
    ("4", "A credential or signature is missing or was refused."),
    ("5", "The state of the store forbids the command."),
    ("6", "doctor, verify or migrate --check found a problem."),
    ("7", "The cursor has expired or belongs to another epoch."),
    ("8", "The stop condition was not met in time."),
    ("9", "Another process is busy: try again later."),
    ("129, 130, 141, 143", "SIGHUP, SIGINT, a closed output, or SIGTERM ended the command."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("AO_DATA_DIR", "The data directory; --data-dir takes precedence."),
    ("AO_GITHUB_API_URL", "The REST API of the default host; --api-url takes precedence."),
    ("AO_GITHUB_TOKEN_<HOST>", "The token for one host, such as AO_GITHUB_TOKEN_GIT_EXAMPLE_COM."),
    ("AO_GITHUB_TOKEN", "The token for the default host; takes precedence over those of gh."),
    ("GH_TOKEN, GITHUB_TOKEN", "The token for github.com and hosts below ghe.com, as in gh."),
    ("GH_ENTERPRISE_TOKEN, GITHUB_ENTERPRISE_TOKEN", "The token for any other host, as in gh."),
    ("GH_HOST", "The default host instead of github.com."),
    (
        "GH_CONFIG_DIR, XDG_CONFIG_HOME",
        "Where the configuration of gh is; ao-store also uses XDG_CONFIG_HOME.",
    ),
    ("TZ", "The time zone of the times that people read and write."),
    ("AO_WEBHOOK_SECRET", "The secret of the webhook; a file that a flag names takes precedence."),
    ("BROWSER", "The command that pr open starts; several are separated by colons."),
    ("NO_COLOR, CLICOLOR, CLICOLOR_FORCE", "Whether text is coloured; --color takes precedence."),
];

const FILES: &[(&str, &str)] = &[
    ("$XDG_DATA_HOME/ao-store", "The default data directory, otherwise ~/.local/share/ao-store."),
    (
        "$XDG_CONFIG_HOME/ao-store/config.toml",
        "The configuration file, otherwise in ~/.config: `ao-store config`.",
    ),
    ("ao.db, ao.db-wal, ao.db-shm", "The SQLite database, in the data directory."),
    ("ao.db.head", "The newest change, by which an older copy of the database is noticed."),
    (
        "ao.db.queue, ao.db.turn",
        "The queue of the processes that write; empty files that are locked.",
    ),
    ("ballast", "Disk space that is reserved for pruning on a full disk."),
    ("observer.lock", "The lock of the process that observes for the store."),
    ("ao.db.before-restore-*", "Databases that restore-db replaced."),
];

/// Prints the JSON Schema of this name.
pub(crate) fn schema(name: &str) -> Result<()> {
    let Some(schema) = contract::schema(name) else {
        let known = contract::names();
        let next = match nearest(name, &known) {
            Some(known) => format!("did you mean {known}?"),
            None => format!("the known ones are: {}", known.join(", ")),
        };
        return Err(Error::Usage(format!("there is no schema {name:?}; {next}")));
    };
    output::line(&format!("{schema:#}"))
}

/// Writes one man page per command.
pub(crate) fn man(out: &Path) -> Result<()> {
    // A page shows an option in its long form, also one that the short help hides.
    let command = Args::command().mut_args(|arg| arg.hide_short_help(false));
    let mut command = command.disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(out)
        .and_then(|()| write_pages(&command, &[], out))
        .map_err(|source| Error::file("write man pages to", out, source))?;
    output::say(&format!("man pages written to {}", output::path(out)));
    Ok(())
}

fn write_pages(command: &Command, ancestors: &[String], out: &Path) -> io::Result<()> {
    let name = page_name(command);
    let shown = || command.get_subcommands().filter(|it| !it.is_hide_set());
    let children: Vec<_> = shown().map(page_name).collect();
    let page = page(command, !ancestors.is_empty(), &[ancestors, &children].concat())?;
    fs::write(out.join(format!("{name}.1")), page)?;
    let ancestors = [ancestors, &[name]].concat();
    shown().try_for_each(|it| write_pages(it, &ancestors, out))
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn page(command: &Command, is_subcommand: bool, related: &[String]) -> io::Result<Vec<u8>> {
    let without_globals = |arg: Arg| {
        let is_global = arg.is_global_set();
        arg.hide(is_subcommand && is_global)
    };
    let man = Man::new(command.clone().mut_args(without_globals))
        .source(concat!("ao-store ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    if is_subcommand {
        roff.control("PP", []).text([roman("ao-store(1) describes the global options.")]);
    }
    examples(&mut roff, command);
    list(&mut roff, "EXIT STATUS", EXIT_STATUS);
    list(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    list(&mut roff, "FILES", FILES);
    roff.control("SH", ["SEE ALSO"]);
    for (index, name) in related.iter().enumerate() {
        let comma = if index + 1 < related.len() { "," } else { "" };
        roff.text([bold(name), roman(format!("(1){comma}"))]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The examples of the help, line by line, and what follows them as notes.
fn examples(roff: &mut Roff, command: &Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, notes) = help.split_once("\n\n").unwrap_or((&help, ""));
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples.lines().skip(1) {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    if !notes.is_empty() && !notes.starts_with("Exit status") {
        roff.control("SH", ["NOTES"]).text([roman(notes)]);
    }
}

/// A section of terms with their meanings.
fn list(roff: &mut Roff, section: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [section]);
    for (term, meaning) in entries {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    /// Where lines wrap on a wide terminal: what is longer leaves a word or two on a line of their own.
    const WIDTH: usize = 100;

    fn check(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= WIDTH, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn no_line_of_an_example_is_wrapped() {
        check(&args::command());
    }

    #[test]
    fn the_readme_has_every_variable_of_the_man_page() {
        let readme = include_str!("../../../README.md");
        for (names, _) in ENVIRONMENT {
            for name in names.split(", ") {
                assert!(readme.contains(name), "{name}");
            }
        }
    }
}
