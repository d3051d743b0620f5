//! The table of budgets, and the part of `docs/BENCHMARKS.md` that is made from it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Instant;

use super::budget::InUnit;
use super::run::Measured;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/BENCHMARKS.md");
const BEGIN: &str = "<!-- Written by the benches: see AO_WRITE_BENCHMARKS above. -->\n";
const END: &str = "<!-- The end of what the benches write. -->\n";

/// The order of numbers such as `8` and `12b`.
pub(super) fn order(number: &str) -> (u32, String) {
    let digits = number.trim_end_matches(|it: char| !it.is_ascii_digit());
    (digits.parse().unwrap_or(u32::MAX), number.to_owned())
}

/// The figures as a table in Markdown, which fits a terminal, too.
pub(super) fn table(measured: &[Measured]) -> String {
    let head = ["#", "work", "baseline", "budget", "measured", ""].map(str::to_owned);
    let rows = measured.iter().map(|Measured { line, value, verdict }| {
        [
            line.number.to_owned(),
            line.work.to_string(),
            line.baseline.to_owned(),
            line.bounds(),
            InUnit(short(*value), line.unit).to_string(),
            verdict.to_string(),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut table = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        table.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        if number == 0 {
            let rules = widths.map(|width| "-".repeat(width.max(3)));
            table.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    table
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

/// Replaces the part of the document between its marks.
pub(super) fn write(table: &str, notes: &[String]) -> io::Result<()> {
    let text = fs::read_to_string(DOCUMENT)?;
    let without = || io::Error::other(format!("{DOCUMENT} does not have its marks"));
    let (before, rest) = text.split_once(BEGIN).ok_or_else(without)?;
    let (_, after) = rest.split_once(END).ok_or_else(without)?;
    let notes = notes.join("\n");
    let own = format!("{}\n\n{table}\n```text\n{notes}\n```\n", machine()?);
    fs::write(DOCUMENT, format!("{before}{BEGIN}\n{own}\n{END}{after}"))
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
