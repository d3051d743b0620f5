//! The observer of one host together with its store: what it observes is read from there, and what it
//! finds is written there. Synchronous; the network and the clock are the caller's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ao_store::row::scm::{self, HostState};
use ao_store::{Cause, ClockReading, Cursor, Error, Kind, PrId, Result, Store, Timestamp};

use crate::github::call::Reply;
use crate::poll::config::Config;
use crate::poll::credentials::CredentialLookup;
use crate::poll::engine::Engine;
use crate::poll::reading::Reading;
use crate::poll::repo_listing::ListTarget;
use crate::poll::report::Report;
use crate::poll::request::Step;
use crate::poll::subjects_read::SubjectsRead;
use crate::poll::touched::Touched;
use crate::poll::write_batch::{Write, WriteBatch, Written};

/// The actor of an observer's changes.
const ACTOR: &str = "observer";

/// A pull request that ended is polled for one more day, because it may be reopened.
const ENDED_MS: i64 = 25 * 3_600_000;

/// The repositories of each project beside its origin: host and `owner/name`, by the project's path.
pub type Remotes = HashMap<String, Vec<(String, String)>>;

/// The observer of one host.
#[derive(Debug)]
pub struct Poller {
    store: Store,
    host: String,
    engine: Engine,
    /// Only these repositories, when there are any.
    only: Vec<String>,
    /// The end of the log when the subjects were read last.
    head: Option<Cursor>,
    remotes: Remotes,
    written: Written,
    /// The pull requests of which facts changed since they were taken.
    changed: BTreeSet<PrId>,
}

