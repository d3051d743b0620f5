//! What a command works with: where the store is, how to open it, and who makes its changes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ao_program::Environment;
use ao_session::{Config, Sessions, start_runner};
use ao_store::{Cause, Durability, Options, SessionId, Store};

use crate::args::{self, Args};
use crate::config::{Settings, name_of};
use crate::error::{Error, Result};
use crate::invocation::Invocation;
use crate::output;
use crate::signal::Signals;

/// The actor of the changes that this program makes.
pub(crate) const ACTOR: &str = "cli";

/// How long an agent may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// SQLite counts milliseconds in 32 bits.
const LONGEST_BUSY: Duration = Duration::from_millis(i32::MAX as u64);

/// The settings that every command shares.
#[derive(Debug)]
pub(crate) struct Context {
    database: PathBuf,
    options: Options,
    invocation: Invocation,
    settings: Settings,
    pub(crate) is_json: bool,
    pub(crate) is_verbose: bool,
}

impl Context {
    pub(crate) fn new(args: &Args, settings: Settings) -> Result<Context> {
        let dir = settings.data_dir.as_ref().map(|dir| dir.value.clone()).ok_or_else(|| {
            let what = "there is no home directory; choose a data directory with --data-dir";
            Error::Usage(what.to_owned())
        })?;
        let dir = std::path::absolute(&dir).map_err(|source| Error::file("find", &dir, source))?;
        let durability = match settings.durability.value {
            args::Durability::Full => Durability::Full,
            args::Durability::Relaxed => Durability::Relaxed,
        };
        let busy = settings.busy_timeout.value.min(LONGEST_BUSY);
        let options = Options { durability, busy, is_brief: true };
        let invocation = Invocation::of(args);
        Ok(Context {
            database: dir.join("ao.db"),
            options,
            invocation,
            settings,
            is_json: args.global.json,
            is_verbose: args.global.verbose > 0,
        })
    }

    /// The database file.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// The global settings, each with its origin.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn options(&self) -> Options {
        self.options
    }

    /// The store, which must exist.
    pub(crate) fn open(&self) -> Result<Store> {
        Ok(Store::open(&self.database, self.options)?)
    }

    /// The sessions of the store, which must exist, and what runs them. From now on the first signal does
    /// not end the process: a verb stops and undoes what it did, or runs to its end.
    pub(crate) fn sessions(&self) -> Result<Sessions> {
        self.sessions_with(GRACE)
    }

    /// The same with this much time for an agent to end.
    pub(crate) fn sessions_with(&self, grace: Duration) -> Result<Sessions> {
        let signals = Signals::listen().map_err(Error::Stdout)?;
        self.sessions_until(grace, signals.number())
    }

    /// The same for a look before an effect, which a signal ends with the process.
    pub(crate) fn sessions_to_look_at(&self) -> Result<Sessions> {
        self.sessions_until(GRACE, Arc::default())
    }

    fn sessions_until(
        &self,
        grace: Duration,
        interrupted_by: Arc<AtomicUsize>,
    ) -> Result<Sessions> {
        self.sessions_of(self.open()?, grace, interrupted_by)
    }

    /// The sessions of an open store in a process that runs until a signal. Their verbs stop at it.
    pub(crate) fn sessions_to_serve(&self, store: &Store, signals: &Signals) -> Result<Sessions> {
        self.sessions_of(store.clone(), GRACE, signals.number())
    }

    fn sessions_of(
        &self,
        store: Store,
        grace: Duration,
        interrupted_by: Arc<AtomicUsize>,
    ) -> Result<Sessions> {
        let dir = self.data_dir()?;
        let program = std::env::current_exe();
        let program =
            program.map_err(|source| Error::file("find", Path::new("ao-store"), source))?;
        let supervisor =
            [program.as_os_str(), "--data-dir".as_ref(), dir.as_os_str(), "supervise".as_ref()];
        let config = Config {
            worktrees: dir.join("worktrees"),
            supervisor: supervisor.map(std::ffi::OsStr::to_owned).to_vec(),
            runner: runner(&program, &dir),
            hook: vec![program.clone().into_os_string(), "hook".into()],
            hook_answers: self.settings.hook_answers.value,
            environment: Environment::of_process(),
            harnesses: self.harness_file(),
            data_dir: dir,
            actor: ACTOR,
            grace,
            interrupted_by,
        };
        Ok(Sessions::new(store, config)?)
    }

    /// Starts a process that writes what was accepted for a session.
    pub(crate) fn start_runner(&self, session: &SessionId) -> Result<()> {
        let program = std::env::current_exe();
        let program =
            program.map_err(|source| Error::file("find", Path::new("ao-store"), source))?;
        let dir = self.data_dir()?;
        Ok(start_runner(&runner(&program, &dir), &dir, session)?)
    }

    /// The user's file of harnesses, if there is one.
    pub(crate) fn harness_file(&self) -> Option<PathBuf> {
        let file = self.settings.file.as_ref()?.with_file_name("harnesses.toml");
        file.exists().then_some(file)
    }

    /// The data directory, without symbolic links.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        let dir = self.database_dir();
        dir.canonicalize().map_err(|source| Error::file("find", dir, source))
    }

    /// The data directory without symbolic links; `None` if it does not exist.
    pub(crate) fn existing_dir(&self) -> Result<Option<PathBuf>> {
        match self.data_dir() {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// The global options that say how the store is written.
    pub(crate) fn global_options(&self) -> Vec<OsString> {
        let durability = name_of(&self.settings.durability.value);
        let busy = humantime::format_duration(self.options.busy).to_string().replace(' ', "");
        ["--durability", &durability, "--busy-timeout", &busy].map(OsString::from).to_vec()
    }

    /// The data directory as it was named.
    pub(crate) fn database_dir(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("/"))
    }

    /// Reports progress to a person. With `--json`, stderr carries errors only.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_json {
            output::say(&self.invocation.complete(text));
        }
    }

    pub(crate) fn invocation(&self) -> &Invocation {
        &self.invocation
    }
}

/// The command that writes the accepted messages of a session, without the session.
fn runner(program: &Path, dir: &Path) -> Vec<OsString> {
    [
        program.as_os_str(),
        "--data-dir".as_ref(),
        dir.as_os_str(),
        "delivery".as_ref(),
        "run".as_ref(),
    ]
    .map(std::ffi::OsStr::to_owned)
    .to_vec()
}

/// The cause of a change that this program makes now.
pub(crate) fn cause() -> Cause {
    Cause::now(ACTOR)
}
