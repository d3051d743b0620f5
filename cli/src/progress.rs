//! The progress line: one line of a terminal on standard error, which each update overwrites. Messages
//! are printed above it, so no rest of it stays between them.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the terminal shows; empty when there is no progress line.
static SHOWN: Mutex<String> = Mutex::new(String::new());

/// Moves to the start of the line and erases it.
const ERASE: &str = "\r\x1b[2K";

/// Whether a progress line can be shown.
pub(crate) fn is_possible() -> bool {
    stderr().is_terminal()
}

/// Shows this text instead of the one before. It has no control characters and at most [`width`] columns.
pub(crate) fn show(text: &str) {
    let mut shown = lock();
    if *shown == text {
        return;
    }
    text.clone_into(&mut shown);
    draw(&format!("{ERASE}{shown}"));
}

/// Erases the line.
pub(crate) fn clear() {
    let mut shown = lock();
    if !shown.is_empty() {
        draw(ERASE);
        shown.clear();
    }
}

/// Writes something else to the terminal, above the line.
pub(crate) fn above<T>(write: impl FnOnce() -> T) -> T {
    let shown = lock();
    if shown.is_empty() {
        return write();
    }
    draw(ERASE);
    let done = write();
    draw(&shown);
    done
}

/// Another thread that panicked leaves a text as good as any.
fn lock() -> MutexGuard<'static, String> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Progress that cannot be written is no reason to fail.
fn draw(text: &str) {
    let mut stderr = stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// The columns that a line may fill without a wrap.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(stderr()).map_or(0, |size| usize::from(size.ws_col));
    match size {
        0 => 79,
        size => size.clamp(2, 1_000) - 1,
    }
}
