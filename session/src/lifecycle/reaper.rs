//! The reaper: looks at the process, the pane and the server of every launch that should run, and records what
//! that proves.
//!
//! It may run in any number of processes, as often as one likes. What it cannot ask changes nothing, an
//! observation that says nothing new is not written, and it starts or stops no agent.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ao_store::activity::{Activity, Evidence, QUIET, Signal, Source, State, reduce};
use ao_store::row::account::{self, Limit};
use ao_store::row::evidence::{self, Report};
use ao_store::row::launch::{self, End, EndCause, Launch};
use ao_store::row::lifecycle::instance::{self, Instance};
use ao_store::row::lifecycle::operation;
use ao_store::row::lifecycle::spawn as rows;
use ao_store::row::session::{self, Session};
use ao_store::{Cause, SessionId, Timestamp};

use super::reconcile::is_mass;
use super::versions::{Asked, Versions};
use super::{Sessions, new_id};
use crate::error::Result;
use crate::harness::{self, Screen, Seen};
use crate::runtime::{Pane, Panes, Runtime};

/// The actor of the changes.
const ACTOR: &str = "reaper";

/// After this long a program that has reported nothing since its start is unknown.
const SILENT: Duration = Duration::from_secs(60);

/// After this long a turn is unknown of which nothing was reported, and during which nothing was printed: the
/// end of a turn is not always reported, and a program at work prints.
const STILL: Duration = Duration::from_secs(5 * 60);

/// How long a screen shows an empty prompt until that counts: a half-drawn one shows it, too.
const SETTLED: Duration = Duration::from_secs(1);

/// What one pass found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probed {
    /// The launches that should run.
    pub launches: usize,
    /// Those of which nothing could be found out.
    pub unanswered: usize,
    /// The screens that were read.
    pub screens: usize,
    /// The observations that were written.
    pub changes: usize,
    /// The limits of accounts that hold now, each of which ends at its time, or when its screen shows so.
    pub limits: usize,
    /// The sessions of the store run on another machine as far as is known, and nothing was looked at.
    pub is_elsewhere: bool,
}

/// What probes the launches of a store. It remembers screens from one pass to the next, so that only those are
/// read that have changed.
#[derive(Debug)]
pub struct Reaper<'a> {
    sessions: &'a Sessions,
    /// Only this session is looked at.
    only: Option<SessionId>,
    known: HashMap<String, Known<'a>>,
    versions: Versions,
}

/// What is remembered of a launch.
#[derive(Debug, Default)]
struct Known<'a> {
    /// The rules for its screens, where they can be used.
    rules: Option<&'a Screen>,
    /// When they are looked for again, because the version of its program is not known.
    again_at: Option<Instant>,
    /// The second in which its screen was read.
    read_at: Option<i64>,
    screen: String,
    /// What its screen shows, if anything, and since when.
    shown: Option<(Option<Activity>, Timestamp)>,
}

/// A launch that should run.
struct Case {
    session: Session,
    launch: Launch,
}

/// What follows from a screen.
enum Settled {
    /// It shows something.
    Seen(Seen),
    /// It no longer shows what only it has shown.
    Gone,
    /// Nothing.
    Nothing,
}

/// The rows that a pass is about.
struct Rows {
    cases: Vec<Case>,
    limits: Vec<Limit>,
}

