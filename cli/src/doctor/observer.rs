//! Checks that the observer has a working credential for each host, and can read what it observes.

use ao_daemon::document::{self, attention::log_in};
use ao_observer::run::Running;
use ao_store::row::scm::{Credential, HostState, Unread};
use ao_store::{Stats, Timestamp};

use crate::doctor::Finding;
use crate::view;

/// Reports the most severe problem of all hosts: a credential that does not work needs an action, a
/// backoff ends without one.
pub(crate) fn credentials(stats: &Stats, now: Timestamp) -> Finding {
    let id = "observer.credentials";
    let states = || stats.hosts.iter().map(|(state, _)| state);
    for state in states() {
        let (host, source) = (&state.host, &state.source);
        let message = match state.credential {
            Credential::Missing => format!("no credential for {host} was found"),
            Credential::Invalid => format!("{host} rejects the credential from {source}"),
            Credential::Unknown | Credential::Ok => continue,
        };
        return Finding::warn(id, message + &since(state) + &failure(state), log_in(host));
    }
    if let Some((state, until)) = states().find_map(|it| Some((it, it.block(now)?))) {
        let message =
            format!("requests to {} are paused: {}{}", state.host, state.reason, failure(state));
        let fix = format!("wait: they continue at {}", document::time(until));
        return Finding::warn(id, message, fix);
    }
    if let Some(state) = states().find(|it| !it.failure.is_empty()) {
        let message =
            format!("{} did not answer everything that was asked{}", state.host, failure(state));
        return Finding::warn(id, message, "`ao-store observe --once` tries again".to_owned());
    }
    let working: Vec<_> = states().map(describe).collect();
    if working.is_empty() {
        return Finding::ok(id, "the observer has never run");
    }
    Finding::ok(id, working.join("; "))
}

/// The process that observes, for people.
pub(crate) fn who(running: &Running) -> String {
    match running {
        Running { pid: Some(pid), command, .. } => format!("pid {pid} ({command})"),
        Running { pid: None, .. } => "another process".to_owned(),
    }
}

/// Whether a process observes, where there is something to observe. `projects` is how many projects can be
/// observed.
pub(crate) fn running(
    found: &ao_observer::Result<Option<Running>>,
    projects: usize,
    now: Timestamp,
) -> Finding {
    let id = "observer.running";
    match found {
        Ok(Some(running)) => Finding::ok(id, describe_running(running, now)),
        Ok(None) if projects == 0 => Finding::ok(id, "there is no project to observe"),
        Ok(None) => Finding::warn(id, "no process observes: facts do not change", START),
        Err(error) => Finding::warn(id, why(error), "correct the file, or move it away"),
    }
}

/// Why it cannot be found out whether a process observes, with the cause.
pub(crate) fn why(error: &ao_observer::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The command that observes.
pub(crate) const START: &str = "`ao-store observe`";

/// The process that observes: since when, and what it does next.
pub(crate) fn describe_running(running: &Running, now: Timestamp) -> String {
    let mut text = format!("running, {}", who(running));
    if let Some(at) = running.since() {
        text += &format!(", for {}", view::duration(ms_between(at, now)));
    }
    let due = |at| match ms_between(now, at).div_ceil(1000) * 1000 {
        0 => "now".to_owned(),
        left => format!("in {}", view::duration(left)),
    };
    text + &running.next_at().map_or(String::new(), |at| format!(", next poll {}", due(at)))
}

/// How many milliseconds one time is after another; 0 when it is before.
fn ms_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

/// How much of what cannot be read is named in one finding.
const NAMED_MAX: usize = 10;

/// Reports what the observer cannot read, with the fix of the first.
pub(crate) fn unread(stats: &Stats) -> Finding {
    let id = "observer.unread";
    let Some(first) = stats.unread.first() else {
        return Finding::ok(id, "everything that is observed can be read");
    };
    let named: Vec<_> = stats.unread.iter().take(NAMED_MAX).map(describe_unread).collect();
    let more = match stats.unread.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more: `ao-store status`"),
    };
    Finding::warn(id, format!("cannot be read: {}{more}", named.join("; ")), fix_of(first))
}

/// What cannot be read, why, and since when.
pub(crate) fn describe_unread(unread: &Unread) -> String {
    let Unread { host, repo, number, reason, since } = unread;
    let number = number.map_or(String::new(), |number| format!("#{number}"));
    let since = since.map_or(String::new(), |at| format!(" since {}", document::time(at)));
    format!("{host}/{repo}{number} is {reason}{since}")
}

