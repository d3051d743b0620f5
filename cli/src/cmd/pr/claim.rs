//! Claims a pull request for a session, and says what that changed.

use ao_daemon::document;
use ao_daemon::request::{self, verify};
use ao_observer::github::host::Endpoints;
use ao_store::{PrName, SessionId, Takeover};

use crate::context::{Context, cause};
use crate::error::Result;
use crate::output;

pub(super) fn claim(
    context: &Context,
    session: SessionId,
    wanted: (PrName, Takeover),
    no_verify: bool,
    api: Option<Endpoints>,
) -> Result<()> {
    let store = context.open()?;
    let checked = verify(&store, &session, &wanted.0, no_verify, api)?;
    let (claim, reason) = request::claim(&store, cause(), session, wanted, checked)?;
    if context.is_json {
        let data = document::pull::claim(&claim, reason.as_deref());
        return output::document("pr.claim", &data);
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
