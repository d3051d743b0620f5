//! What a file of benches tells of its figures, the table of budgets that is made of it, and the part of
//! `docs/BENCHMARKS.md` that has it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Instant;

use serde_json::{Value, json};

use super::budget::{InUnit, Line, Verdict};

/// The columns of the table.
const COLUMNS: usize = 6;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/BENCHMARKS.md");
const BEGIN: &str = "<!-- Written by the benches: see AO_WRITE_BENCHMARKS above. -->\n";
const END: &str = "<!-- The end of what the benches write. -->\n";

/// A figure that was measured.
pub(super) struct Measured {
    pub(super) line: Line,
    pub(super) value: f64,
    pub(super) verdict: Verdict,
}

impl Measured {
    /// Tells the suite, which runs this process.
    pub(super) fn report(&self, [least, most]: [f64; 2], times: &str) {
        let Measured { line, value, verdict } = self;
        let print = format!(
            "{:<4} {}: {} [{least:.3}..{most:.3}] ({}) {verdict}   {times}",
            line.number,
            line.work,
            InUnit(format!("{value:.3}"), line.unit),
            line.bounds(),
        );
        let row = [
            line.number,
            &line.work,
            line.baseline,
            &line.bounds(),
            &InUnit(short(*value), line.unit).to_string(),
            &verdict.to_string(),
        ];
        say(&json!({ "print": print, "row": row, "missed": *verdict == Verdict::Missed }));
    }
}

/// Tells the suite a line of a table of its own.
pub(super) fn note(line: fmt::Arguments<'_>) {
    say(&json!({ "print": line.to_string(), "note": true }));
}

fn say(record: &Value) {
    print(&record.to_string());
}

/// Prints a line.
pub(super) fn print(line: &str) {
    // A closed standard output cannot be reported anywhere.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// What the processes of all files have told.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<[String; COLUMNS]>,
    notes: Vec<String>,
    /// How many budgets are missed.
    pub(super) missed: usize,
}

impl Report {
    /// Takes a line of the output of a process, and prints it. Anything else than records is from criterion.
    pub(super) fn take(&mut self, line: &str) {
        let record = serde_json::from_str(line).unwrap_or(Value::Null);
        let Some(text) = record["print"].as_str() else { return print(line) };
        print(text);
        if let Ok(row) = serde_json::from_value(record["row"].clone()) {
            self.rows.push(row);
        }
        if record["note"] == true {
            self.notes.push(text.to_owned());
        }
        self.missed += usize::from(record["missed"] == true);
    }

    /// The figures in the order of their numbers as a table in Markdown, which fits a terminal, too.
    pub(super) fn table(&mut self) -> String {
        self.rows.sort_by_key(|row| order(&row[0]));
        let head = ["#", "work", "baseline", "budget", "measured", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let rule = format!("| {} |", widths.map(|width| "-".repeat(width.max(3))).join(" | "));
        let mut lines: Vec<_> = rows.iter().map(|row| cells(row, widths)).collect();
        lines.insert(1, rule);
        lines.join("\n")
    }

    /// Replaces the part of the document between its marks.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let text = fs::read_to_string(DOCUMENT)?;
        let without = || io::Error::other("its marks are missing");
        let (before, rest) = text.split_once(BEGIN).ok_or_else(without)?;
        let (_, after) = rest.split_once(END).ok_or_else(without)?;
        let (table, notes) = (self.table(), self.notes.join("\n"));
        let own = format!("{}\n\n{table}\n\n```text\n{notes}\n```", machine()?);
        fs::write(DOCUMENT, format!("{before}{BEGIN}\n{own}\n\n{END}{after}"))
    }
}

fn cells(row: &[String; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// The order of numbers such as `8` and `12b`.
fn order(number: &str) -> (u32, String) {
    let digits = number.trim_end_matches(|it: char| !it.is_ascii_digit());
    (digits.parse().unwrap_or(u32::MAX), number.to_owned())
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// What the figures were measured on, and when.
fn machine() -> io::Result<String> {
    let of = |program: &str, args: &[&str]| -> io::Result<String> {
        let output = Command::new(program).args(args).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    Ok(format!(
        "{}, {} processors ({model}), Linux {}, a disk that syncs in {} us, commit {}.",
        of("date", &["+%Y-%m-%d"])?,
        available_parallelism()?,
        of("uname", &["-r"])?,
        sync_micros()?,
        of("git", &["rev-parse", "--short", "HEAD"])?,
    ))
}

/// How long the disk takes to make a page durable that is overwritten; the median.
fn sync_micros() -> io::Result<u128> {
    let mut file: File = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..101 {
        io::Seek::rewind(&mut file)?;
        let begun = Instant::now();
        file.write_all(&[times.len() as u8; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
