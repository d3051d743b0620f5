//! The daemon: in the foreground, started and stopped in the background, and its state.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ao_daemon::disk::Space;
use ao_daemon::document::status::daemon_of;
use ao_daemon::{
    CancellationToken, ClientLimits, Daemon, Found, Notice, Notify, RunFile, Settings, State,
};
use ao_observer::run::Setup;
use ao_program::{Environment, start_logged};
use ao_session::LAUNCH_VARIABLES;
use ao_store::{Migrated, Options, Store, Timestamp};
use sd_notify::NotifyState;
use serde_json::Value;

use super::{deliver, poll, reconcile};
use crate::args::{Daemon as Args, DaemonCommand, Serve, Start, Stop};
use crate::context::Context;
use crate::doctor::disk;
use crate::error::{Error, Result};
use crate::invocation;
use crate::output::{self, Ended};
use crate::signal::Signals;
use crate::time;

/// How often signals, and the state of another process, are looked at.
const TICK: Duration = Duration::from_millis(50);

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    match args.command {
        Some(DaemonCommand::Status) => status(context).map(|()| Ended::Done),
        None => serve(context, &args.serve),
    }
}

fn serve(context: &Context, args: &Serve) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let (store, _) = create_store(context)?;
    let stop = CancellationToken::new();
    let daemon = begin(context, store, args, &signals, &stop)?;
    if context.is_json {
        output::document("daemon", &daemon_of(State::Ready, Some(daemon.run_file())))?;
    } else {
        context.say(&ready(daemon.run_file()));
    }
    notify_manager(NotifyState::Ready);
    while signals.received().is_none() && !stop.is_cancelled() {
        thread::sleep(TICK);
    }
    notify_manager(NotifyState::Stopping);
    drop(daemon);
    context.say("stopped");
    Ok(signals.received().map_or(Ended::Done, Ended::BySignal))
}

/// Opens the store, and creates it if there is none. Warns a person when the disk has little space.
pub(super) fn create_store(context: &Context) -> Result<(Store, Migrated)> {
    // The maintenance goes on however little is written.
    let options = Options { is_brief: false, ..context.options() };
    let created = ao_daemon::create_store(context.database(), options)?;
    let low = Space::of(context.database()).ok();
    if let Some(warning) = low.and_then(|space| disk::warning(space, context.database())) {
        context.say(&output::printable(&format!("warning: disk space is low: {warning}")));
    }
    Ok(created)
}

/// Tells the service manager, if there is one, what the daemon does.
fn notify_manager(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        output::say(&format!("the service manager cannot be notified: {error}"));
    }
}

/// Begins to serve a store, with the loops that tell the user at the terminal what they do.
pub(super) fn begin(
    context: &Context,
    store: Store,
    args: &Serve,
    signals: &Signals,
    stop: &CancellationToken,
) -> Result<Daemon> {
    let sessions = Arc::new(context.sessions_to_serve(&store, signals)?);
    let api = poll::api(&args.api)?;
    let observer = (!args.no_observe).then(|| Setup {
        store: store.clone(),
        config: ao_observer::poll::Config::default(),
        api: api.clone(),
        only: Vec::new(),
        environment: Environment::of_process(),
        is_once: false,
    });
    let settings = Settings {
        api,
        data_dir: context.data_dir()?,
        store,
        sessions,
        observer,
        port: args.port.unwrap_or(context.settings().port.value),
        owner: args.owner.clone(),
        version: env!("CARGO_PKG_VERSION"),
        command: invocation::command_line(),
        webhook_secret: deliver::secret(args.webhook_secret_file.as_deref())?,
        client_limits: ClientLimits::default(),
        notify: teller(context),
    };
    Ok(Daemon::start(settings, stop)?)
}

/// Tells a person what the loops do.
fn teller(context: &Context) -> Notify {
    if context.is_json {
        return Arc::new(drop::<Notice>);
    }
    let observer = Mutex::new(poll::BesideStream::default());
    let invocation = context.invocation().clone();
    Arc::new(move |notice| match notice {
        Notice::Reconciled(report) => {
            for line in reconcile::news(&report) {
                output::say(&invocation.complete(&line));
            }
        }
        Notice::Observer(event) => {
            let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
            observer.event(&event, &invocation);
        }
        Notice::ObserverElsewhere(running) => {
            output::say(&invocation.complete(&poll::another(running.as_ref())));
        }
    })
}

pub(crate) fn start(context: &Context, args: &Start) -> Result<()> {
    drop(create_store(context)?);
    let dir = context.data_dir()?;
    let log = args.log_file.clone().unwrap_or_else(|| dir.join("daemon.log"));
    let until = Instant::now() + args.timeout;
    let found = Found::read(&dir)?;
    let mut child = match found.state.is_running() {
        true => None,
        false => Some(spawn(context, &args.serve, &dir, &log)?),
    };
    loop {
        let found = Found::read(&dir)?;
        if found.state == State::Ready {
            return report(context, "daemon.start", &found, ready);
        }
        let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        // Another one may have begun at the same time.
        if ended.is_some() && !found.state.is_running() {
            return Err(Error::DaemonFailed { log: log.clone(), last: last_line(&log) });
        }
        if Instant::now() >= until {
            return Err(Error::DaemonNotReady { state: found.state.as_str(), log });
        }
        thread::sleep(TICK);
    }
}

