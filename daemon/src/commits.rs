//! Wakes any number of clients that follow conversations after each commit: one thread listens for all of them,
//! while there are some.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ao_store::{Listener, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How often the thread looks whether it is still needed.
const TICK: Duration = Duration::from_millis(100);

/// The commits of a store.
#[derive(Debug)]
pub(crate) struct Commits {
    store: Store,
    stop: CancellationToken,
    /// Where the thread tells them; `None` while there is no thread.
    sender: Arc<Mutex<Option<watch::Sender<()>>>>,
}

impl Commits {
    pub(crate) fn new(store: &Store, stop: CancellationToken) -> Commits {
        Commits { store: store.clone(), stop, sender: Arc::default() }
    }

    /// Changes after each commit from now on; it is closed when commits cannot be seen any more.
    pub(crate) fn subscribe(&self) -> Result<watch::Receiver<()>> {
        let mut sender = lock(&self.sender);
        if let Some(sender) = &*sender {
            return Ok(sender.subscribe());
        }
        let listener = self.store.listen()?;
        let (new, receiver) = watch::channel(());
        let (shared, stop) = (Arc::clone(&self.sender), self.stop.clone());
        let listens = move || listen(listener, &shared, &stop);
        let thread = thread::Builder::new().name("commits".to_owned()).spawn(listens);
        thread.map_err(Error::Thread)?;
        *sender = Some(new);
        Ok(receiver)
    }
}

/// Tells each commit until nobody listens, the daemon stops, or the file cannot be read.
fn listen(
    mut listener: Listener,
    shared: &Mutex<Option<watch::Sender<()>>>,
    stop: &CancellationToken,
) {
    loop {
        let waited = listener.wait(TICK);
        let mut sender = lock(shared);
        let is_needed = sender.as_ref().is_some_and(|sender| !sender.is_closed());
        match waited {
            Ok(is_commit) if is_needed && !stop.is_cancelled() => {
                if is_commit && let Some(sender) = &*sender {
                    sender.send_replace(());
                }
            }
            _ => {
                *sender = None;
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ao_store::turn::org;
    use ao_store::{Cause, Options};

    use super::*;

    #[test]
    fn each_commit_is_told_and_the_thread_ends_with_its_last_client() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let commits = Commits::new(&store, CancellationToken::new());
        let by = Instant::now() + Duration::from_secs(60);
        let wait = |what: &str, is_so: &mut dyn FnMut() -> bool| {
            while !is_so() {
                assert!(Instant::now() < by, "{what}");
                thread::sleep(Duration::from_millis(2));
            }
        };
        for name in ["a", "b"] {
            let mut receiver = commits.subscribe().unwrap();
            receiver.mark_unchanged();
            let id = name.parse().unwrap();
            store.write(Cause::now("test"), move |tx| org::ensure(tx, &id)).unwrap();
            wait("the commit", &mut || receiver.has_changed().unwrap());
            drop(receiver);
            wait("the end of the thread", &mut || lock(&commits.sender).is_none());
        }
    }
}
