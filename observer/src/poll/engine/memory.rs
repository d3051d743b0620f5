//! What an observer keeps over a restart: the state of its limiter, what it learned about the host,
//! and what `status` shows.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, HostState};
use serde::{Deserialize, Serialize};

use super::{CredentialLookup, Engine};
use crate::github::query::Dialect;
use crate::poll::batch_size::BatchSize;
use crate::poll::rate_limiter::{LimiterState, RESERVE_OF_APP, RESERVE_OF_USER};

/// What only a look tells is stored this often at most: an idle poll writes nothing.
const STORE_EVERY_MS: i64 = 60_000;

/// How soon credentials are record_polls for again when there were none. It asks no host.
const MISSING_MS: i64 = 10_000;

/// How soon credentials that were refused are tried again.
const PROBE_MS: i64 = 60_000;
const PROBE_MAX_MS: i64 = 600_000;

/// How many things each kind of request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchSizes {
    pub(crate) slim: BatchSize,
    pub(crate) wide: BatchSize,
    pub(crate) detail: BatchSize,
}

/// The part that only the observer reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SavedState {
    pub(super) fingerprint: String,
    pub(super) limiter: LimiterState,
    pub(super) sizes: BatchSizes,
    pub(super) dialect: Dialect,
}

impl SavedState {
    /// What is stored; what cannot be read, as from another version, is forgotten.
    pub(super) fn read(text: &str) -> SavedState {
        let mut memory: SavedState = serde_json::from_str(text).unwrap_or_default();
        let bounds = BatchSizes::default();
        memory.sizes = BatchSizes {
            slim: memory.sizes.slim.remembered(bound(bounds.slim)),
            wide: memory.sizes.wide.remembered(bound(bounds.wide)),
            detail: memory.sizes.detail.remembered(bound(bounds.detail)),
        };
        memory
    }
}

fn bound(size: BatchSize) -> u32 {
    u32::try_from(size.get()).unwrap_or(1)
}

impl Engine {
    /// What looking for credentials found.
    pub(crate) fn record_credentials(&mut self, found: CredentialLookup, now: Timestamp) {
        match found {
            CredentialLookup::Found { fingerprint, source } => {
                let is_other = self.credentials.fingerprint != fingerprint;
                if is_other {
                    if !self.credentials.fingerprint.is_empty() {
                        self.limiter.new_credential();
                    }
                    self.credentials.refusals = 0;
                    self.credentials.viewer = None;
                    // To another person other pull requests may belong.
                    self.repos.values_mut().for_each(|listing| listing.state.watermark = None);
                }
                (self.credentials.fingerprint, self.credentials.source) = (fingerprint, source);
                self.credentials.has_token = true;
                // One that was refused is tried again, and stays invalid until it is accepted.
                if self.credentials.refusals == 0 {
                    self.settle(Credential::Ok, now);
                }
            }
            CredentialLookup::Missing => {
                self.credentials.has_token = false;
                self.credentials.refusals = 0;
                self.credentials.source.clear();
                self.credentials.probe_at = Timestamp(now.0 + MISSING_MS);
                self.settle(Credential::Missing, now);
            }
            CredentialLookup::Failed(reason) => {
                tracing::debug!(host = self.host, reason, "cannot look for credentials");
                self.credentials.has_token = false;
                self.credentials.probe_at = Timestamp(now.0 + MISSING_MS);
            }
        }
    }

    /// The host refused the credentials. The first time they may be old: they are record_polls for
    /// anew and tried once more; after that they are known to be invalid.
    pub(super) fn refused(&mut self, now: Timestamp) {
        self.credentials.has_token = false;
        self.credentials.refusals += 1;
        let again = self.credentials.refusals - 1;
        if again == 0 {
            self.credentials.probe_at = now;
            return;
        }
        let wait = (PROBE_MS << (again - 1).min(4)).min(PROBE_MAX_MS);
        self.credentials.probe_at = Timestamp(now.0 + wait);
        self.settle(Credential::Invalid, now);
    }

    /// The host answered: the credentials are good.
    pub(super) fn accepted(&mut self, now: Timestamp) {
        self.credentials.refusals = 0;
        self.settle(Credential::Ok, now);
        if let Some(viewer) = &self.credentials.viewer {
            self.limiter.reserve = if viewer.is("Bot") { RESERVE_OF_APP } else { RESERVE_OF_USER };
        }
    }

    /// Says so once when what is known of the credentials changes.
    fn settle(&mut self, state: Credential, now: Timestamp) {
        if self.credentials.state == state {
            return;
        }
        self.credentials.state = state;
        self.credentials.since = now;
        let host = &self.host;
        match state {
            Credential::Missing => {
                tracing::debug!(host, "there are no credentials");
            }
            Credential::Invalid => {
                tracing::warn!(
                    host,
                    source = self.credentials.source,
                    "the host refuses the credentials"
                );
            }
            Credential::Ok => {
                tracing::info!(host, source = self.credentials.source, "credentials found");
            }
            Credential::Unknown => {}
        }
    }

    /// What is to be stored of this observer, when that differs from what is stored in something
    /// that matters, or often enough to show that it lives.
    pub(crate) fn host_state(&mut self, now: Timestamp) -> Option<HostState> {
        let block = self.limiter.shown(now);
        let graphql = self.limiter.state.graphql;
        let memory = SavedState {
            fingerprint: self.credentials.fingerprint.clone(),
            limiter: self.limiter.state,
            sizes: self.sizes,
            dialect: self.dialect,
        };
        let state = HostState {
            host: self.host.clone(),
            credential: self.credentials.state,
            source: self.credentials.source.clone(),
            login: self
                .credentials
                .viewer
                .as_ref()
                .and_then(|it| it.login.clone())
                .unwrap_or_default(),
            since: Some(self.credentials.since).filter(|since| since.0 > 0),
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

    /// When every pull request that is record_polls at had been record_polls at last.
    fn fresh_at(&self) -> Option<Timestamp> {
        let watched = self.prs.values().filter(|tracked| {
            !(tracked.is_terminal() && tracked.poll.confirmed_at.is_some())
                && tracked.poll.problem == ao_store::row::scm::Problem::None
        });
        let oldest = watched.map(|tracked| tracked.polled_at.unwrap_or(Timestamp(0))).min();
        match oldest {
            Some(Timestamp(0)) => self.stored.fresh_at,
            Some(at) => Some(at),
            None => self.last_step.filter(|_| self.totals.requests > 0).or(self.stored.fresh_at),
        }
    }
}
