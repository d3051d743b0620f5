//! How results and errors reach the terminal, a pipe or a script.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use ao_store::Code;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::hint;
use crate::signal::Signal;

/// The version of every JSON document this program prints; see docs/json.md.
const SCHEMA_VERSION: u32 = 1;

/// How a command ended when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// It did its work and found something wrong: exit status 6.
    Findings,
    BySignal(Signal),
}

/// Prints one JSON document.
pub(crate) fn document(kind: &str, data: &Value) -> Result<()> {
    let document = json!({"schema_version": SCHEMA_VERSION, "kind": kind, "data": data});
    raw_bytes(format!("{}\n", unstyled(&document.to_string())).as_bytes())
}

/// JSON leaves DEL and the C1 controls as they are; a terminal need not.
fn unstyled(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        match c {
            '\u{7f}'..='\u{9f}' => text += &format!("\\u{:04x}", u32::from(c)),
            _ => text.push(c),
        }
        text
    })
}

/// Prints one line of data.
pub(crate) fn line(text: &str) -> Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes data and flushes it.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// Writes data that holds no colour codes and must not be looked through for them.
pub(crate) fn raw_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_error)
}

fn stdout_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::BrokenPipe,
        _ => Error::Stdout(error),
    }
}

/// Says something to a person. When nobody can be told, that is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A table with a header, without lines.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(&table.trim_fmt())
}

/// The text with control characters made visible, so that no title can drive the terminal, and those
/// that reorder or hide text with them.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A path for people.
pub(crate) fn path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Ends the program.
pub(crate) fn exit(result: Result<Ended>, is_json: bool) -> ExitCode {
    match result {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(Code::Corrupt.exit_code()),
        Ok(Ended::BySignal(signal)) => ExitCode::from(signal.exit_code()),
        Err(Error::BrokenPipe) => ExitCode::from(141),
        Err(error) => {
            report(&error, is_json);
            ExitCode::from(error.code().exit_code())
        }
    }
}

fn report(error: &Error, is_json: bool) {
    let hint = hint::of(error);
    if is_json {
        let mut message = error.to_string();
        for cause in error.causes() {
            message = format!("{message}: {cause}");
        }
        say(&json_error(error.code(), &message, &hint, &error.details()));
        return;
    }
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let what = printable(&error.to_string());
    say(&format!("{red}error[{}]{red:#}: {what}", error.code().name()));
    for cause in error.causes() {
        say(&format!("  caused by: {}", printable(&cause)));
    }
    say_hint(&hint);
}

fn say_hint(hint: &str) {
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    say(&format!("{cyan}hint{cyan:#}: {hint}"));
}

fn json_error(code: Code, message: &str, hint: &str, details: &Value) -> String {
    json!({"error": {
        "code": code.name(),
        "message": message,
        "hint": hint,
        "details": details,
        "exit_code": code.exit_code(),
    }})
    .to_string()
}

/// Ends the program after the command line could not be parsed, or asked for help.
pub(crate) fn usage(error: &clap::Error, is_json: bool) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_answer {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if is_json {
        let text = error.render().to_string();
        let what = text.split("\n\nUsage:").next().unwrap_or_default();
        let words: Vec<_> = what.trim_start_matches("error: ").split_whitespace().collect();
        say(&json_error(Code::Usage, &words.join(" "), hint::of_usage(), &json!({})));
    } else {
        let text = error.render().ansi().to_string();
        // Its last paragraph names --help, and so does our hint.
        let what = text.rsplit_once("\n\nFor more information").map_or(text.as_str(), |cut| cut.0);
        say(what.replacen("error:", "error[USAGE]:", 1).trim_end());
        if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            say_hint(hint::of_usage());
        }
    }
    ExitCode::from(Code::Usage.exit_code())
}