/// What to do about it.
pub(crate) fn fix_of(unread: &Unread) -> String {
    let Unread { host, repo, number, reason, .. } = unread;
    match (reason.as_str(), number) {
        ("forbidden", _) => format!(
            "grant the token read access to {repo}, and authorise it for the single sign-on of the \
             organisation: `gh auth refresh --hostname {host}`"
        ),
        ("missing", None) => format!(
            "check the name, and whether the account of the token may see it: \
             `gh repo view {host}/{repo}`"
        ),
        ("missing" | "unreachable", _) => format!(
            "it was deleted, or the account of the token may not see it: `gh repo view {host}/{repo}`"
        ),
        ("invalid", _) => "read in the log of `ao-store observe` what the store rejects".to_owned(),
        _ => "`ao-store observe --once` tries again".to_owned(),
    }
}

/// The state of the credential for a host.
pub(crate) fn describe(state: &HostState) -> String {
    let HostState { host, source, login, .. } = state;
    let what = match state.credential {
        Credential::Ok if login.is_empty() => "credential ok".to_owned(),
        Credential::Ok => format!("credential ok, of {login}"),
        Credential::Missing => "credential missing".to_owned(),
        Credential::Invalid => "credential invalid".to_owned(),
        Credential::Unknown => "credential not used yet".to_owned(),
    };
    let source = if source.is_empty() { String::new() } else { format!(" from {source}") };
    format!("{host}: {what}{source}{}", since(state))
}

/// The URL that was asked and why it gave no answer, if it gave none.
fn failure(state: &HostState) -> String {
    let HostState { address, failure, .. } = state;
    if failure.is_empty() { String::new() } else { format!(" ({address}: {failure})") }
}

fn since(state: &HostState) -> String {
    state.since.map_or(String::new(), |at| format!(" since {}", document::time(at)))
}

#[cfg(test)]
mod tests {
    use ao_store::{Cause, Options, Store, row::scm};

    use super::*;
    use crate::doctor::Level;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn state(host: &str, credential: Credential) -> HostState {
        let (source, since) = ("GH_TOKEN".to_owned(), Some(Timestamp(0)));
        HostState { credential, source, since, ..HostState::new(host) }
    }

    /// The finding of a store with these hosts.
    fn found(hosts: &[HostState]) -> Finding {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let hosts = hosts.to_vec();
        let set = move |tx: &ao_store::Tx<'_>| {
            hosts.iter().try_for_each(|host| scm::set_host(tx, host).map(|_| ()))
        };
        store.write(Cause::new("test", NOW), set).unwrap();
        credentials(&store.stats(NOW).unwrap(), NOW)
    }

    #[test]
    fn a_host_without_a_request_passes() {
        assert_eq!(found(&[]), Finding::ok("observer.credentials", "the observer has never run"));
        let found = found(&[HostState::new("github.com")]);
        assert_eq!((found.level, found.message.as_str()), {
            (Level::Ok, "github.com: credential not used yet")
        });
    }

    #[test]
    fn the_source_of_a_working_credential_is_shown() {
        let ok = HostState { login: "octo".to_owned(), ..state("github.com", Credential::Ok) };
        let found = found(&[ok, state("ghe.example.com", Credential::Ok)]);
        assert_eq!(found.level, Level::Ok);
        let epoch = "since 1970-01-01T00:00:00.000Z";
        let expected = format!(
            "ghe.example.com: credential ok from GH_TOKEN {epoch}; \
             github.com: credential ok, of octo from GH_TOKEN {epoch}"
        );
        assert_eq!(found.message, expected);
    }

    #[test]
    fn a_credential_that_fails_is_reported_with_the_fix() {
        let blocked = HostState {
            blocked_until: Some(Timestamp(2_000_000)),
            reason: "rate limited".to_owned(),
            ..state("a.example.com", Credential::Ok)
        };
        for (host, credential, message, fix) in [
            (
                "github.com",
                Credential::Missing,
                "no credential for github.com was",
                "`gh auth login`, or set GH_TOKEN",
            ),
            (
                "x.ghe.com",
                Credential::Invalid,
                "x.ghe.com rejects the credential from GH_TOKEN",
                "`gh auth login --hostname x.ghe.com`, or set GH_TOKEN",
            ),
            (
                "ghe.corp",
                Credential::Missing,
                "no credential for ghe.corp",
                "`gh auth login --hostname ghe.corp`, or set GH_ENTERPRISE_TOKEN",
            ),
        ] {
            let found = found(&[blocked.clone(), state(host, credential)]);
            assert_eq!((found.level, found.fix.as_str()), (Level::Warn, fix));
            assert!(found.message.starts_with(message), "{}", found.message);
        }
        let block = found(std::slice::from_ref(&blocked));
        assert_eq!(block.message, "requests to a.example.com are paused: rate limited");
        assert_eq!(block.fix, "wait: they continue at 1970-01-01T00:33:20.000Z");
        let over = HostState { blocked_until: Some(NOW), ..blocked };
        assert_eq!(found(&[over]).level, Level::Ok);
    }
}