impl<'a> Reaper<'a> {
    /// A reaper that has seen nothing.
    #[must_use]
    pub fn new(sessions: &'a Sessions) -> Reaper<'a> {
        Reaper { sessions, only: None, known: HashMap::new(), versions: Versions::default() }
    }

    /// One that looks at this session only.
    pub(super) fn of(sessions: &'a Sessions, session: &SessionId) -> Reaper<'a> {
        Reaper { only: Some(session.clone()), ..Reaper::new(sessions) }
    }

    /// Probes again and again, until `wait`, which gets what each pass found, says that it is to stop.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn run(&mut self, wait: impl FnMut(Probed) -> bool) -> Result<()> {
        // What nobody reads is hinted at.
        let command = instance::SCREEN_READER;
        let reader = Instance::of_this_process(&new_id('i'), command, self.sessions.now());
        let id = reader.id.clone();
        if let Err(error) = self.write(move |tx| instance::register(tx, &reader, &[])) {
            tracing::debug!(%error, "it cannot be recorded that screens are read");
        }
        let ended = self.run_registered(wait);
        if let Err(error) = self.write(move |tx| instance::remove(tx, &id)) {
            tracing::debug!(%error, "it cannot be recorded that screens are not read any more");
        }
        ended
    }

    fn run_registered(&mut self, mut wait: impl FnMut(Probed) -> bool) -> Result<()> {
        while !wait(self.probe()?) {}
        Ok(())
    }

    /// Probes all launches once.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn probe(&mut self) -> Result<Probed> {
        let mut probed = Probed::default();
        if !self.sessions.is_machine_confirmed()? {
            return Ok(Probed { is_elsewhere: true, ..probed });
        }
        let Rows { cases, limits } = self.rows()?;
        let now = self.sessions.now();
        probed.limits = limits.iter().filter(|limit| limit.holds(now)).count();
        probed.launches = cases.len();
        let ids: HashSet<&str> = cases.iter().map(|case| case.launch.id.as_str()).collect();
        self.known.retain(|id, _| ids.contains(id.as_str()));
        let mut places: HashMap<(String, String), Vec<Case>> = HashMap::new();
        for case in cases {
            let Session { runtime_kind: kind, runtime_socket: socket, .. } = &case.session;
            places.entry((kind.clone(), socket.clone())).or_default().push(case);
        }
        for ((kind, socket), cases) in places {
            let count = cases.len();
            let sessions = self.sessions;
            let panes =
                sessions.runtime(&kind).and_then(|runtime| Ok((runtime, runtime.panes(&socket)?)));
            match panes {
                Ok((runtime, panes)) => {
                    let alive = self.reap(cases, &panes, &mut probed)?;
                    self.look(runtime, &socket, &alive, &panes, &limits, &mut probed)?;
                }
                Err(error) => {
                    tracing::debug!(kind, socket, %error, "it does not say what runs in it");
                    probed.unanswered += count;
                }
            }
        }
        Ok(probed)
    }

    /// The newest launches of the sessions that run here, that no verb runs on, and that have not ended.
    fn rows(&self) -> Result<Rows> {
        let live = session::Filter { project: None, terminated: false };
        Ok(self.sessions.store.read(|snapshot| {
            let running = operation::list(snapshot)?;
            let busy: HashSet<SessionId> = running.into_iter().map(|it| it.session).collect();
            let mut cases = Vec::new();
            for session in session::list(snapshot, &live)? {
                let is_other = self.only.as_ref().is_some_and(|only| *only != session.id);
                let is_busy = session.launch.is_empty() || busy.contains(&session.id);
                if is_other || is_busy || session.is_external() {
                    continue;
                }
                let launch = launch::get(snapshot, &session.launch)?;
                let open = launch.filter(|it| it.ended_at.is_none() && it.started_at.is_some());
                cases.extend(open.map(|launch| Case { session, launch }));
            }
            Ok(Rows { cases, limits: account::limits(snapshot)? })
        })?)
    }

    /// Ends the launches whose supervisor has ended without recording it, some time after the last report.
    /// Returns the others.
    fn reap(&self, cases: Vec<Case>, panes: &Panes, probed: &mut Probed) -> Result<Vec<Case>> {
        let (open, now) = (cases.len(), self.sessions.now());
        let is_dead =
            |case: &Case| instance::is_dead(&case.launch.supervisor, &case.launch.boot_id);
        let (dead, alive): (Vec<_>, Vec<_>) = cases.into_iter().partition(is_dead);
        let is_lost = panes.is_server_gone || is_mass(dead.len(), open);
        for Case { session, launch } in dead {
            let last = session.activity_at.max(launch.started_at.unwrap_or_default());
            if !is_past(last, QUIET, now) {
                continue;
            }
            let is_lost = is_lost || launch.boot_id != instance::boot_id();
            let cause = if is_lost { EndCause::RuntimeLost } else { EndCause::Killed };
            let end = End { exit_status: None, signal: None, cause };
            probed.changes +=
                usize::from(self.write(move |tx| launch::ended(tx, &launch.id, end, ""))?);
        }
        Ok(alive)
    }

