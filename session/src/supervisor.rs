//! The supervisor of a launch: starts the agent program, records its start and its end, and shows how it
//! ended.
//!
//! It runs inside the pane, as the parent of the program. Only an exit status is an end by itself: after a
//! signal, or if SIGHUP or SIGTERM reached the supervisor shortly before, the runtime was lost.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use ao_program::{Environment, Interactive};
use ao_store::lease::Owner;
use ao_store::row::launch::{self, End, EndCause, OUTPUT_MAX};
use ao_store::{Cause, Store, Tx};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::runtime::{Runtime, Tmux, processes};

/// A signal that reached the supervisor this shortly before the end is its cause.
const RECENT: Duration = Duration::from_secs(10);

/// How long a program may outlive its lost terminal.
const ORPHANED: Duration = Duration::from_secs(8);

/// How long the end is written again and again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest id of a launch.
const LAUNCH_MAX: usize = 64;

/// The variables that tmux sets.
const TERMINAL: [&str; 3] = ["TERM", "TMUX", "TMUX_PANE"];

/// The actor of the changes of a supervisor.
const ACTOR: &str = "supervisor";

/// What a supervisor starts: the content of the file of a launch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The launch.
    pub launch: String,
    /// Its session.
    pub session: String,
    /// The directory in which the program runs.
    pub dir: PathBuf,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The runtime, on whose kind it depends how the output is read.
    pub runtime: String,
    /// All variables of the program.
    pub environment: Vec<(String, String)>,
}

/// When a signal reached the supervisor that means the loss of the runtime.
type Hit = Arc<Mutex<Option<Instant>>>;

/// The directory of the files of launches, in a data directory.
pub(crate) fn launch_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("run")
}

/// The file of a launch in their directory. No other function makes a path of the id of a launch.
///
/// # Errors
/// `INVALID_ID`: it could leave the directory.
pub(crate) fn spec_file(dir: &Path, launch: &str) -> Result<PathBuf> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if launch.bytes().all(is_plain) && (1..=LAUNCH_MAX).contains(&launch.len()) {
        return Ok(dir.join(format!("{launch}.json")));
    }
    let value = launch.chars().take(80).collect();
    let reason = "it is not made of 1 to 64 letters, digits and '-'";
    Err(ao_store::Error::InvalidId { what: "launch", value, reason }.into())
}

/// Runs a launch to its end, from its file in the data directory. The file is deleted as soon as it is read;
/// the store is opened for each write only, so that a waiting supervisor is small.
///
/// # Errors
/// The id is invalid, the file cannot be read, or the end cannot be recorded.
pub fn supervise(
    open: impl Fn() -> ao_store::Result<Store>,
    data_dir: &Path,
    launch: &str,
    screen: &mut dyn Write,
) -> Result<()> {
    let file = &spec_file(&launch_dir(data_dir), launch)?;
    // Fails where the supervisor has a terminal of its own already.
    let _ = rustix::process::setsid();
    let spec = read(file)?;
    let hit = watch_signals(&spec.launch)?;
    let mut child = match start(&spec) {
        Ok(child) => child,
        Err(error) => {
            let reason = format!("{}: {error}", spec.argv.first().map_or("", String::as_str));
            let end = End { exit_status: None, signal: None, cause: EndCause::ExecFailed };
            let launch = spec.launch.clone();
            write(&open, {
                let reason = reason.clone();
                move |tx| launch::ended(tx, &launch, end, &reason).map(|_| ())
            })?;
            return show(
                screen,
                &format!("the agent of {} could not be started: {reason}", spec.session),
            );
        }
    };
    let (launch, owner, pid) = (spec.launch.clone(), Owner::this_process().to_string(), child.id());
    let started = write(&open, move |tx| launch::started(tx, &launch, &owner, pid).map(|_| ()));
    let tail = follow(&mut child);
    let status = child.wait().map_err(|source| failed("wait for", file, source))?;
    let tail = tail.map_or_else(|| screen_of(&spec), |tail| tail.join().unwrap_or_default());
    let end = end_of(status, &hit);
    let launch = spec.launch.clone();
    let ended = write(&open, move |tx| launch::ended(tx, &launch, end, &tail).map(|_| ()));
    show(screen, &closing(&spec.session, end))?;
    started.and(ended)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

fn read(file: &Path) -> Result<Spec> {
    let text = fs::read(file).map_err(|source| failed("read", file, source))?;
    fs::remove_file(file).map_err(|source| failed("delete", file, source))?;
    serde_json::from_slice(&text).map_err(|error| failed("read", file, error.into()))
}

fn start(spec: &Spec) -> ao_program::Result<Child> {
    let has_terminal = spec.runtime == "tmux";
    let own = Environment::of_process();
    // Those of the terminal are known here only.
    let terminal = TERMINAL
        .iter()
        .filter(|_| has_terminal)
        .filter_map(|name| Some((OsString::from(name), own.get(name)?.to_owned())));
    let given = spec.environment.iter().map(|(name, value)| (name.into(), value.into()));
    let environment: Environment = given.chain(terminal).collect();
    Interactive { argv: &spec.argv, dir: &spec.dir, environment: &environment, has_terminal }
        .start()
}

/// Remembers SIGHUP and SIGTERM, and passes them on; Ctrl-C reaches the program without the supervisor. A
/// program that outlives its terminal is killed.
fn watch_signals(launch: &str) -> Result<Hit> {
    let hit = Hit::default();
    let signals = Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT]);
    let mut signals = signals.map_err(|source| failed("watch", Path::new("signals"), source))?;
    let (seen, launch) = (Arc::clone(&hit), launch.to_owned());
    thread::spawn(move || {
        for signal in signals.forever() {
            if [SIGINT, SIGQUIT].contains(&signal) {
                continue;
            }
            let first = seen.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
            if first.is_none() {
                processes::forward(&launch, signal);
                let launch = launch.clone();
                thread::spawn(move || {
                    sleep(ORPHANED);
                    processes::kill_others(&launch);
                });
            }
        }
    });
    Ok(hit)
}

