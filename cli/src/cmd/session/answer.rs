//! Answers what an agent waits for.

use ao_daemon::document;
use ao_daemon::request::answer_text;
use ao_session::harness::Answer;

use crate::args;
use crate::context::Context;
use crate::error::Result;
use crate::output;

pub(super) fn run(context: &Context, args: args::Answer) -> Result<()> {
    let id = args.id.parse()?;
    let answer = match (args.text, args.choice) {
        (Some(text), _) => Answer::Text(answer_text(text)?),
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
