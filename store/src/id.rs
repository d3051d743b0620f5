//! Typed ids and the forms that outside text must have to become one.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The longest project id, name or branch that is taken, in bytes.
const ID_MAX: usize = 200;

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

            /// Takes a value that came out of the database and was checked on its way in.
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
    /// The id of a tracked pull request: `host/owner/repo#number` as first seen; never changes.
    PrId,
    check_pr_id
);

id!(
    /// The name of a durable consumer: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 200 bytes.
    ConsumerName,
    check_consumer_name
);

impl SessionId {
    /// The id of session `num` of `project`.
    #[must_use]
    pub fn new(project: &ProjectId, num: i64) -> SessionId {
        SessionId(format!("{project}-{num}"))
    }
}

fn invalid(what: &'static str, value: &str, reason: &'static str) -> Error {
    Error::InvalidId { what, value: value.chars().take(80).collect(), reason }
}

/// What is wrong with a word that is to stand in a command line, a path or a terminal.
fn wrong_word(text: &str) -> Option<&'static str> {
    if text.len() > ID_MAX {
        Some("it is longer than 200 bytes")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("it must begin with a letter or digit")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        Some("only letters, digits, '.', '_' and '-' may stand in it")
    } else {
        None
    }
}

fn check_project_id(text: &str) -> Result<()> {
    let reason = wrong_word(text).or_else(|| {
        if text.contains("..") {
            Some("'..' may not stand in it")
        } else if text.ends_with(".lock") || text.ends_with('.') {
            Some("it would make a branch name that git refuses")
        } else {
            None
        }
    });
    reason.map_or(Ok(()), |reason| Err(invalid("project id", text, reason)))
}

fn check_consumer_name(text: &str) -> Result<()> {
    wrong_word(text).map_or(Ok(()), |reason| Err(invalid("consumer name", text, reason)))
}

fn check_session_id(text: &str) -> Result<()> {
    let parts = text.rsplit_once('-');
    let sound = parts.is_some_and(|(project, num)| {
        check_project_id(project).is_ok()
            && num.parse::<i64>().is_ok_and(|n| n > 0 && n.to_string() == num)
    });
    if sound { Ok(()) } else { Err(invalid("session id", text, "the form is <project>-<number>")) }
}

fn check_pr_id(text: &str) -> Result<()> {
    text.parse::<PrRef>().map(|_| ())
}

/// Checks the id of a webhook delivery: 1 to 128 letters, digits and `-`.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_delivery_id(text: &str) -> Result<()> {
    let is_known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=128).contains(&text.len()) && text.bytes().all(is_known) {
        return Ok(());
    }
    Err(invalid("delivery id", text, "the form is 1 to 128 letters, digits and '-'"))
}

/// Checks a one-line text that a user gives: a display name, an issue, a harness.
///
/// # Errors
/// [`Error::InvalidId`] when it is empty, longer than 200 bytes, or has control characters.
pub fn check_label(what: &'static str, text: &str) -> Result<()> {
    let reason = if text.trim().is_empty() {
        "it is empty"
    } else if text.len() > ID_MAX {
        "it is longer than 200 bytes"
    } else if text.chars().any(char::is_control) {
        "control characters may not stand in it"
    } else {
        return Ok(());
    };
    Err(invalid(what, text, reason))
}

/// Checks a branch name against an allowlist narrower than git's own rules, so that it can stand
/// in a command line, a path or a terminal.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_branch(text: &str) -> Result<()> {
    let reason = if text.len() > ID_MAX {
        "it is longer than 200 bytes"
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        "it must begin with a letter, a digit or '_'"
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/+-#@".contains(&b)) {
        "only letters, digits and . _ / + - # @ may stand in it"
    } else if text.contains("..") || text.contains("//") || text.contains("@{") || text == "HEAD" {
        "git gives it another meaning"
    } else if text.ends_with(['/', '.'])
        || text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        "git refuses it"
    } else {
        return Ok(());
    };
    Err(invalid("branch", text, reason))
}

