//! A claim of a pull request; one of which nothing was read is looked up at its host first.

use ao_observer::github::host::Endpoints;
use ao_observer::run::{Lookup, look_up};
use ao_program::Environment;
use ao_store::row::{pr, session};
use ao_store::{Cause, Claim, PrClaim, PrName, SessionId, Store, Takeover, Timestamp};

use super::{Error, Result};

/// Why it was not verified that a pull request exists.
pub type Unverified = Option<String>;

/// Asks the host about a pull request of which nothing was ever read; `None` for another one.
///
/// # Errors
/// `SESSION_NOT_FOUND`; the host does not confirm it.
pub fn verify(
    store: &Store,
    session: &SessionId,
    name: &PrName,
    no_verify: bool,
    api: Option<Endpoints>,
) -> Result<Option<Lookup>> {
    let (stored, location) = store.read(|snapshot| {
        session::require(snapshot, session)?;
        Ok((pr::named(snapshot, name)?, pr::locate(snapshot, name)?))
    })?;
    if stored.is_some_and(|pr| !pr.node_id.is_empty()) {
        return Ok(None);
    }
    if no_verify {
        return Ok(Some(Lookup::NotAsked("verification was turned off".to_owned())));
    }
    let environment = Environment::of_process();
    let found = look_up(&location, api, &environment, Timestamp::now());
    found.map(Some).map_err(Error::NotVerified)
}

/// Claims what was verified, or not.
///
/// # Errors
/// `PR_CLAIMED_BY_ACTIVE_SESSION` and others of the store.
pub fn claim(
    store: &Store,
    cause: Cause,
    session: SessionId,
    (name, takeover): (PrName, Takeover),
    checked: Option<Lookup>,
) -> Result<(Claim, Unverified)> {
    let (seen, reason) = match checked {
        None => (None, None),
        Some(Lookup::Found(seen)) => (Some(*seen), None),
        Some(Lookup::NotAsked(reason)) => (None, Some(reason)),
    };
    let wanted = PrClaim { name, seen, takeover };
    let claimed = store.write(cause, move |tx| wanted.apply(tx, &session))?;
    Ok((claimed.value, reason))
}

/// What a session that is spawned is to own: the host is asked about the pull request. Nothing is written.
///
/// # Errors
/// The host does not confirm it, or cannot be asked.
pub fn wanted(
    store: &Store,
    name: PrName,
    takeover: Takeover,
    api: Option<Endpoints>,
) -> Result<PrClaim> {
    let location = store.read(|snapshot| pr::locate(snapshot, &name))?;
    match look_up(&location, api, &Environment::of_process(), Timestamp::now())? {
        Lookup::Found(seen) => Ok(PrClaim { name, seen: Some(*seen), takeover }),
        Lookup::NotAsked(_) => {
            Err(ao_observer::Error::NoCredentials { host: location.host }.into())
        }
    }
}
