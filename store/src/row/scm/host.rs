//! Hosts and repositories: credential, budget, blocks, access, and how far each was listed.

use rusqlite::{Row, params};

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;

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

text_enum! {
    /// Whether a repository can be read.
    Access {
        /// It was not asked for yet.
        Unknown = "unknown",
        /// It can.
        Ok = "ok",
        /// The credential may not.
        Forbidden = "forbidden",
        /// There is none of this name, or the credential may not know of it.
        Missing = "missing",
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

macro_rules! select_host {
    ($tail:literal) => {
        concat!(
            "SELECT host, credential, source, login, since, quota, remaining, reset_at,
    blocked_until, reason, fresh_at, memory, updated_at FROM scm_host ",
            $tail
        )
    };
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

fn read_host(row: &Row<'_>) -> rusqlite::Result<HostState> {
    Ok(HostState {
        host: row.get(0)?,
        credential: Credential::parse(row.get_ref(1)?.as_str()?),
        source: row.get(2)?,
        login: row.get(3)?,
        since: time(row, 4)?,
        quota: row.get(5)?,
        remaining: row.get(6)?,
        reset_at: time(row, 7)?,
        blocked_until: time(row, 8)?,
        reason: row.get(9)?,
        fresh_at: time(row, 10)?,
        memory: row.get(11)?,
        updated_at: Timestamp(row.get(12)?),
    })
}

/// Every host that was asked, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn hosts(snapshot: &Snapshot<'_>) -> Result<Vec<HostState>> {
    snapshot.list("list hosts", select_host!("ORDER BY host"), [], read_host)
}

/// The state of one host; `None` when it was never asked.
///
/// # Errors
/// When the database cannot be read.
pub fn host(snapshot: &Snapshot<'_>, host: &str) -> Result<Option<HostState>> {
    snapshot.one("read a host", select_host!("WHERE host = ?1"), [host], read_host)
}

const UPSERT_HOST: &str = "INSERT INTO scm_host (host, credential, source, login, since, quota,
    remaining, reset_at, blocked_until, reason, fresh_at, memory, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT DO UPDATE SET credential = excluded.credential, source = excluded.source,
        login = excluded.login, since = excluded.since, quota = excluded.quota,
        remaining = excluded.remaining, reset_at = excluded.reset_at,
        blocked_until = excluded.blocked_until, reason = excluded.reason,
        fresh_at = excluded.fresh_at, memory = excluded.memory, updated_at = excluded.updated_at
    WHERE (credential, source, login, since, quota, remaining, reset_at, blocked_until, reason,
        fresh_at, memory) IS NOT (excluded.credential, excluded.source, excluded.login,
        excluded.since, excluded.quota, excluded.remaining, excluded.reset_at,
        excluded.blocked_until, excluded.reason, excluded.fresh_at, excluded.memory)";

/// Stores the state of a host; says whether anything but `updated_at` differed and was written.
///
/// # Errors
/// When the database cannot be written.
pub fn set_host(tx: &Tx<'_>, state: &HostState) -> Result<bool> {
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let params = params![
        state.host,
        state.credential.as_str(),
        state.source,
        state.login,
        time(state.since),
        state.quota,
        state.remaining,
        time(state.reset_at),
        time(state.blocked_until),
        state.reason,
        time(state.fresh_at),
        state.memory,
        tx.now().0,
    ];
    Ok(tx.execute_uncaptured("store a host", UPSERT_HOST, params)? > 0)
}

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoState {
    /// Its host.
    pub host: String,
    /// `owner/name` as it was asked for; case does not tell two apart.
    pub repo: String,
    /// `owner/name` as the host spells it now, or empty.
    pub name: String,
    /// The provider's id of it, or empty.
    pub node_id: String,
    /// Whether it can be read.
    pub access: Access,
    /// Since when it is so.
    pub access_since: Option<Timestamp>,
    /// Open pull requests created up to here were listed.
    pub watermark: Option<Timestamp>,
    /// When they were listed last.
    pub listed_at: Option<Timestamp>,
}

impl RepoState {
    /// A repository that was not asked for yet.
    #[must_use]
    pub fn new(host: &str, repo: &str) -> RepoState {
        RepoState {
            host: host.to_owned(),
            repo: repo.to_owned(),
            name: String::new(),
            node_id: String::new(),
            access: Access::Unknown,
            access_since: None,
            watermark: None,
            listed_at: None,
        }
    }
}

const SELECT_REPOS: &str = "SELECT host, repo, name, node_id, access, access_since, watermark,
    listed_at FROM scm_repo WHERE host = ?1 ORDER BY repo";

/// The repositories of a host that were asked for.
///
/// # Errors
/// When the database cannot be read.
pub fn repos(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<RepoState>> {
    snapshot.list("list repositories", SELECT_REPOS, [host], |row| {
        Ok(RepoState {
            host: row.get(0)?,
            repo: row.get(1)?,
            name: row.get(2)?,
            node_id: row.get(3)?,
            access: Access::parse(row.get_ref(4)?.as_str()?),
            access_since: time(row, 5)?,
            watermark: time(row, 6)?,
            listed_at: time(row, 7)?,
        })
    })
}

const UPSERT_REPO: &str = "INSERT INTO scm_repo (host, repo, name, node_id, access, access_since,
    watermark, listed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT DO UPDATE SET name = excluded.name, node_id = excluded.node_id,
        access = excluded.access, access_since = excluded.access_since,
        watermark = excluded.watermark, listed_at = excluded.listed_at
    WHERE (name, node_id, access, access_since, watermark, listed_at) IS NOT (excluded.name,
        excluded.node_id, excluded.access, excluded.access_since, excluded.watermark,
        excluded.listed_at)";

/// Stores the state of a repository; says whether anything differed and was written.
///
/// # Errors
/// When the database cannot be written.
pub fn set_repo(tx: &Tx<'_>, state: &RepoState) -> Result<bool> {
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let params = (
        &state.host,
        &state.repo,
        &state.name,
        &state.node_id,
        state.access.as_str(),
        time(state.access_since),
        time(state.watermark),
        time(state.listed_at),
    );
    Ok(tx.execute_uncaptured("store a repository", UPSERT_REPO, params)? > 0)
}