/// Where a pull request lives: host, `owner/repo` and number. The store finds host and repository
/// without regard to letter case, as GitHub does.
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
    /// Makes a reference out of checked parts.
    ///
    /// # Errors
    /// [`Error::InvalidPrRef`] when host, owner, name or number are not of their form.
    pub fn new(host: &str, repo: &str, number: i64) -> Result<PrRef> {
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= ID_MAX
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
            Err(Error::InvalidPrRef(format!("{host}/{repo}#{number}").chars().take(200).collect()))
        }
    }

    /// `host/owner/repo#number` in lower case: the id of a pull request first seen here.
    #[must_use]
    pub fn slug(&self) -> String {
        format!("{}/{}#{}", self.host, self.repo, self.number).to_ascii_lowercase()
    }

    /// The address of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/{}/pull/{}", self.host, self.repo, self.number)
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
        let invalid = || Error::InvalidPrRef(text.chars().take(200).collect());
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let (place, number) = match rest {
            Some(rest) => {
                let (place, tail) = rest.split_once("/pull/").ok_or_else(invalid)?;
                let number = tail.split(['/', '?', '#']).next().unwrap_or_default();
                (place.to_owned(), number)
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

/// Reads host and `owner/name` out of a git remote URL (https, ssh, scp-like); `None` when the URL
/// is of another form, such as a local path.
#[must_use]
pub fn parse_remote(url: &str) -> Option<(String, String)> {
    let is_known = |scheme: &str| {
        ["https", "http", "ssh", "git"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    };
    let (host, path) = match url.split_once("://") {
        Some((scheme, rest)) if is_known(scheme) => rest.split_once('/')?,
        Some(_) => return None,
        None => url.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit('@').next()?.split(':').next()?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let place = PrRef::new(host, path, 1).ok()?;
    // git reaches github.com by another name where port 22 is closed.
    let host = match place.host.to_ascii_lowercase().as_str() {
        "ssh.github.com" | "www.github.com" => "github.com".to_owned(),
        other => other.to_owned(),
    };
    Some((host, place.repo))
}

/// The URL of a git remote without the secrets in it: a token does not belong into the store.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    let end = if is("https") || is("http") { rest.find(['?', '#']) } else { None };
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        None => format!("{scheme}://{rest}"),
        // The user of ssh is part of the address, a password is not.
        Some((user, host)) if is("ssh") => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        Some((_, host)) => format!("{scheme}://{host}{path}"),
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
    fn branches_that_could_act_are_refused() {
        for bad in [
            "", "-x", "a b", "$(id)", "a;b", "a..b", "a//b", "@{-1}", "HEAD", "x.lock", "a/.b",
            "a/", "a\nb", "a:b", "a~1", "a^", "a?",
        ] {
            assert!(check_branch(bad).is_err(), "{bad:?}");
        }
        for good in [
            "main",
            "ao/demo-1/root",
            "fix/#12",
            "feature_x+y",
            "dependabot/npm_and_yarn/@types/node-1.2",
        ] {
            assert!(check_branch(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn pull_request_references_have_three_forms() {
        for text in [
            "https://github.com/octo/hello/pull/7",
            "https://github.com/octo/hello/pull/7/files#r1",
            "octo/hello#7",
            "github.com/octo/hello#7",
        ] {
            assert_eq!(text.parse::<PrRef>().unwrap().slug(), "github.com/octo/hello#7", "{text}");
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

    #[test]
    fn remotes_name_a_place_or_nothing() {
        let place = Some(("github.com".to_owned(), "Octo/hello".to_owned()));
        for url in [
            "https://github.com/Octo/hello.git",
            "https://tok@GitHub.com/Octo/hello",
            "HTTPS://github.com/Octo/hello",
            "git@github.com:Octo/hello.git",
            "ssh://git@github.com:22/Octo/hello",
            "ssh://git@ssh.github.com:443/Octo/hello.git",
        ] {
            assert_eq!(parse_remote(url), place, "{url}");
        }
        for url in [
            "",
            "/srv/git/x.git",
            "../x",
            "file:///x/y",
            "ext::sh -c id",
            "C:\\x",
            "https://github.com/x",
        ] {
            assert_eq!(parse_remote(url), None, "{url}");
        }
    }

    #[test]
    fn credentials_do_not_stay_in_a_url() {
        for (url, kept) in [
            ("https://user:token@github.com/o/r.git", "https://github.com/o/r.git"),
            ("https://token@github.com/o/r", "https://github.com/o/r"),
            ("https://github.com/o/r", "https://github.com/o/r"),
            ("HTTPS://token@github.com", "HTTPS://github.com"),
            ("https://github.com/o/r?token=t#t", "https://github.com/o/r"),
            ("git://user:token@github.com/o/r", "git://github.com/o/r"),
            ("ssh://git@github.com/o/r", "ssh://git@github.com/o/r"),
            ("ssh://git:token@github.com:22/o/r", "ssh://git@github.com:22/o/r"),
            ("file:///srv/a#b?c", "file:///srv/a#b?c"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(url), kept);
        }
    }
}
