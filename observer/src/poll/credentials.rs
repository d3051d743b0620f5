//! What is known of the credentials for one host: whether there are any, whether the host accepts
//! them, and when they are looked up again. The token itself is never here.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, HostState};

use crate::github::node::Actor;

/// What a lookup of credentials found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialLookup {
    /// A token.
    Found {
        /// Identifies the token; not the token.
        fingerprint: String,
        /// Where the token is from, such as `GH_TOKEN`.
        source: String,
    },
    /// There is none.
    Missing,
    /// The lookup failed.
    Failed(String),
}

/// How soon credentials are looked up again when there were none. It needs no request to the host.
const MISSING_MS: i64 = 10_000;

/// How soon credentials that were refused are tried again.
const REFUSED_MS: i64 = 60_000;
const REFUSED_MAX_MS: i64 = 600_000;

/// The state of the credentials for one host.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    host: String,
    pub(crate) state: Credential,
    /// Whether requests can be sent with a token.
    pub(crate) has_token: bool,
    pub(crate) source: String,
    pub(crate) fingerprint: String,
    /// When the state changed last.
    pub(crate) since: Timestamp,
    /// When they are looked up again.
    pub(crate) lookup_at: Timestamp,
    /// Refusals in a row.
    refusals: u32,
    /// Why the last lookup failed, if it did; it is logged once.
    failure: Option<String>,
    /// The account that the token belongs to.
    pub(crate) viewer: Option<Actor>,
}

impl Credentials {
    /// Credentials that were not looked up yet; `fingerprint` is that of the last token, or empty.
    /// Whether the host accepts that token stays known.
    pub(crate) fn new(stored: &HostState, fingerprint: String) -> Credentials {
        let (state, since) = match stored.credential {
            state @ (Credential::Ok | Credential::Invalid) => (state, stored.since),
            Credential::Unknown | Credential::Missing => (Credential::Unknown, None),
        };
        let (host, since) = (stored.host.clone(), since.unwrap_or_default());
        Credentials { host, fingerprint, state, since, ..Credentials::default() }
    }

    /// Records what a lookup found; returns whether it is another token than the last one.
    pub(crate) fn record_lookup(&mut self, lookup: CredentialLookup, now: Timestamp) -> bool {
        let mut is_other = false;
        self.has_token = false;
        self.lookup_at = Timestamp(now.0 + MISSING_MS);
        match lookup {
            CredentialLookup::Found { fingerprint, source } => {
                is_other = self.fingerprint != fingerprint;
                if is_other {
                    self.refusals = 0;
                    self.viewer = None;
                }
                (self.fingerprint, self.source) = (fingerprint, source);
                self.has_token = true;
                // Only an answer of the host shows whether it accepts the token. One that was refused
                // is tried again, and stays invalid until it is accepted.
                if is_other || self.state == Credential::Missing {
                    self.set_state(Credential::Unknown, now);
                }
            }
            CredentialLookup::Missing => {
                self.refusals = 0;
                self.source.clear();
                self.set_state(Credential::Missing, now);
            }
            CredentialLookup::Failed(reason) => {
                if self.failure.as_ref() != Some(&reason) {
                    tracing::warn!(host = self.host, reason, "cannot look up credentials");
                }
                self.failure = Some(reason);
                return false;
            }
        }
        self.failure = None;
        is_other
    }

    /// The host refused the credentials. After the first refusal they are looked up again and tried
    /// once more, because they may just have expired; after that they are invalid.
    pub(crate) fn record_refusal(&mut self, now: Timestamp) {
        self.has_token = false;
        self.refusals += 1;
        if self.refusals == 1 {
            self.lookup_at = now;
            return;
        }
        let wait = (REFUSED_MS << (self.refusals - 2).min(4)).min(REFUSED_MAX_MS);
        self.lookup_at = Timestamp(now.0 + wait);
        self.set_state(Credential::Invalid, now);
    }

    /// The host accepted the credentials, and may have named their owner.
    pub(crate) fn record_acceptance(&mut self, viewer: Option<Actor>, now: Timestamp) {
        self.refusals = 0;
        self.viewer = viewer.or_else(|| self.viewer.take());
        self.set_state(Credential::Ok, now);
    }

    /// The person whose credentials these are; `None` when they are an app's or it is not known.
    pub(crate) fn person(&self) -> Option<&str> {
        let person = self.viewer.as_ref().filter(|viewer| viewer.is("User"))?;
        person.login.as_deref().filter(|login| !login.is_empty())
    }

    /// Logs each change of the state once.
    fn set_state(&mut self, state: Credential, now: Timestamp) {
        if self.state == state {
            return;
        }
        (self.state, self.since) = (state, now);
        let (host, source) = (&self.host, &self.source);
        match state {
            Credential::Missing => tracing::debug!(host, "no credentials found"),
            Credential::Invalid => tracing::info!(host, source, "the host refuses the credentials"),
            Credential::Ok => tracing::info!(host, source, "the host accepts the credentials"),
            Credential::Unknown => tracing::info!(host, source, "credentials found"),
        }
    }
}
