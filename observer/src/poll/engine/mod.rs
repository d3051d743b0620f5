//! The observer of one host with one credential, without any I/O: it says what to send next and
//! learns from what came back. Time comes in as an argument, so a test can run years in a second.
//!
//! What it guarantees:
//!
//! * One request is in flight at a time.
//! * A failed, cut or partial answer is never taken for a fact, and deletes nothing.
//! * What counts as read is stored with what was read, in one transaction; when that fails, it is
//!   read again.

mod detail;
mod discover;
mod memory;
mod observe;
mod plan;
mod receive;

use std::collections::{BTreeMap, VecDeque};

use ao_store::row::scm::{
    Access, Credential, HostState, Problem, RefreshRequest, RepoState, SubjectPr,
};
use ao_store::{PrId, Timestamp};

use crate::github::call::Call;
use crate::github::node::Actor;
use crate::github::query::{Dialect, Level, Listing};
use crate::poll::attribution::Candidate;
use crate::poll::batch_size::BatchSize;
use crate::poll::config::Config;
use crate::poll::detail_fetch::PageRequest;
use crate::poll::rate_limiter::RateLimiter;
use crate::poll::refresh_requests::RefreshRequests;
use crate::poll::repo_listing::RepoListing;
use crate::poll::totals::Totals;
use crate::poll::tracked_pr::TrackedPr;

pub(crate) use memory::BatchSizes;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look for credentials, and tell [`Poller::credential`](crate::poll::Poller::credential).
    FindCredentials,
    /// Send this, and tell [`Poller::receive`](crate::poll::Poller::receive).
    Send(Call),
    /// Nothing is to be done before this time.
    Wait(Timestamp),
}

/// What looking for credentials found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialLookup {
    /// A token.
    Found {
        /// Tells it apart from others; not the token.
        fingerprint: String,
        /// Where it is from, such as `GH_TOKEN`.
        source: String,
    },
    /// There is none.
    Missing,
    /// It could not be found out.
    Failed(String),
}

/// A repository to list, and whose pull requests may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListTarget {
    pub(crate) repo: String,
    pub(crate) candidates: Vec<Candidate>,
}

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// When it was sent, and never before an earlier one: what was read later is newer.
    pub(crate) as_of: Timestamp,
    pub(crate) kind: Kind,
}

/// What a request is about.
#[derive(Debug)]
pub(crate) enum Kind {
    Poll {
        level: Level,
        /// Asked for by node id, in this order.
        ids: Vec<PrId>,
        /// Asked for by location, in this order.
        locations: Vec<PrId>,
        /// Repositories that are listed, in this order: the key of the listing and the page.
        listings: Vec<(String, Listing)>,
    },
    Detail {
        /// What was asked, in this order.
        asks: Vec<(PrId, PageRequest)>,
    },
    Log(LogJob),
}

/// The log of a failed check, to be read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogJob {
    pub(crate) pr: PrId,
    pub(crate) repo: String,
    pub(crate) external_id: String,
    pub(crate) job: i64,
    pub(crate) tries: u32,
}

/// What the credentials are known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) state: Credential,
    /// Whether requests can be sent with a token.
    pub(crate) has_token: bool,
    pub(crate) source: String,
    pub(crate) fingerprint: String,
    pub(crate) since: Timestamp,
    /// When they are record_polls for again.
    pub(crate) probe_at: Timestamp,
    /// Refusals in a row.
    pub(crate) refusals: u32,
    pub(crate) viewer: Option<Actor>,
}

/// The observer of one host.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) host: String,
    pub(crate) config: Config,
    pub(crate) limiter: RateLimiter,
    pub(crate) credentials: Credentials,
    pub(crate) dialect: Dialect,
    pub(crate) sizes: BatchSizes,
    pub(crate) prs: BTreeMap<PrId, TrackedPr>,
    pub(crate) by_node: BTreeMap<String, PrId>,
    pub(crate) repos: BTreeMap<String, RepoListing>,
    pub(crate) logs: VecDeque<LogJob>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) pokes: RefreshRequests,
    pub(crate) totals: Totals,
    /// The start of the observer: work is spread over the first interval.
    pub(crate) began: Option<Timestamp>,
    pub(crate) sent_since_start: u32,
    pub(crate) last_step: Option<Timestamp>,
    /// The time of the newest request, by a clock that may have been set back since.
    pub(crate) newest: Timestamp,
    pub(crate) has_detailed: bool,
    pub(crate) skips_slow_start: bool,
    /// Whether it was told that a permission is missing.
    pub(crate) has_warned_of_checks: bool,
    /// Pull requests that were found and refused by the store, and until when they are left alone.
    pub(crate) refused: BTreeMap<String, Timestamp>,
    /// What is stored of this observer.
    pub(crate) stored: HostState,
    pub(crate) rng: fastrand::Rng,
}

