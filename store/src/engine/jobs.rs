//! The jobs that wait for the writer, in their order, and who leads: at any time at most one thread commits for
//! all.
//!
//! A caller that finds no leader leads itself if it was also the last to write. Several callers pass the lead on
//! to the writer's thread, so that none of them is kept to commit for the others; it also asks for the lead when
//! maintenance is due. While the leader waits for another process, each caller ends its own wait; a job that was
//! taken is always answered by the one who took it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::engine::job::Job;
use crate::error::{Error, Result};

/// The maximum number of waiting jobs; a further caller blocks until there is room.
const QUEUE: usize = 1024;

struct Queued {
    id: u64,
    job: Job,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leader {
    None,
    Caller,
    Thread,
}

struct State {
    waiting: VecDeque<Queued>,
    /// The number of the newest job.
    newest: u64,
    leader: Leader,
    /// Who wrote last.
    last: Option<ThreadId>,
    /// The thread that runs jobs.
    runner: Option<ThreadId>,
    /// The leader waits for another process, and has taken no job.
    is_blocked: bool,
    /// The thread wants to lead once the present leader ends.
    is_wanted: bool,
    /// The number of the thread: how many were given up before it.
    thread: u64,
    is_closed: bool,
    /// How many callers wait until there is room.
    for_room: usize,
    /// The number of commits.
    commits: u64,
}

/// The queue of one writer.
pub(crate) struct Jobs {
    state: Mutex<State>,
    room: Condvar,
    thread: Condvar,
}

/// What a caller does once its job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It commits for all.
    Lead,
    /// It passes that on to the writer's thread.
    Pass,
    /// Another leads.
    Wait,
}

/// What the writer's thread does next.
pub(crate) enum Call {
    /// It leads.
    Lead,
    /// The time is over, in which there were so many commits. It does not lead.
    Time,
    /// The writer is closed, or broken.
    End,
}

