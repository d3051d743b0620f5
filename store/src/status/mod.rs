//! The status of sessions: derived from rows whenever it is read, never stored.
//!
//! One table of rules, of which the first that applies decides. docs/status.md is made from it.

mod launches;
mod list;
mod pulls;

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::activity::Activity;
use crate::model::id::SessionId;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::launch::EndCause;
use crate::row::lifecycle::operation::{self, Operation, Verb};
use crate::row::session::Session;

use self::launches::LaunchFacts;
pub use self::list::{list, page};
use self::pulls::PrFacts;

text_enum! {
    /// What a session does, or what it waits for.
    Status {
        /// A command creates it, restores it, or starts its agent.
        Starting = "starting",
        /// A command terminates it.
        Stopping = "stopping",
        /// It was terminated after its pull request was merged.
        Merged = "merged",
        /// It was terminated.
        Terminated = "terminated",
        /// Its agent was ended from outside, and is to be started again.
        Lost = "lost",
        /// Its agent ended by itself.
        Exited = "exited",
        /// The account of its agent has reached a limit.
        Limited = "limited",
        /// Its agent works.
        Working = "working",
        /// Its agent waits for a person.
        NeedsInput = "needs_input",
        /// Checks of a pull request failed.
        CiFailed = "ci_failed",
        /// A reviewer requested changes.
        ChangesRequested = "changes_requested",
        /// A pull request is a draft.
        Draft = "draft",
        /// A review is required.
        ReviewPending = "review_pending",
        /// A pull request is open.
        PrOpen = "pr_open",
        /// A pull request is approved.
        Approved = "approved",
        /// A pull request can be merged.
        Mergeable = "mergeable",
        /// Its agent reported that it does nothing.
        Idle = "idle",
        /// There is no evidence.
        Unknown = "unknown",
    } else Unknown
}

/// The status of a session with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The status.
    pub status: Status,
    /// Why, in words.
    pub reason: String,
    /// Since when; `None` when that is not recorded.
    pub since: Option<Timestamp>,
}

/// What the status of one session is derived from.
struct Facts<'a> {
    session: &'a Session,
    launch: Option<&'a LaunchFacts>,
    operation: Option<&'a Running>,
    prs: &'a [PrFacts],
}

/// The operation on a session, and whether the process that ran it is known to have ended.
struct Running {
    operation: Operation,
    is_abandoned: bool,
}

/// A row of a query that has one or more for each session: those without facts have one of NULLs. So the
/// row after those of a session is never more than one session further.
type OfSession<T> = (SessionId, Option<T>);

/// What a rule finds: the reason, and since when.
type Found = Option<(String, Option<Timestamp>)>;

