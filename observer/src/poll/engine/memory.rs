//! What an observer keeps over a restart: the state of its gate, what it learned about the host,
//! and what `status` shows.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, HostState};
use serde::{Deserialize, Serialize};

use super::{Engine, Found};
use crate::github::query::Dialect;
use crate::poll::gate::{RESERVE_OF_APP, RESERVE_OF_USER, Remembered};
use crate::poll::size::Size;

/// What only a look tells is stored this often at most: an idle poll writes nothing.
const STORE_EVERY_MS: i64 = 60_000;

/// How soon credentials are looked for again when there were none. It asks no host.
const MISSING_MS: i64 = 10_000;

/// How soon credentials that were refused are tried again.
const PROBE_MS: i64 = 60_000;
const PROBE_MAX_MS: i64 = 600_000;

/// How many things each kind of request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    pub(crate) slim: Size,
    pub(crate) wide: Size,
    pub(crate) detail: Size,
}

/// The part that only the observer reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    pub(super) fingerprint: String,
    pub(super) gate: Remembered,
    pub(super) sizes: Sizes,
    pub(super) dialect: Dialect,
}

impl Memory {
    /// What is stored; what cannot be read, as from another version, is forgotten.
    pub(super) fn read(text: &str) -> Memory {
        let mut memory: Memory = serde_json::from_str(text).unwrap_or_default();
        let bounds = Sizes::default();
        memory.sizes = Sizes {
            slim: memory.sizes.slim.remembered(bound(bounds.slim)),
            wide: memory.sizes.wide.remembered(bound(bounds.wide)),
            detail: memory.sizes.detail.remembered(bound(bounds.detail)),
        };
        memory
    }
}

fn bound(size: Size) -> u32 {
    u32::try_from(size.get()).unwrap_or(1)
}

impl Engine {
    /// What looking for credentials found.
    pub(crate) fn credential(&mut self, found: Found, now: Timestamp) {
        match found {
            Found::Token { fingerprint, source } => {
                let is_other = self.identity.fingerprint != fingerprint;
                if is_other {
                    if !self.identity.fingerprint.is_empty() {
                        self.gate.new_credential();
                    }
                    self.identity.refusals = 0;
                    self.identity.viewer = None;
                    // To another person other pull requests may belong.
                    self.scans.values_mut().for_each(|scan| scan.state.watermark = None);
                }
                (self.identity.fingerprint, self.identity.source) = (fingerprint, source);
                self.identity.has_token = true;
                // One that was refused is tried again, and stays invalid until it is accepted.
                if self.identity.refusals == 0 {
                    self.settle(Credential::Ok, now);
                }
            }
            Found::Missing => {
                self.identity.has_token = false;
                self.identity.refusals = 0;
                self.identity.source.clear();
                self.identity.probe_at = Timestamp(now.0 + MISSING_MS);
                self.settle(Credential::Missing, now);
            }
            Found::Failed(reason) => {
                tracing::debug!(host = self.host, reason, "cannot look for credentials");
                self.identity.has_token = false;
                self.identity.probe_at = Timestamp(now.0 + MISSING_MS);
            }
        }
    }

    /// The host refused the credentials. The first time they may be old: they are looked for
    /// anew and tried once more; after that they are known to be invalid.
    pub(super) fn refused(&mut self, now: Timestamp) {
        self.identity.has_token = false;
        self.identity.refusals += 1;
        let again = self.identity.refusals - 1;
        if again == 0 {
            self.identity.probe_at = now;
            return;
        }
        let wait = (PROBE_MS << (again - 1).min(4)).min(PROBE_MAX_MS);
        self.identity.probe_at = Timestamp(now.0 + wait);
        self.settle(Credential::Invalid, now);
    }

    /// The host answered: the credentials are good.
    pub(super) fn accepted(&mut self, now: Timestamp) {
        self.identity.refusals = 0;
        self.settle(Credential::Ok, now);
        if let Some(viewer) = &self.identity.viewer {
            self.gate.reserve = if viewer.is_bot() { RESERVE_OF_APP } else { RESERVE_OF_USER };
        }
    }

    /// Says so once when what is known of the credentials changes.
    fn settle(&mut self, state: Credential, now: Timestamp) {
        if self.identity.state == state {
            return;
        }
        self.identity.state = state;
        self.identity.since = now;
        let host = &self.host;
        match state {
            Credential::Missing => {
                tracing::debug!(host, "there are no credentials");
            }
            Credential::Invalid => {
                tracing::warn!(
                    host,
                    source = self.identity.source,
                    "the host refuses the credentials"
                );
            }
            Credential::Ok => {
                tracing::info!(host, source = self.identity.source, "credentials found");
            }
            Credential::Unknown => {}
        }
    }

    /// What is to be stored of this observer, when that differs from what is stored in something
    /// that matters, or often enough to show that it lives.
    pub(crate) fn host_state(&mut self, now: Timestamp) -> Option<HostState> {
        let block = self.gate.shown(now);
        let graphql = self.gate.state.graphql;
        let memory = Memory {
            fingerprint: self.identity.fingerprint.clone(),
            gate: self.gate.state,
            sizes: self.sizes,
            dialect: self.dialect,
        };
        let state = HostState {
            host: self.host.clone(),
            credential: self.identity.state,
            source: self.identity.source.clone(),
            login: self.identity.viewer.as_ref().map(|it| it.login.clone()).unwrap_or_default(),
            since: Some(self.identity.since).filter(|since| since.0 > 0),
            quota: graphql.limit,
            remaining: graphql.left(now),
            reset_at: graphql.limit.map(|_| Timestamp(graphql.reset_at)),
            blocked_until: block.map(|block| Timestamp(block.until)),
            reason: block.map(|block| block.reason.as_str().to_owned()).unwrap_or_default(),
            fresh_at: self.fresh_at(),
            memory: serde_json::to_string(&memory).unwrap_or_else(|_| "{}".to_owned()),
            updated_at: now,
        };
        let told = |state: &HostState| {
            let HostState { credential, source, login, since, reason, blocked_until, .. } = state;
            let block =
                (reason.clone(), blocked_until.filter(|_| reason != "budget reserve reached"));
            (*credential, source.clone(), login.clone(), *since, block)
        };
        let is_news = told(&state) != told(&self.stored);
        let age = now.0.saturating_sub(self.stored.updated_at.0);
        if !is_news && (0..STORE_EVERY_MS).contains(&age) {
            return None;
        }
        self.stored = state.clone();
        Some(state)
    }

    /// When every pull request that is looked at had been looked at last.
    fn fresh_at(&self) -> Option<Timestamp> {
        let watched = self.watches.values().filter(|watch| {
            !(watch.is_terminal() && watch.poll.confirmed_at.is_some())
                && watch.poll.problem == ao_store::row::scm::Problem::None
        });
        let oldest = watched.map(|watch| watch.looked_at.unwrap_or(Timestamp(0))).min();
        match oldest {
            Some(Timestamp(0)) => self.stored.fresh_at,
            Some(at) => Some(at),
            None => self.last_step.filter(|_| self.totals.requests > 0).or(self.stored.fresh_at),
        }
    }
}
