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
mod look;
mod memory;
mod plan;
mod see;

use std::collections::{BTreeMap, VecDeque};

use ao_store::row::scm::{
    Access, Credential, HostState, Problem, RefreshRequest, RepoState, SubjectPr,
};
use ao_store::{PrId, Timestamp};

use crate::github::call::Call;
use crate::github::node::Actor;
use crate::github::query::{Dialect, Level, Listing};
use crate::poll::attribution::Candidate;
use crate::poll::config::Config;
use crate::poll::gate::Gate;
use crate::poll::pokes::Pokes;
use crate::poll::round::Wanted;
use crate::poll::scan::Scan;
use crate::poll::size::Size;
use crate::poll::totals::Totals;
use crate::poll::watch::Watch;

pub(crate) use memory::Sizes;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look for credentials, and tell [`Poller::credential`](crate::poll::Poller::credential).
    Probe,
    /// Send this, and tell [`Poller::receive`](crate::poll::Poller::receive).
    Send(Call),
    /// Nothing is to be done before this time.
    Wait(Timestamp),
}

/// What looking for credentials found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A token.
    Token {
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
pub(crate) struct Ground {
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
    Look {
        level: Level,
        /// Asked for by node id, in this order.
        ids: Vec<PrId>,
        /// Asked for by place, in this order.
        places: Vec<PrId>,
        /// Repositories that are listed, in this order: the key of the scan and the page.
        listings: Vec<(String, Listing)>,
    },
    Detail {
        /// What was asked, in this order.
        asks: Vec<(PrId, Wanted)>,
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
pub(crate) struct Identity {
    pub(crate) state: Credential,
    /// Whether requests can be sent with a token.
    pub(crate) has_token: bool,
    pub(crate) source: String,
    pub(crate) fingerprint: String,
    pub(crate) since: Timestamp,
    /// When they are looked for again.
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
    pub(crate) gate: Gate,
    pub(crate) identity: Identity,
    pub(crate) dialect: Dialect,
    pub(crate) sizes: Sizes,
    pub(crate) watches: BTreeMap<PrId, Watch>,
    pub(crate) by_node: BTreeMap<String, PrId>,
    pub(crate) scans: BTreeMap<String, Scan>,
    pub(crate) logs: VecDeque<LogJob>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) pokes: Pokes,
    pub(crate) totals: Totals,
    /// The start of the observer: work is spread over the first interval.
    pub(crate) began: Option<Timestamp>,
    pub(crate) sent_since_start: u32,
    pub(crate) last_step: Option<Timestamp>,
    /// The time of the newest request, by a clock that may have been set back since.
    pub(crate) newest: Timestamp,
    pub(crate) has_detailed: bool,
    pub(crate) is_hurried: bool,
    /// Whether it was told that a permission is missing.
    pub(crate) has_told_scope: bool,
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
        let memory = memory::Memory::read(&stored.memory);
        let mut engine = Engine {
            host: stored.host.clone(),
            config,
            gate: Gate::new(&config, seed, memory.gate),
            identity: Identity {
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
            watches: BTreeMap::new(),
            by_node: BTreeMap::new(),
            scans: BTreeMap::new(),
            logs: VecDeque::new(),
            in_flight: None,
            pokes: Pokes::default(),
            totals: Totals::default(),
            began: None,
            sent_since_start: 0,
            last_step: Some(stored.updated_at).filter(|at| at.0 > 0),
            newest: stored.updated_at,
            has_detailed: false,
            is_hurried: false,
            has_told_scope: false,
            refused: BTreeMap::new(),
            stored,
            rng: fastrand::Rng::with_seed(seed),
        };
        for state in repos {
            let key = state.repo.to_ascii_lowercase();
            engine.scans.insert(key, Scan::new(state, Timestamp(0)));
        }
        engine
    }

    /// Everything is read as soon as the limits allow, for a run that ends when all was read.
    pub(crate) fn hurry(&mut self) {
        self.is_hurried = true;
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
        grounds: Vec<Ground>,
        now: Timestamp,
    ) {
        let mut kept = BTreeMap::new();
        let count = prs.len();
        for (index, (subject, poll)) in prs.iter().enumerate() {
            let is_live = subject.is_session_live;
            let mut watch = match self.watches.remove(&subject.pr.id) {
                Some(mut known) => {
                    known.adopt(&subject.pr, is_live);
                    known
                }
                None => {
                    let due = self.first_due(index, count, now);
                    let mut watch = Watch::new(subject, poll.clone(), due);
                    if watch.is_terminal() && watch.poll.confirmed_at.is_some() {
                        let due = watch.recheck_after(now);
                        (watch.slim_due, watch.wide_due) = (due, due);
                    }
                    watch
                }
            };
            if watch.is_terminal() && self.has_moved(&watch) {
                watch.slim_due = watch.slim_due.min(now);
            }
            kept.insert(subject.pr.id.clone(), watch);
        }
        self.watches = kept;
        let by_node = |watch: &Watch| (watch.node_id.clone(), watch.id.clone());
        self.by_node =
            self.watches.values().filter(|it| !it.node_id.is_empty()).map(by_node).collect();
        self.logs.retain(|log| self.watches.contains_key(&log.pr));
        self.set_grounds(grounds, now);
        self.began.get_or_insert(now);
    }

    /// Whether its repository is known to have another name now than is stored of it.
    fn has_moved(&self, watch: &Watch) -> bool {
        let scan = self.scans.get(&watch.place.repo.to_ascii_lowercase());
        watch.poll.problem == Problem::None
            && scan.is_some_and(|scan| !scan.name().eq_ignore_ascii_case(&watch.place.repo))
    }

    fn set_grounds(&mut self, grounds: Vec<Ground>, now: Timestamp) {
        for scan in self.scans.values_mut() {
            scan.candidates.clear();
        }
        for Ground { repo, candidates } in grounds {
            let key = repo.to_ascii_lowercase();
            let scan = self
                .scans
                .entry(key)
                .or_insert_with(|| Scan::new(RepoState::new(&self.host, &repo), now));
            scan.set_candidates(candidates, now);
        }
    }

    /// When a pull request that was not watched is looked at first. At the start, all of them are
    /// new, and they are spread over one interval.
    fn first_due(&self, index: usize, count: usize, now: Timestamp) -> Timestamp {
        if self.began.is_some() || self.is_hurried {
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
        let due = Timestamp(now.0 + if self.is_hurried { 0 } else { DEBOUNCE_MS });
        // A burst of deliveries moves a look forward once, not with each of them.
        let heard = self.newest.max(now);
        for poke in self.pokes.hear(pokes, heard) {
            let is_it = |watch: &&mut Watch| {
                watch.place.number == poke.number
                    && watch.place.repo.eq_ignore_ascii_case(&poke.repo)
            };
            if let Some(watch) = self.watches.values_mut().find(is_it) {
                watch.wide_due = watch.wide_due.min(due);
                continue;
            }
            // The repository, or a pull request that is not tracked: it may be one to be found.
            let scan = self.scans.get_mut(&poke.repo.to_ascii_lowercase());
            if let Some(scan) = scan.filter(|scan| scan.state.access != Access::Forbidden) {
                scan.due = scan.due.min(due);
            }
        }
    }

    /// The store refused what was learned of a pull request: it will again, so it is looked at
    /// rarely until it changes.
    pub(crate) fn refuse(&mut self, pr: &PrId, now: Timestamp) {
        if let Some(watch) = self.watches.get_mut(pr) {
            watch.forget(Timestamp(now.0 + 20 * self.config.interval_ms()));
            watch.set_problem(Problem::Invalid, now);
        }
    }

    /// The store refused a pull request that was found: it is not found again for a while.
    pub(crate) fn refuse_found(&mut self, node_id: &str, now: Timestamp) {
        self.refused.retain(|_, until| *until > now);
        self.refused.insert(node_id.to_owned(), Timestamp(now.0 + REFUSED_MS));
    }

    /// What was listed of a repository was not stored: all of it is listed again.
    pub(crate) fn list_again(&mut self, repo: &str, due: Timestamp) {
        let is_it = |scan: &&mut Scan| {
            scan.name().eq_ignore_ascii_case(repo) || scan.state.repo.eq_ignore_ascii_case(repo)
        };
        if let Some(scan) = self.scans.values_mut().find(is_it) {
            scan.forget(due);
        }
    }

    /// The store knows something newer: what was read counts as not read.
    pub(crate) fn outdated(&mut self, pr: &PrId, now: Timestamp) {
        if let Some(watch) = self.watches.get_mut(pr) {
            watch.forget(Timestamp(now.0 + 4 * self.config.interval_ms()));
        }
    }

    /// What was learned could not be stored: it counts as not read.
    pub(crate) fn unwritten(&mut self, batch: &crate::poll::write::Batch, now: Timestamp) {
        let due = Timestamp(now.0 + self.config.interval_ms());
        for pr in batch.prs() {
            if let Some(watch) = self.watches.get_mut(pr) {
                watch.forget(due);
            }
        }
        for repo in batch.repos() {
            self.list_again(repo, due);
        }
        self.stored.updated_at = Timestamp(0);
        self.totals.unwritten += 1;
    }
}

/// A pull request that was found and refused by the store is left alone for this long.
const REFUSED_MS: i64 = 6 * 3_600_000;

/// Deliveries come in bursts; a look waits for the rest of one.
const DEBOUNCE_MS: i64 = 2_500;

/// Bodies that are read at most: a hundred pull requests with a hundred threads each.
const ANSWER_MAX: usize = 16 << 20;

impl Watch {
    /// Takes over what others wrote about it.
    fn adopt(&mut self, pr: &ao_store::row::pr::Pr, is_session_live: bool) {
        self.is_session_live = is_session_live;
        if !pr.node_id.is_empty() {
            self.node_id.clone_from(&pr.node_id);
        }
        self.place.repo.clone_from(&pr.repo);
        self.place.number = pr.number;
        self.place.host.clone_from(&pr.host);
    }
}

/// The sizes of requests that were not learned yet.
impl Default for Sizes {
    fn default() -> Self {
        Sizes { slim: Size::new(100), wide: Size::new(50), detail: Size::new(50) }
    }
}
