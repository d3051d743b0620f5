//! The newest changes that a fan-out has read, shared by its subscribers, in bounded memory.
//!
//! A subscriber is only a cursor: it takes the changes after it while the ring still has them, and
//! reads the log otherwise. The reader therefore never waits for a subscriber, and what it adds is not
//! delivered to each: it wakes those that wait.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ao_store::log::change::Change;
use ao_store::{Cursor, Epoch, Seq};

/// The changes of one read as every subscriber receives them, and what the first of them rendered.
#[derive(Debug, Default)]
pub(crate) struct Read {
    changes: Box<[Change]>,
    rendered: OnceLock<Box<dyn Any + Send + Sync>>,
}

pub(crate) type SharedBatch = Arc<Read>;

impl Read {
    /// What `render` makes of all changes: made by the first subscriber that asks. `None` if that was of another
    /// type.
    pub(crate) fn rendered<T: Send + Sync + 'static>(
        &self,
        render: impl FnOnce(&[Change]) -> T,
    ) -> Option<&T> {
        self.rendered.get_or_init(|| Box::new(render(&self.changes))).downcast_ref()
    }
}

impl From<Vec<Change>> for Read {
    fn from(changes: Vec<Change>) -> Read {
        Read { changes: changes.into(), rendered: OnceLock::new() }
    }
}

impl Deref for Read {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes
    }
}

/// What the ring has after a cursor.
#[derive(Debug)]
pub(crate) enum Found {
    /// A batch that contains the next change; it may begin with earlier ones.
    Changes(SharedBatch),
    /// Nothing yet.
    Nothing,
    /// The next change is no longer here, or the fan-out cannot read the log: the log has to be read.
    Missing,
    /// Nothing, and nothing will come.
    Stopped,
}

/// The changes that are kept for the subscribers, and who waits for more.
#[derive(Debug)]
pub(crate) struct Ring {
    state: Mutex<State>,
    grown: Condvar,
    /// The most bytes of changes that it keeps, except that it always keeps the newest batch.
    capacity: usize,
}

#[derive(Debug)]
struct State {
    /// In order and without a gap.
    batches: VecDeque<Kept>,
    bytes: usize,
    /// `None` while the fan-out cannot read the log.
    range: Option<Range>,
    /// The tasks that wait, by subscriber.
    wakers: HashMap<u64, Waker>,
    subscribers: u64,
    /// Whether something was added since the subscribers were woken.
    has_news: bool,
    is_stopped: bool,
}

#[derive(Debug)]
struct Kept {
    changes: SharedBatch,
    bytes: usize,
}

/// The ring has every change after `start` up to `end`.
#[derive(Debug, Clone, Copy)]
struct Range {
    epoch: Epoch,
    start: Seq,
    end: Seq,
}

impl Range {
    fn at(position: Cursor) -> Range {
        Range { epoch: position.epoch, start: position.seq, end: position.seq }
    }
}

impl Ring {
    pub(crate) fn new(position: Cursor, capacity: usize) -> Ring {
        let state = State {
            batches: VecDeque::new(),
            bytes: 0,
            range: Some(Range::at(position)),
            wakers: HashMap::new(),
            subscribers: 0,
            has_news: false,
            is_stopped: false,
        };
        Ring { state: Mutex::new(state), grown: Condvar::new(), capacity }
    }

    /// A number for a new subscriber, and whether the ring has everything after its cursor.
    pub(crate) fn join(&self, cursor: Cursor) -> (u64, bool) {
        let mut state = self.state();
        state.subscribers += 1;
        (state.subscribers, !matches!(state.find(cursor), Found::Missing))
    }

    /// Forgets the waker of a subscriber.
    pub(crate) fn leave(&self, subscriber: u64) {
        self.state().wakers.remove(&subscriber);
    }

    /// Adds the changes that follow on the newest one, and removes the oldest beyond the capacity. It
    /// wakes nobody.
    pub(crate) fn push(&self, changes: Vec<Change>) {
        let Some(last) = changes.last().map(|change| change.seq) else { return };
        let bytes = changes.iter().map(size).sum();
        let kept = Kept { changes: Arc::new(changes.into()), bytes };
        let mut state = self.state();
        let Some(mut range) = state.range else { return };
        range.end = last;
        state.bytes += bytes;
        state.batches.push_back(kept);
        // Freed after the lock is released: it takes as long as a subscriber's turn.
        let mut removed = Vec::new();
        while state.bytes > self.capacity && state.batches.len() > 1 {
            let Some(oldest) = state.batches.pop_front() else { break };
            state.bytes -= oldest.bytes;
            range.start = oldest.changes.last().map_or(range.start, |change| change.seq);
            removed.push(oldest);
        }
        state.range = Some(range);
        state.has_news = true;
        drop(state);
    }

