//! Starts the processes that write messages, where something has been due for a while: nobody started one, or it
//! was killed before it began.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ao_store::SessionId;
use ao_store::row::delivery;

use super::Sessions;
use crate::error::Result;

/// How long something is due before a process is started for it.
const DUE: Duration = Duration::from_secs(3);

/// How long a process may look at the screen of a program that starts, before another one is started.
const BETWEEN: Duration = Duration::from_secs(30);

/// What is remembered from one pass to the next: when a process is started for a session.
#[derive(Debug, Default)]
pub struct Writers(HashMap<SessionId, Instant>);

/// What one pass found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// The sessions for which something is due that no process writes.
    pub sessions: usize,
    /// Those for which a process was started now.
    pub started: usize,
    /// The sessions of the store run on another machine as far as is known, and nothing was looked at.
    pub is_elsewhere: bool,
}

impl Writers {
    /// Starts the processes whose time has come.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn start(&mut self, sessions: &Sessions) -> Result<Due> {
        if !sessions.is_machine_confirmed()? {
            return Ok(Due { is_elsewhere: true, ..Due::default() });
        }
        let due = sessions.store.read(delivery::unattended)?;
        let count = due.len();
        let started = self.pass(due, Instant::now());
        started.iter().for_each(|session| sessions.start_runner(session));
        Ok(Due { sessions: count, started: started.len(), is_elsewhere: false })
    }

    /// The sessions for which a process is started now, of those for which something is due.
    fn pass(&mut self, due: Vec<SessionId>, now: Instant) -> Vec<SessionId> {
        self.0.retain(|session, _| due.contains(session));
        let mut started = Vec::new();
        for session in due {
            let at = self.0.entry(session.clone()).or_insert(now + DUE);
            if *at <= now {
                *at = now + BETWEEN;
                started.push(session);
            }
        }
        started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_started_for_what_stays_due() {
        let (begun, mut writers) = (Instant::now(), Writers::default());
        let one: SessionId = "demo-1".parse().unwrap();
        let mut pass = |due: &[&SessionId], second: u64| {
            let due = due.iter().map(|&it| it.clone()).collect();
            writers.pass(due, begun + Duration::from_secs(second)).len()
        };
        assert_eq!([pass(&[&one], 0), pass(&[&one], 2), pass(&[&one], 3)], [0, 0, 1]);
        assert_eq!([pass(&[&one], 4), pass(&[&one], 32), pass(&[&one], 33)], [0, 0, 1]);
        // It was written, and the next one has its own time.
        assert_eq!([pass(&[], 34), pass(&[&one], 70), pass(&[&one], 73)], [0, 0, 1]);
    }
}
