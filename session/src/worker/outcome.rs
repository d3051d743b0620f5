//! What a turn ends with, by how its program ended.

use std::ffi::OsString;
use std::process::ExitStatus;

use ao_store::turn::finish::{Completion, Outcome};
use ao_store::turn::usage::Usage;
use ao_store::turn::{FAILURE_MAX, REPLY_MAX, Reason};

use super::process::{End, Stop, how};

/// The failure of a turn that made no progress in time.
const UNRESPONSIVE: &str = "the program of the turn made no progress in time";

/// A failure of a turn, which used nothing that is known.
pub(super) fn failure(reason: Reason, text: String) -> Completion {
    let outcome = Outcome::Failure { reason, text, limit_ends_at: None };
    Completion { outcome, usage: Usage::default() }
}

/// The failure of a turn whose program could not be started.
pub(super) fn not_started(argv: &[OsString], error: &ao_program::Error) -> Completion {
    let program = argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    failure(Reason::NotStarted, format!("{program} could not be started: {error}"))
}

/// What is wrong with a reply that is too large.
pub(super) fn too_large() -> String {
    format!("the reply is larger than {REPLY_MAX} bytes")
}

/// A reply without a snapshot.
pub(super) fn reply(text: String) -> Completion {
    Completion { outcome: Outcome::Reply { text, snapshot: None }, usage: Usage::default() }
}

/// What a turn ends with whose program was stopped; `None` if nothing is to be written.
pub(super) fn of_stop(stop: &Stop) -> Option<Completion> {
    match stop {
        Stop::Lost => None,
        // The store makes it cancelled, and keeps no reply.
        Stop::Cancelled => Some(reply(String::new())),
        Stop::Interrupted => {
            Some(failure(Reason::Interrupted, "the worker was stopped".to_owned()))
        }
        Stop::Unresponsive => Some(failure(Reason::Unresponsive, UNRESPONSIVE.to_owned())),
        Stop::TooLarge(what) => Some(failure(Reason::TooLarge, what.clone())),
        Stop::Refused(what) => Some(failure(Reason::AgentError, what.clone())),
    }
}

/// The failure of a turn whose program ended while it was open.
pub(super) fn of_exit(status: Option<ExitStatus>, messages: &str) -> Completion {
    let is_exit = status.is_some_and(|status| status.code().is_some());
    let reason = if is_exit { Reason::Exited } else { Reason::Killed };
    failure(reason, with_messages(format!("the program {}", how(status)), messages))
}

/// What a turn ends with that is answered by the output of a program.
pub(super) fn of_program(
    end: &End,
    status: Option<ExitStatus>,
    text: String,
    messages: &str,
) -> Option<Completion> {
    match end {
        End::Stopped(stop) => of_stop(stop),
        End::Exited if status.is_some_and(|status| status.success()) => Some(reply(text)),
        End::Exited => Some(of_exit(status, messages)),
    }
}

/// A text with the end of what the program printed on standard error, as much as is stored of a failure.
fn with_messages(text: String, messages: &str) -> String {
    if messages.is_empty() {
        return text;
    }
    let room = FAILURE_MAX.saturating_sub(text.len() + 2);
    let start = messages.ceil_char_boundary(messages.len().saturating_sub(room));
    format!("{text}: {}", &messages[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_end_of_the_messages_and_fits() {
        assert_eq!(with_messages("a".to_owned(), ""), "a");
        assert_eq!(with_messages("a".to_owned(), "b"), "a: b");
        let long = "\u{20ac}".repeat(FAILURE_MAX);
        let text = with_messages("a".to_owned(), &long);
        assert!(text.len() <= FAILURE_MAX && text.len() > FAILURE_MAX - 4, "{}", text.len());
    }
}
