//! Observing for a store until told to stop: one task a host, on one thread. This is the edge, where
//! the clock, the network, programs and the store meet.
//!
//! What it guarantees:
//!
//! * Of the processes that observe for one store, one is at work; a lock that dies with its process
//!   sees to it.
//! * Credentials are looked for before anything else, whatever there is to observe, and again when
//!   there were none.
//! * It stops within a second, amid a request too: what was not received is not stored.

mod hosts;
mod lock;
mod origins;
mod task;
mod wakeup;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ao_program::Environment;
use ao_store::Store;
use ao_store::row::scm::Credential;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, LocalSet, spawn_blocking};

use crate::error::{Error, Result};
use crate::github::host::Endpoints;
use crate::poll::{Config, Report};

pub use hosts::default_host;
pub use lock::Lock;

/// How the observer is run.
#[derive(Clone)]
pub struct Setup {
    /// Where what was learned is kept, and what is to be observed is written.
    pub store: Store,
    /// How often it asks.
    pub config: Config,
    /// Where the default host answers, when not where it always does.
    pub api: Option<Endpoints>,
    /// Only these repositories (`owner/name`), when there are any.
    pub only: Vec<String>,
    /// The variables in which tokens may be, and by which programs are found.
    pub environment: Environment,
    /// Whether it ends when everything was read once.
    pub is_once: bool,
}

/// Tells the observer to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Hears it.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// The two ends of a request to stop.
#[must_use]
pub fn stopper() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks it to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Ends when it is asked to stop, or when nobody can ask any more.
    async fn asked(&mut self) {
        // An error says that the other end is gone, which is as good.
        let _ = self.0.wait_for(|is_asked| *is_asked).await;
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

/// How often new hosts are looked for among the projects.
const HOSTS_EVERY: Duration = Duration::from_secs(5);

/// How often projects without an origin are looked at.
const ORIGINS_EVERY: Duration = Duration::from_secs(600);

/// How long programs that were asked for a token may hold up the end.
const END: Duration = Duration::from_millis(200);

/// Observes until it is asked to stop, or with [`Setup::is_once`] until all was read once. `tell`
/// hears how it goes, with a report a host, after every answer.
///
/// # Errors
/// When it cannot begin; with [`Setup::is_once`] also when a host could not be asked, with the
/// first such host.
pub fn run(
    setup: &Setup,
    _lock: &Lock,
    stop: &Stop,
    tell: impl Fn(&[Report]) + 'static,
) -> Result<Vec<Report>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let (reports, is_disabled) = (RefCell::default(), Cell::new(false));
    let board = Rc::new(Board { reports, is_disabled, tell: Box::new(tell) });
    let outcome = LocalSet::new().block_on(&runtime, all(setup, stop.clone(), Rc::clone(&board)));
    runtime.shutdown_timeout(END);
    outcome?;
    Ok(board.reports.borrow().clone())
}

/// What the store could not do now it may do later, where there is a later.
fn passing<T: Default>(setup: &Setup, outcome: Result<T>) -> Result<T> {
    match outcome {
        Err(error) if !setup.is_once => {
            tracing::warn!(%error, "cannot read what to observe");
            Ok(T::default())
        }
        outcome => outcome,
    }
}

async fn fill_origins(setup: &Setup) -> Result<()> {
    let (store, environment) = (setup.store.clone(), setup.environment.clone());
    let known = vec![default_host(&environment)];
    let fill = spawn_blocking(move || origins::fill(&store, &known, &environment));
    // It is cut off only when the runtime ends.
    fill.await.unwrap_or(Ok(())).map_err(Error::from)
}

/// The newest report of each host.
struct Board {
    reports: RefCell<Vec<Report>>,
    /// Whether it was told that nothing can be observed.
    is_disabled: Cell<bool>,
    tell: Box<Tell>,
}

type Tell = dyn Fn(&[Report]);

impl Board {
    /// Says once that there are no credentials, when that disables the observer, and else for which
    /// host there are none.
    fn log_missing_credentials(&self, before: Credential, report: &Report) {
        if report.credential == Credential::Ok {
            self.is_disabled.set(false);
        }
        if report.credential != Credential::Missing || before == Credential::Missing {
            return;
        }
        let is_ok = |it: &Report| it.host != report.host && it.credential == Credential::Ok;
        if self.reports.borrow().iter().any(is_ok) {
            tracing::info!(host = report.host, "there are no credentials for this host");
        } else if !self.is_disabled.replace(true) {
            tracing::warn!("scm observer disabled: provider credentials unavailable");
        }
    }

    fn put(&self, report: Report) {
        let mut reports = self.reports.borrow_mut();
        match reports.iter_mut().find(|known| known.host == report.host) {
            Some(known) => *known = report,
            None => reports.push(report),
        }
        (self.tell)(&reports);
    }
}

async fn all(setup: &Setup, mut stop: Stop, board: Rc<Board>) -> Result<()> {
    let wakeup = wakeup::StoreWakeup::start(&setup.store)?;
    let mut tasks = JoinSet::new();
    let mut begun: Vec<String> = Vec::new();
    let mut filled: Option<Instant> = None;
    loop {
        if filled.is_none_or(|at| at.elapsed() >= ORIGINS_EVERY) {
            filled = Some(Instant::now());
            tokio::select! {
                () = stop.asked() => break,
                done = fill_origins(setup) => passing(setup, done)?,
            }
        }
        let hosts = setup.store.read(|snapshot| hosts::of(snapshot, &setup.environment));
        let hosts = passing(setup, hosts.map_err(Error::from))?;
        let is_beside = hosts.len() > 1;
        for host in hosts {
            if !begun.contains(&host) {
                let task =
                    task::Task::new(setup, &host, is_beside, wakeup.listen(), Rc::clone(&board))?;
                tasks.spawn_local(task.run(stop.clone()));
                begun.push(host);
            }
        }
        tokio::select! {
            () = stop.asked() => break,
            () = std::future::ready(()), if setup.is_once => break,
            // Until it is asked to stop, a task ends by a defect only.
            Some(ended) = tasks.join_next() => told(ended)?,
            () = tokio::time::sleep(HOSTS_EVERY) => {}
        }
    }
    // One host that cannot be asked keeps no other from being read.
    let mut first = Ok(());
    while let Some(ended) = tasks.join_next().await {
        first = first.and(told(ended));
    }
    first
}

/// How a task ended; a panic goes on here.
fn told(ended: Result<Result<()>, JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