/// A rule: the status, when it applies, and the function that decides.
struct Rule {
    status: Status,
    condition: &'static str,
    applies: fn(&Facts<'_>) -> Found,
}

/// Every rule; the first that applies decides.
const RULES: &[Rule] = &[
    Rule {
        status: Status::Lost,
        condition: "the process of a command on it has ended before the command: the next one, or reconcile, finishes or undoes that",
        applies: |facts| {
            let running = facts.operation.filter(|running| running.is_abandoned)?;
            let Operation { verb, started_at, .. } = &running.operation;
            let reason = format!("{verb} was interrupted; `reconcile` finishes or undoes it");
            Some((reason, Some(*started_at)))
        },
    },
    Rule {
        status: Status::Starting,
        condition: "spawn, restore, relaunch or reconcile runs on it",
        applies: |facts| {
            facts.running(&[Verb::Spawn, Verb::Restore, Verb::Relaunch, Verb::Reconcile])
        },
    },
    Rule {
        status: Status::Stopping,
        condition: "kill, a replacement or a cleanup runs on it",
        applies: |facts| facts.running(&[Verb::Kill, Verb::Replace, Verb::Cleanup]),
    },
    Rule {
        status: Status::Merged,
        condition: "it is terminated, no pull request of it is open, and one is merged",
        applies: |facts| pulls::merged(facts.prs).filter(|_| facts.session.is_terminated),
    },
    Rule {
        status: Status::Terminated,
        condition: "it is terminated",
        applies: |facts| {
            let Session { is_terminated, terminated_reason, terminated_at, .. } = facts.session;
            is_terminated.then(|| (terminated_reason.clone(), *terminated_at))
        },
    },
    Rule {
        status: Status::Lost,
        condition: "its newest launch was killed, or its runtime was lost",
        applies: |facts| facts.ended(&[EndCause::Killed, EndCause::RuntimeLost]),
    },
    Rule {
        status: Status::Exited,
        condition: "its newest launch ended by itself or could not be started, or its activity is exited",
        applies: |facts| {
            let ended = facts.ended(&[EndCause::Exited, EndCause::ExecFailed, EndCause::Stopped]);
            ended.or_else(|| facts.activity(Activity::Exited, "its agent has ended"))
        },
    },
    Rule {
        status: Status::Limited,
        condition: "its activity is limited",
        applies: |facts| facts.activity(Activity::Limited, "its account has reached a limit"),
    },
    Rule {
        status: Status::Starting,
        condition: "its activity is starting",
        applies: |facts| facts.activity(Activity::Starting, "its agent starts"),
    },
    Rule {
        status: Status::Working,
        condition: "its activity is active",
        applies: |facts| facts.activity(Activity::Active, "its agent is working"),
    },
    Rule {
        status: Status::NeedsInput,
        condition: "its activity is waiting or blocked",
        applies: |facts| {
            let waits = facts.activity(Activity::Waiting, "its agent waits for a decision");
            waits.or_else(|| facts.activity(Activity::Blocked, "its agent cannot continue"))
        },
    },
    Rule {
        status: Status::CiFailed,
        condition: "the checks of an open pull request failed",
        applies: |facts| pulls::ci_failed(facts.prs),
    },
    Rule {
        status: Status::ChangesRequested,
        condition: "changes are requested on an open pull request",
        applies: |facts| pulls::changes_requested(facts.prs),
    },
    Rule {
        status: Status::Draft,
        condition: "a pull request is a draft",
        applies: |facts| pulls::draft(facts.prs),
    },
    Rule {
        status: Status::ReviewPending,
        condition: "an open pull request that is not stacked on another one of it needs a review",
        applies: |facts| pulls::review_pending(facts.prs),
    },
    Rule {
        status: Status::PrOpen,
        condition: "an open pull request, not stacked, is neither approved nor mergeable",
        applies: |facts| pulls::open(facts.prs),
    },
    Rule {
        status: Status::Approved,
        condition: "an open pull request, not stacked, is approved and not mergeable",
        applies: |facts| pulls::approved(facts.prs),
    },
    Rule {
        status: Status::Mergeable,
        condition: "every open pull request that is not stacked is mergeable",
        applies: |facts| pulls::mergeable(facts.prs),
    },
    Rule {
        status: Status::Merged,
        condition: "no pull request of it is open, and one is merged",
        applies: |facts| pulls::merged(facts.prs),
    },
    Rule {
        status: Status::Idle,
        condition: "its activity is idle",
        applies: |facts| facts.activity(Activity::Idle, "its agent does nothing"),
    },
];

/// The rules as pairs of status and condition, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = (Status, &'static str)> {
    let last = (Status::Unknown, "otherwise: there is no evidence of what it does");
    RULES.iter().map(|rule| (rule.status, rule.condition)).chain([last])
}

