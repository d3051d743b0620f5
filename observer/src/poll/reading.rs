//! What a request reads, as it is shown while the request is in flight.

use ao_store::PrId;

use crate::poll::log_queue::LogJob;
use crate::poll::request::{InFlight, Kind, Query};

/// What a request reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The open pull requests of repositories, and the facts of tracked ones.
    Poll {
        /// The repositories, as `owner/name`.
        repos: Vec<String>,
        /// The tracked pull requests.
        prs: Vec<PrId>,
    },
    /// The checks, threads, reviews and comments of these.
    Lists(Vec<PrId>),
    /// The log of a failed check of this.
    Log(PrId),
}

impl Reading {
    pub(crate) fn of(request: &InFlight) -> Reading {
        match &request.kind {
            Kind::Query(Query::Poll { prs, listings, .. }) => {
                let repos = listings.iter().map(|(repo, _)| repo.clone()).collect();
                Reading::Poll { repos, prs: prs.clone() }
            }
            Kind::Query(Query::Detail { pages }) => {
                let mut prs: Vec<_> = pages.iter().map(|(pr, _)| pr.clone()).collect();
                prs.dedup();
                Reading::Lists(prs)
            }
            Kind::Log(LogJob { pr, .. }) => Reading::Log(pr.clone()),
        }
    }
}
