//! Typed ids: text from outside becomes one only in its allowed form.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::label::TEXT_MAX;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A value from the database, which was checked before it was stored.
            pub(crate) fn stored(text: String) -> Self {
                $name(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                $check(text)?;
                Ok($name(text.to_owned()))
            }
        }
    };
}

id!(
    /// The id of a project: `[A-Za-z0-9][A-Za-z0-9._-]*`, without `..`.
    ProjectId,
    check_project_id
);
id!(
    /// The id of a session: `<project>-<num>`.
    SessionId,
    check_session_id
);
id!(
    /// The id of a tracked pull request: `host/owner/repo#number` as first observed, with `~2` and so on
    /// when that id is in use; it never changes.
    PrId,
    check_pr_id
);

id!(
    /// The name of a durable consumer: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 200 bytes.
    ConsumerName,
    check_consumer_name
);

id!(
    /// The name of an organisation: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 200 bytes.
    OrgId,
    check_org_id
);

id!(
    /// The name of an agent in its organisation, of the same form.
    AgentId,
    check_agent_id
);

impl SessionId {
    /// The id of session `num` of `project`.
    #[must_use]
    pub fn new(project: &ProjectId, num: i64) -> SessionId {
        SessionId(format!("{project}-{num}"))
    }
}

/// Why a text is not safe in a command line, a path or a terminal.
fn reason_against(text: &str) -> Option<&'static str> {
    if text.len() > TEXT_MAX {
        Some("it is longer than 200 bytes")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("it must begin with a letter or digit")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        Some("it may contain only letters, digits, '.', '_' and '-'")
    } else {
        None
    }
}

fn check_project_id(text: &str) -> Result<()> {
    let reason = reason_against(text).or_else(|| {
        if text.contains("..") {
            Some("it may not contain '..'")
        } else if text.ends_with(".lock") || text.ends_with('.') {
            Some("it would make a branch name that git refuses")
        } else {
            None
        }
    });
    reason.map_or(Ok(()), |reason| Err(Error::invalid_id("project id", text, reason)))
}

fn check_consumer_name(text: &str) -> Result<()> {
    reason_against(text)
        .map_or(Ok(()), |reason| Err(Error::invalid_id("consumer name", text, reason)))
}

fn check_org_id(text: &str) -> Result<()> {
    reason_against(text)
        .map_or(Ok(()), |reason| Err(Error::invalid_id("name of an organisation", text, reason)))
}

fn check_agent_id(text: &str) -> Result<()> {
    reason_against(text)
        .map_or(Ok(()), |reason| Err(Error::invalid_id("name of an agent", text, reason)))
}

fn check_session_id(text: &str) -> Result<()> {
    let parts = text.rsplit_once('-');
    let is_valid = parts.is_some_and(|(project, num)| {
        check_project_id(project).is_ok()
            && num.parse::<i64>().is_ok_and(|n| n > 0 && n.to_string() == num)
    });
    if is_valid {
        Ok(())
    } else {
        Err(Error::invalid_id("session id", text, "the form is <project>-<number>"))
    }
}

fn check_pr_id(text: &str) -> Result<()> {
    let (slug, copy) = text.split_once('~').unwrap_or((text, "2"));
    let is_copy = copy.parse::<i64>().is_ok_and(|n| n > 1 && n.to_string() == copy);
    match slug.parse::<PrRef>() {
        Ok(location) if is_copy && location.slug() == slug => Ok(()),
        _ => Err(Error::invalid_pr_ref(text)),
    }
}

/// Checks the id of a webhook delivery: 1 to 128 letters, digits and `-`.
///
/// # Errors
/// [`Error::InvalidId`].
pub(crate) fn check_delivery_id(text: &str) -> Result<()> {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=128).contains(&text.len()) && text.bytes().all(is_known) {
        return Ok(());
    }
    Err(Error::invalid_id("delivery id", text, "the form is 1 to 128 letters, digits and '-'"))
}

/// The location of a pull request: host, `owner/repo` and number. Like GitHub, the store ignores the
/// letter case of host and repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrRef {
    /// Host name, such as `github.com`.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
    /// The number in the repository, from 1.
    pub number: i64,
}

impl PrRef {
    /// A reference of these parts, which are checked.
    ///
    /// # Errors
    /// [`Error::InvalidPrRef`] when the host, the owner, the name or the number is invalid.
    pub fn new(host: &str, repo: &str, number: i64) -> Result<PrRef> {
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= TEXT_MAX
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !text.starts_with('-')
                && text.bytes().any(|b| b != b'.')
        };
        let host_ok = word(host.split(':').next().unwrap_or_default())
            && host.split(':').nth(1).is_none_or(|port| port.parse::<u16>().is_ok())
            && host.matches(':').count() <= 1;
        let repo_ok = repo.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name));
        if host_ok && repo_ok && number > 0 {
            Ok(PrRef { host: host.to_owned(), repo: repo.to_owned(), number })
        } else {
            Err(Error::invalid_pr_ref(&format!("{host}/{repo}#{number}")))
        }
    }

    /// `host/owner/repo#number` in lower case: the id of a pull request that is first observed here.
    #[must_use]
    pub fn slug(&self) -> String {
        format!("{}/{}#{}", self.host, self.repo, self.number).to_ascii_lowercase()
    }

    /// The URL of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/{}/pull/{}", self.host, self.repo, self.number)
    }
}

