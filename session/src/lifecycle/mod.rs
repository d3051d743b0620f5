//! The verbs of the session lifecycle.
//!
//! Each verb records itself on the session before its first effect and removes that record with its last
//! one. What a process that ended in between left behind is finished or undone by the next verb on the
//! session, or by [`Sessions::reconcile`].

mod account;
mod again;
mod answer;
mod cleanup;
mod deliver;
mod diff;
mod ensure;
mod kill;
mod launch;
mod operation;
mod reaper;
mod reconcile;
mod recording;
mod restore;
pub(crate) mod send;
mod settle;
mod spawn;
mod terminal;
mod trust;
mod versions;
mod writers;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ao_program::Environment;
use ao_store::row::lifecycle::instance::Instance;
use ao_store::row::lifecycle::{instance, machine};
use ao_store::row::session::{self, Session};
use ao_store::{Cause, SessionId, Store, Tx};
use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::harness::Harnesses;
use crate::runtime::{Process, Runtime, Tmux, processes};
use crate::supervisor::launch_dir;
use crate::worktree::Root;

pub use cleanup::Cleaned;
pub use ensure::Ensured;
pub use kill::Killed;
pub use reaper::{Probed, Reaper};
pub use reconcile::{Action, Mode, Report};
pub use recording::Recording;
pub use restore::Restored;
pub use send::{MESSAGE_MAX, Message, Sent, start_runner};
pub use spawn::{SpawnRequest, Spawned};
pub use terminal::{Piped, Shown, ShownFrom};
pub use writers::{Due, Writers};

/// How the sessions of a store are run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory of the store, canonical.
    pub data_dir: PathBuf,
    /// The directory under which the worktrees are.
    pub worktrees: PathBuf,
    /// The command that runs the supervisor of a launch: the program and the arguments that come before the
    /// id of the launch.
    pub supervisor: Vec<OsString>,
    /// The command that a hook of an agent runs: the program and the arguments that come before the names of
    /// the harness and of the event.
    pub hook: Vec<OsString>,
    /// How long a hook waits for an answer, where its harness can carry one; zero for not at all.
    pub hook_answers: Duration,
    /// The command that writes the accepted messages of a session: the program and the arguments that come
    /// before the id of the session.
    pub runner: Vec<OsString>,
    /// The environment that agents, git and tmux get.
    pub environment: Environment,
    /// The user's file of harnesses, if there is one.
    pub harnesses: Option<PathBuf>,
    /// Who makes the changes.
    pub actor: &'static str,
    /// How long an agent may take to end after SIGTERM.
    pub grace: Duration,
    /// The number of the signal that asks to stop; 0 while none does. A verb looks at it between its steps,
    /// and undoes what it did. Terminations and undoing run to their end.
    pub interrupted_by: Arc<AtomicUsize>,
}

/// The sessions of a store, and everything that is needed to run them.
pub struct Sessions {
    store: Store,
    config: Config,
    harnesses: Harnesses,
    root: Root,
    runtimes: Vec<Box<dyn Runtime>>,
    /// The id of this process.
    instance: String,
    is_registered: Mutex<bool>,
    is_stopped: AtomicBool,
    /// The variables of what this process runs and waits for, such as git.
    environment: Environment,
}

impl Sessions {
    /// The sessions of a store, run in tmux or as plain processes.
    ///
    /// # Errors
    /// The file of harnesses is invalid, or the directory of the worktrees cannot be used.
    pub fn new(store: Store, config: Config) -> Result<Sessions> {
        let tmux = Tmux::new(&config.data_dir, &config.environment);
        let runtimes: Vec<Box<dyn Runtime>> = vec![Box::new(tmux), Box::new(Process)];
        Sessions::with_runtimes(store, config, runtimes)
    }

    /// The same with other runtimes, of which the first one runs new sessions.
    ///
    /// # Errors
    /// Those of [`Sessions::new`].
    pub fn with_runtimes(
        store: Store,
        config: Config,
        runtimes: Vec<Box<dyn Runtime>>,
    ) -> Result<Sessions> {
        crate::failpoint::set_up();
        let harnesses = Harnesses::load(config.harnesses.as_deref())?;
        let root = Root::new(&config.worktrees)?;
        let instance = new_id('i');
        let environment = processes::of_instance(&config.environment, &instance);
        let is_registered = Mutex::new(false);
        Ok(Sessions {
            store,
            config,
            harnesses,
            root,
            runtimes,
            instance,
            is_registered,
            is_stopped: AtomicBool::new(false),
            environment,
        })
    }

