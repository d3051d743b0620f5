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
use crate::loops::Loops;
use crate::run_file::RunFile;
use crate::token::Tokens;
use crate::webhooks::Webhooks;

/// How many clients may follow the changes at a time.
const CLIENTS: usize = 4_096;

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
    /// The one reader of the log for all clients.
    pub(crate) fanout: Fanout,
    /// A place for each client that follows the changes.
    pub(crate) clients: Arc<Semaphore>,
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
        fanout: Fanout,
        access: Access,
        run_file: RunFile,
        stop: CancellationToken,
    ) -> App {
        let loops = Loops::new(stop.clone());
        App {
            store,
            sessions,
            api,
            fanout,
            clients: Arc::new(Semaphore::new(CLIENTS)),
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

    pub(crate) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }
}
