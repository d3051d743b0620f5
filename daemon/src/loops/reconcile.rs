//! Reconciles the sessions with the machine when the daemon starts, and later those whose launches have lost their
//! runtime: their tmux server has ended, or their terminals have. An agent that ends its own terminal again and
//! again is left alone after a few times, and delays no other.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ao_session::{Mode, Report, Sessions};
use ao_store::SessionId;

use super::{LoopState, Reporter, reason};
use crate::notice::{Notice, Notify};

/// How often it is looked whether launches have lost their runtime.
const LOOK: Duration = Duration::from_secs(1);
/// The pause before a pass: the supervisors record one after the other that their runtime is lost.
const PAUSE: Duration = Duration::from_secs(2);
/// The passes for a session that fails for a reason that may pass, such as a tmux server that still ends, or that
/// another verb runs on.
const TRIES: usize = 3;
/// How many losses of a session in [`WINDOW`] lead to a pass. After one more it stays as it is, until the daemon
/// starts again or a person does something about it.
const LOSSES: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);

/// Reconciles until the daemon stops. `losses` outlives a loop that failed.
pub(crate) fn run(
    sessions: &Sessions,
    losses: &mut Losses,
    notify: &Notify,
    reporter: &Reporter,
) -> Result<(), String> {
    let mut passes = Passes { sessions, notify, reporter, losses };
    reporter.set(LoopState::Running);
    let before = passes.lost()?;
    passes.losses.skip(before);
    let failed = passes.ended(sessions.reconcile(Mode::Act))?;
    let mut again = worth_another(failed);
    loop {
        passes.retry(again)?;
        reporter.set(LoopState::Done);
        let Some(wanted) = passes.wait()? else { return Ok(()) };
        again = passes.run(&wanted)?;
    }
}

/// The sessions that failed in a pass, and whether for a reason that may pass.
type Failed = HashMap<SessionId, bool>;

fn worth_another(failed: Failed) -> HashSet<SessionId> {
    failed.into_iter().filter(|(_, may_pass)| *may_pass).map(|(session, _)| session).collect()
}

struct Passes<'a> {
    sessions: &'a Sessions,
    notify: &'a Notify,
    reporter: &'a Reporter,
    losses: &'a mut Losses,
}

impl Passes<'_> {
    fn lost(&self) -> Result<Vec<(SessionId, String)>, String> {
        self.sessions.lost_launches().map_err(|error| reason(&error))
    }

    /// The sessions that have lost a runtime since the last pass; `None` when the daemon stops.
    fn wait(&mut self) -> Result<Option<HashSet<SessionId>>, String> {
        loop {
            if self.reporter.pause(LOOK) {
                return Ok(None);
            }
            let mut wanted = self.losses.new_ones(self.lost()?, Instant::now());
            if wanted.is_empty() {
                continue;
            }
            self.reporter.set(LoopState::Running);
            if self.reporter.pause(PAUSE) {
                return Ok(None);
            }
            wanted.extend(self.losses.new_ones(self.lost()?, Instant::now()));
            return Ok(Some(wanted));
        }
    }

    fn retry(&mut self, mut again: HashSet<SessionId>) -> Result<(), String> {
        for _ in 1..TRIES {
            if again.is_empty() || self.reporter.pause(PAUSE) {
                break;
            }
            again = self.run(&again)?;
        }
        Ok(())
    }

    /// A pass about these sessions. Returns those that are worth another one.
    fn run(&mut self, wanted: &HashSet<SessionId>) -> Result<HashSet<SessionId>, String> {
        let before = self.lost()?;
        let failed = self.ended(self.sessions.reconcile_only(wanted))?;
        // A verb ran on it, or another process was faster.
        let mut left = self.lost()?;
        left.retain(|it| {
            wanted.contains(&it.0) && before.contains(it) && !failed.contains_key(&it.0)
        });
        let mut again = worth_another(failed);
        again.extend(left.into_iter().map(|(session, _)| session));
        Ok(again)
    }

    /// Tells what a pass did. No session that failed is taken for a new loss.
    fn ended(&mut self, pass: ao_session::Result<Report>) -> Result<Failed, String> {
        let report = match pass {
            Ok(report) => report,
            // The daemon is about to stop.
            Err(ao_session::Error::Interrupted { .. }) => return Ok(Failed::new()),
            Err(error) => return Err(reason(&error)),
        };
        let mut failed = Failed::new();
        for action in report.actions.iter().filter(|it| it.error.is_some()) {
            *failed.entry(action.session.clone()).or_default() |= action.may_pass();
        }
        let mut lost = self.lost()?;
        lost.retain(|(session, _)| failed.contains_key(session));
        self.losses.skip(lost);
        let (looked_at, count) = (report.actions.len(), failed.len());
        self.reporter.report(format!("looked at: {looked_at}, failed: {count}"));
        (self.notify)(Notice::Reconciled(report));
        Ok(failed)
    }
}

