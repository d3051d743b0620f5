//! The world: what GitHub stores, its clock, its limits and its faults.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use crate::budget::{Budget, Resource};
use crate::counters::{Counters, Served};
use crate::entity::{Obj, State, User};
use crate::enums::UserKind;
use crate::fault::Fault;
use crate::graphql::Parsed;
use crate::state::Snapshot;

/// Behaviour that differs between hosts and versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long `mergeable` stays UNKNOWN after the first read since the last push.
    pub mergeable_delay_ms: i64,
    /// Whether answers carry `x-ratelimit-*`; off as on GHES, where `rateLimit` is null as well.
    pub rate_headers: bool,
    /// An old schema: `PullRequest.statusCheckRollup` is an unknown field.
    pub no_pr_rollup: bool,
    /// GHES: only `/api/v3` and `/api/graphql` exist.
    pub api_prefix: bool,
    /// Whether ETags depend on the body alone and survive a new token.
    pub stable_etags: bool,
    /// Latency of every answer, in milliseconds.
    pub latency_ms: u64,
    /// Microseconds that each GraphQL node adds to the latency.
    pub node_latency_us: u64,
    /// How many former states are kept for stale answers; 0 keeps none.
    pub history: usize,
    /// The origin that serves logs, by a redirect. Without one, logs are answered directly.
    pub blob_origin: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mergeable_delay_ms: 5000,
            rate_headers: true,
            no_pr_rollup: false,
            api_prefix: false,
            stable_etags: false,
            latency_ms: 0,
            node_latency_us: 0,
            history: 0,
            blob_origin: None,
        }
    }
}

/// What drives the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The test: see [`World::advance`].
    Virtual,
    /// The clock of the machine.
    Real,
}

/// One mutation that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When, in milliseconds of the world's clock.
    pub at: i64,
    /// The name of the method that made it.
    pub what: &'static str,
    /// Node id of the pull request; empty where a repository as a whole changed.
    pub pr: String,
    /// Node id of the thing that changed.
    pub subject: String,
}

/// A GitHub in memory.
#[derive(Debug)]
pub struct World {
    /// Behaviour that differs between hosts.
    pub options: Options,
    /// The injected faults, in the order of their application. Faults of one request add up, until
    /// one replaces the answer as a whole.
    pub faults: Vec<Fault>,
    /// Totals of the requests.
    pub counters: Counters,
    /// Every request that was answered.
    pub log: Vec<Served>,
    /// Every mutation that was made.
    pub journal: Vec<JournalEntry>,
    /// The primary limits.
    pub budget: Budget,
    pub(crate) state: State,
    pub(crate) history: VecDeque<Arc<State>>,
    pub(crate) tokens: HashMap<String, String>,
    pub(crate) documents: HashMap<String, Arc<Parsed>>,
    pub(crate) requests: u64,
    pub(crate) rng: Rng,
    now_ms: i64,
    clock: Clock,
}

impl World {
    /// An empty world at a fixed instant of a virtual clock. The token `token` of the user
    /// `octo-dev` is valid.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            options: Options::default(),
            faults: Vec::new(),
            counters: Counters::default(),
            log: Vec::new(),
            journal: Vec::new(),
            budget: Budget::default(),
            state: State::default(),
            history: VecDeque::new(),
            tokens: HashMap::new(),
            documents: HashMap::new(),
            requests: 0,
            rng: Rng::with_seed(seed),
            now_ms: 1_900_000_000_000,
            clock: Clock::Virtual,
        };
        world.add_token("token", "octo-dev");
        world
    }

    /// The time of this world, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self.clock {
            Clock::Virtual => self.now_ms,
            Clock::Real => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Sets the virtual clock.
    pub const fn set_now_ms(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Advances the virtual clock.
    pub const fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    /// Chooses the clock.
    pub const fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Makes `token` valid for the user `login`.
    pub fn add_token(&mut self, token: &str, login: &str) {
        self.user(login);
        self.tokens.insert(token.to_owned(), login.to_owned());
    }

    /// Makes `token` invalid.
    pub fn remove_token(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Spends points of the same user as another tool does.
    pub fn spend_foreign(&mut self, resource: Resource, points: u64) {
        let now = self.now_ms();
        self.budget.at(resource, now).used += points;
    }

    /// The world as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::new(self.state.clone()))
    }

    /// Node ids of all pull requests, oldest first.
    #[must_use]
    pub fn prs(&self) -> Vec<String> {
        self.state.prs.iter().map(|pr| pr.id.clone()).collect()
    }

    /// Node ids of the pull requests of a repository, oldest first.
    #[must_use]
    pub fn prs_of(&self, repo: &str) -> Vec<String> {
        let repo = &self.state.repos[self.repo_at(repo)];
        repo.prs.iter().map(|at| self.state.prs[*at].id.clone()).collect()
    }

    /// Present `owner/name` of all repositories, oldest first.
    #[must_use]
    pub fn repos(&self) -> Vec<String> {
        self.state.repos.iter().map(crate::entity::Repo::full_name).collect()
    }

    /// Node id of a repository by its present or a former name.
    #[must_use]
    pub fn repo_id(&self, repo: &str) -> String {
        self.state.repos[self.repo_at(repo)].id.clone()
    }

    /// Ensures an account. A login that ends in `[bot]` is that of a bot, stored without the suffix.
    pub fn user(&mut self, login: &str) -> String {
        let (login, kind) = match login.strip_suffix("[bot]") {
            Some(login) => (login, UserKind::Bot),
            None => (login, UserKind::User),
        };
        self.user_of_kind(login, kind)
    }

    /// Ensures an account of a kind.
    pub fn user_of_kind(&mut self, login: &str, kind: UserKind) -> String {
        if let Some(user) = self.state.users.iter().find(|user| user.login == login) {
            return user.id.clone();
        }
        let (id, database_id) = self.new_id(if kind == UserKind::Bot { "BOT" } else { "U" });
        let at = self.state.users.len();
        self.state.index.insert(id.clone(), Obj::User(at));
        self.state.users.push(User { id: id.clone(), database_id, login: login.to_owned(), kind });
        id
    }

    pub(crate) fn user_at(&mut self, login: Option<&str>) -> Option<usize> {
        let id = self.user(login?);
        match self.state.index[&id] {
            Obj::User(at) => Some(at),
            _ => None,
        }
    }

    /// A fresh node id and database id.
    pub(crate) fn new_id(&mut self, prefix: &str) -> (String, u64) {
        self.state.serial += 1;
        let serial = self.state.serial;
        (format!("{prefix}_kwDO{serial:08x}"), 30_000_000_000 + serial)
    }

    /// Writes the journal. Called before the tables change, so that the history has the former state.
    pub(crate) fn record(&mut self, what: &'static str, pr: Option<usize>, subject: &str) {
        if self.options.history > 0 {
            self.history.truncate(self.options.history - 1);
            self.history.push_front(Arc::new(self.state.clone()));
        }
        let pr = pr.map_or(String::new(), |at| self.state.prs[at].id.clone());
        let at = self.now_ms();
        self.journal.push(JournalEntry { at, what, pr, subject: subject.to_owned() });
    }
}
