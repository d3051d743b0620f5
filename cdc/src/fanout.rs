//! One reader of the log for any number of subscribers.
//!
//! The reader copies each change once and hands the same batch to every subscriber's bounded
//! channel. It never waits: a subscriber whose channel is full is demoted, which means taken off
//! the list; it finds out when it has emptied its channel, reads the log by itself, and comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_store::row::change::Change;
use ao_store::{Cursor, Epoch, Store};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::subscription::Subscription;
use crate::tail::{Start, Tail};

/// Changes copied in one read.
const READ: usize = 512;
/// Changes in one delivery. Batches, not single changes, keep its cost at 20 ns a subscriber.
const BATCH: usize = 64;
/// How often the reader looks whether it should stop.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A batch as it goes to every subscriber.
pub(crate) type Shared = Arc<[Change]>;

/// A subscriber's end of its channel. A channel does not say whether its other end is gone.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) channel: Receiver<Shared>,
    _is_taken: Arc<()>,
}

/// The subscribers that take part, and the position up to which they were served.
#[derive(Debug)]
pub(crate) struct Audience {
    live: Mutex<Live>,
    is_stopped: AtomicBool,
}

#[derive(Debug)]
struct Live {
    channels: Vec<(Sender<Shared>, Weak<()>)>,
    position: Option<Cursor>,
}

impl Audience {
    /// Takes part from the next batch on. The cursor is that of the last batch before it; `None`
    /// while the reader is not reading, or has yet to notice that the log is in this epoch.
    pub(crate) fn join(&self, capacity: usize, epoch: Epoch) -> Option<(Seat, Cursor)> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let position = live.position.filter(|position| position.epoch == epoch)?;
        // Those who left while nothing was written, when no delivery finds out.
        live.channels.retain(|(_, seat)| seat.strong_count() > 0);
        let (sender, channel) = bounded(capacity.max(1));
        let taken = Arc::new(());
        live.channels.push((sender, Arc::downgrade(&taken)));
        Some((Seat { channel, _is_taken: taken }, position))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn deliver(&self, batch: &Shared, position: Cursor) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.channels.retain(|(channel, _)| channel.try_send(Arc::clone(batch)).is_ok());
        live.position = Some(position);
    }

    /// Sends everybody to the log: the reader cannot read just now.
    fn dismiss(&self, position: Option<Cursor>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.channels.clear();
        live.position = position;
    }
}

/// A running fan-out; dropping it stops the reader.
#[derive(Debug)]
pub struct Fanout {
    store: StoreHandle,
    audience: Arc<Audience>,
    thread: Option<JoinHandle<()>>,
}

/// `Store` without its fields in `Debug`.
#[derive(Clone)]
pub(crate) struct StoreHandle(pub(crate) Store);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.path()).finish()
    }
}

impl Fanout {
    /// Starts reading at the head of the log.
    ///
    /// # Errors
    /// When the store cannot be read or the thread cannot be started.
    pub fn start(store: &Store) -> Result<Fanout> {
        let tail = Tail::open(store, Start::End, Filter::default())?;
        let live = Live { channels: Vec::new(), position: Some(tail.cursor()) };
        let audience =
            Arc::new(Audience { live: Mutex::new(live), is_stopped: AtomicBool::new(false) });
        let store = StoreHandle(store.clone());
        let reader = (store.clone(), Arc::clone(&audience));
        let thread = thread::Builder::new()
            .name("ao-cdc-fanout".to_owned())
            .spawn(move || run(&reader.0.0, tail, &reader.1))
            .map_err(Error::Thread)?;
        Ok(Fanout { store, audience, thread: Some(thread) })
    }

    /// Subscribes from a position on; at most `capacity` batches wait for the subscriber before it
    /// is demoted.
    ///
    /// # Errors
    /// Those of [`Tail::open`].
    pub fn subscribe(&self, start: Start, filter: Filter, capacity: usize) -> Result<Subscription> {
        Subscription::open(&self.store, Arc::clone(&self.audience), start, filter, capacity)
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.audience.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When the reader ends, also by a panic, nobody is left waiting for it.
struct Ending<'a>(&'a Audience);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
        self.0.dismiss(None);
    }
}

fn run(store: &Store, mut tail: Tail, audience: &Audience) {
    let _ending = Ending(audience);
    while !audience.is_stopped() {
        if let Err(error) = serve(&mut tail, audience) {
            // The subscribers meet the same error when they read for themselves.
            tracing::warn!(%error, "the fan-out lost its place and begins anew at the head");
            audience.dismiss(None);
            while !audience.is_stopped() {
                thread::sleep(TICK);
                if let Ok(fresh) = Tail::open(store, Start::End, Filter::default()) {
                    audience.dismiss(Some(fresh.cursor()));
                    tail = fresh;
                    break;
                }
            }
        }
    }
}

fn serve(tail: &mut Tail, audience: &Audience) -> Result<()> {
    while !audience.is_stopped() {
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
            audience.deliver(&batch.into(), Cursor { epoch, seq });
        }
        if visited.is_at_head {
            tail.wait(TICK)?;
        }
    }
    Ok(())
}
