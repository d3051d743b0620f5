//! Other programs on this machine: a stock SQLite that could damage the database, and the git that
//! this program needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_program::{Environment, Program};

use crate::doctor::files::Files;
use crate::doctor::{Finding, word};

const SQLITE: &str = "sqlite.foreign";
const GIT: &str = "git.version";

/// The first git whose `rev-parse` knows `--end-of-options`.
const GIT_MIN: Version = (2, 30, 0);

/// Major, minor, patch.
type Version = (u32, u32, u32);

/// How long a program may take to print its version.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A program, and the first line that it printed or why it printed none.
struct Asked {
    name: String,
    version: Result<String, String>,
}

/// Runs a program for its version; `None` when it is not on `PATH`.
fn ask(name: &str, args: &[&str], describe: impl Fn(PathBuf) -> String) -> Option<Asked> {
    let environment = Environment::of_process();
    let path = environment.find_program(name)?;
    let (dir, environment) = (Path::new("/"), &environment);
    let program =
        Program { name, args, input: "", dir, environment, variables: &[], timeout: TIMEOUT };
    let version = match program.run() {
        Ok(output) if output.status == 0 => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(output) => Err(format!("it ended with status {}", output.status)),
        Err(error) => Err(error.to_string()),
    };
    Some(Asked { name: describe(path), version })
}

/// Whether another SQLite on this machine would be a danger as a second writer.
pub(super) fn sqlite(files: &Files) -> Finding {
    // The shell would run what is in ~/.sqliterc.
    let args = ["-init", "/dev/null", "--version"];
    let shell = ask("sqlite3", &args, |path| path.display().to_string());
    // Isolated: neither a sqlite3.py in this directory nor what site packages begin with.
    let args = ["-IS", "-c", "import sqlite3; print(sqlite3.sqlite_version)"];
    let python = ask("python3", &args, |path| format!("the SQLite of {}", path.display()));
    // Python may have been built without it.
    let python = python.filter(|asked| asked.version.is_ok());
    judge_sqlite(shell, python, &word(&files.database))
}

fn judge_sqlite(shell: Option<Asked>, python: Option<Asked>, database: &str) -> Finding {
    let (mut shown, mut is_affected) = (Vec::new(), false);
    for Asked { name, version } in shell.into_iter().chain(python) {
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
            format!("{shown}; before 3.51.3 a second writer can corrupt a database in WAL mode"),
            format!(
                "only read with it, `sqlite3 -readonly {database}` (in Python `mode=ro`), and do \
                 not write while ao-store runs; or upgrade it to 3.51.3"
            ),
        )
    } else {
        Finding::ok(SQLITE, shown)
    }
}

/// Two connections that write and checkpoint at the same instant can lose the end of the log. It was
/// there from the first WAL on, and the fix was put into two older branches as well:
/// <https://sqlite.org/wal.html#walresetbug>.
fn has_wal_reset_bug(version: Version) -> bool {
    match version {
        (3, 44, patch) => patch < 6,
        (3, 50, patch) => patch < 7,
        version => ((3, 7, 0)..(3, 51, 3)).contains(&version),
    }
}

/// Whether git is one that `project add` can ask.
pub(super) fn git() -> Finding {
    judge_git(ask("git", &["--version"], |path| path.display().to_string()))
}

fn judge_git(asked: Option<Asked>) -> Finding {
    let fix = "install git 2.30 or newer";
    let Some(Asked { name, version }) = asked else {
        return Finding::warn(GIT, "no git on PATH: `ao-store project add` needs it", fix);
    };
    let text = match version {
        Ok(text) => text,
        Err(error) => {
            return Finding::warn(GIT, format!("{name} does not print its version: {error}"), fix);
        }
    };
    match parse(&text) {
        Some(version @ (major, minor, patch)) => {
            let message = format!("{name} is {major}.{minor}.{patch}");
            if version >= GIT_MIN {
                Finding::ok(GIT, message)
            } else {
                Finding::warn(GIT, message, fix)
            }
        }
        None => Finding::warn(GIT, format!("{name} prints {text:?} as its version"), fix),
    }
}

/// The first word that begins like a version: "git version 2.47.3", "3.40.1 2022-12-28 …".
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

    fn asked(name: &str, version: &str) -> Option<Asked> {
        Some(Asked { name: name.to_owned(), version: Ok(version.to_owned()) })
    }

    fn silent(name: &str) -> Option<Asked> {
        Some(Asked { name: name.to_owned(), version: Err("it hangs".to_owned()) })
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
    fn the_bug_is_in_each_version_before_its_fix() {
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
        let judge = |shell, python| judge_sqlite(shell, python, "/d/ao.db");
        assert_eq!(judge(None, None), Finding::ok(SQLITE, "no other SQLite on PATH"));
        let fine = judge(asked("/bin/sqlite3", "3.51.3 2026"), asked("python", "3.50.7"));
        assert_eq!(fine, Finding::ok(SQLITE, "/bin/sqlite3 is 3.51.3, python is 3.50.7"));
        for (shell, python, named) in [
            (asked("/bin/sqlite3", "3.40.1"), None, "/bin/sqlite3 is 3.40.1"),
            (asked("/bin/sqlite3", "3.53.0"), asked("py", "3.51.2"), "py is 3.51.2"),
            (silent("/bin/sqlite3"), None, "does not print its version: it hangs"),
            (asked("/bin/sqlite3", "hello"), None, "/bin/sqlite3 prints \"hello\""),
        ] {
            let finding = judge(shell, python);
            assert_eq!(finding.level, Level::Warn, "{finding:?}");
            assert!(finding.message.contains(named), "{finding:?}");
            assert!(finding.fix.contains("`sqlite3 -readonly /d/ao.db`"), "{finding:?}");
        }
    }

    #[test]
    fn git_must_be_there_and_new_enough() {
        for (asked, level) in [
            (asked("git", "git version 2.30.0"), Level::Ok),
            (asked("git", "git version 3.0"), Level::Ok),
            (asked("git", "git version 2.29.9"), Level::Warn),
            (asked("git", "git version 1.99"), Level::Warn),
            (asked("git", "a git"), Level::Warn),
            (silent("git"), Level::Warn),
            (None, Level::Warn),
        ] {
            let finding = judge_git(asked);
            assert_eq!(finding.level, level, "{finding:?}");
        }
    }

    #[test]
    fn the_git_of_the_tests_is_asked() {
        let finding = git();
        assert_eq!(finding.level, Level::Ok, "the tests need git themselves: {finding:?}");
        assert!(finding.message.contains("/git is 2.") || finding.message.contains("/git is 3."));
    }
}
