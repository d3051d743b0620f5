//! Runs the observer of a store until it is cancelled: one task per host, on one thread. This is the I/O layer: the clock, the network, programs and the store.
//!
//! What it guarantees:
//!
//! * Only one process observes a store at a time, enforced by a lock that the kernel releases when the process exits.
//! * Credentials are looked up first, and again when there were none.
//! * It stops within a second, even during a request: what was not received is not stored.

mod board;
mod event;
mod hosts;
mod lock;
mod lookup;
mod origins;
mod task;
mod wakeup;

use std::rc::Rc;
use std::time::{Duration, Instant};

use ao_program::Environment;
use ao_store::Store;
use tokio::task::{JoinError, JoinSet, LocalSet, spawn_blocking};
pub use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::github::host::Endpoints;
use crate::poll::{Config, Report};

use board::Board;
pub use event::{Change, Cycle, Event, What};
pub use hosts::{default_host, unobservable};
pub use lock::{Lock, Running, running};
pub use lookup::{Lookup, look_up};

/// How the observer is run.
#[derive(Clone)]
pub struct Setup {
    /// Defines what is observed, and keeps what is read.
    pub store: Store,
    /// How often and how much it asks.
    pub config: Config,
    /// The endpoints of the default host, when they are not the usual ones.
    pub api: Option<Endpoints>,
    /// Only these repositories (`owner/name`), when there are any.
    pub only: Vec<String>,
    /// The variables that may contain tokens, and by which programs are found.
    pub environment: Environment,
    /// Whether it ends when everything was read once.
    pub is_once: bool,
}

/// How often the projects are checked for new hosts.
const HOSTS_EVERY: Duration = Duration::from_secs(5);

/// How often the origins of the projects are checked.
const ORIGINS_EVERY: Duration = Duration::from_secs(600);

/// How long programs that look up a token may delay the end.
const END: Duration = Duration::from_millis(200);

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// The last report of each host.
    pub reports: Vec<Report>,
    /// The hosts that could not be read, by [`Setup::is_once`] only, and why.
    pub failed: Vec<(String, Error)>,
}

impl Ended {
    /// The error of the run: that of the host that could not be read, or of all of them.
    ///
    /// # Errors
    /// When a host could not be read.
    pub fn outcome(self) -> Result<()> {
        let mut errors: Vec<_> = self.failed.into_iter().map(|(_, error)| error).collect();
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Hosts(errors)),
        }
    }
}

/// Observes until `stop` is cancelled, or with [`Setup::is_once`] until everything was read once.
/// `show` gets every event.
///
/// # Errors
/// When it cannot begin.
pub fn run(
    setup: &Setup,
    lock: Lock,
    stop: &CancellationToken,
    show: impl Fn(Event) + 'static,
) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let board = Rc::new(Board::new(lock, show));
    let outcome = LocalSet::new().block_on(&runtime, observe_all(setup, stop, &board));
    runtime.shutdown_timeout(END);
    let failed = outcome?;
    Ok(Ended { reports: board.reports(), failed })
}

/// Logs the failure of a read that is repeated later; a run that ends soon fails with it.
fn unless_repeated<T: Default>(setup: &Setup, outcome: Result<T>) -> Result<T> {
    match outcome {
        Err(error) if !setup.is_once => {
            tracing::warn!(%error, "cannot read what to observe");
            Ok(T::default())
        }
        outcome => outcome,
    }
}

async fn follow_origins(setup: &Setup) -> Result<()> {
    let (store, environment) = (setup.store.clone(), setup.environment.clone());
    let known = vec![default_host(&environment)];
    let follow = spawn_blocking(move || origins::follow(&store, &known, &environment));
    // It is interrupted only when the runtime ends.
    follow.await.unwrap_or(Ok(())).map_err(Error::from)
}

/// Observes all hosts; returns those that could not be read. One of them neither ends nor delays the
/// others.
async fn observe_all(
    setup: &Setup,
    stop: &CancellationToken,
    board: &Rc<Board>,
) -> Result<Vec<(String, Error)>> {
    let wakeup = wakeup::StoreWakeup::start(&setup.store)?;
    let mut tasks = JoinSet::new();
    let (mut begun, mut failed): (Vec<String>, Vec<(String, Error)>) = (Vec::new(), Vec::new());
    let mut followed: Option<Instant> = None;
    loop {
        if followed.is_none_or(|at| at.elapsed() >= ORIGINS_EVERY) {
            followed = Some(Instant::now());
            tokio::select! {
                () = stop.cancelled() => break,
                done = follow_origins(setup) => unless_repeated(setup, done)?,
            }
        }
        let hosts = setup.store.read(|snapshot| hosts::of(snapshot, &setup.environment));
        let hosts = unless_repeated(setup, hosts.map_err(Error::from))?;
        let is_beside = hosts.len() > 1;
        for host in hosts {
            if !begun.contains(&host) {
                begun.push(host.clone());
                let task =
                    task::Task::new(setup, &host, is_beside, wakeup.listen(), Rc::clone(board));
                let stop = stop.clone();
                match task {
                    Ok(task) => {
                        tasks.spawn_local(async move { (host, task.run(stop).await) });
                    }
                    Err(error) if setup.is_once => failed.push((host, error)),
                    Err(error) => return Err(error),
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = std::future::ready(()), if setup.is_once => break,
            // Until it is cancelled, a task ends by a bug only.
            Some(ended) = tasks.join_next() => outcome(ended).1?,
            () = tokio::time::sleep(HOSTS_EVERY) => {}
        }
    }
    while let Some(ended) = tasks.join_next().await {
        let (host, ended) = outcome(ended);
        failed.extend(ended.err().map(|error| (host, error)));
    }
    failed.sort_by_key(|(host, _)| begun.iter().position(|it| it == host));
    Ok(failed)
}

/// How the task of a host ended; a panic continues here.
fn outcome(ended: Result<(String, Result<()>), JoinError>) -> (String, Result<()>) {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
