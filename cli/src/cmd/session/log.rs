//! Prints what an agent shows or has shown, as plain text.
//!
//! Followed, the terminal is read twice a second. A line is printed when it is the same in two readings, so
//! that what a program draws again and again (a spinner, its input field) is not printed each time; what it
//! then changes is printed again, from there on.

use std::thread;
use std::time::Duration;

use ao_daemon::document;
use ao_session::{Sessions, Shown, ShownFrom};
use ao_store::SessionId;
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;
use crate::printer::is_output_closed;

/// The time between two readings.
const PACE: Duration = Duration::from_millis(500);

/// How many lines are read to find those that are new.
const WINDOW: u32 = 2_000;

pub(super) fn run(context: &Context, id: &SessionId, lines: u32, follow: bool) -> Result<()> {
    if follow && context.is_json {
        let what = "--follow prints lines of text: omit it, or --json";
        return Err(Error::Usage(what.to_owned()));
    }
    let sessions = context.sessions_to_look_at()?;
    if follow {
        return self::follow(context, &sessions, id, lines);
    }
    let shown = sessions.log(id, lines)?;
    if context.is_json {
        return output::document(
            "session.log",
            &json!({
                "session_id": id.as_str(),
                "launch_id": shown.launch.id,
                "source": shown.from.as_str(),
                "text": shown.lines.join("\n"),
                "ended_at": shown.launch.ended_at.map(document::time),
            }),
        );
    }
    say_if_nowhere(context, id, &shown);
    print(&shown.lines)
}

fn say_if_nowhere(context: &Context, id: &SessionId, shown: &Shown) {
    if shown.from == ShownFrom::Nowhere {
        context.say(&format!("the agent of {id} has no terminal: its output is kept at its end"));
    }
}

fn print(lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    output::text(&(lines.join("\n") + "\n"))
}

/// Prints the last lines, and what follows until the launch ends or another one takes its place.
fn follow(context: &Context, sessions: &Sessions, id: &SessionId, lines: u32) -> Result<()> {
    let window = WINDOW.max(lines);
    let mut shown = sessions.log(id, window)?;
    say_if_nowhere(context, id, &shown);
    let launch = shown.launch.id.clone();
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut printed = Printed::after(&shown.lines, wanted);
    loop {
        let has_ended = shown.launch.ended_at.is_some();
        print(&printed.news(shown.lines, has_ended))?;
        if has_ended {
            return Ok(());
        }
        thread::sleep(PACE);
        if is_output_closed() {
            return Err(Error::BrokenPipe);
        }
        shown = sessions.log(id, window)?;
        if shown.launch.id != launch {
            return Ok(());
        }
    }
}

/// The lines of a screen that were printed.
struct Printed {
    lines: Vec<String>,
    /// All lines of the last reading.
    last: Vec<String>,
}

impl Printed {
    /// Of a first reading all but the last lines count as printed: these are to be printed.
    fn after(first: &[String], wanted: usize) -> Printed {
        let skipped = first[..first.len().saturating_sub(wanted)].to_vec();
        Printed { lines: skipped, last: first[..first.len().saturating_sub(1)].to_vec() }
    }

    /// The lines of a reading that are to be printed: those that will not change, because they have not since
    /// the last reading, or because there is no other one.
    fn news(&mut self, now: Vec<String>, is_final: bool) -> Vec<String> {
        let stays = if is_final { now.len() } else { common(&self.last, &now) };
        let mut known = common(&self.lines, &now);
        // The end of a long output that was kept can begin within a line.
        if is_final && known == 0 && now.len() > 1 {
            let rest = common(&self.lines, &now[1..]);
            known = if rest > 0 { rest + 1 } else { 0 };
        }
        let news = now[known.min(stays)..stays].to_vec();
        self.lines = now[..known.max(stays)].to_vec();
        self.last = now;
        news
    }
}

/// How many lines of `now`, from its first on, were in `before`, from some line on: lines leave at the top.
fn common(before: &[String], now: &[String]) -> usize {
    let equal = |from: usize| before[from..].iter().zip(now).take_while(|(a, b)| a == b).count();
    (0..before.len()).map(equal).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    /// What is printed for these readings; each character is a line, and of the first one the last three are
    /// wanted.
    fn printed(readings: &[&str]) -> String {
        let mut printed = Printed::after(&lines(readings[0]), 3);
        let all = readings
            .iter()
            .enumerate()
            .flat_map(|(index, reading)| printed.news(lines(reading), index + 1 == readings.len()));
        all.collect()
    }

    #[test]
    fn each_line_is_printed_once_also_when_lines_leave_at_the_top() {
        for (readings, expected) in [
            (&["", "abc", "abc"][..], "abc"),
            (&["abc"], "abc"),
            (&["xyzabc"], "abc"),
            (&["xyzabc", "xyzabcd", "yzabcde"], "abcde"),
            (&["abc", "abcd", "abcd", "bcde", "cdef"], "abcdef"),
            (&["abc", "abc", "abc"], "abc"),
            (&["aaa", "aaaa", "aaaa"], "aaaa"),
            (&["abc", "xyz", "xyz"], "abxyz"),
            (&["abc", "abc", "?bcde"], "abcde"),
        ] {
            assert_eq!(printed(readings), expected, "{readings:?}");
        }
    }

    #[test]
    fn what_changes_between_readings_is_printed_when_it_stays() {
        // The last line is a spinner, and then an input field below new lines.
        assert_eq!(printed(&["a", "a|", "a/", "a-", "ab>", "ab>", "abc>"]), "ab>c>");
    }
}