/// How users name a pull request: by its id, as every document and change prints it, or by its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrName {
    /// The id, where the text has its form.
    pub(crate) id: Option<PrId>,
    /// The location, where the text has a form of one.
    pub location: Option<PrRef>,
}

impl From<PrRef> for PrName {
    /// A name that is a location only.
    fn from(location: PrRef) -> PrName {
        PrName { id: None, location: Some(location) }
    }
}

impl fmt::Display for PrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.location, &self.id) {
            (Some(location), _) => location.fmt(f),
            (None, Some(id)) => id.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl FromStr for PrName {
    type Err = Error;

    /// Takes the forms of a [`PrId`] and of a [`PrRef`].
    ///
    /// # Errors
    /// [`Error::InvalidPrRef`].
    fn from_str(text: &str) -> Result<Self> {
        match (text.parse().ok(), text.parse().ok()) {
            (None, None) => Err(Error::invalid_pr_ref(text)),
            (id, location) => Ok(PrName { id, location }),
        }
    }
}

impl fmt::Display for PrRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.host, self.repo, self.number)
    }
}

impl FromStr for PrRef {
    type Err = Error;

    /// Takes `https://HOST/OWNER/REPO/pull/N` (with anything after it), `HOST/OWNER/REPO#N`, or
    /// `OWNER/REPO#N` on github.com.
    ///
    /// # Errors
    /// [`Error::InvalidPrRef`].
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid_pr_ref(text);
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (place, number) = match rest {
            Some(rest) => {
                // By position: an owner or a repository may be called `pull`, too.
                let path = rest.split(['?', '#']).next().unwrap_or_default();
                let mut parts = path.split('/');
                let mut part = || parts.next().ok_or_else(invalid);
                let (host, owner, name) = (part()?, part()?, part()?);
                if !part()?.eq_ignore_ascii_case("pull") {
                    return Err(invalid());
                }
                (format!("{host}/{owner}/{name}"), part()?)
            }
            None => {
                let (place, number) = text.rsplit_once('#').ok_or_else(invalid)?;
                let full = place.matches('/').count() == 2;
                (if full { place.to_owned() } else { format!("github.com/{place}") }, number)
            }
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let (host, repo) = place.split_once('/').ok_or_else(invalid)?;
        let number = number.parse().map_err(|_| invalid())?;
        PrRef::new(host, repo, number).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_project_ids_are_refused() {
        for bad in
            ["", "-x", ".x", "a/b", "a..b", "a b", "a\0", "a;b", "é", "#(id)", "x.lock", "x."]
        {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(201).parse::<ProjectId>().is_err());
        assert!("my.app_2-x".parse::<ProjectId>().is_ok());
    }

    #[test]
    fn a_session_id_ends_in_its_number() {
        for bad in
            ["", "x", "x-", "x-0", "x-01", "x--", "-1", "x-1 ", "x-+1", "x-99999999999999999999"]
        {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
        assert!("my-app-12".parse::<SessionId>().is_ok());
    }

    #[test]
    fn a_pull_request_is_named_by_its_id_or_its_location() {
        for (text, has_id, has_location) in [
            ("github.com/octo/hello#7", true, true),
            ("ghe.example.com:8443/octo/hello#7", true, true),
            ("github.com/octo/hello#7~2", true, false),
            ("github.com/octo/hello#7~12", true, false),
            ("github.com/Octo/hello#7", false, true),
            ("octo/hello#7", false, true),
            ("https://github.com/octo/hello/pull/7", false, true),
        ] {
            let name: PrName = text.parse().unwrap();
            assert_eq!(
                (name.id.is_some(), name.location.is_some()),
                (has_id, has_location),
                "{text}"
            );
        }
        for bad in [
            "",
            "#7",
            "7~2",
            "octo/hello#7~2",
            "github.com/octo/hello#7~1",
            "~2",
            "~",
            "github.com/octo/hello#7~02",
            "github.com/octo/hello#7~2~3",
            "github.com/octo/hello#7~",
        ] {
            assert!(bad.parse::<PrName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pull_request_references_have_three_forms() {
        for text in [
            "https://github.com/octo/hello/pull/7",
            "https://github.com/octo/hello/pull/7/files#r1",
            "https://github.com/Octo/hello/Pull/7/?w=1",
            "octo/hello#7",
            "github.com/octo/hello#7",
        ] {
            assert_eq!(text.parse::<PrRef>().unwrap().slug(), "github.com/octo/hello#7", "{text}");
        }
        for repo in ["octo/pull", "pull/octo", "pull/pull", "pulls/issues", "7/8"] {
            for url in ["/pull/7", "/pull/7/", "/pull/7/files", "/pull/7?x=/pull/8", "#7"] {
                let text = match url {
                    "#7" => format!("github.com/{repo}#7"),
                    path => format!("https://github.com/{repo}{path}"),
                };
                let parsed = text.parse::<PrRef>().unwrap();
                assert_eq!((parsed.repo.as_str(), parsed.number), (repo, 7), "{text}");
            }
        }
        for bad in [
            "",
            "7",
            "#7",
            "octo#7",
            "octo/hello",
            "octo/hello#",
            "octo/hello#0",
            "octo/hello#-7",
            "octo/../x#7",
            "https://github.com/octo/hello/issues/7",
            "a/b/c/d#1",
            "octo/he llo#7",
            "https://u:p@github.com/octo/hello/pull/7",
            "octo/hello#99999999999999999999",
        ] {
            assert!(bad.parse::<PrRef>().is_err(), "{bad:?}");
        }
    }
}
