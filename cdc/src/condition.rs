//! What a session can be waited for, decided from its rows and from the changes of them. No I/O.

use ao_store::activity::Activity;
use ao_store::log::change::Change;
use ao_store::observation::{Ci, PrState};
use ao_store::row::launch::Launch;
use ao_store::row::pr::Pr;
use ao_store::row::session::Session;
use serde_json::Value;

/// A state of a session that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Its agent has finished its turn, or has none.
    Idle,
    /// Its agent cannot go on without a person: it waits for a decision, or is blocked.
    Waiting,
    /// Its agent ended, or the session was terminated.
    Exited,
    /// It owns a pull request.
    Pr,
    /// The checks of one of its open pull requests passed or failed.
    Ci,
}

impl Condition {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Idle => "idle",
            Condition::Waiting => "waiting",
            Condition::Exited => "exited",
            Condition::Pr => "pr",
            Condition::Ci => "ci",
        }
    }

    /// Why a session meets it; `None` if it does not.
    pub(crate) fn met_by(self, rows: &Rows) -> Option<String> {
        let session = &rows.session;
        let first = |is_it: &dyn Fn(&&Pr) -> bool| rows.prs.iter().find(is_it);
        match self {
            Condition::Exited => rows.end(),
            Condition::Pr => first(&|_| true).map(Pr::place),
            Condition::Ci => {
                let pr = first(&|pr| is_open(pr.state.as_str()) && is_decided(pr.ci.as_str()));
                pr.map(|pr| format!("{} on {}", pr.ci, pr.place()))
            }
            _ if rows.end().is_some() => None,
            _ => self.met_by_activity(session.activity.as_str(), &session.activity_cause),
        }
    }

    fn met_by_activity(self, activity: &str, cause: &str) -> Option<String> {
        let is = |wanted: Activity| activity == wanted.as_str();
        let is_met = match self {
            Condition::Idle => is(Activity::Idle),
            Condition::Waiting => is(Activity::Waiting) || is(Activity::Blocked),
            Condition::Exited | Condition::Pr | Condition::Ci => false,
        };
        is_met.then(|| {
            if cause.is_empty() { activity.to_owned() } else { format!("{activity}: {cause}") }
        })
    }

    /// Why a session meets it by this change: what it depends on has changed, and it is met now.
    pub(crate) fn met_by_change(self, change: &Change) -> Option<String> {
        let image = |text: Option<&str>| -> Value {
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        };
        let (before, after) = (image(change.before()), image(change.after()));
        if after.is_null() {
            return None;
        }
        let text = |name: &str| after[name].as_str().unwrap_or_default();
        let is_new = |name: &str| before[name] != after[name];
        match (self, change.entity()) {
            (Condition::Idle | Condition::Waiting, "session") if is_new("activity_revision") => {
                self.met_by_activity(text("activity"), text("activity_cause"))
            }
            (Condition::Exited, "session") if is_new("is_terminated") => {
                let is_met = after["is_terminated"] == true;
                is_met.then(|| format!("terminated: {}", text("terminated_reason")))
            }
            (Condition::Exited, "launch") if is_new("ended_at") => {
                Some(end_of(after["exit_status"].as_i64(), after["signal"].as_i64()))
            }
            (Condition::Pr, "pr") if is_new("session_id") => Some(place(&after)),
            (Condition::Ci, "pr") if is_new("ci") || is_new("session_id") => {
                let is_met = is_open(text("state")) && is_decided(text("ci"));
                is_met.then(|| format!("{} on {}", text("ci"), place(&after)))
            }
            _ => None,
        }
    }

    /// Whether a session can still meet it, by evidence that is yet to come.
    pub(crate) fn can_be_met(self, rows: &Rows) -> bool {
        let is_terminated = rows.session.is_terminated;
        match self {
            Condition::Idle | Condition::Waiting => rows.end().is_none(),
            Condition::Exited => true,
            Condition::Pr => !is_terminated,
            Condition::Ci => !is_terminated || rows.prs.iter().any(|pr| is_open(pr.state.as_str())),
        }
    }
}

fn is_open(state: &str) -> bool {
    ![PrState::Merged, PrState::Closed].iter().any(|ended| ended.as_str() == state)
}

fn is_decided(ci: &str) -> bool {
    [Ci::Passing, Ci::Failing].iter().any(|decided| decided.as_str() == ci)
}

/// A pull request as [`Pr::place`] has it.
fn place(image: &Value) -> String {
    let text = |name: &str| image[name].as_str().unwrap_or_default();
    let is_default = text("host").eq_ignore_ascii_case("github.com");
    let host = if is_default { String::new() } else { text("host").to_owned() + "/" };
    format!("{host}{}#{}", text("repo"), image["number"])
}

/// The rows of a session as they are now.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) session: Session,
    /// The newest launch.
    pub(crate) launch: Option<Launch>,
    pub(crate) prs: Vec<Pr>,
}

impl Rows {
    /// How its agent ended, if it did.
    pub(crate) fn end(&self) -> Option<String> {
        let Rows { session, launch, .. } = self;
        if session.is_terminated {
            return Some(format!("terminated: {}", session.terminated_reason));
        }
        let ended = launch.as_ref().filter(|launch| launch.ended_at.is_some());
        let is_exited = session.activity == Activity::Exited;
        match ended {
            Some(launch) => Some(end_of(launch.exit_status, launch.signal)),
            None => is_exited.then(|| end_of(None, None)),
        }
    }
}

/// How a launch ended.
fn end_of(exit_status: Option<i64>, signal: Option<i64>) -> String {
    match (exit_status, signal) {
        (Some(status), _) => format!("its agent exited with status {status}"),
        (None, Some(signal)) => format!("signal {signal} ended its agent"),
        (None, None) => "its agent ended".to_owned(),
    }
}
