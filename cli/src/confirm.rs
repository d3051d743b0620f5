//! Agreement to take something away: by flag, or by a person at a terminal, never by silence.

use std::io::{self, BufRead, IsTerminal};

use serde_json::json;

use crate::args::Consent;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Asks before `what` is done by `command`, such as `ao-store session rm demo-1`, unless the flags
/// answer.
pub(crate) fn ask(
    context: &Context,
    what: &str,
    command: &str,
    consent: Consent,
) -> Result<Answer> {
    if consent.dry_run {
        if context.is_json {
            output::document("dry_run", &json!({"would": what}))?;
        }
        context.say(&format!("would {what}"));
        return Ok(Answer::No);
    }
    if consent.yes {
        return Ok(Answer::Yes);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Error::Unconfirmed { what: what.to_owned(), command: command.to_owned() });
    }
    output::say(&format!("{what}? [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(Answer::Yes);
    }
    output::say("nothing was done");
    Ok(Answer::No)
}
