//! The observer of one host as a task: it carries out the steps of its [`Poller`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ao_program::Environment;
use ao_store::row::project;
use ao_store::row::scm::Credential as State;
use ao_store::{ClockReading, Store, Timestamp};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::board::Board;
use super::event::Cycle;
use super::{CancellationToken, Setup, default_host};
use crate::error::{Error, Result};
use crate::github::call::Call;
use crate::github::credential::{self, Credential};
use crate::github::host::Endpoints;
use crate::github::remotes;
use crate::github::token::Token;
use crate::github::transport::Transport;
use crate::poll::{BackoffReason, CredentialLookup, NEVER, Poller, Remotes, Report, Step};

/// The longest sleep: the clock may be set meanwhile, and the machine may sleep.
const SLEEP: Duration = Duration::from_secs(15);

/// How often the remotes of checkouts are read.
const REMOTES_MS: i64 = 10 * 60_000;

/// Maximum time that a run that ends when everything was read waits for a host.
const PATIENCE_MS: i64 = 3_000;

/// How much of what could not be read is named in an error.
const SHOWN_MAX: usize = 20;

/// How long to wait for further commits after one.
const SETTLE: Duration = Duration::from_millis(200);

/// How long to wait after the store could not be read.
const STORE_MS: i64 = 1_000;

pub(super) struct Task {
    host: String,
    store: Store,
    poller: Poller,
    transport: Transport,
    environment: Environment,
    token: Option<Token>,
    /// Whether other hosts are observed as well.
    is_beside: bool,
    remotes_at: Timestamp,
    is_once: bool,
    wake: watch::Receiver<()>,
    board: Rc<Board>,
    /// The state when the last cycle ended.
    cycle: Report,
}