    /// The harnesses that can be used.
    #[must_use]
    pub fn harnesses(&self) -> &Harnesses {
        &self.harnesses
    }

    /// Asks the verbs that run to stop, as SIGTERM does.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// The number of the signal that asks to stop; 0 while none does.
    fn interrupted_by(&self) -> usize {
        match self.config.interrupted_by.load(Ordering::Relaxed) {
            0 if self.is_stopped.load(Ordering::Relaxed) => {
                Signal::TERM.as_raw().unsigned_abs() as usize
            }
            signal => signal,
        }
    }

    /// Whether a signal asks to stop.
    fn is_interrupted(&self) -> bool {
        self.interrupted_by() != 0
    }

    /// Fails when a signal asks to stop.
    fn check_interrupted(&self) -> Result<()> {
        match self.interrupted_by() {
            0 => Ok(()),
            signal => Err(Error::Interrupted { signal: u8::try_from(signal).unwrap_or(u8::MAX) }),
        }
    }

    /// Writes to the store as the actor of the configuration.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> ao_store::Result<T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.store.write(Cause::now(self.config.actor), work)?.value)
    }

    /// The time, for the rows that this process writes.
    fn now(&self) -> ao_store::Timestamp {
        Cause::now(self.config.actor).at
    }

    fn launches(&self, id: &SessionId) -> Result<Vec<ao_store::row::launch::Launch>> {
        Ok(self.store.read(|snapshot| ao_store::row::launch::of_session(snapshot, id))?)
    }

    pub(crate) fn session(&self, id: &SessionId) -> Result<Session> {
        Ok(self.store.read(|snapshot| session::require(snapshot, id))?)
    }

    /// The id of this instance, which is registered first if necessary.
    fn instance(&self) -> Result<String> {
        let mut is_registered = self.is_registered.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_registered {
            let new = Instance::of_this_process(&self.instance, self.config.actor, self.now());
            let dead = self.store.read(instance::dead)?;
            self.write(move |tx| instance::register(tx, &new, &dead))?;
            *is_registered = true;
        }
        Ok(self.instance.clone())
    }

    /// The runtime of this kind; an empty one is the first.
    fn runtime(&self, kind: &str) -> Result<&dyn Runtime> {
        let mut all = self.runtimes.iter().map(|runtime| &**runtime);
        let found = all.find(|runtime| kind.is_empty() || runtime.kind() == kind);
        let reason = || format!("there is no runtime {kind:?}");
        found.ok_or_else(|| Error::RuntimeFailed { action: "find it", reason: reason() })
    }

    /// The directory of the files that launches are started from.
    fn launch_dir(&self) -> PathBuf {
        launch_dir(&self.config.data_dir)
    }

    /// Whether the sessions of the store run on this machine: see [`machine`].
    fn is_machine_confirmed(&self) -> Result<bool> {
        let id = machine_id();
        Ok(self.store.read(|snapshot| machine::is_confirmed(snapshot, &id))?)
    }
}

impl Drop for Sessions {
    /// An instance that is left registered is recognised as dead.
    fn drop(&mut self) {
        let id = self.instance.clone();
        if *self.is_registered.get_mut().unwrap_or_else(PoisonError::into_inner)
            && let Err(error) = self.write(move |tx| instance::remove(tx, &id))
        {
            tracing::debug!(%error, "cannot remove this instance");
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A new id of this kind: its letter and 16 hexadecimal digits.
pub(crate) fn new_id(letter: char) -> String {
    format!("{letter}{:016x}", fastrand::u64(..))
}

/// The id that the operating system gave this machine; empty if there is none.
fn machine_id() -> String {
    let id = std::fs::read_to_string(Path::new("/etc/machine-id")).unwrap_or_default();
    id.trim().to_owned()
}
