//! Claims a pull request for a session; one of which nothing was read is looked up at its host first.

use ao_observer::github::host::Endpoints;
use ao_observer::run::{Lookup, look_up};
use ao_program::Environment;
use ao_store::row::{pr, session};
use ao_store::{PrClaim, PrName, SessionId, Takeover, Timestamp};
use serde_json::json;

use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output;

/// Asks the host about a pull request of which nothing was ever read.
pub(super) fn verify(
    context: &Context,
    session: &SessionId,
    name: &PrName,
    no_verify: bool,
    api: Option<Endpoints>,
) -> Result<Option<Lookup>> {
    let (stored, location) = context.open()?.read(|snapshot| {
        session::require(snapshot, session)?;
        Ok((pr::named(snapshot, name)?, pr::locate(snapshot, name)?))
    })?;
    if stored.is_some_and(|pr| !pr.node_id.is_empty()) {
        return Ok(None);
    }
    if no_verify {
        return Ok(Some(Lookup::NotAsked("--no-verify was passed".to_owned())));
    }
    let environment = Environment::of_process();
    let found = look_up(&location, api, &environment, Timestamp::now());
    found.map(Some).map_err(Error::NotVerified)
}

pub(super) fn claim(
    context: &Context,
    session: SessionId,
    name: PrName,
    takeover: Takeover,
    checked: Option<Lookup>,
) -> Result<()> {
    let (seen, reason) = match checked {
        None => (None, None),
        Some(Lookup::Found(seen)) => (Some(seen), None),
        Some(Lookup::NotAsked(reason)) => (None, Some(reason)),
    };
    let wanted = PrClaim { name, seen: seen.map(|seen| *seen), takeover };
    let claim = context.open()?.write(cause(), move |tx| wanted.apply(tx, &session))?.value;
    if context.is_json {
        return output::document(
            "pr.claim",
            &json!({
                "pr_id": claim.pr.as_str(),
                "session_id": claim.session.as_str(),
                "previous_session_id": claim.previous.as_ref().map(SessionId::as_str),
                "was_previous_terminated": claim.was_previous_terminated,
                "is_verified": reason.is_none(),
                "reason": reason,
            }),
        );
    }
    // The name that was passed may be that of before a rename.
    let (shown, session) = (&claim.pr, &claim.session);
    let mut text = match claim.previous {
        None => format!("{shown} is now tracked and owned by {session}"),
        Some(previous) if previous == *session => format!("{shown} is already owned by {session}"),
        Some(previous) => format!("{shown} moved from {previous} to {session}"),
    };
    if let Some(reason) = reason {
        text += &format!("; whether it exists was not verified: {reason}");
    }
    output::say(&output::printable(&text));
    Ok(())
}