    /// Reads the screens that have changed, and records what all of them show.
    fn look(
        &mut self,
        runtime: &dyn Runtime,
        socket: &str,
        cases: &[Case],
        panes: &Panes,
        limits: &[Limit],
        probed: &mut Probed,
    ) -> Result<()> {
        let pane_of = |case: &Case| {
            let pane = panes.panes.get(&case.session.runtime_pane);
            pane.filter(|pane| pane.launch == case.launch.id && !pane.is_dead)
        };
        let mut stale: Vec<&Case> = Vec::new();
        let at = self.sessions.now();
        for case in cases {
            if let Some(pane) = pane_of(case)
                && self.is_to_be_read(case, pane, at)?
            {
                stale.push(case);
            }
        }
        let ids: Vec<_> = stale.iter().map(|case| case.session.runtime_pane.as_str()).collect();
        match runtime.screens(socket, &ids) {
            Ok(screens) => {
                probed.screens += screens.len();
                for (case, screen) in stale.iter().zip(screens) {
                    if let Some(known) = self.known.get_mut(&case.launch.id) {
                        (known.screen, known.read_at) = (screen, Some(at.0.div_euclid(1_000)));
                    }
                }
            }
            // A pane may have gone in between: the next pass sees which.
            Err(error) => {
                tracing::debug!(socket, %error, "the screens cannot be read");
                for case in &stale {
                    self.known.remove(&case.launch.id);
                }
            }
        }
        for case in cases {
            let pane = pane_of(case);
            let seen = self.seen(case, pane, limits, at);
            let settled = self.settled(case, pane, seen, at);
            let Some((report, signal)) = signal(case, pane, settled, at) else { continue };
            probed.changes += usize::from(self.record(case, report, signal, at)?);
        }
        Ok(())
    }

    /// Whether the screen of a launch can say anything, and may have changed since it was read.
    fn is_to_be_read(&mut self, case: &Case, pane: &Pane, now: Timestamp) -> Result<bool> {
        let known = self.known.get(&case.launch.id);
        if known.is_none_or(|known| known.again_at.is_some_and(|at| at <= Instant::now())) {
            let (rules, again_at) = self.rules(&case.session)?;
            let known = Known { rules, again_at, ..Known::default() };
            self.known.insert(case.launch.id.clone(), known);
        }
        let Some(known) = self.known.get_mut(&case.launch.id) else { return Ok(false) };
        // The reducer would not use it.
        let is_fresh = case.session.activity_source == Source::Hook
            && !is_past(case.session.activity_at, QUIET, now);
        if is_fresh {
            known.shown = None;
        }
        // What is printed in the second of a read may have come after it.
        let is_changed = known.read_at.is_none_or(|read_at| pane.printed_at >= read_at);
        Ok(known.rules.is_some() && is_changed && !is_fresh)
    }

