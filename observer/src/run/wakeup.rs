//! Turns the wake-ups of a store, which block a thread, into wake-ups of tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ao_store::Store;
use tokio::sync::watch;

use crate::error::{Error, Result};

/// How often the thread checks whether it is still needed.
const CHECK: Duration = Duration::from_millis(500);

/// Notifies when something may have been committed to the store.
#[derive(Debug)]
pub(super) struct StoreWakeup {
    commits: watch::Receiver<()>,
    is_over: Arc<AtomicBool>,
}

impl StoreWakeup {
    pub(super) fn start(store: &Store) -> Result<StoreWakeup> {
        let (notify, commits) = watch::channel(());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut listener = store.listen()?;
        let wakeup = StoreWakeup { commits, is_over: Arc::clone(&is_over) };
        let wait = move || {
            while !is_over.load(Ordering::Relaxed) {
                match listener.wait(CHECK) {
                    Ok(true) => notify.send_replace(()),
                    Ok(false) => {}
                    Err(error) => {
                        // The tasks get the error themselves when they read.
                        tracing::warn!(%error, "cannot wait for changes of the store");
                        notify.send_replace(());
                        thread::sleep(CHECK);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("observer wake-up".to_owned());
        thread.spawn(wait).map_err(Error::Runtime)?;
        Ok(wakeup)
    }

    /// Each receiver is notified of commits since it was notified last.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.commits.clone()
    }
}

impl Drop for StoreWakeup {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
