//! Ctrl-C and SIGTERM: the first one ends the stream in order, the second one at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A signal that ended a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    /// 128 and the number of the signal, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

/// Tells whether a signal came.
#[derive(Debug)]
pub(crate) struct Signals {
    came: Arc<AtomicUsize>,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> io::Result<Signals> {
        let came = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for (number, status) in [(SIGINT, 130), (SIGTERM, 143)] {
            flag::register_conditional_shutdown(number, status, Arc::clone(&again))?;
            flag::register(number, Arc::clone(&again))?;
            flag::register_usize(number, Arc::clone(&came), number.unsigned_abs() as usize)?;
        }
        Ok(Signals { came })
    }

    /// The signal that came.
    pub(crate) fn came(&self) -> Option<Signal> {
        match self.came.load(Ordering::Relaxed) {
            0 => None,
            number if number == SIGTERM.unsigned_abs() as usize => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        }
    }
}
