//! The state of each host: its credential, rate limit and backoff.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};

text_enum! {
    /// What became of the credential that a host is asked with.
    Credential {
        /// It was not tried yet.
        Unknown = "unknown",
        /// The host takes it.
        Ok = "ok",
        /// None was found.
        Missing = "missing",
        /// The host refuses it.
        Invalid = "invalid",
    } else Unknown
}

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Its name; case does not tell two hosts apart.
    pub host: String,
    /// What became of the credential in use.
    pub credential: Credential,
    /// Where it was found, such as `GH_TOKEN`; never what it is.
    pub source: String,
    /// Whose it is, or empty.
    pub login: String,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// The budget of one period as last seen; `None` when the host states none.
    pub quota: Option<i64>,
    /// What was left of it.
    pub remaining: Option<i64>,
    /// When the next period begins.
    pub reset_at: Option<Timestamp>,
    /// Until when no request is made.
    pub blocked_until: Option<Timestamp>,
    /// Why, or empty.
    pub reason: String,
    /// When every tracked pull request of it had been looked at last.
    pub fresh_at: Option<Timestamp>,
    /// JSON of the observer's own.
    pub memory: String,
    /// When the row was written; [`set_host`] sets it.
    pub updated_at: Timestamp,
}

impl HostState {
    /// A host that was not asked yet.
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
            fresh_at: None,
            memory: "{}".to_owned(),
            updated_at: Timestamp(0),
        }
    }

    /// Until when no request is made; `None` when one may be.
    #[must_use]
    pub fn block(&self, now: Timestamp) -> Option<Timestamp> {
        self.blocked_until.filter(|until| *until > now)
    }
}

enum_columns!(Credential);

table! {
    HostState in "scm_host" {
        host;
        credential, source, login, since, quota, remaining, reset_at, blocked_until, reason, fresh_at,
        memory, updated_at,
    }
}

const SELECT_HOSTS: &str = concat!("SELECT ", names!(), " FROM scm_host ORDER BY host");

const SELECT_HOST: &str = concat!("SELECT ", names!(), " FROM scm_host WHERE host = ?1");

/// Every host that was asked, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn hosts(snapshot: &Snapshot<'_>) -> Result<Vec<HostState>> {
    snapshot.list("list hosts", SELECT_HOSTS, [], HostState::read)
}

/// The state of one host; `None` when it was never asked.
///
/// # Errors
/// When the database cannot be read.
pub fn host(snapshot: &Snapshot<'_>, host: &str) -> Result<Option<HostState>> {
    snapshot.one("read a host", SELECT_HOST, [host], HostState::read)
}

/// Stores the state of a host; says whether anything but `updated_at` differed and was written.
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
