//! Checks of other programs: an SQLite that can damage the database, the git that `project add` runs, and
//! the tmux in which sessions run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_program::{Environment, Program};

use crate::doctor::Finding;
use crate::doctor::files::Files;
use crate::invocation::quoted;

const SQLITE: &str = "sqlite.foreign";
const GIT: &str = "git.version";

/// The first git whose `rev-parse` knows `--end-of-options`.
const GIT_MIN: Version = (2, 30, 0);

const TMUX: &str = "tmux.version";

/// The first tmux with `new-session -e`.
const TMUX_MIN: Version = (3, 2, 0);

/// Major, minor, patch.
type Version = (u32, u32, u32);

/// How long a program may take to print its version.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(5);

/// A program, and the first line that it printed or why it printed none.
struct Found {
    name: String,
    version: Result<String, String>,
}

/// Runs a program for its version; `None` when it is not on `PATH`.
fn ask(name: &str, args: &[&str], describe: impl Fn(PathBuf) -> String) -> Option<Found> {
    let environment = Environment::of_process();
    let path = environment.find_program(name)?;
    let (dir, environment) = (Path::new("/"), &environment);
    let program = Program {
        name,
        args,
        input: "",
        dir,
        environment,
        variables: &[],
        timeout: PROGRAM_TIMEOUT,
    };
    let version = match program.run() {
        Ok(output) if output.status == 0 => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(output) => Err(format!("it ended with status {}", output.status)),
        Err(error) => Err(error.to_string()),
    };
    Some(Found { name: describe(path), version })
}

/// Checks that no other SQLite on this machine can damage the database as a second writer.
pub(super) fn sqlite(files: &Files) -> Finding {
    // By default the shell runs ~/.sqliterc.
    let args = ["-init", "/dev/null", "--version"];
    let shell = ask("sqlite3", &args, |path| path.display().to_string());
    // Isolated: Python loads neither a local sqlite3.py nor site packages.
    let args = ["-IS", "-c", "import sqlite3; print(sqlite3.sqlite_version)"];
    let python = ask("python3", &args, |path| format!("the SQLite of {}", path.display()));
    // Python may be built without SQLite.
    let python = python.filter(|found| found.version.is_ok());
    assess_sqlite(shell, python, &quoted(&files.database))
}

fn assess_sqlite(shell: Option<Found>, python: Option<Found>, database: &str) -> Finding {
    let (mut shown, mut is_affected) = (Vec::new(), false);
    for Found { name, version } in shell.into_iter().chain(python) {
        let parsed = version.as_ref().ok().and_then(|text| parse(text));
        is_affected |= parsed.is_none_or(has_wal_reset_bug);
        shown.push(match (parsed, version) {
            (Some((major, minor, patch)), _) => format!("{name} is {major}.{minor}.{patch}"),
            (None, Ok(text)) => format!("{name} prints {text:?} as its version"),
            (None, Err(error)) => format!("{name} does not print its version: {error}"),
        });
    }
    let shown = shown.join(", ");
    if shown.is_empty() {
        Finding::ok(SQLITE, "no other SQLite on PATH")
    } else if is_affected {
        Finding::warn(
            SQLITE,
            format!("{shown}; before 3.51.3, a second writer can corrupt a database in WAL mode"),
            format!(
                "upgrade it to 3.51.3, or only read with it: `sqlite3 -readonly {database}` (in \
                 Python `mode=ro`)"
            ),
        )
    } else {
        Finding::ok(SQLITE, shown)
    }
}

/// Two connections that write and checkpoint at the same instant can lose the end of the log. The bug
/// is as old as WAL mode; two older branches have the fix as well:
/// <https://sqlite.org/wal.html#walresetbug>.
fn has_wal_reset_bug(version: Version) -> bool {
    match version {
        (3, 44, patch) => patch < 6,
        (3, 50, patch) => patch < 7,
        version => ((3, 7, 0)..(3, 51, 3)).contains(&version),
    }
}

/// Checks that git is new enough for `project add`.
pub(super) fn git() -> Finding {
    assess_git(ask("git", &["--version"], |path| path.display().to_string()))
}

fn assess_git(git: Option<Found>) -> Finding {
    let missing = "git is not on PATH; `ao-store project add` needs it";
    assess(GIT, git, GIT_MIN, missing, "install git 2.30 or newer")
}

/// Checks that tmux is new enough for sessions.
pub(super) fn tmux() -> Finding {
    let found = ask("tmux", &["-V"], |path| path.display().to_string());
    let missing = "tmux is not on PATH; `ao-store spawn` needs it, except with --runtime process";
    assess(TMUX, found, TMUX_MIN, missing, "install tmux 3.2 or newer")
}

