//! What needs a person now: one list over sessions, pull requests, hosts and consumers.
//!
//! A new kind of attention is a variant of [`Kind`] and a function that pushes its items.
//!
//! An item is in the list exactly as long as the stored facts say so. Its time is right or absent: that
//! of the provider where there is one, else that of the change that recorded it. Pull requests of
//! archived projects, and those that are merged or closed, never need attention; an open one does even
//! when its session is terminated.

mod host;
mod pr;
mod session;
mod since;

use std::cmp::Reverse;

use crate::db::tx::Snapshot;
use crate::error::{Error, Result};
use crate::log::consumer;
use crate::log::info::LogInfo;
use crate::model::activity::DecisionKind;
use crate::model::id::{PrId, ProjectId, SessionId};
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::account;
use crate::row::project::{self, Project};
use crate::row::session as sessions;

/// The longest quotation, in characters.
const QUOTED_MAX: usize = 200;

text_enum! {
    /// Why something needs attention.
    Kind {
        /// A check of the head commit failed.
        CiFailing = "ci_failing",
        /// A reviewer requested changes.
        ChangesRequested = "changes_requested",
        /// The branches conflict.
        Conflicting = "conflicting",
        /// Review threads are not resolved.
        ThreadsUnresolved = "threads_unresolved",
        /// The agent of a session that is not terminated has ended, or was lost.
        SessionExited = "session_exited",
        /// The agent of a session cannot continue.
        SessionBlocked = "session_blocked",
        /// The agent of a session waits for input.
        SessionWaiting = "session_waiting",
        /// The account of a session has reached a limit.
        SessionLimited = "session_limited",
        /// What the agent of a session does has not been known for long.
        SessionUnknown = "session_unknown",
        /// The agent of a session has not reported that it runs, and nothing reads its screen.
        SessionUnread = "session_unread",
        /// An account has reached a limit, so nothing new is given to its agents.
        AccountLimited = "account_limited",
        /// The credential for a host is missing or invalid.
        ObserverDisabled = "observer_disabled",
        /// A host does not answer, or refuses requests for a while.
        HostUnreachable = "host_unreachable",
        /// No observer has confirmed the facts about open pull requests for long.
        FactsStale = "facts_stale",
        /// A repository cannot be read, or only in part.
        RepoUnreadable = "repo_unreadable",
        /// A pull request cannot be read, or only in part.
        PrUnreadable = "pr_unreadable",
        /// An open pull request on the branch of a session is not tracked.
        PrSkipped = "pr_skipped",
        /// A consumer cannot continue: its cursor expired.
        ConsumerStranded = "consumer_stranded",
    } else PrUnreadable
}

/// One thing that needs a person. Together, `kind` and `name` identify it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// Why.
    pub kind: Kind,
    /// What: a location such as `octo/hello#7`, the id of a session, a repository, a host or a consumer.
    pub name: String,
    /// The project it belongs to.
    pub project: Option<ProjectId>,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The tracked pull request.
    pub pr: Option<PrId>,
    /// The host, or empty.
    pub host: String,
    /// The page to look at, or empty.
    pub url: String,
    /// The title of the pull request or the name of the session; may be empty.
    pub title: String,
    /// How many checks, reviewers, threads or pull requests are meant.
    pub count: Option<u64>,
    /// The reason in words, for people; may be empty.
    pub text: String,
    /// Since when; `None` when that is not known.
    pub since: Option<Timestamp>,
    /// Whether another program runs the session, so that only that can start its agent again.
    pub is_external: bool,
    /// The harness of the session; may be empty.
    pub harness: String,
    /// What its agent waits for.
    pub decision: Option<DecisionKind>,
}

impl Attention {
    fn new(kind: Kind, name: impl Into<String>) -> Attention {
        Attention {
            kind,
            name: name.into(),
            project: None,
            session: None,
            pr: None,
            host: String::new(),
            url: String::new(),
            title: String::new(),
            count: None,
            text: String::new(),
            since: None,
            is_external: false,
            harness: String::new(),
            decision: None,
        }
    }

    /// Whether it hinders what is known about a project at this host with this repository: one of them
    /// cannot be read.
    fn hinders(&self, host: &str, repo: &str) -> bool {
        let is_at_host = self.host.eq_ignore_ascii_case(host);
        match self.kind {
            Kind::ObserverDisabled | Kind::HostUnreachable | Kind::FactsStale => is_at_host,
            Kind::RepoUnreadable => {
                let full = format!("{host}/{repo}");
                let names = [repo, &full];
                is_at_host && names.iter().any(|name| self.name.eq_ignore_ascii_case(name))
            }
            _ => false,
        }
    }
}

