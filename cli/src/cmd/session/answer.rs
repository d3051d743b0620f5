//! Answers what an agent waits for.

use ao_daemon::document;
use ao_session::harness::Answer;

use crate::args;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// The most bytes of a text that is typed as an answer.
const TEXT_MAX: usize = 1 << 10;

pub(super) fn run(context: &Context, args: args::Answer) -> Result<()> {
    let id = args.id.parse()?;
    let answer = match (args.text, args.choice) {
        (Some(text), _) => Answer::Text(checked(text)?),
        (None, Some(number)) => Answer::Choice(number),
        (None, None) if args.allow => Answer::Allow,
        (None, None) => Answer::Deny,
    };
    let decision = context.sessions()?.answer(&id, &answer)?;
    if context.is_json {
        return output::document("session.answer", &document::decision(&decision));
    }
    output::say(&format!("the {} of session {id} was answered", decision.kind));
    output::line(id.as_str())
}

/// A text that is typed ends with its line, and has no keys in it.
fn checked(text: String) -> Result<String> {
    let reason = match () {
        () if text.trim().is_empty() => "the answer is empty",
        () if text.len() > TEXT_MAX => "the answer is longer than 1 KiB",
        () if text.chars().any(char::is_control) => "the answer is not one line of text",
        () => return Ok(text),
    };
    Err(Error::Usage(reason.to_owned()))
}