    /// Wakes every subscriber that waits, if something was added.
    pub(crate) fn wake(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.has_news) {
            self.wake_all(state);
        }
    }

    /// Removes everything: the subscribers read the log up to this position, or while there is none.
    pub(crate) fn restart(&self, position: Option<Cursor>) {
        let mut state = self.state();
        state.batches.clear();
        state.bytes = 0;
        state.range = position.map(Range::at);
        self.wake_all(state);
    }

    /// Nothing is added any more; what is here is still delivered.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        self.wake_all(state);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// What is after the cursor; waits for it while there is nothing.
    pub(crate) fn wait(&self, cursor: Cursor, deadline: Instant) -> Found {
        let mut state = self.state();
        loop {
            let found = state.find(cursor);
            let left = deadline.saturating_duration_since(Instant::now());
            if !matches!(found, Found::Nothing) || left == Duration::ZERO {
                return found;
            }
            let waited = self.grown.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is after the cursor; the task is woken when there is something.
    pub(crate) fn poll(&self, cursor: Cursor, subscriber: u64, cx: &Context<'_>) -> Poll<Found> {
        let mut state = self.state();
        match state.find(cursor) {
            Found::Nothing => {
                state.wakers.insert(subscriber, cx.waker().clone());
                Poll::Pending
            }
            found => Poll::Ready(found),
        }
    }

    fn wake_all(&self, mut state: MutexGuard<'_, State>) {
        let wakers: Vec<Waker> = state.wakers.drain().map(|(_, waker)| waker).collect();
        drop(state);
        self.grown.notify_all();
        for waker in wakers {
            // A waker is code of the subscriber: it runs without the lock, and its panic stops no other.
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::warn!("the waker of a subscriber panicked");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, cursor: Cursor) -> Found {
        let range = self
            .range
            .filter(|range| range.epoch == cursor.epoch && range.start <= cursor.seq)
            .map(|range| range.end);
        match range {
            Some(end) if cursor.seq < end => {
                let is_before =
                    |kept: &Kept| kept.changes.last().is_none_or(|last| last.seq <= cursor.seq);
                let next = self.batches.partition_point(is_before);
                self.batches
                    .get(next)
                    .map_or(Found::Missing, |kept| Found::Changes(Arc::clone(&kept.changes)))
            }
            _ if self.is_stopped => Found::Stopped,
            // A subscriber that has read the log itself can be ahead of the fan-out.
            Some(_) => Found::Nothing,
            None => Found::Missing,
        }
    }
}

/// The memory of a change.
fn size(change: &Change) -> usize {
    size_of::<Change>() + change.text_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: i64) -> Cursor {
        Cursor { epoch: Epoch(1), seq: Seq(seq) }
    }

    fn changes(seqs: std::ops::Range<i64>) -> Vec<Change> {
        let text = "x".repeat(100);
        let text = Some(text.as_str());
        let texts = [None, text, text, text, text, None, None, None, text];
        let change = |seq| Change::new(Seq(seq), None, ao_store::Timestamp(0), texts);
        seqs.map(change).collect()
    }

    fn first(found: &Found) -> Option<i64> {
        match found {
            Found::Changes(changes) => Some(changes[0].seq.0),
            _ => None,
        }
    }

    #[test]
    fn the_newest_changes_stay_within_the_capacity_and_the_newest_batch_always() {
        let each = size(&changes(1..2)[0]);
        assert_eq!(each, size_of::<Change>() + 500);
        for capacity in [each * 40, 1] {
            let ring = Ring::new(at(0), capacity);
            for batch in 0..30 {
                ring.push(changes(1 + batch * 10..11 + batch * 10));
                let state = ring.state();
                let kept = state.batches.iter().map(|kept| kept.bytes).sum::<usize>();
                assert_eq!(kept, state.bytes);
                assert!(kept <= capacity.max(each * 10), "{kept}");
            }
            let start = if capacity == 1 { 290 } else { 260 };
            let found = |seq| ring.state().find(at(seq));
            assert!(matches!(found(start - 1), Found::Missing));
            assert_eq!(first(&found(start)), Some(start + 1));
            assert_eq!(first(&found(295)), Some(291));
            assert!(matches!(found(300), Found::Nothing));
            assert!(matches!(found(305), Found::Nothing), "it is ahead of the fan-out");
        }
    }

    #[test]
    fn a_restart_and_another_epoch_send_everyone_to_the_log() {
        let ring = Ring::new(at(0), 1 << 20);
        ring.push(changes(1..5));
        let elsewhere = Cursor { epoch: Epoch(2), seq: Seq(2) };
        assert!(matches!(ring.state().find(elsewhere), Found::Missing));
        ring.restart(None);
        assert!(matches!(ring.state().find(at(4)), Found::Missing));
        ring.push(changes(5..6));
        assert!(matches!(ring.state().find(at(4)), Found::Missing), "there is no position");
        ring.restart(Some(elsewhere));
        assert!(matches!(ring.state().find(at(4)), Found::Missing));
        assert!(matches!(ring.state().find(elsewhere), Found::Nothing));
    }

    #[test]
    fn what_was_added_before_the_end_is_still_delivered() {
        let ring = Ring::new(at(0), 1);
        ring.push(changes(1..3));
        ring.push(changes(3..5));
        ring.stop();
        assert_eq!(first(&ring.state().find(at(2))), Some(3));
        for seq in [0, 4] {
            assert!(matches!(ring.wait(at(seq), Instant::now()), Found::Stopped));
        }
    }

    #[test]
    fn a_subscriber_has_one_waker_and_none_when_it_leaves() {
        let ring = Ring::new(at(0), 1);
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            let (number, is_live) = ring.join(at(0));
            assert!(is_live);
            for _ in 0..3 {
                assert!(ring.poll(at(0), number, &cx).is_pending());
            }
            assert_eq!(ring.state().wakers.len(), 1);
            ring.leave(number);
            assert!(ring.state().wakers.is_empty());
        }
    }

    #[test]
    fn a_waker_that_panics_stops_no_other() {
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: Arc<Panics>) {
                panic!("of a test");
            }
        }
        struct Counts(std::sync::atomic::AtomicU32);
        impl std::task::Wake for Counts {
            fn wake(self: Arc<Counts>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let ring = Ring::new(at(0), 1);
        let counts = Arc::new(Counts(0.into()));
        for number in 0..6 {
            let waker =
                if number % 2 == 0 { Arc::new(Panics).into() } else { Arc::clone(&counts).into() };
            assert!(ring.poll(at(0), number, &Context::from_waker(&waker)).is_pending());
        }
        ring.push(changes(1..2));
        ring.wake();
        assert_eq!(counts.0.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}
