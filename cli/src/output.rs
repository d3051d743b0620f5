//! Printing: JSON documents, lines and messages.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};
use serde_json::Value;

pub(crate) use ao_daemon::document::printable::{is_plain, printable};

use crate::error::{Error, Result};
use crate::progress;
use crate::signal::Signal;

/// The version of every JSON document this program prints; see docs/json.md.
const SCHEMA_VERSION: u32 = 1;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// The command ran and found a problem: exit status 6.
    Findings,
    BySignal(Signal),
    /// Another process ran it, and ended with this status.
    Elsewhere(u8),
}

/// Prints one JSON document.
pub(crate) fn document(kind: &str, data: &impl Serialize) -> Result<()> {
    let document = Document { schema_version: SCHEMA_VERSION, kind, data };
    let mut line = serde_json::to_vec(&document).map_err(|error| Error::Stdout(error.into()))?;
    line.push(b'\n');
    json_lines(&line)
}

/// Prints one JSON document whose data is a list. An item is made when it is written: as values, thousands
/// of rows would take ten times the memory of their text.
pub(crate) fn list<I: Iterator<Item = Value>>(kind: &str, items: impl Fn() -> I) -> Result<()> {
    document(kind, &Items(items))
}

struct Items<F>(F);

impl<I: Iterator<Item = Value>, F: Fn() -> I> Serialize for Items<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema_version: u32,
    kind: &'a str,
    data: &'a T,
}

/// Prints complete lines of JSON.
pub(crate) fn json_lines(lines: &[u8]) -> Result<()> {
    raw_bytes(&without_controls(lines))
}

/// JSON with DEL and the C1 control characters escaped, which could control a terminal and which JSON
/// allows in a string. It means the same, so it is not only for terminals.
fn without_controls(json: &[u8]) -> Cow<'_, [u8]> {
    // 0xc2 is the first byte of each C1 character, and no other byte of a character.
    // A fold over a piece has no early end, so that the compiler can check many bytes at once.
    let is_in =
        |piece: &[u8]| piece.iter().fold(false, |is, byte| is | matches!(byte, 0x7f | 0xc2));
    if !json.chunks(256).any(is_in) {
        return Cow::Borrowed(json);
    }
    let mut escaped = Vec::with_capacity(json.len() + 16);
    let mut rest = json;
    while let [first, after @ ..] = rest {
        let (code, after) = match (first, after) {
            (0x7f, _) => (Some(0x7f), after),
            (0xc2, [second @ 0x80..=0x9f, after @ ..]) => (Some(*second), after),
            _ => (None, after),
        };
        match code {
            Some(code) => escaped.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
            None => escaped.push(*first),
        }
        rest = after;
    }
    Cow::Owned(escaped)
}

/// Prints one line of text.
pub(crate) fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Prints lines of text without colours.
pub(crate) fn text(lines: &str) -> Result<()> {
    raw_bytes(printable_lines(lines).as_bytes())
}

/// Prints a part of an answer of an agent: as it is for programs, without what controls a terminal on one.
pub(crate) fn answer(text: &str) -> Result<()> {
    if !is_terminal() {
        return raw_bytes(text.as_bytes());
    }
    let shown = text.split_inclusive(['\n', '\t']).map(|part| {
        let end = part.len() - usize::from(part.ends_with(['\n', '\t']));
        printable(&part[..end]) + &part[end..]
    });
    raw_bytes(shown.collect::<String>().as_bytes())
}

/// Prints lines with colours. The caller has passed each value through [`printable`].
pub(crate) fn styled(lines: &[u8]) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(lines).and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// Writes data for programs as it is, and flushes it.
pub(crate) fn raw_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_error)
}

pub(crate) fn stdout_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::BrokenPipe,
        _ => Error::Stdout(error),
    }
}

/// Whether `--quiet` was passed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets whether messages are printed.
pub(crate) fn set_quiet(is_quiet: bool) {
    QUIET.store(is_quiet, Ordering::Relaxed);
}

/// Whether only errors and questions are printed on stderr.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a message on stderr, unless `--quiet` was passed. A message that cannot be written is no reason
/// to fail.
pub(crate) fn say(text: &str) {
    if !is_quiet() {
        say_always(&printable_lines(text));
    }
}

/// Prints an error or a question on stderr, also with colours. The caller has passed each value through
/// [`printable`].
pub(crate) fn say_always(text: &str) {
    let _ = progress::above(|| writeln!(anstream::stderr().lock(), "{text}"));
}

/// Prints a line of JSON on stderr.
pub(crate) fn say_json(json: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(&without_controls(format!("{json}\n").as_bytes()));
}

/// Standard output for an export. Its digests are of its exact bytes, so only a terminal gets it with its
/// controls escaped.
pub(crate) struct ExportOut {
    stdout: BufWriter<io::StdoutLock<'static>>,
    is_terminal: bool,
}

impl ExportOut {
    pub(crate) fn new() -> ExportOut {
        let stdout = io::stdout().lock();
        ExportOut { is_terminal: stdout.is_terminal(), stdout: BufWriter::new(stdout) }
    }
}

impl Write for ExportOut {
    /// A piece is never a part of a character.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let shown = if self.is_terminal { without_controls(piece) } else { Cow::Borrowed(piece) };
        self.stdout.write_all(&shown).map(|()| piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Standard error for log lines, which quote paths, arguments and answers.
pub(crate) struct LogOut;

impl Write for LogOut {
    /// A piece is one event.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let shown = printable_lines(&String::from_utf8_lossy(piece));
        let write = || io::stderr().lock().write_all(shown.as_bytes());
        progress::above(write).map(|()| piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whether standard output gets colours.
pub(crate) fn has_color() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The number of rows of the terminal that standard output is; `None` if it is none.
pub(crate) fn height() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0).then_some(usize::from(size.ws_row))
}

/// The number of columns of the terminal that standard output is; `None` if it is none.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// [`printable`] for a text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// A path for people.
pub(crate) fn path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable_lines("a\u{1b}\r\nb\n"), "a\u{fffd}\u{fffd}\nb\n");
    }

    #[test]
    fn json_means_the_same_with_its_controls_escaped() {
        let all: String = ('\0'..='\u{ff}').chain("€😀".chars()).collect();
        let json = serde_json::to_string(&all).unwrap();
        let escaped = String::from_utf8(without_controls(json.as_bytes()).into_owned()).unwrap();
        assert!(!escaped.chars().any(char::is_control), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), all);
    }
}
