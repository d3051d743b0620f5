//! What an agent does, as far as there is evidence.
//!
//! The state of a launch is the best evidence that was reported. No evidence is `unknown`: never `idle`, and
//! never dead.

mod reduce;

use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;

pub use reduce::{QUIET, reduce};

text_enum! {
    /// What an agent does.
    Activity {
        /// There is no evidence.
        Unknown = "unknown",
        /// Its program starts, or was given its first prompt and has not reported yet.
        Starting = "starting",
        /// It works on a turn.
        Active = "active",
        /// It has finished its turn, or has none.
        Idle = "idle",
        /// It waits for a decision of a person.
        Waiting = "waiting",
        /// It cannot continue: a dialog or a failed request stops it.
        Blocked = "blocked",
        /// Its account has reached a limit.
        Limited = "limited",
        /// Its program ended.
        Exited = "exited",
    } else Unknown
}

text_enum! {
    /// Where the evidence of an activity comes from.
    Source {
        /// There is none.
        None = "",
        /// Its process, which the supervisor or the reaper saw.
        Process = "process",
        /// A hook that the program called.
        Hook = "hook",
        /// Its screen.
        Screen = "screen",
        /// The file of its conversation.
        Transcript = "transcript",
        /// Another program, from whose database it was imported.
        Import = "import",
    } else None
}

text_enum! {
    /// What a person must decide.
    DecisionKind {
        /// Whether a tool may be used.
        Permission = "permission",
        /// A question of the agent.
        Question = "question",
        /// Whether a plan is carried out.
        Plan = "plan",
        /// Whether the program trusts the directory.
        Trust = "trust",
        /// Its login.
        Login = "login",
    } else Question
}

impl DecisionKind {
    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<DecisionKind> {
        DecisionKind::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// The stored activity of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What the agent does.
    pub activity: Activity,
    /// Where that comes from.
    pub source: Source,
    /// Why it waits or cannot continue: the name of a [`DecisionKind`], or that of a failure; or empty.
    pub cause: String,
    /// The tool call that waits for a decision; or empty.
    pub call: String,
    /// When a limit ends, if that was reported.
    pub until: Option<Timestamp>,
    /// Whether the launch gave its program a prompt that it has not accepted yet. It is no part of what is
    /// stored as the activity.
    pub has_prompt: bool,
    /// When the evidence was seen.
    pub at: Timestamp,
    /// How often the state has changed.
    pub revision: i64,
}

impl State {
    /// What a person must decide, if the agent waits for that.
    #[must_use]
    pub fn decision(&self) -> Option<DecisionKind> {
        let is_open = matches!(self.activity, Activity::Waiting | Activity::Blocked);
        DecisionKind::of(&self.cause).filter(|_| is_open)
    }
}

/// What was reported of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it comes from.
    pub source: Source,
    /// When it was seen: of a hook when it was called, of a screen before it was read.
    pub at: Timestamp,
    /// The revision of the state that was read before the evidence was sought; an observation of another
    /// state is not used.
    pub seen: Option<i64>,
    /// What it says.
    pub signal: Signal,
}

/// What a piece of evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The program runs. Given a prompt, it goes on to a turn without being asked.
    Ready,
    /// A turn began.
    TurnStarted,
    /// A tool call began; its id may be empty.
    ToolStarted(String),
    /// A tool call ended; its id may be empty.
    ToolEnded(String),
    /// A person must decide.
    Asked {
        /// What.
        kind: DecisionKind,
        /// The tool call that waits; may be empty.
        call: String,
    },
    /// It was decided about a tool call, whose id may be empty.
    Decided(String),
    /// A notification that something waits for a person, without saying what.
    Notified,
    /// The turn ended.
    TurnEnded,
    /// The turn ended because a request failed.
    TurnFailed(String),
    /// The account has reached a limit, which ends at this time.
    Limited(Option<Timestamp>),
    /// The screen shows a state; of a decision with its kind.
    Shown(Activity, String),
    /// Nothing was reported for long after the start, or of a turn, and nothing was printed either; or
    /// what the screen has shown is gone.
    Silent,
    /// The program ended.
    Ended,
}