/// Keeps the tail of the output of a program without a terminal.
fn follow(child: &mut Child) -> Option<thread::JoinHandle<String>> {
    let mut output = child.stdout.take()?;
    Some(thread::spawn(move || {
        let (mut tail, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = output.read(&mut piece) {
            tail.extend_from_slice(&piece[..read]);
            tail.drain(..tail.len().saturating_sub(OUTPUT_MAX));
        }
        String::from_utf8_lossy(&tail).into_owned()
    }))
}

/// What the terminal shows at the end.
fn screen_of(spec: &Spec) -> String {
    let environment = Environment::of_process();
    let socket = environment.get("TMUX").map(|it| it.to_string_lossy().into_owned());
    let Some(socket) = socket.as_deref().and_then(|it| it.split(',').next()) else {
        return String::new();
    };
    Tmux::new(&spec.dir, &environment).capture(&spec.launch, socket).unwrap_or_default()
}

fn end_of(status: ExitStatus, hit: &Hit) -> End {
    let hit = *hit.lock().unwrap_or_else(PoisonError::into_inner);
    let is_lost = hit.is_some_and(|at| at.elapsed() < RECENT);
    let cause = match (is_lost, status.code()) {
        (true, _) => EndCause::RuntimeLost,
        (false, Some(_)) => EndCause::Exited,
        (false, None) => EndCause::Killed,
    };
    End { exit_status: status.code(), signal: status.signal(), cause }
}

/// Writes again and again: the store may be busy, or the disk full.
fn write(
    open: &impl Fn() -> ao_store::Result<Store>,
    work: impl Fn(&Tx<'_>) -> ao_store::Result<()> + Clone + Send + 'static,
) -> Result<()> {
    let (deadline, mut pause) = (Instant::now() + WRITE_TIMEOUT, Duration::from_millis(20));
    loop {
        let work = work.clone();
        match open().and_then(|store| store.write(Cause::now(ACTOR), work)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "the store cannot be written"),
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

fn closing(session: &str, end: End) -> String {
    let how = match (end.exit_status, end.signal) {
        (Some(status), _) => format!("exited with status {status}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    format!("the agent of {session} {how}; start it again: ao-store session relaunch {session}")
}

fn show(screen: &mut dyn Write, text: &str) -> Result<()> {
    // The terminal may be gone, which is no failure.
    let _ = write!(screen, "\r\n[ao-store] {text}\r\n").and_then(|()| screen.flush());
    Ok(())
}
