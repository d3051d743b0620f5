//! Ctrl-C, SIGTERM and SIGHUP: the first one shuts the command down gracefully, the second one at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// A signal that ended a command, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal(usize);

impl Signal {
    /// 128 and the number of the signal, as in shells.
    pub(crate) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(u8::MAX)
    }

    /// Whether it is that of Ctrl-C.
    pub(crate) fn is_interrupt(self) -> bool {
        self.0 == SIGINT.unsigned_abs() as usize
    }
}

/// Records the received signal.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    received: Arc<AtomicUsize>,
}

/// The ones of this process, once it listens: all parts of a command see the same signal.
static LISTENING: Mutex<Option<Signals>> = Mutex::new(None);

impl Signals {
    /// Starts to listen. SIGHUP stays ignored where this process was started so, as by `nohup`.
    pub(crate) fn listen() -> io::Result<Signals> {
        let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signals) = &*listening {
            return Ok(signals.clone());
        }
        let received = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            if number == SIGHUP && is_ignored(SIGHUP) {
                continue;
            }
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&again))?;
            flag::register(number, Arc::clone(&again))?;
            flag::register_usize(number, Arc::clone(&received), number.unsigned_abs() as usize)?;
        }
        if is_ignored(SIGCHLD) {
            // Then the kernel would not keep how a child ended.
            flag::register(SIGCHLD, Arc::default())?;
        }
        Ok(listening.insert(Signals { received }).clone())
    }

    /// The received signal.
    pub(crate) fn received(&self) -> Option<Signal> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            number => Some(Signal(number)),
        }
    }

    /// Where the number of the received signal is; 0 before.
    pub(crate) fn number(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.received)
    }
}

/// Whether this process ignores a signal; `false` where the system does not say.
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (number - 1)) != 0
}
