//! What needs a person, and what to do about it.

use ao_session::harness::{Answer, Harnesses};
use ao_store::attention::{Attention, Kind};
use serde_json::Value;

use super::field::{Field, object};

/// An item. `next` is the command that shows or solves it, or empty: see [`command`].
#[must_use]
pub fn document(item: &Attention, next: &str) -> Value {
    let mut shown = object!(item => kind, name, project_id = project, session_id = session, pr_id = pr,
        host, url, title, count, text, since);
    shown["next"] = next.into();
    shown
}

/// What to do next, as a message has it: commands are in backticks.
#[must_use]
pub fn next(item: &Attention, harnesses: Option<&Harnesses>) -> String {
    let Attention { name, host, .. } = item;
    let session = item.session.as_ref().map_or("SESSION", |id| id.as_str());
    match item.kind {
        Kind::CiFailing
        | Kind::ChangesRequested
        | Kind::Conflicting
        | Kind::ThreadsUnresolved
        | Kind::PrUnreadable => format!("`ao-store pr get {name}`"),
        Kind::SessionExited if !item.is_external => format!("`ao-store session relaunch {name}`"),
        Kind::SessionBlocked | Kind::SessionWaiting if can_be_answered(item, harnesses) => {
            format!("`ao-store session answer {name} --allow` or --deny")
        }
        Kind::SessionBlocked | Kind::SessionWaiting if !item.is_external => {
            format!("`ao-store session attach {name}`")
        }
        Kind::SessionUnread => "`ao-store up`".to_owned(),
        Kind::SessionExited
        | Kind::SessionBlocked
        | Kind::SessionWaiting
        | Kind::SessionLimited
        | Kind::SessionUnknown => {
            format!("`ao-store session get {name}`")
        }
        Kind::AccountLimited => "`ao-store harness limits`".to_owned(),
        Kind::ObserverDisabled => log_in(host),
        Kind::HostUnreachable | Kind::RepoUnreadable => "`ao-store doctor`".to_owned(),
        Kind::FactsStale => "`ao-store observe`".to_owned(),
        Kind::PrSkipped => format!("`ao-store pr claim {session} {name}`"),
        Kind::ConsumerStranded => format!("`ao-store consumer seek {name} --to beginning`"),
    }
}

/// Whether its harness has the keys that allow what its agent waits for.
fn can_be_answered(item: &Attention, harnesses: Option<&Harnesses>) -> bool {
    let row = harnesses.and_then(|all| all.get(&item.harness).ok());
    row.zip(item.decision).is_some_and(|(row, kind)| {
        let mut dialogs = row.dialogs().iter().filter(|dialog| dialog.is_of(kind));
        dialogs.any(|dialog| dialog.keys(&Answer::Allow).is_some())
    })
}

/// The first command of [`next`] alone.
#[must_use]
pub fn command(next: &str) -> &str {
    next.split('`').nth(1).unwrap_or_default()
}

/// The command that provides a credential. `gh` and the observer read the same variables: one for
/// GitHub's own hosts, one for all others.
#[must_use]
pub fn log_in(host: &str) -> String {
    if host.eq_ignore_ascii_case("github.com") {
        return "`gh auth login`, or set GH_TOKEN".to_owned();
    }
    let is_own = host.to_ascii_lowercase().ends_with(".ghe.com");
    let variable = if is_own { "GH_TOKEN" } else { "GH_ENTERPRISE_TOKEN" };
    format!("`gh auth login --hostname {host}`, or set {variable}")
}
