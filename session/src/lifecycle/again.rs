//! Repeats what undoes, finishes or ends a verb while it fails for a reason that may pass: left half-done, it
//! would keep the session from the next verb until something settles it.

use std::thread::sleep;
use std::time::Duration;

use ao_store::SessionId;

use crate::error::Result;

/// What is waited for before each repetition: a moment for a file that appears while its directory is removed
/// or for a lock of git, longer for a machine that is busy.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// Does this until it succeeds, at most five times. Done in part or as a whole, it can be done again.
///
/// # Errors
/// The last one, or the first one that does not pass.
pub(super) fn again<T>(
    session: &SessionId,
    action: &'static str,
    work: impl Fn() -> Result<T>,
) -> Result<T> {
    for pause in PAUSES {
        match work() {
            Err(error) if error.may_pass() => {
                let error = error.chain();
                tracing::info!(%session, error, "cannot {action}; it is tried again");
                sleep(pause);
            }
            done => return done,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::Error;

    /// The outcome, and how often it was tried, of what fails with this error a number of times.
    fn tried(failures: usize, error: impl Fn() -> Error) -> (Result<()>, usize) {
        let tries = Cell::new(0);
        let done = again(&"p-1".parse().unwrap(), "do it", || {
            tries.set(tries.get() + 1);
            if tries.get() > failures { Ok(()) } else { Err(error()) }
        });
        (done, tries.get())
    }

    #[test]
    fn what_fails_for_a_reason_that_may_pass_is_tried_again() {
        let passes = || Error::RuntimeFailed { action: "remove it", reason: String::new() };
        assert!(matches!(tried(0, passes), (Ok(()), 1)));
        assert!(matches!(tried(2, passes), (Ok(()), 3)));
        assert!(matches!(tried(9, passes), (Err(Error::RuntimeFailed { .. }), 5)));
        let stays = || Error::Interrupted { signal: 2 };
        assert!(matches!(tried(9, stays), (Err(Error::Interrupted { .. }), 1)));
    }
}
