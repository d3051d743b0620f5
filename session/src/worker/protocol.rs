//! What a worker and a program that stays for several turns say to each other: one JSON object per line. It is
//! described in `docs/worker.md`.
//!
//! A line of the program is understood as a whole or refused: nothing in it is ignored.

use std::time::UNIX_EPOCH;

use ao_store::Timestamp;
use ao_store::turn::append::Response;
use ao_store::turn::claim::Work;
use ao_store::turn::finish::{Completion, Outcome};
use ao_store::turn::usage::{Count, Usage};
use ao_store::turn::{REPLY_MAX, Reason, SNAPSHOT_MAX};
use serde::{Deserialize, Serialize};

use super::outcome::{failure, too_large};

/// A line to the program.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    Turn { turn_id: &'a str, conversation_id: &'a str, input: &'a str, snapshot: Option<&'a str> },
    Cancel { turn_id: &'a str },
}

impl Told<'_> {
    fn line(&self) -> String {
        // A string has no value that JSON cannot express.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The line that begins a turn.
pub(super) fn begin(work: &Work) -> String {
    Told::Turn {
        turn_id: &work.turn.id,
        conversation_id: &work.conversation.id,
        input: &work.input,
        snapshot: work.snapshot.as_deref(),
    }
    .line()
}

/// The line that asks to cancel a turn.
pub(super) fn cancel(turn: &str) -> String {
    Told::Cancel { turn_id: turn }.line()
}

/// A line of the program.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Delta {
        turn_id: String,
        text: String,
    },
    Content {
        turn_id: String,
        text: String,
    },
    Ephemeral {
        turn_id: String,
        text: String,
    },
    Status {
        turn_id: String,
        text: String,
    },
    Progress {
        turn_id: String,
    },
    Waiting {
        turn_id: String,
    },
    Complete {
        turn_id: String,
        reply: String,
        snapshot: Option<String>,
        #[serde(default)]
        usage: Used,
    },
    Error {
        turn_id: String,
        text: String,
        #[serde(default)]
        reason: Why,
        limit_ends_at: Option<String>,
    },
}

/// Why an agent may say that it failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    #[default]
    AgentError,
    Limited,
    Overloaded,
    Authentication,
    Billing,
    Context,
    Refused,
}

/// What a turn used. A part that is not there is not known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Used {
    input: Part,
    cached_input: Part,
    cache_write: Part,
    output: Part,
    reasoning: Part,
}

/// A number of tokens that the provider reported, or where else it comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Part {
    #[default]
    Unknown,
    Reported(u64),
    Other(Other),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    Derived(u64),
    Unsupported,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Something beside the end.
    Response(Response),
    /// The turn makes progress.
    Progress,
    /// It waits for something outside.
    Waiting,
    /// It ends.
    End(Box<Completion>),
}

/// Reads a line: the turn that it names, and what it says of it. An error is the end of a sentence.
pub(super) fn read(line: &[u8]) -> Result<(String, Line), String> {
    if line.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    let said: Said = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(match said {
        Said::Delta { turn_id, text } => (turn_id, response(Response::Delta, text)?),
        Said::Content { turn_id, text } => (turn_id, response(Response::Content, text)?),
        Said::Ephemeral { turn_id, text } => (turn_id, response(Response::Ephemeral, text)?),
        Said::Status { turn_id, text } => (turn_id, response(Response::Status, text)?),
        Said::Progress { turn_id } => (turn_id, Line::Progress),
        Said::Waiting { turn_id } => (turn_id, Line::Waiting),
        Said::Complete { turn_id, reply, snapshot, usage } => {
            let usage = usage.usage();
            (turn_id, Line::End(Box::new(Completion { outcome: answer(reply, snapshot), usage })))
        }
        Said::Error { turn_id, text, reason, limit_ends_at } => {
            (turn_id, Line::End(Box::new(error(text, reason, limit_ends_at.as_deref())?)))
        }
    })
}

fn response(kind: fn(String) -> Response, text: String) -> Result<Line, String> {
    if text.is_empty() { Err(EMPTY.to_owned()) } else { Ok(Line::Response(kind(text))) }
}

const EMPTY: &str = "its text is empty";

/// The outcome of a turn that was answered; its failure if a part of it is too large.
fn answer(text: String, snapshot: Option<String>) -> Outcome {
    let bytes = snapshot.as_ref().map_or(0, String::len);
    if text.len() > REPLY_MAX {
        return failure(Reason::TooLarge, too_large()).outcome;
    }
    if bytes > SNAPSHOT_MAX {
        let what = format!("the snapshot has {bytes} bytes, more than {SNAPSHOT_MAX}");
        return failure(Reason::TooLarge, what).outcome;
    }
    Outcome::Reply { text, snapshot }
}

fn error(text: String, why: Why, limit_ends_at: Option<&str>) -> Result<Completion, String> {
    if text.is_empty() {
        return Err(EMPTY.to_owned());
    }
    if limit_ends_at.is_some() && why != Why::Limited {
        return Err("it has limit_ends_at without the reason limited".to_owned());
    }
    let limit_ends_at = limit_ends_at.map(time).transpose()?;
    let outcome = Outcome::Failure { reason: why.reason(), text, limit_ends_at };
    Ok(Completion { outcome, usage: Usage::default() })
}

