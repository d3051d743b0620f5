//! Repairs what another program changed in the store.

use ao_store::{Permit, Repaired};
use serde_json::json;

use crate::args::Consent;
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::Result;
use crate::output;

/// Repairs the store; with `drops_history`, begins the log anew if it does not explain the rows.
pub(crate) fn run(context: &Context, drops_history: bool, consent: Consent) -> Result<()> {
    let repair = |is_dry| {
        let permit = Permit { drops_history, is_dry };
        ao_store::repair(context.database(), context.options(), &cause(), permit)
    };
    let planned = repair(true)?;
    let is_needed = !planned.done.is_empty();
    if is_needed && confirm::ask(context, &planned.done.join("; "), consent)? == Answer::No {
        return Ok(());
    }
    let Repaired { done, log } = if is_needed { repair(false)? } else { planned };
    let cursor = log.head_cursor();
    if context.is_json {
        return output::document("repair", &json!({"done": done, "cursor": cursor.to_string()}));
    }
    let mut text: String =
        done.iter().map(|it| format!("done: {}\n", output::printable(it))).collect();
    text += &match is_needed {
        true => format!("the store verifies: cursor {cursor}\n"),
        false => format!("nothing to repair: cursor {cursor}\n"),
    };
    output::text(&text)
}
