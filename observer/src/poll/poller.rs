//! The observer of one host together with its store: what it prs comes from there, and what it
//! learns goes there. Synchronous; the network and the clock are the caller's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ao_store::row::scm::{self, HostState, PrPoll};
use ao_store::{Cause, Cursor, Error, Kind, PrId, Result, Store, Timestamp};

use crate::github::call::Reply;
use crate::poll::attribution::Candidate;
use crate::poll::config::Config;
use crate::poll::engine::{CredentialLookup, Engine, ListTarget, Step};
use crate::poll::report::Report;
use crate::poll::totals::Totals;
use crate::poll::write_batch::{WriteBatch, Written};

/// The name that stands as actor on the changes of an observer.
const ACTOR: &str = "observer";

/// A pull request that ended is record_polls at for a day more, because it may be reopened.
const ENDED_MS: i64 = 25 * 3_600_000;

/// Where the repositories of a project are, other than its origin: `owner/name` by host.
pub type Remotes = HashMap<String, Vec<(String, String)>>;

/// The observer of one host.
#[derive(Debug)]
pub struct Poller {
    store: StoreHandle,
    host: String,
    engine: Engine,
    /// Only these repositories, when there are any.
    only: Vec<String>,
    /// The log when the subjects were read last.
    head: Option<Cursor>,
    remotes: Remotes,
    written: Written,
}

/// A store, which has no `Debug`.
struct StoreHandle(Store);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.path()).finish()
    }
}