impl Facts<'_> {
    fn derive(&self) -> Derived {
        for Rule { status, applies, .. } in RULES {
            if let Some((reason, since)) = applies(self) {
                return Derived { status: *status, reason, since };
            }
        }
        let (reason, since) = match (self.session.is_external(), self.launch) {
            (true, _) => ("another program runs it", None),
            (false, Some(launch)) => ("nothing reports what its agent does", launch.started_at),
            (false, None) => ("its agent was never started", None),
        };
        Derived { status: Status::Unknown, reason: reason.to_owned(), since }
    }

    fn running(&self, verbs: &[Verb]) -> Found {
        let Running { operation, .. } = self.operation?;
        let is_meant = verbs.contains(&operation.verb);
        is_meant.then(|| (format!("{} runs", operation.verb), Some(operation.started_at)))
    }

    fn ended(&self, causes: &[EndCause]) -> Found {
        let launch = self.launch?;
        let (ended_at, cause) = launch.end.filter(|(_, cause)| causes.contains(cause))?;
        let reason = match (cause, launch.exit_status, launch.signal) {
            (EndCause::ExecFailed, _, _) => "its program could not be started".to_owned(),
            (EndCause::RuntimeLost, _, _) => "its tmux server or the machine ended".to_owned(),
            (_, Some(status), _) => format!("its agent exited with status {status}"),
            (_, None, Some(signal)) => format!("its agent was ended by signal {signal}"),
            (EndCause::Stopped, ..) => "its agent was stopped".to_owned(),
            _ => "its agent disappeared".to_owned(),
        };
        Some((reason, Some(ended_at)))
    }

    fn activity(&self, wanted: Activity, reason: &str) -> Found {
        let Session { activity, activity_cause: cause, activity_at, .. } = self.session;
        let reason = || match cause.as_str() {
            "" => reason.to_owned(),
            cause => format!("{reason}: {cause}"),
        };
        (*activity == wanted).then(|| (reason(), Some(*activity_at)))
    }
}

/// The status of one session.
///
/// # Errors
/// When the database cannot be read.
pub fn of(snapshot: &Snapshot<'_>, session: &Session) -> Result<Derived> {
    let launch = launches::of_session(snapshot, session)?;
    let operation = operation::get(snapshot, &session.id)?;
    let operation = operation.map(|operation| running(snapshot, operation)).transpose()?;
    let prs = pulls::of_session(snapshot, &session.id)?;
    let facts =
        Facts { session, launch: launch.as_ref(), operation: operation.as_ref(), prs: &prs };
    Ok(facts.derive())
}

