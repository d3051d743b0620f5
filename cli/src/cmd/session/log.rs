//! Prints what an agent shows or has shown, as plain text.
//!
//! Followed, the terminal is read twice a second. A line is printed when it is the same in two readings, so
//! that what a program draws again and again (a spinner, its input field) is not printed each time; what it
//! then changes is printed again, from there on.

use std::thread;
use std::time::Duration;

use ao_session::{Sessions, Shown, ShownFrom};
use ao_store::SessionId;
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::printer::is_output_closed;
use crate::{output, view};

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
    let shown = sessions.log(id, lines)?;
    if context.is_json {
        return output::document(
            "session.log",
            &json!({
                "session_id": id.as_str(),
                "launch_id": shown.launch.id,
                "source": shown.from.as_str(),
                "text": shown.lines.join("\n"),
                "ended_at": shown.launch.ended_at.map(view::time),
            }),
        );
    }
    if shown.from == ShownFrom::Nowhere {
        context.say(&format!("the agent of {id} has no terminal: its output is kept at its end"));
    }
    print(&shown.lines)?;
    if follow && shown.launch.ended_at.is_none() {
        self::follow(&sessions, id, shown)
    } else {
        Ok(())
    }
}

fn print(lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    output::text(&(lines.join("\n") + "\n"))
}

/// Prints until the launch ends, or another one takes its place.
fn follow(sessions: &Sessions, id: &SessionId, first: Shown) -> Result<()> {
    let launch = first.launch.id;
    let mut printed = Printed { last: first.lines.clone(), lines: first.lines };
    loop {
        thread::sleep(PACE);
        if is_output_closed() {
            return Err(Error::BrokenPipe);
        }
        let shown = sessions.log(id, WINDOW)?;
        if shown.launch.id != launch {
            return Ok(());
        }
        let has_ended = shown.launch.ended_at.is_some();
        print(&printed.news(shown.lines, has_ended))?;
        if has_ended {
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
    /// The lines of a reading that are to be printed: those that will not change, because they have not since
    /// the last reading, or because there is no other one.
    fn news(&mut self, now: Vec<String>, is_final: bool) -> Vec<String> {
        let stays = if is_final { now.len() } else { common(&self.last, &now) };
        let known = common(&self.lines, &now);
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

    /// What is printed for these readings; each character is a line.
    fn printed(readings: &[&str]) -> String {
        let (first, rest) = readings.split_first().unwrap();
        let mut printed = Printed { lines: lines(first), last: lines(first) };
        let mut all = lines(first);
        for (index, reading) in rest.iter().enumerate() {
            all.extend(printed.news(lines(reading), index + 1 == rest.len()));
        }
        all.concat()
    }

    #[test]
    fn each_line_is_printed_once_also_when_lines_leave_at_the_top() {
        for (readings, expected) in [
            (&["", "abc", "abc"][..], "abc"),
            (&["abc", "abcd", "abcd", "bcde", "cdef"], "abcdef"),
            (&["abc", "abc", "abc"], "abc"),
            (&["aaa", "aaaa", "aaaa"], "aaaa"),
            (&["abc", "xyz", "xyz"], "abcxyz"),
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