impl Engine {
    /// The observer of a host, with what is stored of it. `seed` makes its jitter.
    #[must_use]
    pub(crate) fn new(
        config: Config,
        stored: HostState,
        repos: Vec<RepoState>,
        seed: u64,
    ) -> Engine {
        let memory = memory::SavedState::read(&stored.memory);
        let mut engine = Engine {
            host: stored.host.clone(),
            config,
            limiter: RateLimiter::new(&config, seed, memory.limiter),
            credentials: Credentials {
                state: Credential::Unknown,
                has_token: false,
                source: String::new(),
                fingerprint: memory.fingerprint,
                since: Timestamp(0),
                probe_at: Timestamp(0),
                refusals: 0,
                viewer: None,
            },
            dialect: memory.dialect,
            sizes: memory.sizes,
            prs: BTreeMap::new(),
            by_node: BTreeMap::new(),
            repos: BTreeMap::new(),
            logs: VecDeque::new(),
            in_flight: None,
            pokes: RefreshRequests::default(),
            totals: Totals::default(),
            began: None,
            sent_since_start: 0,
            last_step: Some(stored.updated_at).filter(|at| at.0 > 0),
            newest: stored.updated_at,
            has_detailed: false,
            skips_slow_start: false,
            has_warned_of_checks: false,
            refused: BTreeMap::new(),
            stored,
            rng: fastrand::Rng::with_seed(seed),
        };
        for state in repos {
            let key = state.repo.to_ascii_lowercase();
            engine.repos.insert(key, RepoListing::new(state, Timestamp(0)));
        }
        engine
    }

    /// Everything is read as soon as the limits allow, for a run that ends when all was read.
    pub(crate) fn poll_now(&mut self) {
        self.skips_slow_start = true;
    }

    /// What was done so far.
    #[must_use]
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes over what is to be observed. What is known of a pull request that stays is kept.
    pub(crate) fn set_subjects(
        &mut self,
        prs: &[(SubjectPr, ao_store::row::scm::PrPoll)],
        targets: Vec<ListTarget>,
        now: Timestamp,
    ) {
        let mut kept = BTreeMap::new();
        let count = prs.len();
        for (index, (subject, poll)) in prs.iter().enumerate() {
            let is_live = subject.is_session_live;
            let mut tracked = match self.prs.remove(&subject.pr.id) {
                Some(mut known) => {
                    known.adopt(&subject.pr, is_live);
                    known
                }
                None => {
                    let due = self.first_due(index, count, now);
                    let mut tracked = TrackedPr::new(subject, poll.clone(), due);
                    if tracked.is_terminal() && tracked.poll.confirmed_at.is_some() {
                        let due = tracked.recheck_after(now);
                        (tracked.heartbeat_due, tracked.full_due) = (due, due);
                    }
                    tracked
                }
            };
            if tracked.is_terminal() && self.has_moved(&tracked) {
                tracked.heartbeat_due = tracked.heartbeat_due.min(now);
            }
            kept.insert(subject.pr.id.clone(), tracked);
        }
        self.prs = kept;
        let by_node = |tracked: &TrackedPr| (tracked.node_id.clone(), tracked.id.clone());
        self.by_node = self.prs.values().filter(|it| !it.node_id.is_empty()).map(by_node).collect();
        self.logs.retain(|log| self.prs.contains_key(&log.pr));
        self.set_targets(targets, now);
        self.began.get_or_insert(now);
    }

    /// Whether its repository is known to have another name now than is stored of it.
    fn has_moved(&self, tracked: &TrackedPr) -> bool {
        let listing = self.repos.get(&tracked.location.repo.to_ascii_lowercase());
        tracked.poll.problem == Problem::None
            && listing
                .is_some_and(|listing| !listing.name().eq_ignore_ascii_case(&tracked.location.repo))
    }

    fn set_targets(&mut self, targets: Vec<ListTarget>, now: Timestamp) {
        for listing in self.repos.values_mut() {
            listing.candidates.clear();
        }
        for ListTarget { repo, candidates } in targets {
            let key = repo.to_ascii_lowercase();
            let listing = self
                .repos
                .entry(key)
                .or_insert_with(|| RepoListing::new(RepoState::new(&self.host, &repo), now));
            listing.set_candidates(candidates, now);
        }
    }

