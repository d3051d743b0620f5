//! Which hosts are observed: the default one always, so that missing credentials are reported whatever
//! there is to observe, and those of the active projects that are known to be GitHub's.

use ao_program::Environment;
use ao_store::row::project::{self, Project};
use ao_store::{Result, Snapshot};

use crate::github::credential;
use crate::github::host::{GITHUB, is_github};

/// The host that is used when none is named: `GH_HOST`, or else github.com.
#[must_use]
pub fn default_host(environment: &Environment) -> String {
    let named = environment.get("GH_HOST").and_then(|host| host.to_str());
    named.map_or(GITHUB.to_owned(), str::to_ascii_lowercase)
}

/// The hosts to observe, in order, the default one first.
pub(super) fn of(snapshot: &Snapshot<'_>, environment: &Environment) -> Result<Vec<String>> {
    let mut hosts = vec![default_host(environment)];
    for project in project::list(snapshot, false)? {
        let host = project.host.to_ascii_lowercase();
        if is_observed(&host, environment) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Whether a host is known to be GitHub's: a token must not be sent to a host only because a project
/// has a remote there.
pub(super) fn is_observed(host: &str, environment: &Environment) -> bool {
    is_github(host, &[default_host(environment)])
        || (!host.is_empty() && environment.get(&credential::variable_of(host)).is_some())
}

/// Why no pull request of a project can ever be observed, and what to do; `None` when they can.
#[must_use]
pub fn unobservable(project: &Project, environment: &Environment) -> Option<String> {
    let host = project.host.to_ascii_lowercase();
    if project.origin_url.is_empty() {
        let fix = "`git remote add origin URL`, or `git remote rename NAME origin`";
        return Some(format!("no remote counts as its origin: {fix}"));
    }
    if host.is_empty() {
        return Some("the URL of its origin names no repository of a host".to_owned());
    }
    let variable = credential::variable_of(&host);
    let fix = format!("if {host} is an enterprise server, set GH_HOST={host} or {variable}");
    (!is_observed(&host, environment)).then(|| format!("its origin is not on GitHub; {fix}"))
}
