//! Recorded GitHub webhook deliveries, as observations.
//!
//! A webhook delivery is a snapshot of a few items at a time of the provider: items are merged,
//! never replaced, and `as_of` is the newest time that the provider states about the fact, so that
//! webhook deliveries in any order end in the newest fact. A payload is not trusted: it is read as
//! JSON of a known shape, and nothing in it makes the reader panic.

#[cfg(test)]
mod agreement;
mod check;
mod comment;
mod pull_request;
mod record;
mod repository;
mod review;
mod signature;

use ao_store::observation::{Check, Facet, Observation};
use ao_store::row::pr::Pr;
use ao_store::{PrRef, SessionId, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::{Error, Result, quoted, reason};
use crate::json::Object;

pub use record::{Recorded, record};
pub use repository::RepoLocation;
pub use signature::verify_signature;

/// The content of a webhook delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Facts about pull requests that the payload names.
    Prs(Vec<Observation>),
    /// Facts about a commit; the store knows which pull requests have it as their head.
    Commit(CommitFacts),
    /// Nothing that is stored.
    Ignored {
        /// Why.
        reason: &'static str,
        /// The repository, where its pull requests may have changed all the same.
        location: Option<RepoLocation>,
    },
}

/// Checks of a commit. The pull requests that they belong to are those that
/// `ao_store::row::pr::with_head` finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The host of the repository.
    pub host: String,
    /// The repository, as `owner/name`.
    pub repo: String,
    /// The commit.
    pub sha: String,
    /// The session that the caller names as the owner.
    pub session: Option<SessionId>,
    /// How new the facts are.
    pub as_of: Timestamp,
    /// The checks.
    pub checks: Vec<Check>,
}

impl CommitFacts {
    /// The facts as an observation of one stored pull request.
    #[must_use]
    pub fn for_pr(&self, pr: &Pr) -> Observation {
        let location = PrRef { host: pr.host.clone(), repo: pr.repo.clone(), number: pr.number };
        Observation {
            node_id: pr.node_id.clone(),
            session: self.session.clone(),
            checks: Facet::merge(self.checks.clone()),
            ..Observation::new(location, self.as_of)
        }
    }
}

/// What the caller knows of a webhook delivery beside its payload.
struct Receipt {
    session: Option<SessionId>,
    now: Timestamp,
}

impl Receipt {
    /// An observation at the provider's time, when it states one.
    fn observation(&self, pr: PrRef, provider: Option<Timestamp>) -> Observation {
        let session = self.session.clone();
        Observation { session, ..Observation::new(pr, provider.unwrap_or(self.now)) }
    }
}

/// A payload that is not read yet.
#[derive(Clone, Copy)]
struct Payload<'a> {
    event: &'static str,
    json: &'a [u8],
}

impl Payload<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T> {
        let event = self.event;
        let Object(payload) = serde_json::from_slice(self.json).map_err(|error| {
            match self.json.trim_ascii_start().starts_with(b"payload=") {
                true => Error::Form { event },
                false => {
                    let line = error.line().max(1);
                    Error::InvalidPayload { event, line, reason: reason(&error) }
                }
            }
        })?;
        Ok(payload)
    }
}

/// The payload of an event.
trait Event: DeserializeOwned {
    /// The content of the webhook delivery.
    fn read(self, receipt: &Receipt) -> Result<Delivery>;
}

type Reader = fn(Payload<'_>, &Receipt) -> Result<Delivery>;

fn typed<T: Event>(payload: Payload<'_>, receipt: &Receipt) -> Result<Delivery> {
    payload.read::<T>()?.read(receipt)
}

const READERS: &[(&str, Reader)] = &[
    ("pull_request", typed::<pull_request::PrEvent>),
    ("pull_request_review", typed::<review::ReviewEvent>),
    ("pull_request_review_comment", typed::<comment::ReviewCommentEvent>),
    ("pull_request_review_thread", typed::<review::ThreadEvent>),
    ("issue_comment", typed::<comment::IssueCommentEvent>),
    ("check_run", typed::<check::RunEvent>),
    ("check_suite", typed::<check::SuiteEvent>),
    ("status", typed::<check::StatusEvent>),
    ("workflow_run", typed::<check::WorkflowEvent>),
    // The pull_request delivery of the same push has the new head.
    ("push", |payload, _| about_repo(payload, "a push carries no fact about a pull request")),
    // A poll reads the new name.
    ("repository", |payload, _| about_repo(payload, "a repository is no pull request")),
    ("merge_group", |payload, _| about_repo(payload, "a merge group is no pull request")),
    ("ping", |payload, _| about_repo(payload, "a ping announces webhook deliveries")),
];

/// A webhook delivery that shows no more than that something happened in its repository.
fn about_repo(payload: Payload<'_>, reason: &'static str) -> Result<Delivery> {
    payload.read::<IgnoredAny>()?;
    Ok(Delivery::Ignored { reason, location: RepoLocation::in_payload(payload.json) })
}

/// The names of the supported events.
pub fn events() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|(name, _)| *name)
}

/// Reads the payload of one webhook delivery. `session` names the owner of its pull requests, when
/// the caller knows it; `now` is the time of a fact for which the provider states none.
///
/// # Errors
/// `INVALID_DELIVERY` for an unknown event, `INVALID_JSON` for a payload of another shape,
/// `INVALID_PR_REF` for one that names an impossible repository or number.
pub fn read(
    event: &str,
    payload: &[u8],
    session: Option<SessionId>,
    now: Timestamp,
) -> Result<Delivery> {
    let Some((event, read)) = READERS.iter().find(|(name, _)| *name == event) else {
        let known = events().collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownEvent { name: quoted(event), known });
    };
    read(Payload { event, json: payload }, &Receipt { session, now })
}
