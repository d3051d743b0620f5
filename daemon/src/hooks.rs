//! The socket through which the hooks of agents report: the daemon writes for many of them in one commit, and a hook
//! need not open the store.
//!
//! A hook sends one line of JSON, then what the agent gave it, and closes its side. The daemon says that it takes the
//! report, records it, and answers with one line of JSON. Where it does not take it in time the hook writes itself,
//! and a report that the daemon comes to later than that is refused: each is recorded once. Only where the daemon is
//! killed between its commit and its answer is one recorded twice; what waited for the first is then found by the next
//! start of the daemon.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ao_session::Sessions;
use ao_session::harness::{Harness, Harnesses};
use ao_session::hook::{self, Reported};
use ao_store::row::evidence::Report;
use ao_store::{Cause, ClockReading, Store, Timestamp, Tx};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::listen::{self, Socket};

/// The name of the socket in the data directory.
pub(crate) const NAME: &str = "hook.sock";
/// What the daemon says when it takes a report.
const TAKEN: &[u8] = b"\n";
/// The most bytes of a payload. The contents of files in it are of no interest.
pub const PAYLOAD_MAX: u64 = 4 << 20;
/// The longest line before it.
const LINE_MAX: u64 = 64 << 10;
/// How long a hook may take to send its report: it has all of it when it connects. The end of the daemon waits for it.
const SEND_TIME: Duration = Duration::from_secs(2);
/// The actor of the changes.
pub const ACTOR: &str = "hook";
/// How many reports are written at a time; more wait. Other requests have threads left.
const AT_ONCE: usize = 32;

/// Why a report was not recorded through the socket. The hook records it itself.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An event of an agent, as its hook has heard it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heard {
    /// The harness of the agent.
    pub harness: String,
    /// The name that it gives the event.
    pub event: String,
    /// The session of the environment.
    pub session: String,
    /// The launch of the environment.
    pub launch: String,
    /// When the hook began, in milliseconds since 1970.
    pub at_ms: i64,
    /// Until when it waits for an answer, if it does, in milliseconds since 1970.
    pub wait_until_ms: Option<i64>,
    /// The user's file of harnesses.
    pub harnesses: Option<PathBuf>,
}

impl Heard {
    /// What it reports with this payload; `None` when its harness gives the event no meaning.
    #[must_use]
    pub fn report(&self, harness: &Harness, payload: &Value) -> Option<Report> {
        hook::report(harness, &self.event, payload, &self.launch, Timestamp(self.at_ms))
    }

    /// Records the report in the store.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record(&self, tx: &Tx<'_>, report: &Report) -> ao_store::Result<Reported> {
        hook::record(tx, &self.session, report, self.wait_until_ms.map(Timestamp))
    }
}

/// The line of a hook.
#[derive(Serialize, Deserialize)]
struct Request<H> {
    heard: H,
    /// When nobody waits for it any more, in milliseconds since the machine started.
    until_ms: i64,
}

/// The line that it gets in the end.
#[derive(Default, Serialize, Deserialize)]
struct Answer {
    decision: Option<String>,
}

/// Has the daemon of a data directory record a report, which it must take within this time. `None` when it has not
/// taken it, and will not, or could not record it. What it has taken is waited for.
#[must_use]
pub fn report(dir: &Path, heard: &Heard, payload: &[u8], patience: Duration) -> Option<Reported> {
    let asked = || -> Result<Answer, Failure> {
        let boot =
            ClockReading::now().boot.ok_or("the machine does not tell when it was started")?;
        let until_ms =
            boot.ms.saturating_add(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
        let mut line = serde_json::to_vec(&Request { heard, until_ms })?;
        line.push(b'\n');
        line.extend_from_slice(payload);
        let mut stream = connect(&listen::path_of(dir, NAME)?)?;
        stream.set_write_timeout(Some(patience))?;
        // It takes it before `until_ms`, and says so at once.
        stream.set_read_timeout(Some(patience * 2))?;
        stream.write_all(&line)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_exact(&mut [0; TAKEN.len()])?;
        stream.set_read_timeout(None)?;
        let mut answer = Vec::new();
        stream.take(LINE_MAX).read_to_end(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    };
    let Answer { decision } = asked().ok()?;
    Some(Reported { decision, deliver_to: Vec::new() })
}

/// Connects, unless that would have to wait: many connections that nobody accepts are of no use.
fn connect(path: &Path) -> std::io::Result<Stream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = Stream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Serves the socket until `stop` is cancelled, and then until what was sent is answered.
pub(crate) async fn serve(
    socket: Socket,
    sessions: Arc<Sessions>,
    store: Store,
    data_dir: PathBuf,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut reports = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            stream = socket.accept() => stream,
            Some(_) = reports.join_next(), if !reports.is_empty() => continue,
        };
        let (store, places, dir) = (store.clone(), Arc::clone(&places), data_dir.clone());
        let sessions = Arc::clone(&sessions);
        reports.spawn(async move {
            if let Err(error) = attend(stream, sessions, store, dir, places).await {
                // The hook does it itself.
                tracing::debug!(%error, "a report of a hook was not recorded");
            }
        });
    }
    drop(socket);
    while reports.join_next().await.is_some() {}
}

async fn attend(
    mut stream: UnixStream,
    sessions: Arc<Sessions>,
    store: Store,
    dir: PathBuf,
    places: Arc<Semaphore>,
) -> Result<(), Failure> {
    let mut sent = Vec::new();
    let mut limited = (&mut stream).take(LINE_MAX + PAYLOAD_MAX);
    timeout(SEND_TIME, limited.read_to_end(&mut sent)).await??;
    let _place = places.acquire().await?;
    let stream = stream.into_std()?;
    spawn_blocking(move || {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SEND_TIME))?;
        let reported = apply(&store, &dir, &sent, stream.try_clone()?)?;
        // Also when the hook has gone meanwhile.
        reported.deliver_to.iter().for_each(|session| sessions.start_runner(session));
        let answer = serde_json::to_vec(&Answer { decision: reported.decision })?;
        Ok((&stream).write_all(&answer)?)
    })
    .await?
}

/// Records what a hook has sent, if it still waits for that.
fn apply(store: &Store, dir: &Path, sent: &[u8], mut hook: Stream) -> Result<Reported, Failure> {
    let end = sent.iter().position(|byte| *byte == b'\n').ok_or("no line")?;
    let (line, payload) = (&sent[..end], &sent[end + 1..]);
    let Request { heard, until_ms } = serde_json::from_slice::<Request<Heard>>(line)?;
    let harness = Harnesses::only(&heard.harness, heard.harnesses.as_deref())?;
    let payload = serde_json::from_slice(payload)?;
    if ClockReading::now().boot.is_none_or(|boot| boot.ms >= until_ms) {
        return Err("nobody waits for it".into());
    }
    // One that has gone meanwhile fails this.
    hook.write_all(TAKEN)?;
    hook::keep_payload(dir, &harness, &heard.event, &payload);
    let Some(report) = heard.report(&harness, &payload) else { return Ok(Reported::default()) };
    let work = move |tx: &Tx<'_>| heard.record(tx, &report);
    Ok(store.write(Cause::now(ACTOR), work)?.value)
}