/// Which items to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this project, and what hinders the observation of it.
    pub project: Option<ProjectId>,
    /// Only those of this session, and what hinders the observation of its project. Stale facts are then
    /// those about its pull requests.
    pub session: Option<SessionId>,
    /// Only these kinds, when there are any.
    pub kinds: Vec<Kind>,
}

/// What needs a person now, newest first; what has no time is last.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `SESSION_NOT_FOUND`; when the database cannot be read.
pub fn attention(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    now: Timestamp,
) -> Result<Vec<Attention>> {
    let scope = Scope::of(snapshot, filter)?;
    let mut items = Vec::new();
    let only = filter.session.as_ref();
    pr::push(snapshot, only, &mut items)?;
    session::push(snapshot, only, now, &mut items)?;
    if only.is_none() {
        push_accounts(snapshot, now, &mut items)?;
    }
    host::push(snapshot, only, now, &mut items)?;
    push_consumers(snapshot, &mut items)?;
    items.retain(|item| scope.has(item));
    items.sort_by(|a, b| {
        let key = |it: &Attention| (Reverse(it.since), it.kind as usize);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    Ok(items)
}

/// A filter with the host of the project that it means, and the current name of its repository.
struct Scope<'a> {
    filter: &'a Filter,
    place: Option<(String, String)>,
}

impl<'a> Scope<'a> {
    fn of(snapshot: &Snapshot<'_>, filter: &'a Filter) -> Result<Scope<'a>> {
        let mut id = filter.project.clone();
        if let Some(session) = &filter.session {
            let session = sessions::require(snapshot, session)?;
            id = id.or(Some(session.project));
        }
        let find = |id: ProjectId| {
            let found = project::get(snapshot, &id)?;
            let Project { host, repo, .. } = found.ok_or(Error::ProjectNotFound(id))?;
            let repo = host::current_name(snapshot, &host, &repo)?;
            Ok((host, repo))
        };
        Ok(Scope { filter, place: id.map(find).transpose()? })
    }

    fn has(&self, item: &Attention) -> bool {
        let Filter { project, session, kinds } = self.filter;
        let is_kind = kinds.is_empty() || kinds.contains(&item.kind);
        let is_of_project = project.is_none() || item.project == *project;
        let is_own = is_of_project && (session.is_none() || item.session == *session);
        let is_hindered =
            || self.place.as_ref().is_some_and(|(host, repo)| item.hinders(host, repo));
        is_kind && (is_own || is_hindered())
    }
}

fn push_accounts(
    snapshot: &Snapshot<'_>,
    now: Timestamp,
    items: &mut Vec<Attention>,
) -> Result<()> {
    for limit in account::limits(snapshot)?.into_iter().filter(|limit| limit.holds(now)) {
        let text = match limit.message.as_str() {
            "" => "nothing new is given to its agents".to_owned(),
            message => message.to_owned(),
        };
        items.push(Attention {
            text,
            since: Some(limit.reported_at),
            ..Attention::new(Kind::AccountLimited, limit.account)
        });
    }
    Ok(())
}

fn push_consumers(snapshot: &Snapshot<'_>, items: &mut Vec<Attention>) -> Result<()> {
    let info = LogInfo::read(snapshot)?;
    for found in consumer::list(snapshot)? {
        if let Some(why) = found.stranded(&info) {
            items.push(Attention {
                text: why.to_string(),
                ..Attention::new(Kind::ConsumerStranded, found.name.to_string())
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::plan::scans;

    /// What is read as a whole for one session has a row for each project, repository, host or consumer.
    #[test]
    fn for_one_session_only_small_tables_are_scanned() {
        let dir = tempfile::tempdir().unwrap();
        let options = crate::Options::default();
        let (store, _) = crate::Store::create(&dir.path().join("ao.db"), options).unwrap();
        let id: SessionId = "demo-1".parse().unwrap();
        let read = |snapshot: &Snapshot<'_>| {
            let found = scans(snapshot.conn(), || {
                let mut items = Vec::new();
                pr::push(snapshot, Some(&id), &mut items).unwrap();
                super::session::push(snapshot, Some(&id), Timestamp(0), &mut items).unwrap();
                host::push(snapshot, Some(&id), Timestamp(0), &mut items).unwrap();
                push_consumers(snapshot, &mut items).unwrap();
            });
            Ok(found)
        };
        // Of the log, only the newest row is read.
        let small = ["project ", "p USING INDEX project", "log_meta", "sqlite_seq", "consumer"];
        let is_small = |scan: &String| small.iter().any(|name| scan[5..].starts_with(name));
        let mut scans = store.read(read).unwrap();
        scans.retain(|scan| !is_small(scan) && scan != "SCAN change_log");
        assert_eq!(scans, [""; 0]);
    }
}
