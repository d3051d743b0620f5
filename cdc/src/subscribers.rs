//! The live subscribers of a fan-out, and the position up to which all of them were served.
//!
//! Delivery never waits: a subscriber whose channel is full loses its slot and falls back to
//! catch-up reads of the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ao_store::log::change::Change;
use ao_store::{Cursor, Epoch};
use crossbeam_channel::{Receiver, Sender, bounded};

/// How often a waiting thread checks whether it should stop.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A batch of changes as every subscriber receives it.
pub(crate) type SharedBatch = Arc<[Change]>;

/// The receiving end of a live subscriber's channel. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) channel: Receiver<SharedBatch>,
    /// A channel does not report whether its other end is gone; the weak reference to this does.
    _occupied: Arc<()>,
}

/// The subscribers that receive batches live.
#[derive(Debug)]
pub(crate) struct Subscribers {
    live: Mutex<Live>,
    is_stopped: AtomicBool,
}

#[derive(Debug)]
struct Live {
    channels: Vec<(Sender<SharedBatch>, Weak<()>)>,
    /// The end of the last delivered batch; `None` while the fan-out cannot read the log.
    position: Option<Cursor>,
}

impl Subscribers {
    pub(crate) fn new(position: Cursor) -> Subscribers {
        let live = Live { channels: Vec::new(), position: Some(position) };
        Subscribers { live: Mutex::new(live), is_stopped: AtomicBool::new(false) }
    }

    /// Takes a slot, which receives every batch after the returned cursor. `None` while the fan-out
    /// cannot read the log or has not yet noticed that the log is in this epoch.
    pub(crate) fn join(&self, capacity: usize, epoch: Epoch) -> Option<(Slot, Cursor)> {
        let mut live = self.live();
        let position = live.position.filter(|position| position.epoch == epoch)?;
        // Without a delivery nothing else removes the slots that were dropped.
        live.channels.retain(|(_, slot)| slot.strong_count() > 0);
        let (sender, channel) = bounded(capacity.max(1));
        let occupied = Arc::new(());
        live.channels.push((sender, Arc::downgrade(&occupied)));
        Some((Slot { channel, _occupied: occupied }, position))
    }

    /// Sends a batch that ends at `position` to every slot; a slot whose channel is full is removed.
    pub(crate) fn deliver(&self, batch: &SharedBatch, position: Cursor) {
        let mut live = self.live();
        live.channels.retain(|(channel, _)| channel.try_send(Arc::clone(batch)).is_ok());
        live.position = Some(position);
    }

    /// Removes every slot, so that all subscribers fall back to catch-up reads.
    pub(crate) fn clear(&self, position: Option<Cursor>) {
        let mut live = self.live();
        live.channels.clear();
        live.position = position;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
