//! What the writer of this process last did in the background, and what came of it, for a process that shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::model::time::Timestamp;

/// What the writer of a process does besides its jobs.
#[derive(Debug, Clone, Default)]
pub struct Background {
    /// It seals the changes of foreign writers, prunes by the stored rules of retention, and frees pages.
    pub retention: Pass,
    /// It copies the write-ahead log into the database file.
    pub checkpoint: Pass,
}

/// One kind of it.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// When the last pass ended, if one has.
    pub at: Option<Timestamp>,
    /// What came of it, in words.
    pub outcome: String,
    /// Whether it failed.
    pub is_failed: bool,
    /// How many have failed.
    pub failures: u64,
}

impl Pass {
    fn set(&mut self, outcome: Result<String, String>) {
        self.at = Some(Timestamp::now());
        self.is_failed = outcome.is_err();
        self.failures += u64::from(self.is_failed);
        self.outcome = outcome.unwrap_or_else(|reason| reason);
    }
}

/// The record of it, which outlives the writer.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Background>);

impl Recorder {
    pub(crate) fn read(&self) -> Background {
        self.lock().clone()
    }

    pub(crate) fn retention(&self, outcome: Result<String, &Error>) {
        self.lock().retention.set(outcome.map_err(Error::chain));
    }

    pub(crate) fn checkpoint(&self, outcome: Result<String, String>) {
        self.lock().checkpoint.set(outcome);
    }

    /// The writer has ended, and with it everything in the background.
    pub(crate) fn end(&self, reason: &str) {
        let mut background = self.lock();
        background.retention.set(Err(reason.to_owned()));
        background.checkpoint.set(Err(reason.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, Background> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