/// The first of many texts in one line, and the number of the others.
fn first_of(texts: &[String]) -> String {
    let shown = texts.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

impl Task {
    pub(super) fn new(
        setup: &Setup,
        host: &str,
        is_beside: bool,
        wake: watch::Receiver<()>,
        board: Rc<Board>,
    ) -> Result<Task> {
        let seed = Timestamp::now().0.unsigned_abs() ^ u64::from(std::process::id());
        let is_default = host == default_host(&setup.environment);
        let endpoints = match setup.api.clone().filter(|_| is_default) {
            Some(endpoints) => endpoints,
            None => Endpoints::of_host(host)?,
        };
        let mut poller =
            Poller::new(setup.store.clone(), host, setup.config, setup.only.clone(), seed)?;
        poller.set_address(&endpoints.graphql);
        if setup.is_once {
            poller.poll_now();
        }
        let cycle = poller.report(Timestamp::now());
        Ok(Task {
            cycle,
            host: host.to_owned(),
            store: setup.store.clone(),
            poller,
            transport: Transport::new(&endpoints)?,
            environment: setup.environment.clone(),
            token: None,
            is_beside,
            remotes_at: Timestamp(0),
            is_once: setup.is_once,
            wake,
            board,
        })
    }

    /// Works until it is cancelled, or everything was read.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let outcome = self.work(&stop).await;
        let now = ClockReading::now();
        let finished = self.poller.finish(now);
        self.board.put(self.poller.report(now.at));
        outcome.and(finished.map_err(Error::from))
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let now = Timestamp::now();
            let prepared = tokio::select! {
                () = stop.cancelled() => break,
                prepared = self.prepare(now) => prepared,
            };
            let step = match prepared {
                Ok(()) => self.poller.next(now),
                Err(error) if self.is_once => return Err(error),
                Err(error) => {
                    tracing::warn!(host = self.host, %error, "cannot read what to observe");
                    Step::Wait(Timestamp(now.0 + STORE_MS))
                }
            };
            match step {
                Step::FindCredentials => self.find_credentials(stop).await,
                Step::Send(call) => self.send(&call, stop).await,
                Step::Wait(until) => {
                    self.end_cycle(until, now);
                    if self.is_once && self.is_over(until, now)? {
                        return Ok(());
                    }
                    self.sleep(until, now, stop).await;
                }
            }
        }
        Ok(())
    }

    /// Nothing is due before `until`.
    fn end_cycle(&mut self, until: Timestamp, now: Timestamp) {
        let report = self.poller.report(now);
        let is_idle = report.credential == State::Missing || until >= NEVER;
        let backoff = report.backoff.map_or(until, |(_, end)| end);
        let next = (!is_idle).then_some(until.max(backoff));
        let changed = match report.totals.requests == self.cycle.totals.requests {
            true => Vec::new(),
            false => self.poller.take_changed(),
        };
        let cycle = Cycle::between(&self.cycle, &report, changed, next);
        self.cycle = report;
        self.board.wait(&self.host, next, cycle);
    }

    /// Reads what is to be observed.
    async fn prepare(&mut self, now: Timestamp) -> Result<()> {
        if now.0.saturating_sub(self.remotes_at.0) >= REMOTES_MS || now < self.remotes_at {
            self.remotes_at = now;
            let remotes = self.remotes().await?;
            self.poller.set_remotes(remotes);
        }
        Ok(self.poller.refresh(now)?)
    }

    /// The repositories that the checkouts of the projects name.
    async fn remotes(&self) -> Result<Remotes> {
        let projects = self.store.read(|snapshot| project::list(snapshot, false))?;
        let paths: Vec<_> = projects
            .into_iter()
            .filter(|project| project.host.eq_ignore_ascii_case(&self.host))
            .map(|project| project.path)
            .collect();
        let (environment, known) = (self.environment.clone(), vec![self.host.clone()]);
        let ask = move || {
            let of = |path: &String| {
                let found = remotes::remotes(Path::new(path), &known, &environment);
                let found = found.inspect_err(|reason| {
                    tracing::debug!(path = %PathBuf::from(path).display(), reason, "no remotes");
                });
                let pairs = found.unwrap_or_default().into_iter().map(|it| (it.host, it.repo));
                (path.clone(), pairs.collect())
            };
            paths.iter().map(of).collect::<HashMap<_, _>>()
        };
        // It fails only when the runtime ends.
        Ok(spawn_blocking(ask).await.unwrap_or_default())
    }

    async fn find_credentials(&mut self, stop: &CancellationToken) {
        self.board.look_up(&self.host);
        let (host, environment) = (self.host.clone(), self.environment.clone());
        let ask = spawn_blocking(move || credential::resolve(&host, &environment));
        let found = tokio::select! {
            () = stop.cancelled() => return,
            found = ask => found.unwrap_or(Credential::Failed("it was interrupted".to_owned())),
        };
        let found = match found {
            Credential::Found { token, source } => {
                let fingerprint = token.fingerprint();
                self.token = Some(token);
                CredentialLookup::Found { fingerprint, source }
            }
            Credential::Missing => CredentialLookup::Missing,
            Credential::Failed(reason) => CredentialLookup::Failed(reason),
        };
        let now = ClockReading::now();
        let before = self.poller.report(now.at).credential;
        if let Err(error) = self.poller.record_credentials(found, now) {
            tracing::warn!(host = self.host, %error, "cannot store the state of the observer");
        }
        let report = self.poller.report(now.at);
        self.board.log_missing_credentials(before, &report);
        self.board.put(report);
    }

    async fn send(&mut self, call: &Call, stop: &CancellationToken) {
        let Some(token) = self.token.clone() else { return };
        if let Some(reading) = self.poller.reading() {
            self.board.send(&self.host, reading);
        }
        let reply = tokio::select! {
            () = stop.cancelled() => return,
            reply = self.transport.send(&token, call) => reply,
        };
        let now = ClockReading::now();
        self.poller.receive(&reply, now);
        self.board.put(self.poller.report(now.at));
    }

    /// Whether a run that ends when everything was read has come to its end, with or without success.
    fn is_over(&self, until: Timestamp, now: Timestamp) -> Result<bool> {
        let report = self.poller.report(now);
        let host = self.host.clone();
        let what = if report.failure.is_empty() { "no answer" } else { &report.failure };
        let cause = format!("{}: {what}", report.address);
        match report.credential {
            // Without anything to observe none are needed, if there is another host.
            State::Missing if self.is_beside && !self.poller.has_subjects() => return Ok(true),
            State::Missing => return Err(Error::NoCredentials { host }),
            // They are looked up first, so they have no source only when that failed.
            State::Unknown if report.source.is_empty() => {
                return Err(Error::NoCredentials { host });
            }
            State::Invalid if report.backoff.is_some_and(|it| it.0 == BackoffReason::Refused) => {
                return Err(Error::CredentialsRefused { host, cause });
            }
            State::Ok | State::Unknown | State::Invalid => {}
        }
        let wait = until.0.saturating_sub(now.0);
        match report.backoff {
            Some((BackoffReason::Outage, _)) if wait > PATIENCE_MS => {
                Err(Error::Unavailable { host, cause })
            }
            Some((BackoffReason::Outage, _)) => Ok(false),
            _ if self.poller.has_work(now) => match report.backoff {
                Some((reason, until)) => {
                    Err(Error::Throttled { host, cause, reason: reason.as_str(), until })
                }
                None => Ok(false),
            },
            _ => match self.poller.refused_repos().join(", ") {
                repos if !repos.is_empty() => Err(Error::RepositoriesRefused { host, repos }),
                _ if !report.unread.is_empty() => {
                    Err(Error::Incomplete { host, unread: first_of(&report.unread) })
                }
                // A listing that failed again and again by itself was not read.
                _ if !self.poller.is_listed() => Err(Error::Unavailable { host, cause }),
                _ => Ok(true),
            },
        }
    }

    async fn sleep(&mut self, until: Timestamp, now: Timestamp, stop: &CancellationToken) {
        let wait = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or(0);
        let wait = Duration::from_millis(wait).min(SLEEP);
        let committed = async {
            if self.wake.changed().await.is_err() {
                // The sender has ended: there are no more wake-ups.
                std::future::pending::<()>().await;
            }
            // Commits come in bursts, and after each of them everything that is tracked is read.
            tokio::time::sleep(SETTLE).await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = committed => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