/// Starts the daemon as a process that outlives this one, and any session in which this one runs.
fn spawn(context: &Context, args: &Serve, dir: &Path, log: &Path) -> Result<Child> {
    let failed = |source| Error::file("open", log, source);
    let file: File =
        OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(failed)?;
    let program = std::env::current_exe();
    let program = program.map_err(|source| Error::file("find", "ao-store".as_ref(), source))?;
    let mut argv: Vec<OsString> = vec![program.into()];
    argv.extend(context.global_options());
    argv.extend(["--data-dir".into(), dir.into(), "daemon".into()]);
    let port = args.port.unwrap_or(context.settings().port.value);
    argv.extend(["--port".into(), port.to_string().into()]);
    for (flag, value) in [("--owner", &args.owner), ("--api-url", &args.api.api_url)] {
        argv.extend(value.iter().flat_map(|value| [flag.into(), value.into()]));
    }
    if let Some(file) = &args.webhook_secret_file {
        // The daemon runs in another directory.
        let file = std::path::absolute(file).map_err(|source| Error::file("find", file, source))?;
        argv.extend(["--webhook-secret-file".into(), file.into()]);
    }
    argv.extend(args.no_observe.then(|| "--no-observe".into()));
    start_logged(&argv, dir, &LAUNCH_VARIABLES, file).map_err(Error::Command)
}

/// What a daemon that ended said last.
fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().rev().find(|line| line.starts_with("error")).or(text.lines().last());
    line.unwrap_or_default().to_owned()
}

pub(crate) fn stop(context: &Context, args: &Stop) -> Result<()> {
    let dir = context.existing_dir()?;
    let found = dir.as_deref().map_or(Ok(Found::NONE), Found::read)?;
    let Some(dir) = dir.filter(|_| found.state.is_running()) else {
        return stopped(context, &found, "no daemon runs");
    };
    let until = Instant::now() + args.timeout;
    let mut asked = Ok(());
    while Instant::now() < until {
        let found = Found::read(&dir)?;
        if !found.state.is_running() {
            return stopped(context, &found, "the daemon has ended; sessions go on");
        }
        if let Some(run_file) = &found.run_file {
            asked = ao_daemon::shut_down(&run_file.socket);
        }
        thread::sleep(TICK);
    }
    asked?;
    Err(Error::DaemonNotStopped { pid: found.run_file.map(|it| it.pid) })
}

fn stopped(context: &Context, found: &Found, what: &str) -> Result<()> {
    if context.is_json {
        return output::document("daemon.stop", &daemon_of(found.state, found.run_file.as_ref()));
    }
    output::line(what)
}

fn status(context: &Context) -> Result<()> {
    let found = find(context)?;
    if context.is_json {
        let mut data = daemon_of(found.state, found.run_file.as_ref());
        data["loops"] = loops(&found);
        return output::document("daemon.status", &data);
    }
    report(context, "daemon.status", &found, ready)?;
    let Some(run_file) = found.run_file.filter(|_| found.state == State::Ready) else {
        return Ok(());
    };
    let described = ao_daemon::describe(&run_file.socket)?;
    for it in described["loops"].as_array().into_iter().flatten() {
        let [name, state, outcome] = ["name", "state", "outcome"].map(|key| &it[key]);
        let text = [name, state, outcome].map(|it| it.as_str().unwrap_or_default());
        output::line(&output::printable(&format!("{:<10} {:<8} {}", text[0], text[1], text[2])))?;
    }
    Ok(())
}

/// The loops of a daemon that is ready; null if it does not answer.
pub(crate) fn loops(found: &Found) -> Value {
    let ready = found.run_file.as_ref().filter(|_| found.state == State::Ready);
    let described = ready.and_then(|run_file| ao_daemon::describe(&run_file.socket).ok());
    described.map_or(Value::Null, |mut described| described["loops"].take())
}

/// The daemon of the data directory, which need not exist.
pub(crate) fn find(context: &Context) -> Result<Found> {
    match context.existing_dir()? {
        Some(dir) => Ok(Found::read(&dir)?),
        None => Ok(Found::NONE),
    }
}

fn report(
    context: &Context,
    kind: &str,
    found: &Found,
    ready: impl Fn(&RunFile) -> String,
) -> Result<()> {
    if context.is_json {
        return output::document(kind, &daemon_of(found.state, found.run_file.as_ref()));
    }
    let text = match (found.state, &found.run_file) {
        (State::Ready, Some(run_file)) => ready(run_file),
        (state, run_file) => describe(state, run_file.as_ref()),
    };
    output::line(&output::printable(&context.invocation().complete(&text)))
}

pub(super) fn ready(run_file: &RunFile) -> String {
    let RunFile { url, socket, pid, .. } = run_file;
    format!("the daemon is ready: {url}, {} (pid {pid})", output::path(socket))
}

/// A daemon for people.
pub(crate) fn describe(state: State, run_file: Option<&RunFile>) -> String {
    let pid = run_file.map(|it| format!(" (pid {})", it.pid)).unwrap_or_default();
    match state {
        State::Ready => {
            let since = run_file.and_then(|it| it.started_at.parse::<jiff::Timestamp>().ok());
            let since = since.map(|at| time::local(Timestamp(at.as_millisecond())));
            let since = since.map(|at| format!(", since {}", at.strftime("%Y-%m-%d %H:%M")));
            let since = since.unwrap_or_default();
            let url = run_file.map(|it| it.url.as_str()).unwrap_or_default();
            format!("ready at {url}{pid}{since}")
        }
        State::NotReady => format!("starting or stopping{pid}"),
        State::Stopped => "not running: `ao-store start`".to_owned(),
        State::Stale => format!("not running; it did not end in order{pid}: `ao-store start`"),
        State::Unhealthy => format!("it runs{pid} and does not answer: `ao-store stop`"),
    }
}
