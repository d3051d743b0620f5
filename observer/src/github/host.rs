//! Which hosts are GitHub, and where their interfaces are.
//!
//! A token is sent to [`Endpoints`] only, so they are https, except on this machine itself, and
//! REST and GraphQL are of one origin.

use std::net::IpAddr;

use ao_store::PrRef;
use url::{Host, Url};

use crate::error::{Error, Result};

/// The host that is meant when none is named.
pub const GITHUB: &str = "github.com";

/// Where GitHub's own tenants with a host name of their own live.
const TENANTS: &str = ".ghe.com";

/// The addresses of the two interfaces of one server, without a slash at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoints {
    /// What paths such as `/repos/octo/hello` are appended to.
    pub rest: String,
    /// Where queries are posted.
    pub graphql: String,
}

impl Endpoints {
    /// The addresses that belong to a host: github.com, a tenant of ghe.com, or else an enterprise
    /// server.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when it is not the name of a host, with or without a port.
    pub fn of_host(host: &str) -> Result<Endpoints> {
        let host = canonical(host);
        if PrRef::new(&host, "owner/name", 1).is_err() {
            return Err(Error::InvalidUrl("it is not the name of a host"));
        }
        Ok(if is_hosted(&host) {
            let rest = format!("https://api.{host}");
            Endpoints { graphql: format!("{rest}/graphql"), rest }
        } else {
            Endpoints {
                rest: format!("https://{host}/api/v3"),
                graphql: format!("https://{host}/api/graphql"),
            }
        })
    }

    /// The addresses that belong to the URL of a REST interface.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when it is not an https URL (or a plain http one of this machine), or
    /// has a user, a query or a fragment.
    pub fn from_api_url(url: &str) -> Result<Endpoints> {
        let invalid = |reason| Err(Error::InvalidUrl(reason));
        let Ok(url) = Url::parse(url) else { return invalid("it is not a URL") };
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return invalid("plain http is allowed on this machine only"),
            _ => return invalid("it is not an https URL"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return invalid("it has credentials in it");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return invalid("it has a query or a fragment");
        }
        let rest = url.as_str().trim_end_matches('/').to_owned();
        // An enterprise server has its GraphQL beside the version of its REST, not below.
        let parent = rest.strip_suffix("/v3").filter(|parent| parent.ends_with("/api"));
        Ok(Endpoints { graphql: format!("{}/graphql", parent.unwrap_or(&rest)), rest })
    }
}

/// Whether a host is one of GitHub: github.com, a tenant of ghe.com, or one of the `known`
/// enterprise servers.
#[must_use]
pub fn is_github(host: &str, known: &[String]) -> bool {
    let host = canonical(host);
    is_hosted(&host) || known.iter().any(|other| canonical(other) == host)
}

/// Whether GitHub itself runs the host.
pub(super) fn is_hosted(host: &str) -> bool {
    host == GITHUB || is_tenant(host)
}

/// The one name of a host that has several: git reaches github.com through `ssh.github.com` where
/// port 22 is closed.
pub(super) fn canonical(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "ssh.github.com" | "www.github.com" => GITHUB.to_owned(),
        _ => host,
    }
}

/// `TENANT.ghe.com`, and nothing below it.
fn is_tenant(host: &str) -> bool {
    let tenant = host.strip_suffix(TENANTS);
    tenant.is_some_and(|tenant| !tenant.is_empty() && !tenant.contains(['.', ':']))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoints: Endpoints) -> (String, String) {
        (endpoints.rest, endpoints.graphql)
    }

    fn pair(rest: &str, graphql: &str) -> (String, String) {
        (rest.to_owned(), graphql.to_owned())
    }

    #[test]
    fn a_host_has_two_addresses() {
        let hosted = pair("https://api.github.com", "https://api.github.com/graphql");
        for host in ["github.com", "GitHub.com", "ssh.github.com"] {
            assert_eq!(of(Endpoints::of_host(host).unwrap()), hosted, "{host}");
        }
        let tenant = of(Endpoints::of_host("octo.ghe.com").unwrap());
        assert_eq!(tenant, pair("https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql"));
        let server = of(Endpoints::of_host("git.corp.example:8443").unwrap());
        let base = "https://git.corp.example:8443/api";
        assert_eq!(server, pair(&format!("{base}/v3"), &format!("{base}/graphql")));
        for bad in ["", "a b", "a/b", "user@host", "host?x", "-x", "host:port", "host\n", "é.com"]
        {
            assert!(matches!(Endpoints::of_host(bad), Err(Error::InvalidUrl(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_url_of_an_api_gives_both_addresses() {
        for (url, rest, graphql) in [
            ("https://api.github.com", "https://api.github.com", "https://api.github.com/graphql"),
            (
                "https://h.example/api/v3/",
                "https://h.example/api/v3",
                "https://h.example/api/graphql",
            ),
            ("https://h.example/v3", "https://h.example/v3", "https://h.example/v3/graphql"),
            (
                "https://h.example/sapi/v3",
                "https://h.example/sapi/v3",
                "https://h.example/sapi/v3/graphql",
            ),
            ("http://127.0.0.1:81", "http://127.0.0.1:81", "http://127.0.0.1:81/graphql"),
            ("http://127.9.9.9", "http://127.9.9.9", "http://127.9.9.9/graphql"),
            ("http://[::1]:81/x/", "http://[::1]:81/x", "http://[::1]:81/x/graphql"),
            ("HTTP://LOCALHOST", "http://localhost", "http://localhost/graphql"),
        ] {
            assert_eq!(of(Endpoints::from_api_url(url).unwrap()), pair(rest, graphql), "{url}");
        }
    }

    #[test]
    fn a_token_goes_nowhere_over_plain_http_and_a_url_holds_no_secret() {
        for bad in [
            "",
            "api.github.com",
            "/api/v3",
            "ftp://api.github.com",
            "file:///etc/passwd",
            "http://api.github.com",
            "http://localhost.example",
            "http://128.0.0.1",
            "http://[::2]",
            "http://127.0.0.1.example",
            "https://user@h.example",
            "https://:secret@h.example",
            "https://h.example?token=secret",
            "https://h.example/?",
            "https://h.example#secret",
            "https://",
        ] {
            let error = Endpoints::from_api_url(bad).unwrap_err();
            assert_eq!(error.code(), ao_store::Code::InvalidUrl, "{bad:?}");
            assert!(!error.to_string().contains("secret"), "{bad:?}");
        }
    }

    #[test]
    fn github_is_three_kinds_of_hosts() {
        let known = ["Git.Corp.example".to_owned()];
        for host in
            ["github.com", "GITHUB.com", "ssh.github.com", "octo.ghe.com", "git.corp.EXAMPLE"]
        {
            assert!(is_github(host, &known), "{host}");
        }
        for host in [
            "gitlab.com",
            "github.com.example",
            "gist.github.com",
            "ghe.com",
            ".ghe.com",
            "a.b.ghe.com",
            "evilghe.com",
            "corp.example",
            "",
        ] {
            assert!(!is_github(host, &known), "{host}");
        }
    }
}
