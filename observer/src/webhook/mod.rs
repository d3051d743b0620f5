//! Recorded deliveries of GitHub webhooks, as observations.
//!
//! A delivery is a snapshot of a few items at a time of the provider: items are merged, never
//! replaced, and `as_of` is the newest time that the provider states about the fact, so that
//! deliveries in any order end in the newest fact. A payload is not trusted: it is read as JSON of
//! a known shape, and nothing in it makes the reader panic.

mod check;
mod comment;
mod payload;
mod pull_request;
mod review;
mod signature;
mod take;

use ao_store::observation::{Check, Facet, Observation};
use ao_store::row::pr::Pr;
use ao_store::{PrRef, SessionId, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::{Error, Result, quoted, reason};
use crate::json::Object;

pub use payload::RepoPlace;
pub use signature::verify_signature;
pub use take::{Taken, take};

/// What a delivery says.
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
        place: Option<RepoPlace>,
    },
}

/// Checks of a commit, before it is known which pull requests they belong to: those that
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
        let place = PrRef { host: pr.host.clone(), repo: pr.repo.clone(), number: pr.number };
        Observation {
            node_id: pr.node_id.clone(),
            session: self.session.clone(),
            checks: Facet::merge(self.checks.clone()),
            ..Observation::new(place, self.as_of)
        }
    }
}

/// What is known of a delivery beside its payload.
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

    /// The time of a deletion. It is final, so it is newer than every other word about the item,
    /// also one that is delivered after it.
    fn of_deletion(&self, provider: Option<Timestamp>) -> Option<Timestamp> {
        provider.max(Some(self.now))
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
        match serde_json::from_slice(self.json) {
            Ok(Object(payload)) => Ok(payload),
            Err(error) => Err(Error::InvalidPayload {
                event: self.event,
                line: error.line().max(1),
                reason: reason(&error),
            }),
        }
    }
}

type Reader = fn(Payload<'_>, &Receipt) -> Result<Delivery>;

const READERS: &[(&str, Reader)] = &[
    ("pull_request", |payload, receipt| pull_request::deliver(payload.read()?, receipt)),
    ("pull_request_review", |payload, receipt| review::deliver(payload.read()?, receipt)),
    ("pull_request_review_comment", |payload, receipt| {
        comment::deliver_review_comment(payload.read()?, receipt)
    }),
    ("pull_request_review_thread", |payload, receipt| {
        review::deliver_thread(payload.read()?, receipt)
    }),
    ("issue_comment", |payload, receipt| comment::deliver_issue_comment(payload.read()?, receipt)),
    ("check_run", |payload, receipt| check::deliver_run(payload.read()?, receipt)),
    ("check_suite", |payload, receipt| check::deliver_suite(payload.read()?, receipt)),
    ("status", |payload, receipt| check::deliver_status(payload.read()?, receipt)),
    ("workflow_run", |payload, receipt| check::deliver_workflow(payload.read()?, receipt)),
    // The pull_request delivery of the same push has the new head.
    ("push", |payload, _| about_repo(payload, "a push carries no fact about a pull request")),
    // A new name is learned by looking.
    ("repository", |payload, _| about_repo(payload, "a repository is no pull request")),
    ("merge_group", |payload, _| about_repo(payload, "a merge group is no pull request")),
    ("ping", |payload, _| about_repo(payload, "a ping says that deliveries come")),
];

/// A delivery that says no more than that something happened in its repository.
fn about_repo(payload: Payload<'_>, reason: &'static str) -> Result<Delivery> {
    payload.read::<IgnoredAny>()?;
    Ok(Delivery::Ignored { reason, place: RepoPlace::named_by(payload.json) })
}

/// The names of the events that are understood.
pub fn events() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|(name, _)| *name)
}

/// Reads the payload of one delivery. `session` names the owner of its pull requests, when the
/// caller knows it; `now` is the time of a fact for which the provider states none.
///
/// # Errors
/// `INVALID_DELIVERY` for an unknown event, `INVALID_JSON` for a payload of another shape,
/// `INVALID_PR_REF` for one that names an impossible repository or number.
pub fn deliver(
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