fn time(text: &str) -> Result<Timestamp, String> {
    let invalid = || "its limit_ends_at is no time in RFC 3339".to_owned();
    let at = humantime::parse_rfc3339(text).map_err(|_| invalid())?;
    let since = at.duration_since(UNIX_EPOCH).map_err(|_| invalid())?;
    i64::try_from(since.as_millis()).map(Timestamp).map_err(|_| invalid())
}

impl Why {
    fn reason(self) -> Reason {
        match self {
            Why::AgentError => Reason::AgentError,
            Why::Limited => Reason::Limited,
            Why::Overloaded => Reason::Overloaded,
            Why::Authentication => Reason::Authentication,
            Why::Billing => Reason::Billing,
            Why::Context => Reason::Context,
            Why::Refused => Reason::Refused,
        }
    }
}

impl Used {
    fn usage(&self) -> Usage {
        Usage {
            input: self.input.count(),
            cached_input: self.cached_input.count(),
            cache_write: self.cache_write.count(),
            output: self.output.count(),
            reasoning: self.reasoning.count(),
        }
    }
}

impl Part {
    fn count(&self) -> Count {
        match self {
            Part::Unknown => Count::Unknown,
            Part::Reported(tokens) => Count::Reported(*tokens),
            Part::Other(Other::Derived(tokens)) => Count::Derived(*tokens),
            Part::Other(Other::Unsupported) => Count::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_as_a_whole_or_refused() {
        for line in [
            "",
            " \t",
            "x",
            "[]",
            "{}",
            "\u{ff}",
            r#"{"type":"delta"}"#,
            r#"{"type":"delta","text":"x"}"#,
            r#"{"type":"delta","turn_id":"t","text":""}"#,
            r#"{"type":"delta","turn_id":"t","text":7}"#,
            r#"{"type":"delta","turn_id":"t","text":"x","more":1}"#,
            r#"{"type":"delta","turn_id":"t","text":"x","text":"y"}"#,
            r#"{"type":"delta","type":"status","turn_id":"t","text":"x"}"#,
            r#"{"type":"delta","turn_id":"t","text":"x"} {}"#,
            r#"{"type":"other","turn_id":"t"}"#,
            r#"{"type":"progress","turn_id":"t","text":"x"}"#,
            r#"{"type":"complete","turn_id":"t"}"#,
            r#"{"type":"complete","turn_id":"t","reply":"x","text":"x"}"#,
            r#"{"type":"complete","turn_id":"t","reply":"x","usage":{"tokens":1}}"#,
            r#"{"type":"complete","turn_id":"t","reply":"x","usage":{"input":-1}}"#,
            r#"{"type":"complete","turn_id":"t","reply":"x","usage":{"input":"many"}}"#,
            r#"{"type":"error","turn_id":"t","text":""}"#,
            r#"{"type":"error","turn_id":"t","text":"x","reason":"no_worker"}"#,
            r#"{"type":"error","turn_id":"t","text":"x","limit_ends_at":"2026-11-30T20:00:00Z"}"#,
            r#"{"type":"error","turn_id":"t","text":"x","reason":"limited","limit_ends_at":"soon"}"#,
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
        assert!(read(b"{\"type\":\"delta\",\"turn_id\":\"t\",\"text\":\"\xff\"}").is_err());
    }

    fn end(line: &str) -> Completion {
        match read(line.as_bytes()).unwrap() {
            (turn, Line::End(completion)) if turn == "t" => *completion,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_end_of_a_turn_has_what_the_line_says() {
        let said = end(concat!(
            r#"{"type":"complete","turn_id":"t","reply":"r","snapshot":"s","usage":"#,
            r#"{"input":7,"cached_input":{"derived":2},"cache_write":"unsupported"}}"#
        ));
        let usage = Usage {
            input: Count::Reported(7),
            cached_input: Count::Derived(2),
            cache_write: Count::Unsupported,
            ..Usage::default()
        };
        let outcome = Outcome::Reply { text: "r".to_owned(), snapshot: Some("s".to_owned()) };
        assert_eq!(said, Completion { outcome, usage });
        let said = end(concat!(
            r#"{"type":"error","turn_id":"t","text":"no","reason":"limited","#,
            r#""limit_ends_at":"1970-01-01T00:00:01Z"}"#
        ));
        let outcome = Outcome::Failure {
            reason: Reason::Limited,
            text: "no".to_owned(),
            limit_ends_at: Some(Timestamp(1000)),
        };
        assert_eq!(said.outcome, outcome);
        let Outcome::Failure { reason, .. } =
            end(r#"{"type":"error","turn_id":"t","text":"x"}"#).outcome
        else {
            panic!("it is a failure")
        };
        assert_eq!(reason, Reason::AgentError);
    }

    #[test]
    fn a_snapshot_over_its_limit_is_a_failure() {
        let large = "x".repeat(SNAPSHOT_MAX + 1);
        let Outcome::Failure { reason, text, .. } = answer("r".to_owned(), Some(large)) else {
            panic!("it is a failure")
        };
        assert_eq!(reason, Reason::TooLarge);
        assert!(text.contains(&SNAPSHOT_MAX.to_string()), "{text}");
    }
}
