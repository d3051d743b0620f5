//! One reader of the log for any number of subscribers.
//!
//! The reader copies each change once and hands the same batch to the bounded channel of every
//! subscriber. It never waits: a subscriber whose channel is full falls back to catch-up reads of
//! the log, and receives live batches again once it has reached the position of the reader.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ao_store::log::change::Change;
use ao_store::{Cursor, Store};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::subscribers::{Subscribers, TICK};
use crate::subscription::Subscription;
use crate::tail::{Start, Tail};

/// Changes copied in one read.
const READ: usize = 512;
/// Changes in one delivery. Batches, not single changes, keep its cost at 20 ns per subscriber.
const BATCH: usize = 64;

/// A running fan-out; dropping it stops the reader.
#[derive(Debug)]
pub struct Fanout {
    store: Store,
    subscribers: Arc<Subscribers>,
    thread: Option<JoinHandle<()>>,
}

impl Fanout {
    /// Starts reading at the head of the log.
    ///
    /// # Errors
    /// When the store cannot be read or the thread cannot be started.
    pub fn start(store: &Store) -> Result<Fanout> {
        let tail = Tail::open(store, Start::End, Filter::default())?;
        let subscribers = Arc::new(Subscribers::new(tail.cursor()));
        let store = store.clone();
        let reader = (store.clone(), Arc::clone(&subscribers));
        let thread = thread::Builder::new()
            .name("ao-cdc-fanout".to_owned())
            .spawn(move || run(&reader.0, tail, &reader.1))
            .map_err(Error::Thread)?;
        Ok(Fanout { store, subscribers, thread: Some(thread) })
    }

    /// Subscribes from a position on. At most `capacity` batches wait for the subscriber before it
    /// falls back to catch-up reads.
    ///
    /// # Errors
    /// Those of [`Tail::open`].
    pub fn subscribe(&self, start: Start, filter: Filter, capacity: usize) -> Result<Subscription> {
        Subscription::open(&self.store, Arc::clone(&self.subscribers), start, filter, capacity)
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.subscribers.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When the reader ends, also by a panic, no subscriber keeps waiting for it.
struct ShutdownGuard<'a>(&'a Subscribers);

impl Drop for ShutdownGuard<'_> {
    fn drop(&mut self) {
        self.0.stop();
        self.0.clear(None);
    }
}

fn run(store: &Store, mut tail: Tail, subscribers: &Subscribers) {
    let _guard = ShutdownGuard(subscribers);
    while !subscribers.is_stopped() {
        if let Err(error) = serve(&mut tail, subscribers) {
            // The subscribers get the same error from their own reads.
            tracing::warn!(%error, "the fan-out lost its position and restarts at the head");
            subscribers.clear(None);
            while !subscribers.is_stopped() {
                thread::sleep(TICK);
                if let Ok(fresh) = Tail::open(store, Start::End, Filter::default()) {
                    subscribers.clear(Some(fresh.cursor()));
                    tail = fresh;
                    break;
                }
            }
        }
    }
}

fn serve(tail: &mut Tail, subscribers: &Subscribers) -> Result<()> {
    while !subscribers.is_stopped() {
        let mut batches: Vec<Vec<Change>> = Vec::new();
        let epoch = tail.cursor().epoch;
        let visited = tail.visit(READ, |change| {
            let change = change.to_owned()?;
            match batches.last_mut().filter(|batch| batch.len() < BATCH) {
                Some(batch) => batch.push(change),
                None => batches.push(vec![change]),
            }
            Ok(())
        })?;
        for batch in batches {
            let seq = batch[batch.len() - 1].seq;
            subscribers.deliver(&batch.into(), Cursor { epoch, seq });
        }
        if visited.is_at_head {
            tail.wait(TICK)?;
        }
    }
    Ok(())
}
