//! Which hosts are GitHub, and where their interfaces are.
//!
//! A token is sent to [`Endpoints`] only, so they are https, except on this machine itself, and
//! REST and GraphQL have one origin.

use std::net::IpAddr;

use ao_store::PrRef;
use url::{Host, Url};

use crate::error::{Error, Result};

/// The default host.
pub const GITHUB: &str = "github.com";

/// The domain of GitHub's tenants that have a host name of their own.
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
/// port 22 is closed. A dot at its end says only that the name is complete.
pub(super) fn canonical(host: &str) -> String {
    match host.to_ascii_lowercase().trim_end_matches('.') {
        "ssh.github.com" | "www.github.com" => GITHUB.to_owned(),
        host => host.to_owned(),
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
