//! What an observer keeps of its host over a restart, and when that is written.

use ao_store::Timestamp;
use ao_store::row::scm::HostState;
use serde::{Deserialize, Serialize};

use crate::github::query::Dialect;
use crate::poll::batch_size::BatchSizes;
use crate::poll::rate_limiter::{BackoffReason, LimiterState};

/// A state that differs only in its times and figures is written this often: a poll that finds
/// nothing new writes nothing.
const WRITE_EVERY_MS: i64 = 60_000;

/// The part of the stored state that only the observer reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedState {
    /// That of the last token.
    pub(crate) fingerprint: String,
    pub(crate) limiter: LimiterState,
    pub(crate) sizes: BatchSizes,
    pub(crate) dialect: Dialect,
}

impl SavedState {
    /// Reads what is stored. What cannot be read, because another version wrote it, is forgotten.
    pub(crate) fn read(text: &str) -> SavedState {
        let saved: SavedState = serde_json::from_str(text).unwrap_or_default();
        SavedState { sizes: saved.sizes.limited(), ..saved }
    }

    /// As it is stored.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// The stored state of a host.
#[derive(Debug)]
pub(crate) struct HostRecord {
    pub(crate) stored: HostState,
    /// The URL that is asked.
    pub(crate) address: String,
    /// What the host did not answer, and why; empty when it answered everything.
    pub(crate) failure: String,
}

impl HostRecord {
    pub(crate) fn new(stored: HostState) -> HostRecord {
        let (address, failure) = (stored.address.clone(), stored.failure.clone());
        HostRecord { stored, address, failure }
    }

    /// Sets the URL that is asked; returns whether an earlier run asked another one.
    pub(crate) fn set_address(&mut self, address: &str) -> bool {
        let before = std::mem::replace(&mut self.address, address.to_owned());
        let is_other = !before.is_empty() && before != address;
        if is_other {
            self.failure.clear();
        }
        is_other
    }

    /// Records why a query got no answer.
    pub(crate) fn set_failure(&mut self, cause: String) {
        let (host, address) = (&self.stored.host, &self.address);
        tracing::debug!(host, address, cause, "the host did not answer a query");
        self.failure = cause;
    }

    /// Returns the state when it is to be written: when it differs in what people are shown, or when
    /// the stored one is old.
    pub(crate) fn update(&mut self, state: HostState, now: Timestamp) -> Option<HostState> {
        let shown = |state: &HostState| {
            let HostState { credential, source, login, since, reason, blocked_until, .. } = state;
            let is_read = state.fresh_at.is_some();
            let failure = (state.address.clone(), state.failure.clone(), state.interval_ms);
            // The reserve ends with the window of the budget, whose time moves a little all the time.
            let is_reserve = reason == BackoffReason::Reserve.as_str();
            let until = blocked_until.filter(|_| !is_reserve);
            (
                *credential,
                source.clone(),
                login.clone(),
                *since,
                reason.clone(),
                until,
                is_read,
                failure,
            )
        };
        let age = now.0.saturating_sub(self.stored.updated_at.0);
        if shown(&state) == shown(&self.stored) && (0..WRITE_EVERY_MS).contains(&age) {
            return None;
        }
        self.stored = state.clone();
        Some(state)
    }

    /// The last state could not be written: the next one is.
    pub(crate) fn invalidate(&mut self) {
        self.stored.updated_at = Timestamp(0);
    }
}
