//! The state of each repository: its current name, access, and how far it was listed.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, enum_columns, table};

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

enum_columns!(Access);

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

table! {
    RepoState in "scm_repo" {
        host, repo;
        name, node_id, access, access_since, watermark, listed_at,
    }
}

const SELECT_REPOS: &str =
    concat!("SELECT ", names!(), " FROM scm_repo WHERE host = ?1 ORDER BY repo");

/// The repositories of a host that were asked for.
///
/// # Errors
/// When the database cannot be read.
pub fn repos(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<RepoState>> {
    snapshot.list("list repositories", SELECT_REPOS, [host], RepoState::read)
}

/// Stores the state of a repository; says whether anything differed and was written.
///
/// # Errors
/// When the database cannot be written.
pub fn set_repo(tx: &Tx<'_>, state: &RepoState) -> Result<bool> {
    columns::upsert(tx, "store a repository", state)
}
