//! The answer of a turn on standard output: its parts as they come, and what is missing of them from its last
//! event. What is beside the answer goes to standard error.

use ao_store::turn::State;
use ao_store::turn::event::{Event, Kind};

use crate::context::Context;
use crate::error::Result;
use crate::output::{self, printable_lines, say_always};

/// What was printed of an answer.
pub(super) struct Answer<'a> {
    context: &'a Context,
    /// Where the turn was when waiting began.
    state: State,
    printed: String,
    /// The texts beside the answer.
    pub(super) content: Vec<String>,
}

impl<'a> Answer<'a> {
    /// Of a turn that was in this state when the message was sent.
    pub(super) fn new(context: &'a Context, state: State) -> Answer<'a> {
        Answer { context, state, printed: String::new(), content: Vec::new() }
    }

    /// Prints an event of the turn. With `--json`, the document at the end has it.
    pub(super) fn event(&mut self, event: &Event) -> Result<()> {
        match event.kind {
            // Its last event has all of them, and some may be deleted.
            Kind::Delta if self.state == State::Completed => {}
            // What was of use while the turn ran.
            Kind::Ephemeral | Kind::Status if self.state.has_ended() => {}
            Kind::Delta => self.print(&event.text)?,
            Kind::Content => {
                if !self.context.is_json {
                    say_always(&printable_lines(&event.text));
                }
                self.content.push(event.text.clone());
            }
            Kind::Ephemeral => self.context.say(&event.text),
            // Every turn has these: they say what is seen anyway.
            Kind::Status if matches!(event.text.as_str(), "accepted" | "running") => {}
            Kind::Status => self.context.say(&event.text),
            Kind::Complete => self.complete(&event.text)?,
            Kind::Error => self.end_line()?,
        }
        Ok(())
    }

    /// Prints what is missing of the whole answer.
    fn complete(&mut self, whole: &str) -> Result<()> {
        match whole.strip_prefix(self.printed.as_str()) {
            Some(rest) => self.print(rest)?,
            None => {
                self.end_line()?;
                self.print(whole)?;
            }
        }
        self.end_line()
    }

    fn end_line(&mut self) -> Result<()> {
        if self.printed.is_empty() || self.printed.ends_with('\n') {
            return Ok(());
        }
        self.print("\n")
    }

    fn print(&mut self, text: &str) -> Result<()> {
        if self.context.is_json {
            return Ok(());
        }
        self.printed += text;
        output::answer(text)
    }
}
