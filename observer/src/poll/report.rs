//! How the observer of a host is doing, as it is shown.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, Problem};

use crate::poll::engine::Engine;
use crate::poll::rate_limiter::BackoffReason;
use crate::poll::tier;
use crate::poll::totals::Totals;
use crate::poll::write_batch::Written;

/// How the observer of a host is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The host.
    pub host: String,
    /// What is known of the credentials.
    pub credential: Credential,
    /// Where they are from; never what they are.
    pub source: String,
    /// What was asked.
    pub totals: Totals,
    /// What was stored.
    pub written: Written,
    /// Pull requests that are record_polls at.
    pub tracked: usize,
    /// Of these, those whose last look is not older than it should be.
    pub fresh: usize,
    /// Those that cannot be seen.
    pub problems: usize,
    /// The GraphQL points of the hour, and what is left of them; `None` where there is no limit.
    pub budget: Option<(i64, i64)>,
    /// Why nothing is asked, and until when.
    pub backoff: Option<(BackoffReason, Timestamp)>,
}

impl Engine {
    /// How it goes.
    pub(crate) fn report(&self, written: Written, now: Timestamp) -> Report {
        let interval = self.config.interval_ms();
        let open = || {
            self.prs
                .values()
                .filter(|tracked| !(tracked.is_terminal() && tracked.poll.confirmed_at.is_some()))
        };
        let is_fresh = |at: Option<Timestamp>, every: i64| {
            at.is_some_and(|at| now.0.saturating_sub(at.0) <= 2 * every)
        };
        let graphql = self.limiter.state.graphql;
        Report {
            host: self.host.clone(),
            credential: self.credentials.state,
            source: self.credentials.source.clone(),
            totals: self.totals,
            written,
            tracked: open().count(),
            fresh: open()
                .filter(|tracked| {
                    is_fresh(tracked.polled_at, tier::intervals(tracked.tier(now), interval).0)
                })
                .count(),
            problems: open().filter(|tracked| tracked.poll.problem != Problem::None).count(),
            budget: graphql.limit.zip(graphql.left(now)),
            backoff: self.limiter.shown(now).map(|it| (it.reason, Timestamp(it.until))),
        }
    }
}
