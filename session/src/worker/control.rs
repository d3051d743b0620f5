//! Beats: while a turn runs, a thread of its own asks the store each second whether to go on, and stops the
//! program when not, or when it makes no progress in time. Nothing that the turn writes can fail or delay it.
//!
//! When the store does not answer that thread, the one that runs the turn asks, too. The time of a turn that is
//! kept here is over a little before that in the store, where another process may end the turn.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::turn::Held;
use ao_store::turn::beat::{Activity, Beat, WAITING_MAX, look};
use ao_store::{Reader, Store};

use super::pipes::Input;
use super::process::{Process, Stop};

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How long the store may not answer before another thread asks it.
const LIMIT: Duration = Duration::from_secs(5);

/// How long a program has to end a turn that it was asked to cancel.
const GRACE: Duration = Duration::from_secs(5);

/// How a program learns that its turn is to be cancelled.
#[derive(Debug)]
pub(super) enum CancelBy {
    /// By a signal.
    Signal,
    /// By a line on its input.
    Line(Input, String),
}

/// What controls the program of a turn.
#[derive(Debug)]
pub(super) struct Control {
    store: Store,
    held: Arc<Held>,
    process: Arc<Process>,
    by: CancelBy,
    /// When the program was asked to cancel the turn.
    asked: OnceLock<Instant>,
    /// When the store last answered.
    answered: Mutex<Instant>,
    silence: Duration,
    clock: Mutex<Clock>,
}

/// Until when the turn may make no progress; `None` for a time that never comes.
#[derive(Debug)]
struct Clock {
    deadline: Option<Instant>,
    is_waiting: bool,
}

impl Control {
    /// The control of a turn that was claimed after a time, and may make no progress for some time. Until what is returned with it is dropped, a thread asks the store.
    pub(super) fn start(
        store: &Store,
        held: &Arc<Held>,
        process: Arc<Process>,
        by: CancelBy,
        (at, silence): (Instant, Duration),
    ) -> (Arc<Control>, Sender<()>) {
        let deadline = at.checked_add(silence);
        let control = Arc::new(Control {
            store: store.clone(),
            held: Arc::clone(held),
            process,
            by,
            asked: OnceLock::new(),
            answered: Mutex::new(Instant::now()),
            silence,
            clock: Mutex::new(Clock { deadline, is_waiting: false }),
        });
        let (running, ended) = channel();
        let beats = Arc::clone(&control);
        // Nothing waits for it: the store may not answer.
        thread::spawn(move || beats.run(&ended));
        (control, running)
    }

    fn run(&self, ended: &Receiver<()>) {
        let mut reader: Option<Reader> = None;
        while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            reader = self.ask(reader);
            self.enforce();
        }
    }

    /// Asks the store, by a reader that is kept while it works.
    fn ask(&self, reader: Option<Reader>) -> Option<Reader> {
        fail::fail_point!("worker.beat");
        let asked = reader.map_or_else(|| self.store.own_reader(), Ok).and_then(|reader| {
            let beat = reader.read(|snapshot| look(snapshot, &self.held))?;
            Ok((reader, beat))
        });
        match asked {
            Ok((reader, beat)) => {
                *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                self.obey(beat);
                Some(reader)
            }
            Err(error) => {
                tracing::debug!(%error, "the store does not say whether to go on");
                None
            }
        }
    }

    /// Does what the store said.
    pub(super) fn obey(&self, beat: Beat) {
        match beat {
            Beat::Continue => {}
            Beat::Lost => self.process.stop(Stop::Lost),
            Beat::Cancel => match &self.by {
                CancelBy::Signal => self.process.stop(Stop::Cancelled),
                CancelBy::Line(input, line) => {
                    if self.asked.set(Instant::now()).is_ok() {
                        input.write(line.clone().into_bytes());
                    }
                }
            },
        }
    }

    /// The turn did something, which was reported to the store after this time.
    pub(super) fn extend(&self, activity: Activity, at: Instant) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waiting = activity == Activity::Waiting;
        if is_waiting && clock.is_waiting {
            return;
        }
        let horizon = if is_waiting { WAITING_MAX } else { self.silence };
        *clock = Clock { deadline: at.checked_add(horizon), is_waiting };
    }

    /// Whether the turn made no progress in time.
    pub(super) fn is_overdue(&self) -> bool {
        let clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether the program was asked to cancel the turn.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.get().is_some()
    }

    /// Stops a program that does not do what it was asked to.
    pub(super) fn enforce(&self) {
        if self.asked.get().is_some_and(|at| at.elapsed() >= GRACE) {
            self.process.stop(Stop::Cancelled);
        }
        if self.is_overdue() && !self.is_asked() {
            self.process.stop(Stop::Unresponsive);
        }
        self.process.enforce();
    }

    /// For the thread that runs the turn, again and again: beside [`Control::enforce`] it asks the store when
    /// the other thread gets no answer.
    pub(super) fn check(&self) {
        self.enforce();
        let since = self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if since < LIMIT {
            return;
        }
        // The next time after another limit.
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match self.store.read(|snapshot| look(snapshot, &self.held)) {
            Ok(beat) => self.obey(beat),
            Err(error) => tracing::debug!(%error, "the store does not say whether to go on"),
        }
    }
}
