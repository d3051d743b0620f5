//! What the observer sends: the steps that its caller carries out, and what is remembered of a request
//! until its answer arrives.

use std::time::Duration;

use ao_store::{PrId, Timestamp};

use crate::github::call::{Call, Request};
use crate::github::query::{Level, Listing};
use crate::poll::detail_fetch::PageRequest;
use crate::poll::log_queue::LogJob;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look up credentials, and pass the result to
    /// [`Poller::record_credentials`](crate::poll::Poller::record_credentials).
    FindCredentials,
    /// Send this, and pass the reply to [`Poller::receive`](crate::poll::Poller::receive).
    Send(Call),
    /// Nothing is to be done before this time.
    Wait(Timestamp),
}

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// When it was sent, and never before an earlier one: what was read later is newer.
    pub(crate) as_of: Timestamp,
    pub(crate) kind: Kind,
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Kind {
    Query(Query),
    Log(LogJob),
}

/// What a GraphQL query asks for.
#[derive(Debug)]
pub(crate) enum Query {
    Poll {
        level: Level,
        /// In the order of the request: first those that are requested by node id.
        prs: Vec<PrId>,
        /// How many are requested by node id; the others are requested by location.
        by_node: usize,
        /// The repositories that are listed, in the order of the request.
        listings: Vec<(String, Listing)>,
    },
    Detail {
        /// In the order of the request.
        pages: Vec<(PrId, PageRequest)>,
    },
}

/// The host aborts a request after ten seconds itself.
const DEADLINE: Duration = Duration::from_secs(15);

/// Maximum body of an answer: a hundred pull requests with a hundred threads each.
const ANSWER_MAX: usize = 16 << 20;

/// A log that takes longer than this is not worth the wait.
const LOG_DEADLINE: Duration = Duration::from_secs(10);

/// How much of a log is read, and how much of its end is kept.
const LOG_MAX: usize = 256 << 20;
const LOG_TAIL: usize = 16 << 10;

/// A GraphQL query with this body.
pub(crate) fn graphql(body: String) -> Call {
    Call { request: Request::Graphql { body }, deadline: DEADLINE, max_bytes: ANSWER_MAX }
}

/// The request for the log of a failed check, which may take up to this number of milliseconds where
/// there is a limit.
pub(crate) fn job_log(log: &LogJob, limit_ms: Option<i64>) -> Call {
    let limit = limit_ms.map(|limit| Duration::from_millis(limit.unsigned_abs()));
    let request = Request::JobLog { repo: log.repo.clone(), job: log.job, tail_bytes: LOG_TAIL };
    let deadline = LOG_DEADLINE.min(limit.unwrap_or(LOG_DEADLINE));
    Call { request, deadline, max_bytes: LOG_MAX }
}
