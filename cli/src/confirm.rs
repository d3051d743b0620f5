//! Confirmation of a command that deletes or replaces something: by flag, or at a terminal.

use std::io::{self, BufRead, IsTerminal};

use serde_json::json;

use crate::args::Consent;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Whether to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Asks whether to do `what`, such as "delete session demo-1", unless the flags answer.
pub(crate) fn ask(context: &Context, what: &str, consent: Consent) -> Result<Answer> {
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
        return Err(Error::Unconfirmed(what.to_owned()));
    }
    output::say_always(&format!("{}? [y/N]", output::printable(what)));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(Answer::Yes);
    }
    output::say("nothing was changed");
    Ok(Answer::No)
}
