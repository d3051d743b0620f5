//! Turns the wake-ups of a store, for which a thread has to wait, into ones for tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ao_store::Store;
use tokio::sync::watch;

use crate::error::{Error, Result};

/// How often the thread looks whether anybody still listens.
const LOOK: Duration = Duration::from_millis(500);

/// Rings when something may have been committed to the store.
#[derive(Debug)]
pub(super) struct StoreWakeup {
    rings: watch::Receiver<()>,
    is_over: Arc<AtomicBool>,
}

impl StoreWakeup {
    pub(super) fn start(store: &Store) -> Result<StoreWakeup> {
        let (ring, rings) = watch::channel(());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut listener = store.listen()?;
        let wakeup = StoreWakeup { rings, is_over: Arc::clone(&is_over) };
        let wait = move || {
            while !is_over.load(Ordering::Relaxed) {
                match listener.wait(LOOK) {
                    Ok(true) => ring.send_replace(()),
                    Ok(false) => {}
                    Err(error) => {
                        // The tasks find out for themselves when they read.
                        tracing::warn!(%error, "cannot wait for changes of the store");
                        ring.send_replace(());
                        thread::sleep(LOOK);
                    }
                }
            }
        };
        thread::Builder::new()
            .name("observer wake-up".to_owned())
            .spawn(wait)
            .map_err(Error::Runtime)?;
        Ok(wakeup)
    }

    /// Each listener hears of what rang since it listened last.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.rings.clone()
    }
}

impl Drop for StoreWakeup {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