impl Poller {
    /// The observer of a host, with what is stored of it. `seed` makes its jitter; `only` limits it
    /// to some repositories.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Store,
        host: &str,
        config: Config,
        only: Vec<String>,
        seed: u64,
    ) -> Result<Poller> {
        let (state, repos) =
            store.read(|snapshot| Ok((scm::host(snapshot, host)?, scm::repos(snapshot, host)?)))?;
        let state = state.unwrap_or_else(|| HostState::new(host));
        Ok(Poller {
            engine: Engine::new(config, state, repos, seed),
            store: StoreHandle(store),
            host: host.to_owned(),
            only,
            head: None,
            remotes: Remotes::new(),
            written: Written::default(),
        })
    }

    /// Everything is read as soon as the limits allow.
    pub fn poll_now(&mut self) {
        self.engine.poll_now();
    }

    /// The repositories that checkouts name beside their origins, by the path of the project.
    pub fn set_remotes(&mut self, remotes: Remotes) {
        self.remotes = remotes;
        self.head = None;
    }

    /// Reads from the store what is to be observed, if it may have changed, and what was asked for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh(&mut self, now: Timestamp) -> Result<()> {
        let host = self.host.clone();
        let (head, pokes) = self
            .store
            .0
            .read(|snapshot| Ok((snapshot.head()?, scm::refresh_requests(snapshot, &host)?)))?;
        if self.head != Some(head) {
            self.reload(now)?;
            self.head = Some(head);
        }
        self.engine.poke(pokes, now);
        Ok(())
    }

    fn reload(&mut self, now: Timestamp) -> Result<()> {
        let ended_before = Timestamp(now.0 - ENDED_MS);
        let host = self.host.clone();
        let (subjects, polls) = self.store.0.read(|snapshot| {
            Ok((scm::subjects(snapshot, &host, ended_before)?, scm::polls(snapshot, &host)?))
        })?;
        let mut polls: HashMap<PrId, PrPoll> = polls.into_iter().collect();
        let is_wanted = |repo: &str| {
            self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(repo))
        };
        let mut prs = Vec::new();
        for subject in subjects.prs.into_iter().filter(|subject| is_wanted(&subject.pr.repo)) {
            let poll = polls.remove(&subject.pr.id).unwrap_or_default();
            prs.push((subject, poll));
        }
        let mut targets: BTreeMap<String, ListTarget> = BTreeMap::new();
        for project in subjects.scans {
            let origin = project.project.repo.clone();
            let known = self.remotes.get(&project.project.path).into_iter().flatten();
            let others = known.filter(|(at, _)| at.eq_ignore_ascii_case(&host));
            let repos = [origin.clone()].into_iter().chain(others.map(|(_, repo)| repo.clone()));
            for repo in repos.filter(|repo| is_wanted(repo)) {
                let key = repo.to_ascii_lowercase();
                let target = targets
                    .entry(key)
                    .or_insert_with(|| ListTarget { repo, candidates: Vec::new() });
                for branch in &project.branches {
                    let candidate = Candidate {
                        session: branch.session.clone(),
                        branch: branch.name.clone(),
                        origins: vec![origin.clone()],
                    };
                    if !target.candidates.contains(&candidate) {
                        target.candidates.push(candidate);
                    }
                }
            }
        }
        self.engine.set_subjects(&prs, targets.into_values().collect(), now);
        Ok(())
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp) -> Step {
        self.engine.next(now)
    }

    /// Whether something is to be read as soon as the limits allow.
    #[must_use]
    pub fn has_work(&self, now: Timestamp) -> bool {
        self.engine.has_work(now)
    }

    /// What looking for credentials found.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_credentials(&mut self, found: CredentialLookup, now: Timestamp) -> Result<()> {
        self.engine.record_credentials(found, now);
        self.close(now)
    }

    /// Learns from what came of the request in flight, and stores it. What the store refuses or
    /// cannot take now is told to the log and read again.
    pub fn receive(&mut self, reply: &Reply, now: Timestamp) -> Written {
        let logs = self.engine.prs_with_pending_logs();
        let batch = self.engine.receive(reply, now);
        let written = self.write(batch, now);
        self.written += written;
        for pr in self.engine.prs_with_pending_logs().difference(&logs) {
            let stored = self.store.0.read(|snapshot| ao_store::row::facet::logged(snapshot, pr));
            match stored {
                Ok(stored) => self.engine.drop_stored_logs(pr, &stored),
                Err(error) => tracing::warn!(%error, "cannot read which logs are stored"),
            }
        }
        written
    }

    /// Stores a batch whole; where the store refuses something in it, thing by thing.
    fn write(&mut self, batch: WriteBatch, now: Timestamp) -> Written {
        if batch.is_empty() {
            return Written::default();
        }
        let batch = Arc::new(batch);
        match self.apply(&batch, now) {
            Ok(written) => written,
            Err(error) if !is_refusal(&error) => {
                self.unwritten(&error, &batch, now);
                Written::default()
            }
            Err(_) => {
                let mut sum = Written::default();
                for part in batch.split() {
                    let part = Arc::new(part);
                    match self.apply(&part, now) {
                        Ok(written) => sum += written,
                        Err(error) if is_refusal(&error) => self.refused(&error, &part, now),
                        Err(error) => self.unwritten(&error, &part, now),
                    }
                }
                sum
            }
        }
    }

    fn apply(&mut self, batch: &Arc<WriteBatch>, now: Timestamp) -> Result<Written> {
        let (job, host) = (Arc::clone(batch), self.host.clone());
        let cause = Cause::new(ACTOR, now);
        let done = self.store.0.write(cause, move |tx| job.apply(tx, &host))?;
        let (written, outdated) = done.value;
        let is_next = |head: Cursor| {
            head.epoch == done.cursor.epoch
                && head.seq.0.checked_add_unsigned(done.changes) == Some(done.cursor.seq.0)
        };
        // What this wrote about known pull requests changes nothing of what is to be observed; what
        // others wrote since the subjects were read may.
        if self.head.is_some_and(is_next) && written.found == 0 && !batch.renames() {
            self.head = Some(done.cursor);
        }
        for pr in &outdated {
            self.engine.outdated(pr, now);
        }
        Ok(written)
    }

    fn unwritten(&mut self, error: &Error, batch: &WriteBatch, now: Timestamp) {
        tracing::warn!(%error, "what was learned cannot be stored now");
        self.engine.unwritten(batch, now);
    }

    fn refused(&mut self, error: &Error, part: &WriteBatch, now: Timestamp) {
        for about in part.about() {
            tracing::warn!(about, %error, "the store refuses what the host says");
        }
        for pr in part.prs() {
            self.engine.refuse(pr, now);
        }
        for node_id in part.found() {
            self.engine.refuse_found(node_id, now);
        }
    }

    /// Keeps the state of the observer, also when nothing else is to be stored.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn close(&mut self, now: Timestamp) -> Result<()> {
        let Some(state) = self.engine.host_state(now) else { return Ok(()) };
        let cause = Cause::new(ACTOR, now);
        self.store.0.write(cause, move |tx| scm::set_host(tx, &state)).map(|_| ())
    }

    /// How it goes.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        self.engine.report(self.written, now)
    }

    /// What was done so far.
    #[must_use]
    pub fn totals(&self) -> (Totals, Written) {
        (self.engine.totals(), self.written)
    }
}

/// Whether the store said no to what it was given, and would again.
fn is_refusal(error: &Error) -> bool {
    matches!(error.code().kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound)
}