    /// The rules for the screens of a session: those of its harness, if the program is one of that harness and
    /// its version was seen. And when they are to be looked for again.
    fn rules(&mut self, session: &Session) -> Result<(Option<&'a Screen>, Option<Instant>)> {
        let (sessions, none) = (self.sessions, Ok((None, None)));
        let Ok(row) = sessions.harnesses.get(&session.harness) else { return none };
        let Some(screen) = row.screen() else { return none };
        let start = sessions.store.read(|snapshot| rows::start(snapshot, &session.id))?;
        let found = harness::find(row, &start.argv, &sessions.config.environment);
        let Ok(path) = found.map(|found| found.path) else { return none };
        // A command of the caller is not run to see what it is.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !row.programs().iter().any(|known| known == name) {
            return none;
        }
        match self.versions.of(&path, &sessions.config.environment) {
            Some(Asked::Version(version)) => Ok((screen.covers(&version).then_some(screen), None)),
            Some(Asked::Again(at)) => Ok((None, Some(at))),
            None => none,
        }
    }

    /// What the screen of a launch shows. The message of a limit that is over may still be there.
    fn seen(
        &self,
        case: &Case,
        pane: Option<&Pane>,
        limits: &[Limit],
        now: Timestamp,
    ) -> Option<Seen> {
        let known = self.known.get(&case.launch.id).filter(|known| known.read_at.is_some())?;
        pane?;
        let seen = known.rules?.read(&known.screen, now, false)?;
        let is_its = |limit: &&Limit| {
            limit.is_of(&case.session.harness) && limit.message == seen.text && !limit.holds(now)
        };
        if seen.activity == Activity::Limited && limits.iter().any(|limit| is_its(&limit)) {
            return known.rules?.read(&known.screen, now, true);
        }
        Some(seen)
    }

    /// What follows from what is seen. An empty prompt must have been there for a while, and longer before the
    /// first turn of a program that was given a prompt. What only the screen has shown is unknown when it is gone.
    fn settled(
        &mut self,
        case: &Case,
        pane: Option<&Pane>,
        seen: Option<Seen>,
        now: Timestamp,
    ) -> Settled {
        let Some((known, pane)) = self.known.get_mut(&case.launch.id).zip(pane) else {
            return Settled::Nothing;
        };
        let shown = seen.as_ref().map(|seen| seen.activity);
        let printed = Timestamp(pane.printed_at.saturating_add(1).saturating_mul(1_000));
        let (_, since) = *match &mut known.shown {
            Some(before) if before.0 == shown => before,
            before => before.insert((shown, printed)),
        };
        let is_since = |span| since <= now && is_past(since, span, now);
        let Session { activity, activity_source: source, .. } = &case.session;
        let is_first = matches!(activity, Activity::Starting | Activity::Unknown);
        let wait = if is_first && case.launch.has_prompt() { QUIET } else { SETTLED };
        match seen {
            Some(seen) if seen.activity != Activity::Idle || is_since(wait) => Settled::Seen(seen),
            None if known.read_at.is_some()
                && *source == Source::Screen
                && !matches!(
                    activity,
                    Activity::Unknown | Activity::Limited | Activity::Exited
                )
                && is_since(QUIET) =>
            {
                Settled::Gone
            }
            _ => Settled::Nothing,
        }
    }

    /// Records what is known now, if it is new.
    fn record(&self, case: &Case, report: Report, signal: Signal, at: Timestamp) -> Result<bool> {
        let Case { session, launch } = case;
        let source = if signal == Signal::Silent { Source::Process } else { Source::Screen };
        let evidence = Evidence { source, at, seen: Some(session.activity_revision), signal };
        let stored = State { has_prompt: launch.has_prompt(), ..session.state() };
        if reduce(&stored, &evidence, self.sessions.now()).is_none() {
            return Ok(false);
        }
        let report = Report { evidence: Some(evidence), ..report };
        let Some(recorded) = self.write(move |tx| evidence::record(tx, &report))? else {
            return Ok(false);
        };
        // What waited for this, or is a report of it.
        recorded.deliver_to.iter().for_each(|session| self.sessions.start_runner(session));
        Ok(recorded.state.is_some())
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ao_store::Tx<'_>) -> ao_store::Result<T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.sessions.store.write(Cause::now(ACTOR), work)?.value)
    }
}

/// What is known of a launch now, with the report that goes with it.
fn signal(
    case: &Case,
    pane: Option<&Pane>,
    settled: Settled,
    now: Timestamp,
) -> Option<(Report, Signal)> {
    let Case { session, launch } = case;
    let mut report = Report::of(&launch.id, None);
    match settled {
        Settled::Seen(seen) if seen.activity == Activity::Limited => {
            let is_known = session.activity == Activity::Limited && !is_over(session, now);
            report.message = seen.text;
            (!is_known).then_some((report, Signal::Limited(seen.until)))
        }
        Settled::Seen(seen) => {
            if !seen.cause.is_empty() {
                report.question.text = seen.text;
            }
            Some((report, Signal::Shown(seen.activity, seen.cause.to_owned())))
        }
        Settled::Gone => Some((report, Signal::Silent)),
        Settled::Nothing => {
            let is_quiet = |span| is_past(session.activity_at, span, now);
            let is_still =
                |pane: &Pane| is_past(Timestamp(pane.printed_at.saturating_mul(1_000)), STILL, now);
            let is_silent = match session.activity {
                Activity::Starting => is_quiet(SILENT),
                Activity::Active => is_quiet(STILL) && pane.is_some_and(is_still),
                _ => false,
            };
            is_silent.then_some((report, Signal::Silent))
        }
    }
}

/// Whether the limit that a session has reached is over.
fn is_over(session: &Session, now: Timestamp) -> bool {
    session.limit_ends_at.is_some_and(|end| end <= now)
}

/// Whether something was this long ago, or, since the clock was set back, is in the future.
fn is_past(at: Timestamp, span: Duration, now: Timestamp) -> bool {
    u128::from(now.0.saturating_sub(at.0).unsigned_abs()) >= span.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_clock_that_was_set_back_is_past() {
        let at = |seconds: i64| Timestamp(seconds * 1_000);
        assert!(!is_past(at(100), QUIET, at(104)));
        assert!(is_past(at(100), QUIET, at(105)));
        assert!(is_past(at(100), QUIET, at(10)));
    }
}
