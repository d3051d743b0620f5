//! All files of benches, each run in a process of its own: what one leaves in memory changes the figures of
//! the next.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};

use super::process::{child_role, respawn};
use super::report::{Report, print};
use super::run::Run;

/// The prefix of the role of a process that runs a file.
const FILE: &str = "file:";

/// A file of benches.
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// The numbers of its lines.
    pub numbers: &'static [&'static str],
    /// Measures them.
    pub measure: fn(&mut Run),
}

/// Runs the files that the command line selects by their name or by the number of a line, or all; prints the
/// table of budgets, and writes it into `docs/BENCHMARKS.md` if `AO_WRITE_BENCHMARKS` is set. Fails if a budget
/// is missed, or a file fails. In a process that was started for one file it runs that; in one with another
/// role, `play` does.
pub fn suite(files: &[File], play: impl FnOnce(&str)) -> ExitCode {
    let word = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match child_role() {
        Some(role) => {
            let name = role.strip_prefix(FILE);
            match files.iter().find(|file| name == Some(file.name)) {
                Some(file) => (file.measure)(&mut Run::new(word.filter(|word| word != file.name))),
                None => play(&role),
            }
            ExitCode::SUCCESS
        }
        None => run_each(files, word.as_deref()).unwrap_or_else(|error| failed(&error.to_string())),
    }
}

fn run_each(files: &[File], word: Option<&str>) -> io::Result<ExitCode> {
    let mut report = Report::default();
    let mut broken = Vec::new();
    for file in files {
        if word.is_some_and(|word| word != file.name && !file.numbers.contains(&word)) {
            continue;
        }
        let mut command = respawn(&format!("{FILE}{}", file.name))?;
        let mut child = command.args(std::env::args_os().skip(1)).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().into_iter().flat_map(|it| BufReader::new(it).lines());
        for line in output {
            report.take(&line?);
        }
        if !child.wait()?.success() {
            broken.push(file.name);
        }
    }
    print(&format!("\n{}", report.table()));
    if !broken.is_empty() {
        return Ok(failed(&format!("these files failed: {}", broken.join(", "))));
    }
    if std::env::var_os("AO_WRITE_BENCHMARKS").is_some() {
        report.write()?;
    }
    let is_measured = std::env::args().any(|arg| arg == "--bench");
    match report.missed {
        1.. if is_measured => Ok(failed(&format!("{} budgets are missed", report.missed))),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn failed(reason: &str) -> ExitCode {
    // A closed standard error cannot be reported anywhere.
    let _ = writeln!(io::stderr(), "error: {reason}");
    ExitCode::FAILURE
}