impl Jobs {
    pub(crate) fn new() -> Jobs {
        let state = State {
            waiting: VecDeque::new(),
            newest: 0,
            leader: Leader::None,
            last: None,
            runner: None,
            is_blocked: false,
            is_wanted: false,
            thread: 0,
            is_closed: false,
            for_room: 0,
            commits: 0,
        };
        Jobs { state: Mutex::new(state), room: Condvar::new(), thread: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, when there is room; returns its number, and what the caller does about it.
    ///
    /// # Errors
    /// In a job, which would wait for itself; when the writer is closed.
    pub(crate) fn push(&self, job: Job) -> Result<(u64, Pushed)> {
        let (mut state, caller) = (self.lock(), thread::current().id());
        if state.runner == Some(caller) {
            return Err(Error::Nested);
        }
        while state.waiting.len() >= QUEUE && !state.is_closed {
            state.for_room += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.for_room -= 1;
        }
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.newest += 1;
        let id = state.newest;
        state.waiting.push_back(Queued { id, job });
        let is_other = state.last.replace(caller).is_some_and(|last| last != caller);
        let pushed = match state.leader {
            Leader::None if is_other => Pushed::Pass,
            Leader::None => Pushed::Lead,
            _ => Pushed::Wait,
        };
        if pushed != Pushed::Wait {
            state.leader = Leader::Caller;
        }
        Ok((id, pushed))
    }

    /// Whether the first job needs a commit that is synced.
    pub(crate) fn needs_sync(&self) -> bool {
        self.lock().waiting.front().is_none_or(|queued| queued.job.needs_sync())
    }

    /// Takes the first job, to run it in this thread, if its need for a sync equals that of this commit: one that needs
    /// a sync must get it, and does not wait for work that needs none.
    pub(crate) fn pop(&self, is_synced: bool) -> Option<Job> {
        let mut state = self.lock();
        if state.waiting.front()?.job.needs_sync() != is_synced {
            return None;
        }
        let queued = state.waiting.pop_front()?;
        state.runner = Some(thread::current().id());
        self.notify_room(&state);
        Some(queued.job)
    }

    fn notify_room(&self, state: &State) {
        if state.for_room > 0 {
            self.room.notify_one();
        }
    }

    /// Takes the first job, to refuse it.
    pub(crate) fn pop_any(&self) -> Option<Job> {
        let mut state = self.lock();
        let queued = state.waiting.pop_front()?;
        self.notify_room(&state);
        Some(queued.job)
    }

    /// The jobs that were taken are answered.
    pub(crate) fn rest(&self) {
        let mut state = self.lock();
        state.runner = None;
        state.commits += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// How many times jobs were committed.
    pub(crate) fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Whether a job was not taken yet although the leader waits for another process.
    pub(crate) fn is_stuck(&self, id: u64) -> bool {
        let state = self.lock();
        state.is_blocked && state.waiting.iter().any(|queued| queued.id == id)
    }

    /// Removes a job that was not taken.
    pub(crate) fn remove(&self, id: u64) -> Option<Job> {
        let mut state = self.lock();
        let at = state.waiting.iter().position(|queued| queued.id == id)?;
        let queued = state.waiting.remove(at)?;
        self.notify_room(&state);
        Some(queued.job)
    }

    /// Ends the lead unless there is a job; returns whether it ended.
    pub(crate) fn end_lead(&self) -> bool {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            return false;
        }
        if std::mem::take(&mut state.is_wanted) && state.leader == Leader::Caller {
            state.leader = Leader::Thread;
            self.thread.notify_one();
        } else {
            state.leader = Leader::None;
        }
        true
    }

    /// The thread leads from now on.
    pub(crate) fn pass_to_thread(&self, is_blocked: bool) {
        let mut state = self.lock();
        (state.leader, state.is_blocked, state.is_wanted) = (Leader::Thread, is_blocked, false);
        self.thread.notify_one();
    }

    /// The leader waits for another process, or has what it waited for. False when the writer is closed
    /// and there is nothing to wait for.
    pub(crate) fn set_blocked(&self, is_blocked: bool) -> bool {
        let mut state = self.lock();
        state.is_blocked = is_blocked;
        !state.is_closed
    }

    /// The thread with this number has what it waited for; returns whether it was not given up.
    pub(crate) fn unblock(&self, thread: u64) -> bool {
        let mut state = self.lock();
        let is_current = state.thread == thread;
        state.is_blocked &= !is_current;
        is_current
    }

    /// The number of the thread, or of the next one.
    pub(crate) fn thread(&self) -> u64 {
        self.lock().thread
    }

    /// A caller leads instead of the thread, which waits for its turn and is given up; returns whether it
    /// still waits.
    pub(crate) fn give_up_thread(&self) -> bool {
        let mut state = self.lock();
        if !state.is_blocked {
            return false;
        }
        state.thread += 1;
        (state.leader, state.is_blocked, state.is_wanted) = (Leader::Caller, false, false);
        true
    }

    /// What the thread waits for, up to `time`.
    pub(crate) fn wait_to_lead(&self, time: Duration) -> Call {
        let state = self.lock();
        let is_idle = |state: &mut State| state.leader != Leader::Thread && !state.is_closed;
        let waited = self.thread.wait_timeout_while(state, time, is_idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (state.is_closed, state.leader) {
            (true, _) => Call::End,
            (false, Leader::Thread) => Call::Lead,
            _ => Call::Time,
        }
    }

    /// Lets the thread lead now, or when the present leader ends; returns whether it leads now.
    pub(crate) fn want_lead(&self) -> bool {
        let mut state = self.lock();
        if state.leader == Leader::None {
            state.leader = Leader::Thread;
        } else {
            state.is_wanted = true;
        }
        state.leader == Leader::Thread
    }

    /// Refuses further jobs; returns whether the thread waits for another process.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        state.is_closed = true;
        self.thread.notify_all();
        self.room.notify_all();
        state.is_blocked
    }

    /// The leader cannot go on: every job is dropped, by which its caller learns of it.
    pub(crate) fn break_down(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting);
    }
}
