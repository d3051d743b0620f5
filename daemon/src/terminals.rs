//! What agents print in their terminals, for any number of clients: one pipe per launch, into a ring of the newest
//! bytes. A pipe begins with its first client, with what draws the screen, and ends some time after the last one.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ao_session::{Piped, Sessions};
use ao_store::{Code, SessionId, Timestamp};
use axum::body::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How many bytes of a terminal are kept.
const KEPT: usize = 1 << 20;
/// How many are read at a time, and sent at a time.
const PART: usize = 64 << 10;
/// How long a pipe goes on without a client.
const IDLE: Duration = Duration::from_secs(30);
/// How often it is looked whether a launch has ended, and whether there are clients.
const LOOK: Duration = Duration::from_secs(1);

/// How many clients may look at terminals at a time.
const VIEWERS: usize = 256;

/// The terminals that clients look at.
#[derive(Debug)]
pub(crate) struct Terminals {
    /// By their launches.
    open: tokio::sync::Mutex<HashMap<String, Arc<Terminal>>>,
    /// A place for each client.
    pub(crate) places: Arc<Semaphore>,
    /// The turn to open one: where tmux hangs, one thread waits for it, not one for each client.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

/// The output of one launch.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Its pipe: another one of the same launch counts its bytes anew.
    pub(crate) id: String,
    ring: Mutex<Ring>,
    /// Changes with the ring.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    bytes: VecDeque<u8>,
    /// The offset of the first of them.
    start: u64,
    has_ended: bool,
}

/// What a client gets next.
#[derive(Debug)]
pub(crate) enum Part {
    /// These bytes.
    Bytes(Bytes),
    /// Nothing yet.
    Later,
    /// Nothing more: the output has ended, or the client is behind what is kept.
    End,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ring {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
        self.start += surplus as u64;
    }

    fn part(&self, offset: u64) -> Part {
        let Some(skipped) = offset.checked_sub(self.start) else { return Part::End };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let part: Vec<u8> = self.bytes.iter().skip(skipped).take(PART).copied().collect();
        match (part.is_empty(), self.has_ended) {
            (false, _) => Part::Bytes(part.into()),
            (true, true) => Part::End,
            (true, false) => Part::Later,
        }
    }
}

impl Terminal {
    /// From where a client gets bytes that had those before this offset of a pipe: from there if they are kept,
    /// else from the first that are.
    pub(crate) fn start(&self, of: Option<&str>, offset: Option<u64>) -> u64 {
        let ring = locked(&self.ring);
        let offset = offset.filter(|_| of.is_none_or(|id| id == self.id));
        offset.filter(|at| (ring.start..=ring.end()).contains(at)).unwrap_or(ring.start)
    }

    /// What follows an offset.
    pub(crate) fn part(&self, offset: u64) -> Part {
        locked(&self.ring).part(offset)
    }

    /// A client of it, which is told of changes from now on.
    fn client(self: &Arc<Self>) -> (Arc<Terminal>, watch::Receiver<()>) {
        (Arc::clone(self), self.news.subscribe())
    }

    fn push(&self, bytes: &[u8]) {
        locked(&self.ring).push(bytes);
        self.news.send_replace(());
    }

    fn end(&self) {
        locked(&self.ring).has_ended = true;
        self.news.send_replace(());
    }
}

impl Terminals {
    /// No terminal is open yet.
    pub(crate) fn new() -> Terminals {
        let places = Arc::new(Semaphore::new(VIEWERS));
        Terminals { open: Default::default(), places, turn: Arc::default() }
    }

    /// The terminal of the running agent of a session, for one more client. It waits for tmux, in a thread of the
    /// runtime that may block.
    pub(crate) fn open(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        id: &SessionId,
        stop: &CancellationToken,
    ) -> ao_session::Result<(Arc<Terminal>, watch::Receiver<()>)> {
        let mut open = self.open.blocking_lock();
        if let Some(known) = open.get(&sessions.in_terminal(id)?) {
            return Ok(known.client());
        }
        let piped = sessions.pipe_terminal(id)?;
        let (news, _) = watch::channel(());
        // Two pipes of a launch do not begin at the same time.
        let name = format!("{}-{}", piped.launch, Timestamp::now().0);
        let terminal = Arc::new(Terminal { id: name, ring: Mutex::default(), news });
        terminal.push(piped.screen.as_bytes());
        open.insert(piped.launch.clone(), Arc::clone(&terminal));
        let client = terminal.client();
        let (all, sessions, id) = (Arc::clone(self), Arc::clone(sessions), id.clone());
        let stop = stop.clone();
        Handle::current()
            .spawn(async move { all.keep(piped, &terminal, &sessions, &id, &stop).await });
        Ok(client)
    }