fn running(snapshot: &Snapshot<'_>, operation: Operation) -> Result<Running> {
    let is_abandoned = operation.is_abandoned(snapshot)?;
    Ok(Running { operation, is_abandoned })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::db::plan::{scans, steps};
    use crate::model::id::ProjectId;
    use crate::row::lifecycle::cleanup;
    use crate::row::project::{self, NewProject};
    use crate::row::session::{self, Filter, NewSession, SessionKind};
    use crate::row::{decision, delivery, launch, pr, scm, shared_branch};

    /// `AO_UPDATE_GOLDEN=1 cargo test -p ao-store --lib status` writes it.
    #[test]
    fn the_page_of_the_rules_is_up_to_date() {
        let mut page = "# Status of a session\n\nMade from `store/src/status/mod.rs` by a test. The status is \
            derived whenever it is read, and never stored. The first rule that applies decides.\n\n\
            | | status | when |\n| --- | --- | --- |\n"
            .to_owned();
        for (number, (status, condition)) in rules().enumerate() {
            writeln!(page, "| {} | `{status}` | {condition} |", number + 1).unwrap();
        }
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status.md");
        if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), page, "run with AO_UPDATE_GOLDEN=1");
    }

    /// A query of a whole table becomes slower with every session and pull request, and one that sorts reads
    /// all of its rows before the first.
    #[test]
    fn a_page_is_read_by_an_index_in_its_order() {
        with_session(|snapshot, of| {
            let (id, after) = (&of.id, of.id.as_str());
            let searches = |work: &dyn Fn()| {
                let steps = steps(snapshot.conn(), work);
                assert!(!steps.is_empty());
                let is_search =
                    |step: &String| step.starts_with("SEARCH") && step.contains("USING");
                // Operations that run are few, and of the sessions only those that are not terminated are read.
                let is_small = |step: &String| {
                    step == "SCAN session_operation" || step.ends_with("INDEX session_live")
                };
                let is_bad = |step: &String| !is_search(step) && !is_small(step);
                let bad: Vec<_> = steps.into_iter().filter(is_bad).collect();
                assert_eq!(bad, [""; 0]);
            };
            for (project, terminated) in filters(of) {
                let filter = Filter { project, terminated };
                searches(&|| drop(page(snapshot, &filter, (after, 1), 9, |_, _| true).unwrap()));
                searches(&|| drop(list(snapshot, &filter).unwrap()));
                searches(&|| drop(session::list(snapshot, &filter).unwrap()));
            }
            for session in [None, Some(id.clone())] {
                for project in [None, Some(of.project.clone())] {
                    let filter = pr::Filter { project, session: session.clone() };
                    searches(&|| drop(pr::page(snapshot, &filter, after, 9, |_| true).unwrap()));
                }
            }
            searches(&|| drop(launch::page(snapshot, id, 1, 9).unwrap()));
            searches(&|| drop(launch::lost(snapshot).unwrap()));
            searches(&|| drop(delivery::page(snapshot, None, after, 9).unwrap()));
            searches(&|| drop(delivery::page(snapshot, Some(id), after, 9).unwrap()));
            searches(&|| drop(decision::page(snapshot, after, 9).unwrap()));
        });
    }

    /// The index of the sessions that are not terminated has only them.
    #[test]
    fn terminated_sessions_cost_a_list_without_them_nothing() {
        with_session(|snapshot, session| {
            for (project, terminated) in filters(session) {
                let filter = Filter { project, terminated };
                let steps = steps(snapshot.conn(), || session::list(snapshot, &filter).unwrap());
                let uses = steps.iter().all(|step| step.contains("session_live"));
                assert_eq!(uses, !terminated, "{steps:?}");
            }
        });
    }

    #[test]
    fn a_whole_list_with_a_filter_is_read_by_an_index() {
        with_session(|snapshot, listed| {
            for session in [None, Some(listed.id.clone())] {
                for project in [None, Some(listed.project.clone())] {
                    let is_all = project.is_none() && session.is_none();
                    let filter = pr::Filter { project, session: session.clone() };
                    let found = scans(snapshot.conn(), || pr::list(snapshot, &filter).unwrap());
                    assert_eq!(found, if is_all { vec!["SCAN p"] } else { Vec::new() });
                }
            }
        });
    }

    /// Every kind of filter of a list of sessions.
    fn filters(session: &Session) -> impl Iterator<Item = (Option<ProjectId>, bool)> {
        let projects = [None, Some(session.project.clone())].into_iter();
        projects.flat_map(|project| [false, true].map(|terminated| (project.clone(), terminated)))
    }

    #[test]
    fn nothing_that_is_shown_of_one_session_is_scanned() {
        with_session(|snapshot, session| {
            let id = &session.id;
            let scans = scans(snapshot.conn(), || {
                session::require(snapshot, id).unwrap();
                of(snapshot, session).unwrap();
                session::is_seed(snapshot, session).unwrap();
                let of_session = pr::Filter { session: Some(id.clone()), project: None };
                pr::list(snapshot, &of_session).unwrap();
                scm::pr_ages(snapshot, &of_session, Timestamp(0)).unwrap();
                shared_branch::of(snapshot, session).unwrap();
                scm::skipped_prs(snapshot, Some(id)).unwrap();
                launch::get(snapshot, &session.launch).unwrap();
                cleanup::get(snapshot, id).unwrap();
            });
            assert_eq!(scans, [""; 0]);
        });
    }

    /// The work on a store with a project whose repository is known, and a session of it.
    fn with_session(work: impl FnOnce(&Snapshot<'_>, &Session)) {
        let dir = tempfile::tempdir().unwrap();
        let options = crate::Options::default();
        let (store, _) = crate::Store::create(&dir.path().join("ao.db"), options).unwrap();
        let project = NewProject {
            id: "demo".parse().unwrap(),
            path: "/src/demo".to_owned(),
            name: "demo".to_owned(),
            origin_url: "https://github.com/octo/hello".to_owned(),
            host: "github.com".to_owned(),
            repo: "octo/hello".to_owned(),
            default_branch: "main".to_owned(),
        };
        let session = NewSession {
            project: project.id.clone(),
            kind: SessionKind::Worker,
            harness: String::new(),
            name: String::new(),
            issue: String::new(),
            branch: "fix".to_owned(),
        };
        let written = store.write(crate::Cause::new("test", Timestamp(0)), move |tx| {
            project::add(tx, &project)?;
            session::create(tx, &session)
        });
        let session = written.unwrap().value;
        let read = store.read(|snapshot| {
            work(snapshot, &session);
            Ok(())
        });
        read.unwrap();
    }

    #[test]
    fn every_status_has_a_rule() {
        for status in Status::ALL {
            assert!(rules().any(|(of_rule, _)| of_rule == *status), "{status}");
        }
    }
}
