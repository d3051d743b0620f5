//! Agreement to take something away: by flag, or by a person at a terminal, never by silence.

use std::io::{self, BufRead, IsTerminal};

use crate::args::Consent;
use crate::error::{Error, Result};
use crate::output;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// Asks before `what` is done, unless the flags answer.
pub(crate) fn ask(what: &str, consent: Consent) -> Result<Answer> {
    if consent.dry_run {
        output::say(&format!("would {what}"));
        return Ok(Answer::No);
    }
    if consent.yes {
        return Ok(Answer::Yes);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Error::Usage(format!("to {what} without a terminal needs --yes")));
    }
    output::say(&format!("{what}? [y/N]"));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Error::Stdout)?;
    Ok(if matches!(answer.trim(), "y" | "Y" | "yes") { Answer::Yes } else { Answer::No })
}
