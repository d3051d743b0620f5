//! Pages: one thing described for people. On a terminal a text is wrapped to its width and cut after some
//! lines, and says so; a pipe gets everything. Addresses are never broken, so that they can be copied.

pub(crate) mod delivery;
pub(crate) mod pr;
pub(crate) mod session;
pub(crate) mod turn;

use anstyle::Style;
use ao_store::Timestamp;
use textwrap::Options;
use unicode_width::UnicodeWidthStr;

use crate::error::Result;
use crate::output::{self, printable};
use crate::table::cut;
use crate::{state_color, time, view};

/// The most lines of one text on a terminal.
const LINES_MAX: usize = 12;
/// The least width of a wrapped text, however narrow the terminal is.
const LEAST: usize = 20;
/// The width of the names of fields.
const NAME: usize = 12;

/// A page under construction.
pub(crate) struct Page {
    text: String,
    /// The width of the terminal.
    width: Option<usize>,
}

/// A part of a line: its text and its style.
pub(crate) type Word = (String, Style);

impl Page {
    pub(crate) fn new() -> Page {
        Page { text: String::new(), width: output::width() }
    }

    pub(crate) fn print(self) -> Result<()> {
        output::styled(self.text.as_bytes())
    }

    /// Whether the page is on a terminal, where long texts are cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.width.is_some()
    }

    /// The headline.
    pub(crate) fn title(&mut self, text: &str) {
        self.wrapped("", text, Style::new().bold());
    }

    /// An empty line and a heading.
    pub(crate) fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.wrapped("", text, Style::new().bold());
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Words with `·` between them; a line ends between two words.
    pub(crate) fn words(&mut self, indent: usize, words: &[Word]) {
        let width = self.width.unwrap_or(usize::MAX).max(LEAST);
        let mut used = 0;
        for (word, style) in words {
            let word = printable(word);
            if used > 0 && used + 3 + word.width() <= width {
                self.text += " · ";
                used += 3;
            } else {
                // What continues a line stands further to the right.
                let (start, indent) = if used > 0 { ("\n", indent + 2) } else { ("", indent) };
                self.text += &format!("{start}{}", " ".repeat(indent));
                used = indent;
            }
            used += word.width();
            self.text += &format!("{style}{word}{style:#}");
        }
        self.text.push('\n');
    }

    /// A name and its value, unless that is empty.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let dim = Style::new().dimmed();
        let rest = " ".repeat(2 + NAME);
        let lines = self.lines(&rest, value);
        for (at, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            match at {
                0 => self.text += &format!("  {dim}{name:<NAME$}{dim:#}{line}\n"),
                _ => self.text += &format!("{rest}{line}\n"),
            }
        }
    }

    /// A name and an address.
    pub(crate) fn address(&mut self, name: &str, url: &str) {
        if !url.is_empty() {
            let (url, dim) = (printable(url), Style::new().dimmed());
            self.text += &format!("  {dim}{name:<NAME$}{dim:#}{url}\n");
        }
    }

    /// An address on a line of its own.
    pub(crate) fn link(&mut self, indent: usize, url: &str) {
        if !url.is_empty() {
            self.text += &format!("{}{}\n", " ".repeat(indent), printable(url));
        }
    }

    /// A text of several lines, wrapped, with its first lines on a terminal only.
    pub(crate) fn body(&mut self, indent: usize, text: &str) {
        let indent = " ".repeat(indent);
        let mut lines = Vec::new();
        for line in text.trim_end().lines() {
            lines.extend(self.lines(&indent, line));
        }
        let shown = if self.is_cut() { LINES_MAX } else { usize::MAX };
        lines.iter().take(shown).for_each(|line| self.text += &format!("{}\n", line.trim_end()));
        if lines.len() > shown {
            let (dim, more) = (Style::new().dimmed(), lines.len() - shown);
            self.text += &format!("{indent}{dim}… {more} more lines; all: --json{dim:#}\n");
        }
    }

    /// Lines of a log, each cut to the terminal.
    pub(crate) fn log(&mut self, indent: usize, lines: &[&str]) {
        let (dim, margin) = (Style::new().dimmed(), " ".repeat(indent));
        for line in lines {
            let line = printable(&line.replace('\t', "    "));
            let width =
                self.width.map_or(usize::MAX, |width| width.max(LEAST + indent) - indent - 2);
            let line = format!("│ {}", cut(&line, width));
            self.text += &format!("{margin}{dim}{}{dim:#}\n", line.trim_end());
        }
    }

    /// A wrapped line in one style.
    pub(crate) fn wrapped(&mut self, indent: &str, text: &str, style: Style) {
        for line in self.lines(indent, text) {
            let margin = line.len() - line.trim_start().len();
            let (margin, line) = line.split_at(margin);
            self.text += &format!("{margin}{style}{line}{style:#}\n");
        }
    }

    fn lines(&self, indent: &str, line: &str) -> Vec<String> {
        let line = printable(&line.replace('\t', "    "));
        let Some(width) = self.width else { return vec![format!("{indent}{line}")] };
        let options = Options::new(width.max(indent.len() + LEAST))
            .initial_indent(indent)
            .subsequent_indent(indent);
        textwrap::wrap(&line, options).into_iter().map(|line| line.into_owned()).collect()
    }
}

/// A state in words and in its colour.
pub(crate) fn state(name: &str, state: &str) -> Word {
    let words = state.replace('_', " ");
    let text = if name.is_empty() { words } else { format!("{name} {words}") };
    (text, state_color::style(state))
}

/// A word without colour.
pub(crate) fn plain(text: impl Into<String>) -> Word {
    (text.into(), Style::new())
}

/// A time as an age and as the time in the local zone, such as `3h ago (2026-11-28 14:03)`.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", ago(at, now), time::local(at).strftime("%Y-%m-%d %H:%M"))
}

/// A time as an age.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    match u64::try_from(now.0.saturating_sub(at.0)) {
        Ok(ms) => format!("{} ago", view::age(ms)),
        Err(_) => format!("in {}", view::age(at.0.abs_diff(now.0))),
    }
}

/// A number and its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
