//! The logs of failed checks that are still to be read, each once.
//!
//! A log that could not be read is *left*: nothing reads it before the checks of its pull request are
//! read again, which the end of the run provides for.

use std::collections::{BTreeMap, VecDeque};

use ao_store::PrId;

use crate::github::classify::Signal;
use crate::poll::write_batch::Write;

/// How often reading a log is tried.
const TRIES: u32 = 3;

/// How many lines of the end of a log are kept.
const LOG_LINES: usize = 40;

/// Maximum number of logs that wait; those beyond it are left.
const LOGS_MAX: usize = 1_000;

/// The log of a failed check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogJob {
    pub(crate) pr: PrId,
    /// `owner/name`.
    pub(crate) repo: String,
    /// The node id of the check.
    pub(crate) external_id: String,
    /// The id of its job.
    pub(crate) job: i64,
    tries: u32,
}

/// The logs that wait to be read.
#[derive(Debug, Default)]
pub(crate) struct LogQueue {
    waiting: VecDeque<LogJob>,
    /// How many logs of each pull request are left.
    left: BTreeMap<PrId, u64>,
}

impl LogQueue {
    /// Adds the logs of the failed checks of a pull request: the job of each check by its id.
    pub(crate) fn add(&mut self, pr: &PrId, repo: &str, jobs: BTreeMap<String, i64>) {
        for (external_id, job) in jobs {
            let is_known = |known: &LogJob| known.pr == *pr && known.job == job;
            if self.waiting.iter().any(is_known) {
                continue;
            }
            if self.waiting.len() < LOGS_MAX {
                let (pr, repo) = (pr.clone(), repo.to_owned());
                self.waiting.push_back(LogJob { pr, repo, external_id, job, tries: 0 });
            } else {
                self.leave(pr);
            }
        }
    }

    /// Keeps the logs of tracked pull requests only.
    pub(crate) fn retain(&mut self, is_tracked: impl Fn(&PrId) -> bool) {
        self.waiting.retain(|log| is_tracked(&log.pr));
        self.left.retain(|pr, _| is_tracked(pr));
    }

    fn leave(&mut self, pr: &PrId) {
        *self.left.entry(pr.clone()).or_default() += 1;
    }

    /// No other log is read.
    pub(crate) fn leave_all(&mut self) {
        for log in std::mem::take(&mut self.waiting) {
            self.leave(&log.pr);
        }
    }

    /// How many logs are left.
    pub(crate) fn left(&self) -> u64 {
        self.left.values().sum()
    }

    /// The pull requests of which logs are left.
    pub(crate) fn left_of(&self) -> impl Iterator<Item = &PrId> {
        self.left.keys()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<LogJob> {
        self.waiting.pop_front()
    }

    /// Records what came of a request for a log; returns what is to be stored.
    pub(crate) fn record_answer(
        &mut self,
        log: LogJob,
        signal: Signal,
        body: &[u8],
    ) -> Option<Write> {
        let tail = match signal {
            Signal::Success => last_lines(&String::from_utf8_lossy(body)),
            // It is gone, or the credentials may not read it: that is stored once, as an empty log.
            Signal::Missing | Signal::Forbidden => String::new(),
            // The reason has nothing to do with this log.
            Signal::Unauthorized
            | Signal::RetryAfter(_)
            | Signal::Exhausted
            | Signal::Secondary => {
                self.waiting.push_back(log);
                return None;
            }
            Signal::Heavy | Signal::Down => {
                if log.tries + 1 < TRIES {
                    self.waiting.push_back(LogJob { tries: log.tries + 1, ..log });
                } else {
                    self.leave(&log.pr);
                }
                return None;
            }
        };
        Some(Write::Log { pr: log.pr, external_id: log.external_id, tail })
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
