//! The state of each repository: its current name, access, and how far it was listed.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};

text_enum! {
    /// Whether a repository can be read.
    Access {
        /// It has not been requested yet.
        Unknown = "unknown",
        /// It can be read.
        Ok = "ok",
        /// It can be read, but some of its open pull requests could not be listed.
        Partial = "partial",
        /// The credential may not read it.
        Forbidden = "forbidden",
        /// No repository has this name, or the credential may not know of it.
        Missing = "missing",
    } else Unknown
}

enum_columns!(Access);

/// The state of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoState {
    /// Its host.
    pub host: String,
    /// `owner/name` as first requested, which is compared without regard to case.
    pub repo: String,
    /// The current `owner/name`, or empty.
    pub name: String,
    /// Its node id, or empty.
    pub node_id: String,
    /// Whether it can be read.
    pub access: Access,
    /// Since when it has this access.
    pub access_since: Option<Timestamp>,
    /// The open pull requests that were created up to this time have been listed.
    pub watermark: Option<Timestamp>,
    /// When they were last listed.
    pub listed_at: Option<Timestamp>,
}

impl RepoState {
    /// A repository that was never requested.
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

table! {
    RepoState in "scm_repo" {
        host, repo;
        name, node_id, access, access_since, watermark, listed_at,
    }
}

const SELECT_REPOS: &str =
    concat!("SELECT ", names!(), " FROM scm_repo WHERE host = ?1 ORDER BY repo");

/// The repositories of a host that were requested.
///
/// # Errors
/// When the database cannot be read.
pub fn repos(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<RepoState>> {
    snapshot.list("list repositories", SELECT_REPOS, [host], RepoState::read)
}

/// Stores the state of a repository; returns whether anything differed and was written.
///
/// # Errors
/// When the database cannot be written.
pub fn set_repo(tx: &Tx<'_>, state: &RepoState) -> Result<bool> {
    columns::upsert(tx, "store a repository", state)
}