    /// When a pull request that was not watched is record_polls at first. At the start, all of them are
    /// new, and they are spread over one interval.
    fn first_due(&self, index: usize, count: usize, now: Timestamp) -> Timestamp {
        if self.began.is_some() || self.skips_slow_start {
            return now;
        }
        let batch = self.sizes.wide.get().max(1);
        let batches = count.div_ceil(batch).max(1);
        let slot = i64::try_from(index / batch).unwrap_or(0);
        let slots = i64::try_from(batches).unwrap_or(1);
        Timestamp(now.0 + self.config.interval_ms() * slot / slots)
    }

    /// Takes over what somebody asks to look at: pull requests, or the lists of repositories. They
    /// are all that are stored.
    pub(crate) fn poke(&mut self, pokes: Vec<RefreshRequest>, now: Timestamp) {
        let due = Timestamp(now.0 + if self.skips_slow_start { 0 } else { DEBOUNCE_MS });
        // A burst of deliveries moves a look forward once, not with each of them.
        let heard = self.newest.max(now);
        for poke in self.pokes.hear(pokes, heard) {
            let is_it = |tracked: &&mut TrackedPr| {
                tracked.location.number == poke.number
                    && tracked.location.repo.eq_ignore_ascii_case(&poke.repo)
            };
            if let Some(tracked) = self.prs.values_mut().find(is_it) {
                tracked.full_due = tracked.full_due.min(due);
                continue;
            }
            // The repository, or a pull request that is not tracked: it may be one to be found.
            let listing = self.repos.get_mut(&poke.repo.to_ascii_lowercase());
            if let Some(listing) =
                listing.filter(|listing| listing.state.access != Access::Forbidden)
            {
                listing.due = listing.due.min(due);
            }
        }
    }

    /// The store refused what was learned of a pull request: it will again, so it is record_polls at
    /// rarely until it changes.
    pub(crate) fn refuse(&mut self, pr: &PrId, now: Timestamp) {
        if let Some(tracked) = self.prs.get_mut(pr) {
            tracked.forget(Timestamp(now.0 + 20 * self.config.interval_ms()));
            tracked.set_problem(Problem::Invalid, now);
        }
    }

    /// The store refused a pull request that was found: it is not found again for a while.
    pub(crate) fn refuse_found(&mut self, node_id: &str, now: Timestamp) {
        self.refused.retain(|_, until| *until > now);
        self.refused.insert(node_id.to_owned(), Timestamp(now.0 + REFUSED_MS));
    }

    /// What was listed of a repository was not stored: all of it is listed again.
    pub(crate) fn list_again(&mut self, repo: &str, due: Timestamp) {
        let is_it = |listing: &&mut RepoListing| {
            listing.name().eq_ignore_ascii_case(repo)
                || listing.state.repo.eq_ignore_ascii_case(repo)
        };
        if let Some(listing) = self.repos.values_mut().find(is_it) {
            listing.forget(due);
        }
    }

    /// The store knows something newer: what was read counts as not read.
    pub(crate) fn outdated(&mut self, pr: &PrId, now: Timestamp) {
        if let Some(tracked) = self.prs.get_mut(pr) {
            tracked.forget(Timestamp(now.0 + 4 * self.config.interval_ms()));
        }
    }

    /// What was learned could not be stored: it counts as not read.
    pub(crate) fn unwritten(
        &mut self,
        batch: &crate::poll::write_batch::WriteBatch,
        now: Timestamp,
    ) {
        let due = Timestamp(now.0 + self.config.interval_ms());
        for pr in batch.prs() {
            if let Some(tracked) = self.prs.get_mut(pr) {
                tracked.forget(due);
            }
        }
        for repo in batch.repos() {
            self.list_again(repo, due);
        }
        self.stored.updated_at = Timestamp(0);
        self.totals.failed_writes += 1;
    }
}

/// A pull request that was found and refused by the store is left alone for this long.
const REFUSED_MS: i64 = 6 * 3_600_000;

/// Deliveries come in bursts; a look waits for the rest of one.
const DEBOUNCE_MS: i64 = 2_500;

/// Bodies that are read at most: a hundred pull requests with a hundred threads each.
const ANSWER_MAX: usize = 16 << 20;

impl TrackedPr {
    /// Takes over what others wrote about it.
    fn adopt(&mut self, pr: &ao_store::row::pr::Pr, is_session_live: bool) {
        self.is_session_live = is_session_live;
        if !pr.node_id.is_empty() {
            self.node_id.clone_from(&pr.node_id);
        }
        self.location.repo.clone_from(&pr.repo);
        self.location.number = pr.number;
        self.location.host.clone_from(&pr.host);
    }
}

/// The sizes of requests that were not learned yet.
impl Default for BatchSizes {
    fn default() -> Self {
        BatchSizes {
            slim: BatchSize::new(100),
            wide: BatchSize::new(50),
            detail: BatchSize::new(50),
        }
    }
}
