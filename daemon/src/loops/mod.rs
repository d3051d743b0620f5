//! The loops of the daemon, each in a thread of its own: one that fails or panics is started again after a
//! pause, disturbs no other, and what happened stays visible.

pub(crate) mod deliveries;
pub(crate) mod observer;
mod owners;
pub(crate) mod reaper;
pub(crate) mod reconcile;
pub(crate) mod turns;
pub(crate) mod writer;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ao_store::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// The pause before a loop is started again; it doubles with each failure in a row.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A loop that ran this long has not failed in a row.
const STEADY: Duration = Duration::from_secs(60);
/// How often a pause looks at whether the daemon stops.
const TICK: Duration = Duration::from_millis(50);

/// What came of a pass where the sessions are not known to run on this machine.
pub(crate) const ELSEWHERE: &str =
    "nothing: it is not confirmed that the sessions run on this machine";

/// What a loop does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopState {
    /// It works, or waits for work.
    Running,
    /// It waits for another process that does the same.
    Waiting,
    /// It failed, and is started again after a pause.
    Failed,
    /// It has nothing to do, at least for now.
    Done,
}

impl LoopState {
    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LoopState::Running => "running",
            LoopState::Waiting => "waiting",
            LoopState::Failed => "failed",
            LoopState::Done => "done",
        }
    }
}

/// A loop as `status` and the metrics show it.
#[derive(Debug, Clone)]
pub struct LoopStatus {
    /// Its name.
    pub name: &'static str,
    /// What it does now.
    pub state: LoopState,
    /// When its last pass ended, if one has.
    pub at: Option<Timestamp>,
    /// What came of that pass, in words.
    pub outcome: String,
    /// How often it was started again after a failure.
    pub restarts: u64,
}

/// All loops of a daemon.
#[derive(Debug)]
pub(crate) struct Loops {
    stop: CancellationToken,
    statuses: Arc<Mutex<Vec<LoopStatus>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a running loop reports to, and is stopped by.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    index: usize,
    statuses: Arc<Mutex<Vec<LoopStatus>>>,
    stop: CancellationToken,
}

impl Loops {
    pub(crate) fn new(stop: CancellationToken) -> Loops {
        Loops { stop, statuses: Arc::default(), threads: Mutex::default() }
    }

    /// Starts a loop. `body` runs until it is done, or until the reporter says that it is stopped.
    pub(crate) fn start(
        &self,
        name: &'static str,
        mut body: impl FnMut(&Reporter) -> Result<(), String> + Send + 'static,
    ) -> Result<()> {
        let status = LoopStatus {
            name,
            state: LoopState::Running,
            at: None,
            outcome: String::new(),
            restarts: 0,
        };
        let mut statuses = lock(&self.statuses);
        let index = statuses.len();
        statuses.push(status);
        drop(statuses);
        let statuses = Arc::clone(&self.statuses);
        let reporter = Reporter { index, statuses, stop: self.stop.clone() };
        let run = move || reporter.repeat(&mut body);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        lock(&self.threads).push(thread.map_err(Error::Thread)?);
        Ok(())
    }

    pub(crate) fn statuses(&self) -> Vec<LoopStatus> {
        lock(&self.statuses).clone()
    }

    /// Stops them, and waits for them.
    pub(crate) fn finish(&self) {
        self.stop.cancel();
        for thread in lock(&self.threads).drain(..) {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

impl Reporter {
    /// Whether the daemon stops.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits; returns whether the daemon stops.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < until {
            thread::sleep(until.saturating_duration_since(Instant::now()).min(TICK));
        }
        self.is_stopped()
    }

    pub(crate) fn set(&self, state: LoopState) {
        self.change(|status| status.state = state);
    }

    /// Records what came of a pass.
    pub(crate) fn report(&self, outcome: String) {
        self.change(|status| {
            status.at = Some(Timestamp::now());
            status.outcome = outcome;
        });
    }

    fn change(&self, change: impl FnOnce(&mut LoopStatus)) {
        if let Some(status) = lock(&self.statuses).get_mut(self.index) {
            change(status);
        }
    }

    fn repeat(&self, body: &mut dyn FnMut(&Reporter) -> Result<(), String>) {
        let mut pause = PAUSE;
        loop {
            let since = Instant::now();
            self.set(LoopState::Running);
            let ended = catch_unwind(AssertUnwindSafe(|| body(self)));
            let failure = match ended {
                Ok(Ok(())) => return self.set(LoopState::Done),
                Ok(Err(reason)) => reason,
                Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
            };
            if self.is_stopped() {
                return self.set(LoopState::Done);
            }
            tracing::warn!(reason = failure, "a loop of the daemon failed");
            self.report(failure);
            self.set(LoopState::Failed);
            pause = if since.elapsed() >= STEADY { PAUSE } else { pause };
            if self.pause(pause) {
                return;
            }
            self.change(|status| status.restarts += 1);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why something failed, with its causes.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn wait_for(what: &str, is_so: impl Fn() -> bool) {
        let by = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < by, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_loop_that_panics_is_started_again_and_disturbs_no_other() {
        let loops = Loops::new(CancellationToken::new());
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let body = move |reporter: &Reporter| {
            assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "planned");
            reporter.report("well".to_owned());
            Ok(())
        };
        loops.start("panics", body).unwrap();
        let wait = |reporter: &Reporter| {
            while !reporter.pause(Duration::from_secs(1)) {}
            Ok(())
        };
        loops.start("waits", wait).unwrap();
        let first = |loops: &Loops| loops.statuses().remove(0);
        wait_for("it has failed", || {
            first(&loops).restarts > 0 || first(&loops).state == LoopState::Failed
        });
        assert!(first(&loops).outcome.contains("planned"));
        wait_for("it is done", || first(&loops).state == LoopState::Done);
        let status = first(&loops);
        assert_eq!((status.restarts, status.outcome.as_str()), (1, "well"));
        assert_eq!(loops.statuses()[1].state, LoopState::Running);
        loops.finish();
    }
}
