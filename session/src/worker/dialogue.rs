//! What a program says of one turn, until the turn ends.

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::turn::append::Response;
use ao_store::turn::beat::{Activity, Beat};
use ao_store::turn::finish::{Completion, Outcome};

use super::config::Config;
use super::control::Control;
use super::lines::{LINE_MAX, Lines, Next};
use super::process::{End, Process, Stop};
use super::protocol::{self, Line};
use super::writes::Responses;
use crate::error::Result;

/// How long a part of the reply waits to be stored with what follows, unless it is as large as this.
const BATCH: Duration = Duration::from_millis(100);
const BATCH_BYTES: usize = 2 << 10;

/// How long the rest of what a program says is read after its end, and its end is waited for after its rest.
const DRAIN: Duration = Duration::from_millis(500);

const POLL: Duration = Duration::from_millis(5);

/// How often progress is stored at most.
const PROGRESS: Duration = Duration::from_secs(1);

/// How much of a line is in the text of a failure, in bytes.
const SHOWN: usize = 200;

/// What ended a turn.
pub(super) enum Ended {
    /// The program said so.
    BySaying(Box<Completion>),
    /// The program has ended, or is to be ended.
    By(End),
}

/// A turn that runs.
pub(super) struct Dialogue<'a> {
    config: &'a Config,
    turn: &'a str,
    process: &'a Process,
    lines: &'a mut Lines,
    /// The turns before, of which the program may still say something.
    earlier: &'a VecDeque<String>,
    control: &'a Control,
    responses: Responses,
    /// The part of the reply that waits to be stored.
    delta: String,
    /// Since when it does.
    since: Option<Instant>,
    has_deltas: bool,
    /// What was last reported, and when.
    reported: Option<(Activity, Instant)>,
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(
        config: &'a Config,
        turn: &'a str,
        (process, lines, earlier): (&'a Process, &'a mut Lines, &'a VecDeque<String>),
        control: &'a Control,
        responses: Responses,
    ) -> Dialogue<'a> {
        Dialogue {
            config,
            turn,
            process,
            lines,
            earlier,
            control,
            responses,
            delta: String::new(),
            since: None,
            has_deltas: false,
            reported: None,
        }
    }

    pub(super) fn into_responses(self) -> Responses {
        self.responses
    }

    /// Stores what the program says until the turn ends.
    pub(super) fn read(&mut self) -> Result<Ended> {
        let (mut over, mut closed) = (None::<Instant>, None::<Instant>);
        loop {
            match self.lines.next(BATCH) {
                Next::Line(line) if !self.is_stopped() => {
                    if let Some(ended) = self.take(&line)? {
                        return Ok(ended);
                    }
                }
                Next::TooLong => {
                    let what = format!("a line of the program is longer than {LINE_MAX} bytes");
                    return Ok(Ended::By(End::Stopped(Stop::Refused(what))));
                }
                Next::Line(_) | Next::Nothing => {}
                Next::Closed => {
                    closed.get_or_insert_with(Instant::now);
                    sleep(POLL);
                }
            }
            if self.is_due() {
                self.flush()?;
            }
            if self.config.is_interrupted() {
                self.process.stop(Stop::Interrupted);
            }
            self.control.check();
            let is_late = |since: Instant| since.elapsed() > DRAIN;
            if self.process.is_over() {
                let over = *over.get_or_insert_with(Instant::now);
                if closed.is_some() || self.is_stopped() || is_late(over) {
                    self.flush()?;
                    return Ok(Ended::By(self.process.end().unwrap_or(End::Exited)));
                }
            } else if closed.is_some_and(is_late) {
                self.process.stop(Stop::Refused("the program closed its output".to_owned()));
            }
        }
    }

    /// A line of the program; what it ends the turn with, if it does.
    fn take(&mut self, line: &[u8]) -> Result<Option<Ended>> {
        let (turn, said) = match protocol::read(line) {
            Ok(said) => said,
            Err(why) => return Ok(Some(self.refused(&why, line))),
        };
        if turn != self.turn {
            let is_late = self.earlier.contains(&turn);
            return Ok((!is_late).then(|| self.refused("it names a turn that does not run", line)));
        }
        match said {
            Line::Response(response) => self.respond(response),
            Line::Progress => self.report(Activity::Working).map(|()| None),
            Line::Waiting => self.report(Activity::Waiting).map(|()| None),
            Line::End(completion) => {
                let is_empty =
                    matches!(&completion.outcome, Outcome::Reply { text, .. } if text.is_empty());
                if is_empty && self.has_deltas {
                    let why = "its reply is empty, and the deltas before are not";
                    return Ok(Some(self.refused(why, line)));
                }
                self.flush()?;
                Ok(Some(Ended::BySaying(completion)))
            }
        }
    }

    fn respond(&mut self, response: Response) -> Result<Option<Ended>> {
        if let Err(what) = self.responses.count(&response) {
            return Ok(Some(Ended::By(End::Stopped(Stop::TooLarge(what)))));
        }
        if let Response::Delta(text) = &response {
            self.has_deltas = true;
            self.delta.push_str(text);
            self.since.get_or_insert_with(Instant::now);
        } else {
            self.flush()?;
            self.store(response)?;
        }
        Ok(None)
    }

    /// Reports what the turn does, if that is news.
    fn report(&mut self, activity: Activity) -> Result<()> {
        let at = Instant::now();
        let is_known = self.reported.is_some_and(|(last, since)| {
            let is_recent = at.duration_since(since) < PROGRESS;
            last == activity && (is_recent || activity == Activity::Waiting)
        });
        if is_known {
            return Ok(());
        }
        self.flush()?;
        let beat = self.responses.beat(activity, &|| self.is_wanted())?;
        self.done(activity, at, beat);
        Ok(())
    }

    fn is_due(&self) -> bool {
        let waits = self.since.is_some_and(|since| since.elapsed() >= BATCH);
        waits || self.delta.len() >= BATCH_BYTES
    }

    /// Stores the part of the reply that waits.
    fn flush(&mut self) -> Result<()> {
        self.since = None;
        let delta = std::mem::take(&mut self.delta);
        if delta.is_empty() { Ok(()) } else { self.store(Response::Delta(delta)) }
    }

    fn store(&mut self, response: Response) -> Result<()> {
        // The store refuses what comes after it asked to cancel.
        if self.is_stopped() || self.control.is_asked() {
            return Ok(());
        }
        let (at, process, config) = (Instant::now(), self.process, self.config);
        let is_wanted = || is_wanted(process, config);
        let beat = self.responses.append(response, &is_wanted)?;
        self.done(Activity::Working, at, beat);
        Ok(())
    }

    fn done(&mut self, activity: Activity, at: Instant, beat: Beat) {
        if beat == Beat::Continue {
            self.reported = Some((activity, at));
            self.control.extend(activity, at);
        } else {
            self.control.obey(beat);
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.process.end(), Some(End::Stopped(_)))
    }

    fn is_wanted(&self) -> bool {
        is_wanted(self.process, self.config)
    }

    fn refused(&self, why: &str, line: &[u8]) -> Ended {
        let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
        let number = self.lines.number;
        let what = format!("line {number} of the program is refused: {why}: {shown}");
        Ended::By(End::Stopped(Stop::Refused(what)))
    }
}

/// Whether what a turn does is still to be stored.
fn is_wanted(process: &Process, config: &Config) -> bool {
    !matches!(process.end(), Some(End::Stopped(_))) && !config.is_interrupted()
}
