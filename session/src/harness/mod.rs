//! Harnesses: the kinds of agent programs, as data. No code knows a particular one.
//!
//! A prompt reaches the program as one argument, by typing, or in a variable: never through a shell, and
//! never where the program would take it for a flag.

mod command;
mod conversation;
mod dialog;
mod find;
mod hooks;
pub(crate) mod limit;
mod place;
mod row;
mod screen;
mod trust;
mod version;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use crate::error::{Error, Result};

pub(crate) use command::check;
pub use command::{Built, Given, resume, start};
pub use conversation::Conversation;
pub use dialog::{Answer, Dialog, Press};
pub use find::{Found, find};
pub use hooks::{Heard, Hooks, Installed};
pub use row::{Harness, NativeId, Prompt};
pub use screen::{Screen, Seen};
pub use trust::Trust;
pub use version::version;

/// The built-in rows.
const TABLE: &str = include_str!("table.toml");

/// The most bytes of a user's file.
const FILE_MAX: u64 = 1 << 20;

/// All harnesses, by name.
#[derive(Debug, Clone)]
pub struct Harnesses(BTreeMap<String, Harness>);

impl Harnesses {
    /// The built-in harnesses, extended and overridden by those of a file.
    ///
    /// # Errors
    /// `INVALID_HARNESS` with the line; the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Harnesses> {
        let mut all = parse(TABLE, Path::new("table.toml"))?;
        if let Some(path) = file {
            all.extend(parse(&read(path)?, path)?);
        }
        Ok(Harnesses(all))
    }

    /// The harness of this name, as [`Harnesses::load`] and [`Harnesses::get`] find it. It reads no other
    /// built-in row: all of them take longer to read than what a hook writes.
    ///
    /// # Errors
    /// `INVALID_HARNESS` with the line; `UNKNOWN_HARNESS` with the nearest names; the file cannot be read.
    pub fn only(name: &str, file: Option<&Path>) -> Result<Harness> {
        let own = file.map(|path| parse(&read(path)?, path)).transpose()?;
        let row = match own.and_then(|mut rows| rows.remove(name)) {
            Some(row) => Some(row),
            None => parse(built_in(name), Path::new("table.toml"))?.remove(name),
        };
        row.map_or_else(|| Harnesses::load(file)?.get(name).cloned(), Ok)
    }

    /// The harness of this name.
    ///
    /// # Errors
    /// `UNKNOWN_HARNESS` with the nearest names.
    pub fn get(&self, name: &str) -> Result<&Harness> {
        self.0.get(name).ok_or_else(|| Error::UnknownHarness {
            name: name.to_owned(),
            nearest: self.nearest(name),
        })
    }

    /// Up to three names that resemble this one. The name of a program names its harness, too.
    fn nearest(&self, name: &str) -> Vec<String> {
        let likeness = |row: &Harness| {
            let names = row.programs().iter().map(String::as_str).chain([row.name()]);
            names.map(|known| strsim::jaro_winkler(name, known)).fold(0.0, f64::max)
        };
        let mut scored: Vec<_> = self.iter().map(|row| (likeness(row), row.name())).collect();
        scored.retain(|(score, _)| *score > 0.8);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.iter().take(3).map(|(_, name)| (*name).to_owned()).collect()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Harness> {
        self.0.values()
    }
}

/// The text of a built-in row, from its first heading to that of the next row; empty if there is none.
fn built_in(name: &str) -> &'static str {
    let (mut at, mut start) = (0, None);
    for line in TABLE.split_inclusive('\n') {
        let heading = line.strip_prefix('[').and_then(|line| line.split(['.', ']']).next());
        match (heading, start) {
            (Some(heading), None) if heading == name => start = Some(at),
            (Some(heading), Some(start)) if heading != name => return &TABLE[start..at],
            _ => {}
        }
        at += line.len();
    }
    start.map_or("", |start| &TABLE[start..])
}

/// The text of the user's file.
fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    // Opening a named pipe would wait for a writer.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(invalid(path, "it is larger than 1 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        invalid(path, format!("line {line}: it is not UTF-8"))
    })
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Harness>> {
    let at = |span: Range<usize>| line(&text.as_bytes()[..span.start]);
    let rows: BTreeMap<String, Spanned<Harness>> = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, at);
        invalid(path, format!("line {line}: {}", error.message()))
    })?;
    let named = rows.into_iter().map(|(name, row)| {
        let line = at(row.span());
        let mut row = row.into_inner();
        row.check().map_err(|reason| invalid(path, format!("line {line}: {reason}")))?;
        row.set_name(&name);
        Ok((name, row))
    });
    named.collect()
}

/// The number of the line that follows this text.
fn line(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn invalid(path: &Path, reason: String) -> Error {
    Error::InvalidHarness { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_valid_and_complete() {
        let all = Harnesses::load(None).unwrap();
        let names: Vec<_> = all.iter().map(Harness::name).collect();
        for name in [
            "aider",
            "agy",
            "amp",
            "auggie",
            "autohand",
            "claude-code",
            "cline",
            "codex",
            "continue",
            "copilot",
            "crush",
            "cursor",
            "custom",
            "devin",
            "droid",
            "gemini",
            "goose",
            "grok",
            "kilocode",
            "kimchi",
            "kimi",
            "kiro",
            "muse",
            "omp",
            "opencode",
            "pi",
            "prime-agent",
            "qwen",
            "vibe",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_row_that_is_read_alone_is_the_same() {
        for row in Harnesses::load(None).unwrap().iter() {
            let only = Harnesses::only(row.name(), None).unwrap();
            assert_eq!(format!("{only:?}"), format!("{row:?}"));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("harnesses.toml");
        std::fs::write(&file, built_in("codex").replace("[codex", "[mine")).unwrap();
        assert_eq!(Harnesses::only("mine", Some(&file)).unwrap().name(), "mine");
        assert_eq!(Harnesses::only("codex", Some(&file)).unwrap().name(), "codex");
        for name in ["", "codex.hooks", "codx"] {
            let error = Harnesses::only(name, Some(&file)).unwrap_err();
            assert_eq!(error.code(), ao_store::Code::UnknownHarness, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_ones() {
        let all = Harnesses::load(None).unwrap();
        for (typed, meant) in [("claude", "claude-code"), ("codx", "codex"), ("cn", "continue")] {
            let error = all.get(typed).unwrap_err();
            assert_eq!(error.details()["nearest"][0], meant, "{typed}");
        }
        assert_eq!(all.get("#").unwrap_err().details()["nearest"], serde_json::json!([]));
    }
}
