//! One reader of the log for any number of subscribers.
//!
//! The reader copies each change once, into a ring that all subscribers share. It never waits for a
//! subscriber: one that falls further behind than the ring reaches reads the log itself until the ring
//! has its next change again.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ao_store::Store;
use ao_store::log::change::Change;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ring::Ring;
use crate::subscription::Subscription;
use crate::tail::{Start, TICK, Tail};

/// Changes copied in one read.
const READ: usize = 512;
/// The reads of a backlog after which the subscribers are woken. At the head they are woken at once;
/// before it, a wake-up for each read would cost more than the read once there are a hundred of them.
const WAKE_AFTER: u32 = 4;
/// The memory of the ring, unless the caller decides: about 20,000 changes.
const MEMORY: usize = 16 << 20;

/// A running fan-out; dropping it stops the reader.
#[derive(Debug)]
pub struct Fanout {
    store: Store,
    ring: Arc<Ring>,
    thread: Option<JoinHandle<()>>,
}

impl Fanout {
    /// Starts reading at the head of the log. The newest 16 MiB of changes stay in memory.
    ///
    /// # Errors
    /// When the store cannot be read or the thread cannot be started.
    pub fn start(store: &Store) -> Result<Fanout> {
        Fanout::with_memory(store, MEMORY)
    }

    /// The same with at most this many bytes of changes in memory; what the newest read found always
    /// stays.
    ///
    /// # Errors
    /// Those of [`Fanout::start`].
    pub fn with_memory(store: &Store, bytes: usize) -> Result<Fanout> {
        let tail = Tail::open(store, Start::End, Filter::default())?;
        let ring = Arc::new(Ring::new(tail.cursor(), bytes));
        let store = store.clone();
        let reader = (store.clone(), Arc::clone(&ring));
        let thread = thread::Builder::new()
            .name("ao-cdc-fanout".to_owned())
            .spawn(move || run(&reader.0, tail, &reader.1))
            .map_err(Error::Thread)?;
        Ok(Fanout { store, ring, thread: Some(thread) })
    }

    /// Subscribes from a position on: one short read of the log.
    ///
    /// # Errors
    /// Those of [`Tail::open`].
    pub fn subscribe(&self, start: Start, filter: Filter) -> Result<Subscription> {
        Subscription::open(&self.store, Arc::clone(&self.ring), start, filter)
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.ring.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When the reader ends, also by a panic, no subscriber keeps waiting for it.
struct ShutdownGuard<'a>(&'a Ring);

impl Drop for ShutdownGuard<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn run(store: &Store, mut tail: Tail, ring: &Ring) {
    let _guard = ShutdownGuard(ring);
    while !ring.is_stopped() {
        if let Err(error) = serve(&mut tail, ring) {
            // The subscribers get the same error from their own reads.
            tracing::warn!(%error, "the fan-out lost its position and restarts at the head");
            ring.restart(None);
            while !ring.is_stopped() {
                thread::sleep(TICK);
                if let Ok(fresh) = Tail::open(store, Start::End, Filter::default()) {
                    ring.restart(Some(fresh.cursor()));
                    tail = fresh;
                    break;
                }
            }
        }
    }
}

fn serve(tail: &mut Tail, ring: &Ring) -> Result<()> {
    let mut reads = 0;
    while !ring.is_stopped() {
        let mut changes: Vec<Change> = Vec::new();
        let visited = tail.visit(READ, |change| {
            changes.push(change.to_owned()?);
            Ok(())
        })?;
        ring.push(changes);
        reads += 1;
        if visited.is_at_head || reads % WAKE_AFTER == 0 {
            ring.wake();
        }
        if visited.is_at_head {
            reads = 0;
            tail.wait(TICK)?;
        }
    }
    Ok(())
}
