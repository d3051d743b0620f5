//! Waits until sessions meet a condition: on the changes themselves, without a timer.
//!
//! A condition is a level: what is met at the start counts. After a cursor only what changed later does; what
//! changed in between and is no longer so counts, too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ao_store::log::change::Change;
use ao_store::row::{launch, pr, session};
use ao_store::{Cursor, Reader, SessionId, Snapshot, Store};

use crate::condition::{Condition, Rows};
use crate::error::Result;
use crate::filter::Filter;
use crate::tail::{LONGEST_WAIT, Start, Tail};

/// Changes looked at in one read.
const BATCH: usize = 512;

/// What ended the wait for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It meets a condition.
    Met {
        /// The session.
        session: SessionId,
        /// The first one of the wanted conditions that it meets.
        condition: Condition,
        /// Why.
        reason: String,
        /// The change by which it is met, or the position at which it was.
        cursor: Cursor,
    },
    /// It can no longer meet any of them.
    Lost {
        /// The session.
        session: SessionId,
        /// Why.
        reason: String,
    },
}

/// A wait for one or several sessions. Each has one outcome.
#[derive(Debug)]
pub struct Wait {
    tail: Tail,
    reader: Reader,
    conditions: Vec<Condition>,
    /// The sessions without an outcome.
    pending: Vec<SessionId>,
    ready: VecDeque<Outcome>,
    /// Whether a level counts that was there before the first change.
    counts_level: bool,
    /// Whether the rows of a pending session may have changed since they were read.
    is_news: bool,
}

impl Wait {
    /// Begins to wait until each session meets one of the conditions.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; the cursor errors; when the store cannot be read.
    pub fn open(
        store: &Store,
        sessions: &[SessionId],
        conditions: &[Condition],
        after: Option<Cursor>,
    ) -> Result<Wait> {
        let reader = store.own_reader()?;
        for id in sessions {
            reader.read(|snapshot| session::require(snapshot, id))?;
        }
        let filter = Filter::new(Vec::new(), Vec::new(), sessions.to_vec())?;
        let tail = Tail::open(store, after.map_or(Start::End, Start::Cursor), filter)?;
        let mut conditions = conditions.to_vec();
        conditions.sort_unstable();
        let mut pending: Vec<SessionId> = Vec::new();
        for id in sessions {
            if !pending.contains(id) {
                pending.push(id.clone());
            }
        }
        let (ready, counts_level) = (VecDeque::new(), after.is_none());
        Ok(Wait { tail, reader, conditions, pending, ready, counts_level, is_news: true })
    }

    /// The sessions that have no outcome yet.
    #[must_use]
    pub fn pending(&self) -> &[SessionId] {
        &self.pending
    }

    /// Whether each session has had its outcome.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.pending.is_empty() && self.ready.is_empty()
    }

    /// The next outcome; `None` when none came in time, or each session had one.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND` when a session was deleted; those of [`Tail::visit`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Outcome>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                return Ok(Some(outcome));
            }
            if self.pending.is_empty() {
                return Ok(None);
            }
            let is_at_head = self.read_changes()?;
            if is_at_head && self.is_news {
                self.read_rows()?;
            }
            if self.ready.is_empty() && is_at_head {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                self.tail.wait(left)?;
            }
        }
    }

    /// Looks at the next changes; returns whether there were no more.
    fn read_changes(&mut self) -> Result<bool> {
        let mut changes: Vec<Change> = Vec::new();
        let visited = self.tail.visit(BATCH, |change| {
            if ["session", "launch", "pr"].contains(&&*change.entity()?) {
                changes.push(change.to_owned()?);
            }
            Ok(())
        })?;
        for change in changes {
            self.is_news = true;
            let owner = change.session();
            let Some(at) = self.pending.iter().position(|id| Some(id.as_str()) == owner) else {
                continue;
            };
            let met = |it: &Condition| Some((*it, it.met_by_change(&change)?));
            if let Some((condition, reason)) = self.conditions.iter().find_map(met) {
                let session = self.pending.remove(at);
                let cursor = Cursor { seq: change.seq, ..self.tail.cursor() };
                self.ready.push_back(Outcome::Met { session, condition, reason, cursor });
            }
        }
        Ok(visited.is_at_head)
    }

    /// Looks at the rows of the pending sessions: for what was met before, and for what cannot be met.
    fn read_rows(&mut self) -> Result<()> {
        let (counts_level, conditions) = (self.counts_level, &self.conditions);
        let cursor = self.tail.cursor();
        let (mut decided, mut left) = (Vec::new(), Vec::new());
        for session in std::mem::take(&mut self.pending) {
            let rows = self.reader.read(|snapshot| read(snapshot, &session))?;
            // An end is final: nothing later can be evidence of it.
            let counts = |it: &&Condition| counts_level || **it == Condition::Exited;
            let met = |it: &Condition| Some((*it, it.met_by(&rows)?));
            let met = conditions.iter().filter(counts).find_map(met);
            let can_be_met = conditions.iter().any(|it| it.can_be_met(&rows));
            match met {
                Some((condition, reason)) => {
                    decided.push(Outcome::Met { session, condition, reason, cursor });
                }
                None if can_be_met => left.push(session),
                None => {
                    let reason = rows.end().unwrap_or_default();
                    decided.push(Outcome::Lost { session, reason });
                }
            }
        }
        self.pending = left;
        self.ready.extend(decided);
        self.is_news = false;
        Ok(())
    }
}

fn read(snapshot: &Snapshot<'_>, id: &SessionId) -> ao_store::Result<Rows> {
    let session = session::require(snapshot, id)?;
    let launch = launch::get(snapshot, &session.launch)?;
    let filter = pr::Filter { session: Some(id.clone()), ..pr::Filter::default() };
    let prs = pr::list(snapshot, &filter)?;
    Ok(Rows { session, launch, prs })
}