fn assess(
    id: &'static str,
    found: Option<Found>,
    least: Version,
    missing: &str,
    fix: &str,
) -> Finding {
    let Some(Found { name, version }) = found else {
        return Finding::warn(id, missing, fix);
    };
    let text = match version {
        Ok(text) => text,
        Err(error) => {
            return Finding::warn(id, format!("{name} does not print its version: {error}"), fix);
        }
    };
    match parse(&text) {
        Some(version @ (major, minor, patch)) => {
            let message = format!("{name} is {major}.{minor}.{patch}");
            if version >= least {
                Finding::ok(id, message)
            } else {
                Finding::warn(id, message, fix)
            }
        }
        None => Finding::warn(id, format!("{name} prints {text:?} as its version"), fix),
    }
}

/// The first word that starts with a digit as a version: "git version 2.47.3", "3.40.1 2022-12-28 …".
fn parse(text: &str) -> Option<Version> {
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let mut parts = text.split_whitespace().find(is_version)?.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    let (major, minor) = (parts.next()??, parts.next()??);
    Some((major, minor, parts.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn found(name: &str, version: &str) -> Option<Found> {
        Some(Found { name: name.to_owned(), version: Ok(version.to_owned()) })
    }

    fn failed(name: &str) -> Option<Found> {
        Some(Found { name: name.to_owned(), version: Err("it hangs".to_owned()) })
    }

    #[test]
    fn versions_are_parsed_from_what_programs_print() {
        for (text, version) in [
            ("3.40.1 2022-12-28 14:03:47 df5c253c0b3d", Some((3, 40, 1))),
            ("3.53.0", Some((3, 53, 0))),
            ("git version 2.47.3", Some((2, 47, 3))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39, 5))),
            ("git version 2.30.0.rc1.windows.1", Some((2, 30, 0))),
            ("git version 2.46-rc0", Some((2, 46, 0))),
            ("git version", None),
            ("3", None),
            ("99999999999.1", None),
            ("", None),
        ] {
            assert_eq!(parse(text), version, "{text}");
        }
    }

    #[test]
    fn each_version_before_its_fix_has_the_bug() {
        for (version, has_it) in [
            ((3, 6, 23), false),
            ((3, 7, 0), true),
            ((3, 40, 1), true),
            ((3, 44, 5), true),
            ((3, 44, 6), false),
            ((3, 45, 0), true),
            ((3, 50, 6), true),
            ((3, 50, 7), false),
            ((3, 51, 2), true),
            ((3, 51, 3), false),
            ((3, 53, 1), false),
            ((4, 0, 0), false),
        ] {
            assert_eq!(has_wal_reset_bug(version), has_it, "{version:?}");
        }
    }

    #[test]
    fn one_sqlite_with_the_bug_is_enough_to_warn() {
        let assess = |shell, python| assess_sqlite(shell, python, "/d/ao.db");
        assert_eq!(assess(None, None), Finding::ok(SQLITE, "no other SQLite on PATH"));
        let fine = assess(found("/bin/sqlite3", "3.51.3 2026"), found("python", "3.50.7"));
        assert_eq!(fine, Finding::ok(SQLITE, "/bin/sqlite3 is 3.51.3, python is 3.50.7"));
        for (shell, python, named) in [
            (found("/bin/sqlite3", "3.40.1"), None, "/bin/sqlite3 is 3.40.1"),
            (found("/bin/sqlite3", "3.53.0"), found("py", "3.51.2"), "py is 3.51.2"),
            (failed("/bin/sqlite3"), None, "does not print its version: it hangs"),
            (found("/bin/sqlite3", "hello"), None, "/bin/sqlite3 prints \"hello\""),
        ] {
            let finding = assess(shell, python);
            assert_eq!(finding.level, Level::Warn, "{finding:?}");
            assert!(finding.message.contains(named), "{finding:?}");
            assert!(finding.fix.contains("`sqlite3 -readonly /d/ao.db`"), "{finding:?}");
        }
    }

    #[test]
    fn git_must_be_installed_and_new_enough() {
        for (git, level) in [
            (found("git", "git version 2.30.0"), Level::Ok),
            (found("git", "git version 3.0"), Level::Ok),
            (found("git", "git version 2.29.9"), Level::Warn),
            (found("git", "git version 1.99"), Level::Warn),
            (found("git", "a git"), Level::Warn),
            (failed("git"), Level::Warn),
            (None, Level::Warn),
        ] {
            let finding = assess_git(git);
            assert_eq!(finding.level, level, "{finding:?}");
        }
    }

    #[test]
    fn the_installed_git_passes() {
        let finding = git();
        assert_eq!(finding.level, Level::Ok, "the tests need git: {finding:?}");
        assert!(finding.message.contains("/git is 2.") || finding.message.contains("/git is 3."));
    }
}