    /// Reads what a launch prints until it ends, the daemon stops, or nobody has looked at it for some time.
    async fn keep(
        &self,
        piped: Piped,
        terminal: &Terminal,
        sessions: &Arc<Sessions>,
        id: &SessionId,
        stop: &CancellationToken,
    ) {
        let launch = piped.launch.clone();
        let mut reading = pin!(read(piped, terminal));
        loop {
            let wanted = tokio::select! {
                () = stop.cancelled() => Wanted::No,
                () = &mut reading => Wanted::No,
                wanted = until_unwanted(sessions, id, &launch, terminal) => wanted,
            };
            if wanted == Wanted::ToItsEnd {
                // What it printed last may still be on its way.
                let _ = timeout(LOOK, &mut reading).await;
            }
            if self.close(&launch, wanted == Wanted::ByClients).await {
                return;
            }
        }
    }

    /// Ends a terminal, or does not if it is wanted by the clients that it has. Nobody becomes one meanwhile.
    async fn close(&self, launch: &str, by_clients: bool) -> bool {
        let mut open = self.open.lock().await;
        let has_clients = |it: &Arc<Terminal>| it.news.receiver_count() > 0;
        if by_clients && open.get(launch).is_some_and(has_clients) {
            return false;
        }
        if let Some(terminal) = open.remove(launch) {
            terminal.end();
        }
        true
    }
}

/// Whether a terminal is read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Its launch has ended: only what it has already printed is read.
    ToItsEnd,
    /// It had no client for some time: it is read further only if it has one by now.
    ByClients,
    /// No.
    No,
}

/// Reads the output to its end.
async fn read(piped: Piped, terminal: &Terminal) {
    let Piped { output, dir: _dir, .. } = piped;
    let mut part = vec![0; PART];
    let mut output = match Receiver::from_file(output) {
        Ok(output) => output,
        Err(error) => return tracing::warn!(%error, "the output of a terminal cannot be read"),
    };
    while let Ok(length @ 1..) = output.read(&mut part).await {
        terminal.push(&part[..length]);
    }
}

/// Waits until the launch has ended, or nobody has looked at its terminal for some time.
async fn until_unwanted(
    sessions: &Arc<Sessions>,
    id: &SessionId,
    launch: &str,
    terminal: &Terminal,
) -> Wanted {
    let mut used = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        if terminal.news.receiver_count() > 0 {
            used = Instant::now();
        }
        let (sessions, id) = (Arc::clone(sessions), id.clone());
        let running = tokio::task::spawn_blocking(move || sessions.in_terminal(&id)).await;
        let has_ended = match running {
            Ok(Ok(found)) => found != launch,
            // Another error may pass.
            Ok(Err(error)) => {
                matches!(error.code(), Code::SessionNotRunning | Code::SessionNotFound)
            }
            Err(_) => false,
        };
        if has_ended {
            return Wanted::ToItsEnd;
        }
        if used.elapsed() > IDLE {
            return Wanted::ByClients;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_newest_bytes_and_their_offsets() {
        let mut ring = Ring::default();
        ring.push(b"abc");
        assert!(matches!(ring.part(1), Part::Bytes(part) if part == "bc"));
        assert!(matches!(ring.part(3), Part::Later));
        ring.push(&vec![b'x'; KEPT]);
        assert_eq!((ring.start, ring.end(), ring.bytes.len()), (3, 3 + KEPT as u64, KEPT));
        assert!(matches!(ring.part(2), Part::End), "it is behind");
        assert!(matches!(ring.part(3), Part::Bytes(part) if part.len() == PART));
        ring.has_ended = true;
        assert!(matches!(ring.part(ring.end()), Part::End));
        let (id, news) = ("l-1".to_owned(), watch::channel(()).0);
        let terminal = Terminal { id, ring: Mutex::new(ring), news };
        let end = 3 + KEPT as u64;
        for (of, offset, start) in [
            (None, None, 3),
            (None, Some(7), 7),
            (Some("l-1"), Some(end), end),
            (Some("l-0"), Some(7), 3),
            (None, Some(2), 3),
            (None, Some(end + 1), 3),
        ] {
            assert_eq!(terminal.start(of, offset), start, "{of:?} {offset:?}");
        }
    }

    #[tokio::test]
    async fn a_terminal_that_gets_a_client_when_it_is_to_end_goes_on() {
        let all = Terminals::new();
        let (id, ring) = ("l-1-0".to_owned(), Mutex::default());
        let terminal = Arc::new(Terminal { id, ring, news: watch::channel(()).0 });
        all.open.lock().await.insert("l-1".to_owned(), Arc::clone(&terminal));
        let (_, news) = terminal.client();
        assert!(!all.close("l-1", true).await);
        assert!(matches!(terminal.part(0), Part::Later) && !news.has_changed().unwrap());
        drop(news);
        assert!(all.close("l-1", true).await);
        assert!(matches!(terminal.part(0), Part::End) && all.open.lock().await.is_empty());
        let (_, _news) = terminal.client();
        assert!(
            all.close("l-1", false).await,
            "a terminal whose output has ended is closed, though it has a client"
        );
    }
}
