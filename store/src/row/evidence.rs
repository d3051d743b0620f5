//! Records evidence about a launch in one transaction: the activity of its session, the decision it waits
//! for, the deliveries that it proves, and the limit of its account.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::activity::{Activity, Evidence, Signal, State, reduce};
use crate::model::id::SessionId;
use crate::row::account::{self, Limit};
use crate::row::decision::{self, Question, Resolution};
use crate::row::delivery;
use crate::row::launch::{self, PromptStage};
use crate::row::session::{self, Session};

/// What was reported of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The launch.
    pub launch: String,
    /// What it says about the activity; a report may say nothing about it.
    pub evidence: Option<Evidence>,
    /// The id of the conversation in the harness; may be empty.
    pub native_id: String,
    /// The prompt that the program took; `None` if it took none. May be empty where the program does not
    /// say which.
    pub prompt: Option<String>,
    /// What is asked.
    pub question: Question,
    /// The account that has reached a limit, where it is known.
    pub account: String,
    /// What the program said about the limit or the failure, or at the end of a turn.
    pub message: String,
}

impl Report {
    /// A report that says nothing yet.
    #[must_use]
    pub fn of(launch: &str, evidence: Option<Evidence>) -> Report {
        Report {
            launch: launch.to_owned(),
            evidence,
            native_id: String::new(),
            prompt: None,
            question: Question::default(),
            account: String::new(),
            message: String::new(),
        }
    }
}

/// What a report changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The session of the launch.
    pub session: SessionId,
    /// The new state of its activity, if it changed.
    pub state: Option<State>,
    /// The sessions to which a delivery can be written now: a runner must be started for each.
    pub deliver_to: Vec<SessionId>,
}

/// Records a report. One of a launch that is not the newest of its session, or that has ended, is ignored;
/// `None` then.
///
/// # Errors
/// When the database cannot be written.
pub fn record(tx: &Tx<'_>, report: &Report) -> Result<Option<Recorded>> {
    let Some(launch) = launch::get(tx, &report.launch)? else { return Ok(None) };
    let Some(session) = session::get(tx, &launch.session)? else { return Ok(None) };
    if launch.ended_at.is_some() || session.launch != launch.id {
        return Ok(None);
    }
    launch::set_native_id(tx, &launch, &report.native_id)?;
    let needs_no_proof =
        matches!(launch.prompt_stage, PromptStage::None | PromptStage::Acknowledged);
    if report.prompt.is_some() && !needs_no_proof {
        launch::set_prompt_stage(tx, &launch.id, PromptStage::Acknowledged)?;
    }
    let id = session.id.clone();
    let Some(evidence) = &report.evidence else {
        return Ok(Some(Recorded { session: id, state: None, deliver_to: Vec::new() }));
    };
    record_deliveries(tx, &session, report, &evidence.signal)?;
    let stored = State { has_prompt: launch.has_prompt(), ..session.state() };
    let state = reduce(&stored, evidence, tx.now());
    if let Some(state) = &state {
        session::set_state(tx, &session.id, &launch.id, state)?;
        record_decision(tx, &session, report, state)?;
        record_limit(tx, &session, report, &evidence.signal, state)?;
    } else if matches!(evidence.signal, Signal::Asked { .. } | Signal::Shown(..)) {
        decision::describe(tx, &session.id, &report.question)?;
    }
    let deliver_to = match &state {
        Some(_) => deliveries_due(tx, &session, &evidence.signal)?,
        None => Vec::new(),
    };
    Ok(Some(Recorded { session: id, state, deliver_to }))
}

/// Reports the end of a turn to the parent, and finds the sessions for which a delivery waited for the new
/// state, or for the report.
fn deliveries_due(tx: &Tx<'_>, before: &Session, signal: &Signal) -> Result<Vec<SessionId>> {
    let session = session::require(tx, &before.id)?;
    // Of a turn that has failed, its end was that.
    let has_failed = before.activity == Activity::Blocked && before.state().decision().is_none();
    let parent = match signal {
        Signal::TurnEnded if has_failed => None,
        Signal::TurnEnded => delivery::report::turn_ended(tx, &session, "")?,
        // Of a program without hooks only its screen shows it, and of one with hooks an interrupted or a
        // failed turn, and one that was ended by the answer in its terminal.
        Signal::Shown(Activity::Idle, _) => {
            delivery::proof::finished(tx, &session, delivery::END_NOT_REPORTED, "")?;
            match before.activity {
                Activity::Active | Activity::Waiting => {
                    delivery::report::turn_ended(tx, &session, "")?
                }
                _ => None,
            }
        }
        Signal::TurnFailed(cause) => delivery::report::turn_ended(tx, &session, cause)?,
        _ => None,
    };
    let mut found = Vec::new();
    if delivery::due(tx, &session)?.is_some() {
        found.push(session.id);
    }
    if let Some(parent) = parent
        && delivery::due(tx, &session::require(tx, &parent)?)?.is_some()
    {
        found.push(parent);
    }
    Ok(found)
}

fn record_deliveries(
    tx: &Tx<'_>,
    session: &Session,
    report: &Report,
    signal: &Signal,
) -> Result<()> {
    match signal {
        Signal::TurnStarted | Signal::ToolStarted(_) | Signal::ToolEnded(_) => {
            delivery::proof::started(tx, session)?;
        }
        Signal::TurnEnded => delivery::proof::finished(tx, session, "", &report.message)?,
        Signal::TurnFailed(cause) => {
            delivery::proof::finished(tx, session, cause, &report.message)?
        }
        Signal::Limited(until) => delivery::proof::limited(tx, session, &report.message, *until)?,
        _ => {}
    }
    match &report.prompt {
        Some(prompt) => delivery::proof::submitted(tx, session, prompt),
        None => Ok(()),
    }
}

/// The open decision is that of the state.
fn record_decision(tx: &Tx<'_>, session: &Session, report: &Report, state: &State) -> Result<()> {
    match state.decision() {
        Some(kind) => {
            decision::request(tx, session, kind, &state.call, state.source, &report.question)
        }
        None => decision::resolve(tx, &session.id, Resolution::Released, "").map(|_| ()),
    }
}

fn record_limit(
    tx: &Tx<'_>,
    session: &Session,
    report: &Report,
    signal: &Signal,
    state: &State,
) -> Result<()> {
    match state.activity {
        Activity::Limited => account::store(
            tx,
            &Limit {
                account: account::name(&session.harness, &report.account),
                session: session.id.clone(),
                message: report.message.clone(),
                reported_at: tx.now(),
                until: state.until,
            },
        ),
        Activity::Active => account::clear(tx, &session.id, &session.harness),
        Activity::Idle if session.activity == Activity::Active && *signal == Signal::TurnEnded => {
            account::works(tx, &session.harness, session.activity_at)
        }
        _ => Ok(()),
    }
}
