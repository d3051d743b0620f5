//! Finds the program of a harness without running it: in `PATH`, then in the places where that harness, then
//! where any program is usually installed, version managers last.

use std::path::{Path, PathBuf};

use ao_program::Environment;

use super::Harness;
use crate::error::{Error, Result};

/// Where programs are besides `PATH`.
const PLACES: [&str; 9] = [
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "~/.local/bin",
    "~/.npm-global/bin",
    "~/.bun/bin",
    "~/.yarn/bin",
    "~/.local/share/mise/shims",
    "~/.asdf/shims",
];

/// A command whose program exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path of the program.
    pub path: PathBuf,
    /// The command of the caller, its program replaced by the path; empty for that of the harness.
    pub(super) argv: Vec<String>,
}

/// Finds the program of a command of the caller, or of a harness.
///
/// # Errors
/// `AGENT_BINARY_NOT_FOUND`.
pub fn find(harness: &Harness, argv: &[String], environment: &Environment) -> Result<Found> {
    if argv.is_empty() {
        let known = harness.programs.iter().find_map(|name| search(name, harness, environment));
        return known.map(|path| Found { path, argv: Vec::new() }).ok_or_else(|| {
            let program = harness.programs.first().map_or("the command after --", String::as_str);
            not_found(harness, program)
        });
    }
    let at = program_at(argv).ok_or_else(|| not_found(harness, "a command"))?;
    let name = &argv[at];
    let path = search(name, harness, environment).ok_or_else(|| not_found(harness, name))?;
    let mut argv = argv.to_vec();
    argv[at] = path.to_string_lossy().into_owned();
    if at > 0 {
        let env = environment.find_program("env");
        let env = env.ok_or_else(|| not_found(harness, "env"))?;
        argv[0] = env.to_string_lossy().into_owned();
    }
    Ok(Found { path, argv })
}

/// The index of the program in a command, behind `env` with its options and variables.
fn program_at(argv: &[String]) -> Option<usize> {
    let is_env = |word: &str| word == "env" || word.ends_with("/env");
    if !argv.first().is_some_and(|word| is_env(word)) {
        return argv.first().filter(|word| !word.is_empty()).map(|_| 0);
    }
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        match word.as_str() {
            "-i" | "-" | "--ignore-environment" | "--" => at += 1,
            "-u" | "--unset" | "-C" | "--chdir" => at += 2,
            word if word.starts_with('-') => at += 1,
            word if word.contains('=') => at += 1,
            _ => return Some(at),
        }
    }
    None
}

fn search(name: &str, harness: &Harness, environment: &Environment) -> Option<PathBuf> {
    if name.contains('/') {
        let path = std::path::absolute(name).ok()?;
        return Environment::is_program(&path).then_some(path);
    }
    let home = environment.get("HOME").map(Path::new);
    let place = |place: &str| match place.strip_prefix("~/") {
        Some(rest) => home.map(|home| home.join(rest)),
        None => Some(PathBuf::from(place)),
    };
    let mut known = places(harness).filter_map(place).map(|dir| dir.join(name));
    environment.find_program(name).or_else(|| known.find(|path| Environment::is_program(path)))
}

/// The places besides `PATH`, the first of which that has the program counts.
fn places(harness: &Harness) -> impl Iterator<Item = &str> {
    harness.places.iter().map(String::as_str).chain(PLACES)
}

fn not_found(harness: &Harness, program: &str) -> Error {
    let looked = places(harness).map(str::to_owned);
    Error::AgentNotFound {
        harness: harness.name().to_owned(),
        program: program.to_owned(),
        looked: looked.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_behind_env_is_found() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, at) in [
            ("qwen x", Some(0)),
            ("env K=V qwen -x", Some(2)),
            ("/usr/bin/env -i -u X K=V L=W qwen", Some(6)),
            ("env -- qwen", Some(2)),
            ("env K=V", None),
            ("env", None),
        ] {
            assert_eq!(program_at(&words(text)), at, "{text}");
        }
        assert_eq!(program_at(&[]), None);
        assert_eq!(program_at(&[String::new()]), None);
    }
}
