//! The daemon from its start to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao_observer::github::host::Endpoints;
use ao_observer::run::Setup;
use ao_session::{Sessions, Writers};
use ao_store::lease::Owner;
use ao_store::turn::sweep;
use ao_store::{Migrated, Options, Store, Timestamp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
pub use tokio_util::sync::CancellationToken;

use crate::app::{Access, App, Streams};
use crate::client_limits::ClientLimits;
use crate::disk;
use crate::error::{Error, Result};
use crate::listen::{self, Socket};
use crate::lock::DaemonLock;
use crate::loops::reconcile::{self, Losses};
use crate::loops::{deliveries, observer, reaper, turns};
use crate::notice::Notify;
use crate::run_file::RunFile;
use crate::token::Tokens;
use crate::webhooks::Webhooks;
use crate::{document, hooks, http, serve, supervisor};

/// The threads that answer requests; what waits for the store has threads of its own.
const WORKERS: usize = 2;
/// How many requests work on the store or on sessions at a time; more wait.
const BLOCKING: usize = 64;
/// How long work on the store may delay the end.
const END: std::time::Duration = std::time::Duration::from_secs(2);

/// The owner whose daemon ends when its connections do.
const APP: &str = "app";

/// How a daemon is run.
pub struct Settings {
    /// The data directory, canonical.
    pub data_dir: PathBuf,
    /// Its store.
    pub store: Store,
    /// The sessions of the store.
    pub sessions: Arc<Sessions>,
    /// The API of the default host, where the user set one.
    pub api: Option<Endpoints>,
    /// How pull requests are observed; `None` for not at all.
    pub observer: Option<Setup>,
    /// The port on 127.0.0.1; 0 for any. If it is taken, another one is used.
    pub port: u16,
    /// Who starts it, for the run-file.
    pub owner: Option<String>,
    /// The version of the program.
    pub version: &'static str,
    /// The command line, for the lock of the observer.
    pub command: String,
    /// The secret of the webhook of GitHub; `None` to accept no webhook delivery.
    pub webhook_secret: Option<Vec<u8>>,
    /// What a client that is slow may cost.
    pub client_limits: ClientLimits,
    /// Gets what the loops tell.
    pub notify: Notify,
}

/// Opens the store of a daemon, and creates it if there is none.
///
/// # Errors
/// The database or its directory is on a network file system, where nothing is created; the store cannot be
/// created or opened.
pub fn create_store(database: &Path, options: Options) -> Result<(Store, Migrated)> {
    disk::require_local(database)?;
    Ok(Store::create(database, options)?)
}

/// A daemon that serves. Dropping it stops it: no new request is accepted, those that run may end within ten
/// seconds, the loops end, and the run-file and the sockets are removed. Sessions go on.
#[derive(Debug)]
pub struct Daemon {
    app: Arc<App>,
    data_dir: PathBuf,
    server: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
    // Dropped last: another daemon can begin when everything else has ended.
    _lock: DaemonLock,
}

impl Daemon {
    /// Begins to serve; requests are answered when this returns. Cancelling `stop` ends that, as does a request
    /// to shut down.
    ///
    /// # Errors
    /// `DAEMON_RUNNING` when another process serves the data directory; what the daemon needs cannot be made.
    pub fn start(settings: Settings, stop: &CancellationToken) -> Result<Daemon> {
        let dir = settings.data_dir.clone();
        let Some(lock) = DaemonLock::take(&dir)? else {
            let pid = RunFile::read(&dir)?.map(|found| found.pid);
            return Err(Error::Running { pid });
        };
        raise_file_limit();
        if let Err(error) = settings.sessions.delete_stale_pipes() {
            tracing::warn!(%error, "what a killed daemon left of terminals stays");
        }
        let tokens = Tokens::open(&dir)?;
        let runtime = runtime()?;
        let (socket, tcp) = runtime.block_on(async {
            Ok::<_, Error>((Socket::bind(&dir, "daemon.sock")?, listen::tcp(settings.port).await?))
        })?;
        let hooks = runtime.block_on(async { Socket::bind(&dir, hooks::NAME) })?;
        let link = runtime.block_on(async { supervisor_link(&settings, &dir) });
        let run_file = describe(&settings, &socket, link.as_ref(), &tcp)?;
        let limits = settings.client_limits;
        let Settings { store, sessions, api, observer, command, webhook_secret, notify, .. } =
            settings;
        let streams = Streams::new(&store, limits)?;
        let webhooks = Webhooks::new(webhook_secret);
        let access = Access { browsers: tokens.browsers(), tokens, webhooks };
        let app = App::new(store, sessions, api, streams, access, run_file, stop.clone());
        let app = Arc::new(app);
        let serving = serve::serve(tcp, socket, http::router(&app), limits, stop.clone());
        let reports = {
            let (sessions, store) = (Arc::clone(&app.sessions), app.store.clone());
            hooks::serve(hooks, sessions, store, dir.clone(), stop.clone())
        };
        let server = runtime.spawn(async { ((), ()) = tokio::join!(serving, reports) });
        if let Some(link) = link {
            let identity = json!(app.run_file).to_string();
            runtime.spawn(supervisor::serve(link, identity, supervisor::GRACE, stop.clone()));
        }
        let data_dir = dir;
        let daemon =
            Daemon { app, data_dir, server: Some(server), runtime: Some(runtime), _lock: lock };
        daemon.app.run_file.write(&daemon.data_dir)?;
        daemon.app.set_ready();
        daemon.start_loops(observer, command, &notify)?;
        Ok(daemon)
    }

    /// What it has published about itself.
    #[must_use]
    pub fn run_file(&self) -> &RunFile {
        &self.app.run_file
    }

    fn start_loops(&self, setup: Option<Setup>, command: String, notify: &Notify) -> Result<()> {
        let loops = &self.app.loops;
        let (sessions, told) = (Arc::clone(&self.app.sessions), Notify::clone(notify));
        let mut losses = Losses::default();
        loops.start("reconcile", move |reporter| {
            reconcile::run(&sessions, &mut losses, &told, reporter)
        })?;
        let sessions = Arc::clone(&self.app.sessions);
        loops.start("reaper", move |reporter| reaper::run(&sessions, reporter))?;
        let sessions = Arc::clone(&self.app.sessions);
        let mut writers = Writers::default();
        loops.start("deliveries", move |reporter| {
            deliveries::run(&sessions, &mut writers, reporter)
        })?;
        let store = self.app.store.clone();
        loops.start("turns", move |reporter| turns::run(&store, sweep::EVERY, reporter))?;
        if let Some(setup) = setup {
            let told = Notify::clone(notify);
            let observe = move |reporter: &_| observer::run(&setup, &command, &told, reporter);
            loops.start("observer", observe)?;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.app.stop.cancel();
        if let (Some(runtime), Some(server)) = (self.runtime.take(), self.server.take()) {
            // It ends within a bound; a panic was reported by its hook.
            let _ = runtime.block_on(server);
            self.app.sessions.stop();
            self.app.loops.finish();
            runtime.shutdown_timeout(END);
        }
        if let Err(error) = self.app.run_file.remove(&self.data_dir) {
            tracing::warn!(%error, "the run-file is left behind");
        }
    }
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS).max_blocking_threads(BLOCKING).thread_name("ao-daemon");
    builder.enable_all().build().map_err(Error::Thread)
}

/// The supervisor link, in a daemon that a program started for itself. Without one the daemon still serves.
fn supervisor_link(settings: &Settings, dir: &Path) -> Option<Socket> {
    if settings.owner.as_deref() != Some(APP) {
        return None;
    }
    let bound = Socket::bind(dir, "supervise.sock");
    let failed = |error: &Error| tracing::warn!(%error, "there is no supervisor link");
    bound.inspect_err(failed).ok()
}

fn describe(
    settings: &Settings,
    socket: &Socket,
    link: Option<&Socket>,
    tcp: &TcpListener,
) -> Result<RunFile> {
    let address = tcp.local_addr().map_err(Error::Listen)?;
    Ok(RunFile {
        pid: std::process::id(),
        process: Owner::this_process().to_string(),
        started_at: document::time(Timestamp::now()),
        url: format!("http://{address}"),
        socket: socket.path().to_owned(),
        supervisor: link.map(|link| link.path().to_owned()),
        version: settings.version.to_owned(),
        owner: settings.owner.clone(),
    })
}

/// A thousand clients need a thousand descriptors; the usual limit is for programs that use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}
