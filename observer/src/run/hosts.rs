//! Which hosts are observed: the default one always, so that missing credentials are reported whatever
//! there is to observe, and those of the active projects that are known to be GitHub's.

use ao_program::Environment;
use ao_store::row::project;
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
        // A token must not be sent to a host only because a project has a remote there.
        let is_known =
            is_github(&host, &hosts) || environment.get(&credential::variable_of(&host)).is_some();
        if !host.is_empty() && is_known && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}