/// The losses that are known.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// The lost launches that are not looked at again.
    known: HashSet<String>,
    /// When each session lost a launch lately.
    times: HashMap<SessionId, Vec<Instant>>,
}

impl Losses {
    fn skip(&mut self, lost: Vec<(SessionId, String)>) {
        self.known.extend(lost.into_iter().map(|(_, launch)| launch));
    }

    /// The sessions whose newest launch was lost since the last call, without those that lost too many lately.
    /// `lost` is every session whose newest launch is lost.
    fn new_ones(&mut self, lost: Vec<(SessionId, String)>, now: Instant) -> HashSet<SessionId> {
        self.times.retain(|_, times| {
            times.retain(|at| now.saturating_duration_since(*at) < WINDOW);
            !times.is_empty()
        });
        let known = std::mem::take(&mut self.known);
        let mut wanted = HashSet::new();
        for (session, launch) in lost {
            if !known.contains(&launch) {
                let times = self.times.entry(session.clone()).or_default();
                times.push(now);
                if times.len() <= LOSSES {
                    wanted.insert(session);
                } else {
                    tracing::warn!(%session, "a session that lost its runtime too often stays as it is");
                }
            }
            self.known.insert(launch);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(launches: &[(&str, u32)]) -> Vec<(SessionId, String)> {
        launches
            .iter()
            .map(|(id, number)| (id.parse().unwrap(), format!("{id}/{number}")))
            .collect()
    }

    fn new_ones(losses: &mut Losses, launches: &[(&str, u32)], now: Instant) -> Vec<String> {
        let found = losses.new_ones(lost(launches), now);
        let mut ids: Vec<_> = found.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    }

    #[test]
    fn a_loss_is_new_once_and_a_session_that_loses_too_many_is_left() {
        let (mut losses, start) = (Losses::default(), Instant::now());
        losses.skip(lost(&[("demo-1", 1)]));
        assert_eq!(new_ones(&mut losses, &[("demo-1", 1)], start), [""; 0], "the first pass");
        for number in 2..5 {
            let found = new_ones(&mut losses, &[("demo-1", number)], start);
            assert_eq!(found, ["demo-1"], "loss {number}");
            assert_eq!(new_ones(&mut losses, &[("demo-1", number)], start), [""; 0], "known");
        }
        // The fourth is one too many; another session is not affected.
        assert_eq!(new_ones(&mut losses, &[("demo-1", 5), ("demo-2", 1)], start), ["demo-2"]);
        let later = start + WINDOW;
        assert_eq!(new_ones(&mut losses, &[("demo-1", 5), ("demo-2", 1)], later), [""; 0], "left");
        // A person started it again, and it was lost anew.
        assert_eq!(new_ones(&mut losses, &[("demo-1", 6)], later), ["demo-1"]);
        assert_eq!(losses.known.len(), 1, "what is no longer lost is forgotten");
    }
}
