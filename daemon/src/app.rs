//! What the handlers of a daemon work with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ao_cdc::Fanout;
use ao_observer::github::host::Endpoints;
use ao_session::Sessions;
use ao_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::browser::Browsers;
use crate::client_limits::ClientLimits;
use crate::commits::Commits;
use crate::error::Result;
use crate::loops::{LoopStatus, Loops, writer};
use crate::run_file::RunFile;
use crate::terminals::Terminals;
use crate::token::Tokens;
use crate::webhooks::Webhooks;

/// How many clients may follow the changes at a time.
const FOLLOWERS: usize = 4_096;
/// How many of them may read the log at a time.
const READERS: usize = 8;
/// How many answers of lines may be sent at a time: each has a thread until its client has read it.
const LINES: usize = 16;
/// How many worktrees may be compared at a time: where git hangs, other requests have threads left.
const DIFFS: usize = 8;

/// What the followers of the changes share.
#[derive(Debug)]
pub(crate) struct Streams {
    /// The one reader of the log for all of them.
    pub(crate) fanout: Fanout,
    /// A place for each.
    pub(crate) places: Arc<Semaphore>,
    /// A turn for each that reads the log itself: however many fell behind, others find free threads.
    pub(crate) turns: Semaphore,
    pub(crate) limits: ClientLimits,
}

impl Streams {
    pub(crate) fn new(store: &Store, limits: ClientLimits) -> Result<Streams> {
        Ok(Streams {
            fanout: Fanout::with_memory(store, limits.ring)?,
            places: Arc::new(Semaphore::new(FOLLOWERS)),
            turns: Semaphore::new(READERS),
            limits,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        FOLLOWERS - self.places.available_permits()
    }
}

/// What lets requests in.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) tokens: Tokens,
    pub(crate) browsers: Browsers,
    pub(crate) webhooks: Webhooks,
}

/// One per daemon, shared by all requests.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) sessions: Arc<Sessions>,
    /// The API of the default host, where the user set one.
    pub(crate) api: Option<Endpoints>,
    pub(crate) streams: Streams,
    /// What wakes the followers of conversations.
    pub(crate) commits: Commits,
    pub(crate) terminals: Arc<Terminals>,
    /// A place for each answer of lines.
    pub(crate) lines: Arc<Semaphore>,
    /// A place for each comparison of a worktree.
    pub(crate) diffs: Arc<Semaphore>,
    pub(crate) loops: Loops,
    pub(crate) access: Access,
    pub(crate) run_file: RunFile,
    /// Cancelled when the daemon is to stop.
    pub(crate) stop: CancellationToken,
    is_ready: AtomicBool,
}

impl App {
    pub(crate) fn new(
        store: Store,
        sessions: Arc<Sessions>,
        api: Option<Endpoints>,
        streams: Streams,
        access: Access,
        run_file: RunFile,
        stop: CancellationToken,
    ) -> App {
        let loops = Loops::new(stop.clone());
        let commits = Commits::new(&store, stop.clone());
        App {
            store,
            sessions,
            api,
            streams,
            commits,
            terminals: Arc::new(Terminals::new()),
            lines: Arc::new(Semaphore::new(LINES)),
            diffs: Arc::new(Semaphore::new(DIFFS)),
            loops,
            access,
            run_file,
            stop,
            is_ready: AtomicBool::new(false),
        }
    }

    /// Whether requests are served: from the listening on, until the daemon stops.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed) && !self.stop.is_cancelled()
    }

    /// The loops, and what the writer of the store does in the background.
    pub(crate) fn loops(&self) -> Vec<LoopStatus> {
        let mut statuses = self.loops.statuses();
        statuses.extend(writer::statuses(&self.store));
        statuses
    }

    pub(crate) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }
}
