//! The state of each host: its credential, rate limit and backoff.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};

text_enum! {
    /// The state of the credential for a host.
    Credential {
        /// It has not been used yet.
        Unknown = "unknown",
        /// The host accepts it.
        Ok = "ok",
        /// None was found.
        Missing = "missing",
        /// The host rejects it.
        Invalid = "invalid",
    } else Unknown
}

/// The state of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Its name, which is compared without regard to case.
    pub host: String,
    /// The state of the credential in use.
    pub credential: Credential,
    /// Where it was found, such as `GH_TOKEN`; never its value.
    pub source: String,
    /// The login of its owner, or empty; that of an app ends in `[bot]`.
    pub login: String,
    /// Since when it has this state.
    pub since: Option<Timestamp>,
    /// The rate limit per period, as last reported; `None` when the host reports none.
    pub quota: Option<i64>,
    /// The rest of it in this period.
    pub remaining: Option<i64>,
    /// When the next period begins.
    pub reset_at: Option<Timestamp>,
    /// The end of the backoff: no request is made before it.
    pub blocked_until: Option<Timestamp>,
    /// The reason of the backoff, or empty.
    pub reason: String,
    /// The URL that is asked, or empty.
    pub address: String,
    /// What the host did not answer, and why; empty when it answered everything.
    pub failure: String,
    /// When every repository of it had been listed and every tracked pull request polled.
    pub fresh_at: Option<Timestamp>,
    /// The poll interval of its last observer, in milliseconds.
    pub interval_ms: Option<i64>,
    /// JSON that only the observer reads.
    pub memory: String,
    /// When the row was written; [`set_host`] sets it.
    pub updated_at: Timestamp,
}

impl HostState {
    /// A host that was never polled.
    #[must_use]
    pub fn new(host: &str) -> HostState {
        HostState {
            host: host.to_owned(),
            credential: Credential::Unknown,
            source: String::new(),
            login: String::new(),
            since: None,
            quota: None,
            remaining: None,
            reset_at: None,
            blocked_until: None,
            reason: String::new(),
            address: String::new(),
            failure: String::new(),
            fresh_at: None,
            interval_ms: None,
            memory: "{}".to_owned(),
            updated_at: Timestamp(0),
        }
    }

    /// The login of the person whose credential it is; `None` when it is an app's or not known.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        let is_person = !self.login.is_empty() && !self.login.ends_with("[bot]");
        is_person.then_some(self.login.as_str())
    }

    /// The end of the backoff; `None` when a request may be made now.
    #[must_use]
    pub fn block(&self, now: Timestamp) -> Option<Timestamp> {
        self.blocked_until.filter(|until| *until > now)
    }
}

enum_columns!(Credential);

table! {
    HostState in "scm_host" {
        host;
        credential, source, login, since, quota, remaining, reset_at, blocked_until, reason,
        address, failure, fresh_at, interval_ms, memory, updated_at,
    }
}

const SELECT_HOSTS: &str = concat!("SELECT ", names!(), " FROM scm_host ORDER BY host");

const SELECT_HOST: &str = concat!("SELECT ", names!(), " FROM scm_host WHERE host = ?1");

/// Every host that was polled, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn hosts(snapshot: &Snapshot<'_>) -> Result<Vec<HostState>> {
    snapshot.list("list hosts", SELECT_HOSTS, [], HostState::read)
}

/// The state of one host; `None` when it was never polled.
///
/// # Errors
/// When the database cannot be read.
pub fn host(snapshot: &Snapshot<'_>, host: &str) -> Result<Option<HostState>> {
    snapshot.one("read a host", SELECT_HOST, [host], HostState::read)
}

/// Stores the state of a host; returns whether anything but `updated_at` differed and was written.
///
/// # Errors
/// When the database cannot be written.
pub fn set_host(tx: &Tx<'_>, state: &HostState) -> Result<bool> {
    let stored = host(tx, &state.host)?;
    if stored.is_some_and(|stored| {
        HostState { updated_at: stored.updated_at, ..state.clone() } == stored
    }) {
        return Ok(false);
    }
    columns::upsert(tx, "store a host", &HostState { updated_at: tx.now(), ..state.clone() })
}