impl Poller {
    /// The observer of a host, with what is stored of it. `seed` determines its jitter; `only` limits
    /// it to some repositories.
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
            store,
            host: host.to_owned(),
            only,
            head: None,
            remotes: Remotes::new(),
            written: Written::default(),
            changed: BTreeSet::new(),
        })
    }

    /// Everything is requested at once, whatever an earlier run was refused.
    pub fn poll_now(&mut self) {
        self.engine.poll_now();
    }

    /// Sets the URL that is asked. What an earlier run recorded of another one is forgotten.
    pub fn set_address(&mut self, address: &str) {
        self.engine.set_address(address);
    }

    /// Sets the repositories that checkouts name beside their origins.
    pub fn set_remotes(&mut self, remotes: Remotes) {
        self.remotes = remotes;
        self.head = None;
    }

    /// Reads from the store what is to be observed, as far as it may have changed, and the refresh
    /// requests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh(&mut self, now: Timestamp) -> Result<()> {
        let (host, seen, ended_before) = (&self.host, self.head, Timestamp(now.0 - ENDED_MS));
        let (head, read, requests) = self.store.read(|snapshot| {
            let head = snapshot.head()?;
            let touched = match seen {
                Some(seen) => Touched::since(snapshot, seen, head)?,
                None => Touched::All,
            };
            let read = SubjectsRead::of(snapshot, touched, host, ended_before)?;
            Ok((head, read, scm::refresh_requests(snapshot, host)?))
        })?;
        self.update(read, now);
        self.head = Some(head);
        self.engine.set_refresh_requests(requests, now);
        Ok(())
    }

    /// Takes over what was read of the subjects.
    fn update(&mut self, read: SubjectsRead, now: Timestamp) {
        let SubjectsRead { only, mut prs, scans } = read;
        prs.retain(|(subject, _)| self.is_wanted(&subject.pr.repo));
        let targets = scans.map(|scans| self.list_targets(scans));
        match (only, targets) {
            (None, targets) => self.engine.set_subjects(&prs, targets.unwrap_or_default(), now),
            (Some(touched), targets) => {
                self.engine.update_subjects(&touched, &prs, targets, now);
            }
        }
    }

    fn is_wanted(&self, repo: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(repo))
    }

    /// The repositories in which sessions of the projects may open pull requests: the origin of each
    /// project, and the other remotes of its checkout, such as the upstream of a fork.
    fn list_targets(&self, projects: Vec<scm::SubjectProject>) -> Vec<ListTarget> {
        let mut targets: BTreeMap<String, ListTarget> = BTreeMap::new();
        for scm::SubjectProject { project, candidates } in projects {
            let remotes = self.remotes.get(&project.path).into_iter().flatten();
            let others = remotes.filter(|(host, _)| host.eq_ignore_ascii_case(&self.host));
            let repos = [&project.repo].into_iter().chain(others.map(|(_, repo)| repo));
            for repo in repos.filter(|repo| self.is_wanted(repo)) {
                let new = || ListTarget { repo: repo.clone(), candidates: Vec::new() };
                let target = targets.entry(repo.to_ascii_lowercase()).or_insert_with(new);
                for candidate in &candidates {
                    if !target.candidates.contains(candidate) {
                        target.candidates.push(candidate.clone());
                    }
                }
            }
        }
        targets.into_values().collect()
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

    /// Whether there is anything to observe at the host.
    #[must_use]
    pub fn has_subjects(&self) -> bool {
        self.engine.tracker.has_subjects()
    }

    /// The origins of projects that the host answered cannot be read.
    #[must_use]
    pub fn refused_repos(&self) -> Vec<&str> {
        self.engine.tracker.refused_repos()
    }

    /// Whether every repository was listed to its end since the start, if it can be read.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.engine.tracker.is_listed()
    }

    /// Records what a lookup of credentials found.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_credentials(
        &mut self,
        lookup: CredentialLookup,
        now: impl Into<ClockReading>,
    ) -> Result<()> {
        let now = now.into();
        self.engine.record_credentials(lookup, now.at);
        self.close(now)
    }

    /// Records what came of the request in flight, and stores it. What the store rejects, or cannot
    /// write now, is logged and read again.
    pub fn receive(&mut self, reply: &Reply, now: impl Into<ClockReading>) {
        let now = now.into();
        let batch = self.engine.receive(reply, now.at);
        self.write(batch, now);
    }

    /// Writes a batch in one transaction; when the store rejects something in it, in one transaction
    /// for each write.
    fn write(&mut self, batch: WriteBatch, now: ClockReading) {
        if batch.is_empty() {
            return;
        }
        let batch = Arc::new(batch);
        let Err(error) = self.apply(&batch, now) else { return };
        match batch.split().filter(|_| is_rejection(&error)) {
            Some(parts) => parts.into_iter().for_each(|part| self.write(part, now)),
            None => self.record_failure(&error, &batch, now.at),
        }
    }

    fn apply(&mut self, batch: &Arc<WriteBatch>, now: ClockReading) -> Result<()> {
        let (job, host) = (Arc::clone(batch), self.host.clone());
        let cause = Cause::new(ACTOR, now);
        let done = self.store.write(cause, move |tx| job.apply(tx, &host))?;
        let written = done.value.written;
        let is_next = |head: Cursor| {
            head.epoch == done.cursor.epoch
                && head.seq.0.checked_add_unsigned(done.changes) == Some(done.cursor.seq.0)
        };
        let is_renamed = batch.writes.iter().any(|write| matches!(write, Write::Renamed { .. }));
        // What this batch wrote about known pull requests changes nothing of what is to be observed;
        // what others wrote since the subjects were read may.
        if self.head.is_some_and(is_next) && written.found == 0 && !is_renamed {
            self.head = Some(done.cursor);
        }
        self.written += written;
        self.changed.extend(done.value.changed.iter().cloned());
        self.engine.record_outcome(done.value, now.at);
        Ok(())
    }

    fn record_failure(&mut self, error: &Error, batch: &WriteBatch, now: Timestamp) {
        if is_rejection(error) {
            for write in &batch.writes {
                let about = write.about();
                tracing::warn!(about, %error, "the store rejects what the host reports");
            }
            self.engine.record_rejection(batch, now);
        } else {
            tracing::warn!(%error, "what was read cannot be stored now");
            self.engine.record_write_failure(batch, now);
        }
    }

    /// Stores what is to be known at the next start.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn finish(&mut self, now: impl Into<ClockReading>) -> Result<()> {
        let now = now.into();
        let (batch, host) = (self.engine.finish(now.at), self.host.clone());
        if batch.is_empty() {
            return Ok(());
        }
        let cause = Cause::new(ACTOR, now);
        self.store.write(cause, move |tx| batch.apply(tx, &host)).map(|_| ())
    }

    /// Stores the state of the observer, even when nothing else is to be stored.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn close(&mut self, now: impl Into<ClockReading>) -> Result<()> {
        let now = now.into();
        let Some(state) = self.engine.host_state(false, now.at) else { return Ok(()) };
        let cause = Cause::new(ACTOR, now);
        self.store.write(cause, move |tx| scm::set_host(tx, &state)).map(|_| ())
    }

    /// What the request in flight reads; `None` when there is none.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        self.engine.reading()
    }

    /// Takes the pull requests of which facts changed since the last call.
    pub fn take_changed(&mut self) -> Vec<PrId> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// The state as it is shown.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        self.engine.report(self.written, now)
    }
}

/// Whether the store rejected what it was given, and would again.
fn is_rejection(error: &Error) -> bool {
    matches!(error.code().kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound)
}
