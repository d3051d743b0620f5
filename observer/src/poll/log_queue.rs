//! The logs of failed checks that are still to be read, each once.

use std::collections::{BTreeMap, VecDeque};

use ao_store::PrId;

use crate::github::classify::Signal;
use crate::poll::write_batch::Write;

/// How often reading a log is tried.
const TRIES: u32 = 3;

/// How many lines of the end of a log are kept.
const LOG_LINES: usize = 40;

/// Maximum number of logs that wait; those beyond it are not read.
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
pub(crate) struct LogQueue(VecDeque<LogJob>);

impl LogQueue {
    /// Adds the logs of the failed checks of a pull request: the job of each check by its id.
    pub(crate) fn add(&mut self, pr: &PrId, repo: &str, jobs: BTreeMap<String, i64>) {
        for (external_id, job) in jobs {
            let is_known = |known: &LogJob| known.pr == *pr && known.job == job;
            if self.0.len() < LOGS_MAX && !self.0.iter().any(is_known) {
                let (pr, repo) = (pr.clone(), repo.to_owned());
                self.0.push_back(LogJob { pr, repo, external_id, job, tries: 0 });
            }
        }
    }

    /// Keeps the logs of tracked pull requests only.
    pub(crate) fn retain(&mut self, is_tracked: impl Fn(&PrId) -> bool) {
        self.0.retain(|log| is_tracked(&log.pr));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<LogJob> {
        self.0.pop_front()
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
                self.0.push_back(log);
                return None;
            }
            Signal::Heavy | Signal::Down => {
                if log.tries + 1 < TRIES {
                    self.0.push_back(LogJob { tries: log.tries + 1, ..log });
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
