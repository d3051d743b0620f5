//! The observer: waits until no other process observes for the store, and then observes.

use std::time::Duration;

use ao_observer::run::{self, Cycle, Event, Lock, Setup, What};

use super::{LoopState, Reporter, reason};
use crate::notice::{Notice, Notify};

/// How often the lock of another observer is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Observes until the daemon stops.
pub(crate) fn run(
    setup: &Setup,
    command: &str,
    notify: &Notify,
    reporter: &Reporter,
) -> Result<(), String> {
    let Some(lock) = wait_for_lock(setup, command, notify, reporter)? else { return Ok(()) };
    reporter.set(LoopState::Running);
    let (shown, reported) = (Notify::clone(notify), reporter.clone());
    let show = move |event: Event| {
        if let What::Cycle(cycle) = &event.what {
            reported.report(describe(&event.host, cycle));
        }
        shown(Notice::Observer(event));
    };
    let ended = run::run(setup, lock, reporter.stop(), show).and_then(run::Ended::outcome);
    ended.map_err(|error| reason(&error))
}

fn describe(host: &str, cycle: &Cycle) -> String {
    let Cycle { requests, rows_changed, failure, .. } = cycle;
    match failure.is_empty() {
        true => format!("{host}: {requests} requests, {rows_changed} rows changed"),
        false => format!("{host}: {failure}"),
    }
}

/// `None` if the daemon stops before it has the lock.
fn wait_for_lock(
    setup: &Setup,
    command: &str,
    notify: &Notify,
    reporter: &Reporter,
) -> Result<Option<Lock>, String> {
    let mut is_reported = false;
    loop {
        match Lock::take(setup.store.path(), command) {
            Ok(lock) => return Ok(Some(lock)),
            Err(ao_observer::Error::Running) if !is_reported => {
                is_reported = true;
                reporter.set(LoopState::Waiting);
                reporter.report("another process observes".to_owned());
                notify(Notice::ObserverElsewhere(run::running(setup.store.path()).ok().flatten()));
            }
            Err(ao_observer::Error::Running) => {}
            Err(error) => return Err(reason(&error)),
        }
        if reporter.pause(RETRY) {
            return Ok(None);
        }
    }
}
