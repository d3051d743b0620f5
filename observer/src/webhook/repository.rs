//! Repositories, as payloads name them.

use ao_store::git_url::parse_remote;
use ao_store::{Error, PrRef};
use serde::Deserialize;

use crate::error::{Result, quoted};

/// The repository that sent the webhook delivery.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    full_name: String,
    html_url: String,
    id: Option<u64>,
    url: Option<String>,
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoLocation {
    /// Its host.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
}

impl RepoLocation {
    /// The location of a repository, when its name has a form that can be one.
    pub(super) fn of(repository: &Repository) -> Option<RepoLocation> {
        let PrRef { host, repo, .. } = repository.pr(1).ok()?;
        Some(RepoLocation { host, repo })
    }

    /// The repository that a payload names, whatever else the payload contains.
    pub(super) fn in_payload(payload: &[u8]) -> Option<RepoLocation> {
        #[derive(Deserialize)]
        struct Payload {
            repository: Repository,
        }
        let payload: Payload = serde_json::from_slice(payload).ok()?;
        RepoLocation::of(&payload.repository)
    }
}

/// The repository of a pull request; `full_name` and `url` are not in every payload.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NamedRepository {
    pub(super) full_name: Option<String>,
    id: Option<u64>,
    url: Option<String>,
}

impl Repository {
    /// The location; `full_name` is not checked.
    pub(super) fn location(&self) -> Result<RepoLocation> {
        let (host, _) = parse_remote(&self.html_url)
            .ok_or_else(|| Error::InvalidPrRef(quoted(&self.html_url)))?;
        Ok(RepoLocation { host, repo: self.full_name.clone() })
    }

    /// The pull request of this number.
    pub(super) fn pr(&self, number: i64) -> Result<PrRef> {
        let RepoLocation { host, repo } = self.location()?;
        Ok(PrRef::new(&host, &repo, number)?)
    }

    /// Whether `other` is known to be this repository.
    pub(super) fn is(&self, other: &NamedRepository) -> bool {
        same(self.id, other.id)
            .or_else(|| same_text(self.url.as_deref(), other.url.as_deref()))
            .or_else(|| same_text(Some(&self.full_name), other.full_name.as_deref()))
            .unwrap_or(false)
    }
}

impl NamedRepository {
    /// Whether both are one repository; `None` when the payload does not tell.
    pub(super) fn same_as(&self, other: &NamedRepository) -> Option<bool> {
        same(self.id, other.id)
            .or_else(|| same_text(self.full_name.as_deref(), other.full_name.as_deref()))
    }
}

fn same(one: Option<u64>, other: Option<u64>) -> Option<bool> {
    one.zip(other).map(|(one, other)| one == other)
}

fn same_text(one: Option<&str>, other: Option<&str>) -> Option<bool> {
    one.zip(other).map(|(one, other)| one.eq_ignore_ascii_case(other))
}
