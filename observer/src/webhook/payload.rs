//! The parts that payloads have in common: repositories and users.

use ao_store::id::parse_remote;
use ao_store::{Error, PrRef};
use serde::Deserialize;

use crate::error::{Result, quoted};

/// The repository that sent the delivery.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    full_name: String,
    html_url: String,
    id: Option<u64>,
    url: Option<String>,
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoPlace {
    /// Its host.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
}

impl RepoPlace {
    /// The place of a repository, when it is named in a form that can be one.
    pub(super) fn of(repository: &Repository) -> Option<RepoPlace> {
        let PrRef { host, repo, .. } = repository.pr(1).ok()?;
        Some(RepoPlace { host, repo })
    }

    /// The repository that a payload names, whatever else stands in it.
    pub(super) fn named_by(payload: &[u8]) -> Option<RepoPlace> {
        #[derive(Deserialize)]
        struct Named {
            repository: Repository,
        }
        let named: Named = serde_json::from_slice(payload).ok()?;
        RepoPlace::of(&named.repository)
    }
}

/// A repository as a pull request names it; `full_name` and `url` are not in every payload.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NamedRepository {
    pub(super) full_name: Option<String>,
    id: Option<u64>,
    url: Option<String>,
}

impl Repository {
    /// Host and `owner/name`.
    pub(super) fn place(&self) -> Result<(String, String)> {
        let (host, _) = parse_remote(&self.html_url)
            .ok_or_else(|| Error::InvalidPrRef(quoted(&self.html_url)))?;
        Ok((host, self.full_name.clone()))
    }

    /// The pull request of this number.
    pub(super) fn pr(&self, number: i64) -> Result<PrRef> {
        let (host, repo) = self.place()?;
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
    /// Whether both are one repository, when that can be told.
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

/// A user; the provider writes `null` for one that is gone.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct User {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl User {
    /// The login, or empty; of a bot without `[bot]`, which REST and webhooks have and GraphQL has not.
    pub(super) fn login(&self) -> String {
        let login = self.login.as_deref().unwrap_or_default();
        login.strip_suffix("[bot]").unwrap_or(login).to_owned()
    }

    pub(super) fn is_bot(&self) -> bool {
        let has_bot_name = || self.login.as_ref().is_some_and(|login| login.ends_with("[bot]"));
        self.kind.as_deref() == Some("Bot") || has_bot_name()
    }
}
