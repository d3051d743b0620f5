//! The error type, grouped by what the caller can do; every variant has one [`Code`].
//!
//! `Display` is a lower-case fragment that says what happened, without the cause in `source()`.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use ao_store::activity::DecisionKind;
use ao_store::row::decision::Decision;
use ao_store::row::delivery::Stage;
use ao_store::{Code, ProjectId, SessionId, Timestamp, io_code};
use serde_json::{Value, json};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a verb was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    /// A branch has an invalid name.
    #[error("{name:?} is no branch name: {reason}")]
    InvalidBranch {
        /// The name given, shortened.
        name: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// A model was named that nothing would be told about.
    #[error("--model cannot be used: {0}")]
    ModelRefused(String),
    /// A permission mode was named that the harness does not have.
    #[error("--permission cannot be used: {0}")]
    PermissionRefused(String),
    /// A prompt cannot be given to an agent.
    #[error("the prompt is invalid: {0}")]
    InvalidPrompt(&'static str),
    /// A message cannot be given to an agent.
    #[error("the message is invalid: {0}")]
    InvalidMessage(&'static str),
    /// A file of harnesses is invalid.
    #[error("{}: {reason}", path.display())]
    InvalidHarness {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
    /// No harness was named.
    #[error("no harness was named, and AO_AGENT is not set")]
    AgentRequired,
    /// No harness has this name.
    #[error("there is no harness {name:?}")]
    UnknownHarness {
        /// The name given.
        name: String,
        /// The names that resemble it, the nearest first.
        nearest: Vec<String>,
    },
    /// The program of a harness is not installed.
    #[error("{program} of the harness {harness} was not found")]
    AgentNotFound {
        /// The harness.
        harness: String,
        /// The program that is missing.
        program: String,
        /// Where it was looked for, besides `PATH`.
        looked: Vec<String>,
    },
    /// The program of the agent could not be executed.
    #[error("the agent could not be started: {reason}")]
    AgentFailed {
        /// Why.
        reason: String,
        /// The last lines of its output.
        tail: String,
    },
    /// The account of a harness has reached a limit.
    #[error("the account {account} has reached a limit, {}", end_of_limit(*until))]
    AccountLimited {
        /// The account.
        account: String,
        /// When the limit ends, if that was reported.
        until: Option<Timestamp>,
    },
    /// tmux is missing or too old.
    #[error("tmux cannot be used: {0}")]
    RuntimeMissing(String),
    /// A runtime failed.
    #[error("{action} failed: {reason}")]
    RuntimeFailed {
        /// What was tried.
        action: &'static str,
        /// What the program printed, or why it gave no answer.
        reason: String,
    },
    /// The repository of a project cannot be used.
    #[error("the repository of project {project} cannot be used: {reason}")]
    ProjectNotResolvable {
        /// The project.
        project: ProjectId,
        /// Why.
        reason: String,
    },
    /// Another worktree has the branch.
    #[error("branch {branch} is checked out in {}", path.display())]
    BranchElsewhere {
        /// The branch.
        branch: String,
        /// The worktree that has it.
        path: PathBuf,
    },
    /// A branch or base is not known here.
    #[error("{reference} exists neither locally nor among the fetched branches")]
    BranchNotFetched {
        /// The branch or base.
        reference: String,
    },
    /// A branch to create exists.
    #[error("branch {branch} already exists")]
    BranchExists {
        /// The branch.
        branch: String,
        /// Whether it is, or is in the way of, the one that a session gets without a name of its own.
        is_own: bool,
    },
    /// Something else is at the path of a worktree.
    #[error("{} exists already", .0.display())]
    WorktreeExists(PathBuf),
    /// git failed.
    #[error("{action} failed: {reason}")]
    Git {
        /// What was tried.
        action: &'static str,
        /// The last lines that git printed.
        reason: String,
    },
    /// The setup command of a project failed.
    #[error("the setup command {outcome}")]
    SetupFailed {
        /// How it ended.
        outcome: String,
        /// The last lines of its output.
        tail: String,
    },
    /// A session cannot be restored because it is not terminated.
    #[error("session {0} is not terminated")]
    NotRestorable(SessionId),
    /// A session lacks what it would be restored from or compared with.
    #[error("session {id} has no {missing}")]
    Incomplete {
        /// The session.
        id: SessionId,
        /// What is missing.
        missing: &'static str,
    },
    /// A session has nothing to continue from.
    #[error("session {0} has neither a conversation nor a prompt to continue from")]
    NotResumable(SessionId),
    /// The agent of a session still runs.
    #[error("the agent of session {0} is still running")]
    AgentNotExited(SessionId),
    /// What is written to the agent now would answer its question.
    #[error("session {} waits for a decision ({}){}", .0.session, .0.kind, asked(.0))]
    DecisionPending(Box<Decision>),
    /// Nothing reports what the agent of this harness answers.
    #[error("the harness {0} does not report what its agent answers")]
    AnswerNotReported(String),
    /// Nothing reports a stage of a delivery.
    #[error("the harness {harness} does not report that a message is {stage}")]
    StageNotReported {
        /// The harness.
        harness: String,
        /// The stage.
        stage: Stage,
    },
    /// A delivery did not end in doubt.
    #[error("delivery {id} is {stage}")]
    NotResendable {
        /// The delivery.
        id: String,
        /// Its stage.
        stage: Stage,
    },
    /// Another program runs the session.
    #[error("session {0} is run by another program")]
    External(SessionId),
    /// The agent of a session does not run.
    #[error("the agent of session {session} does not run: {reason}")]
    NotRunning {
        /// The session.
        session: SessionId,
        /// Why.
        reason: &'static str,
    },
    /// The agent of a session runs without a terminal.
    #[error("the agent of session {0} runs without a terminal")]
    NoTerminal(SessionId),
    /// A session waits for no decision.
    #[error("session {0} does not wait for a decision")]
    NoDecision(SessionId),
    /// A decision cannot be answered from here.
    #[error("the {kind} that session {session} waits for cannot be answered from here: {reason}")]
    AnswerNotPossible {
        /// The session.
        session: SessionId,
        /// What is asked.
        kind: DecisionKind,
        /// Why.
        reason: String,
    },
    /// The agent did not take an answer.
    #[error("the agent of session {0} did not take the answer")]
    AnswerNotTaken(SessionId),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A signal asked to stop. What was done until then is undone.
    #[error("{} interrupted it", signal_name(*signal))]
    Interrupted {
        /// Its number.
        signal: u8,
    },
    /// A failpoint was hit; in tests only.
    #[error("the failpoint {0} was hit")]
    Failpoint(&'static str),
}

fn end_of_limit(until: Option<Timestamp>) -> String {
    let Some(until) = until else { return "and its end is not known".to_owned() };
    format!("which ends at {}", time(until))
}

/// A time after 1970 in RFC 3339.
fn time(at: Timestamp) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or_default());
    humantime::format_rfc3339_millis(at).to_string()
}

/// What is asked, as the end of a sentence.
fn asked(decision: &Decision) -> String {
    let words = [&decision.tool, &decision.text];
    let words: Vec<_> = words.into_iter().filter(|it| !it.is_empty()).map(String::as_str).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(": ")) }
}

fn signal_name(signal: u8) -> String {
    let name = signal_hook::low_level::signal_name(i32::from(signal));
    name.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

impl Error {
    /// The code in the registry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Store(error) => error.code(),
            Error::InvalidBranch { .. } => Code::InvalidBranch,
            Error::ModelRefused(_) | Error::PermissionRefused(_) => Code::Usage,
            Error::InvalidPrompt(_) | Error::InvalidMessage(_) => Code::InvalidPrompt,
            Error::InvalidHarness { .. } => Code::InvalidHarness,
            Error::AgentRequired => Code::AgentRequired,
            Error::UnknownHarness { .. } => Code::UnknownHarness,
            Error::AgentNotFound { .. } => Code::AgentNotFound,
            Error::AgentFailed { .. } => Code::AgentFailed,
            Error::AccountLimited { .. } => Code::AccountLimited,
            Error::RuntimeMissing(_) => Code::RuntimeMissing,
            Error::RuntimeFailed { .. } => Code::RuntimeFailed,
            Error::ProjectNotResolvable { .. } => Code::ProjectNotResolvable,
            Error::BranchElsewhere { .. } => Code::BranchElsewhere,
            Error::BranchNotFetched { .. } => Code::BranchNotFetched,
            Error::BranchExists { .. } => Code::BranchExists,
            Error::WorktreeExists(_) => Code::WorktreeExists,
            Error::Git { .. } => Code::GitFailed,
            Error::SetupFailed { .. } => Code::SetupFailed,
            Error::NotRestorable(_) => Code::SessionNotRestorable,
            Error::Incomplete { .. } => Code::SessionIncomplete,
            Error::NotResumable(_) => Code::SessionNotResumable,
            Error::AgentNotExited(_) => Code::AgentNotExited,
            Error::DecisionPending(_) => Code::DecisionPending,
            Error::AnswerNotReported(_) | Error::StageNotReported { .. } => Code::StageNotReported,
            Error::NotResendable { .. } => Code::NotResendable,
            Error::External(_) => Code::SessionExternal,
            Error::NotRunning { .. } => Code::SessionNotRunning,
            Error::NoTerminal(_) => Code::NoTerminal,
            Error::NoDecision(_) => Code::DecisionNotOpen,
            Error::AnswerNotPossible { .. } => Code::AnswerNotPossible,
            Error::AnswerNotTaken(_) => Code::AnswerNotTaken,
            Error::File { source, .. } => io_code(source),
            Error::Interrupted { .. } => Code::Interrupted,
            Error::Failpoint(_) => Code::Internal,
        }
    }

    /// Whether the same may succeed a moment later. What is refused for what the rows say does not.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Error::Store(error) => error.code().is_retryable(),
            Error::RuntimeFailed { .. }
            | Error::ProjectNotResolvable { .. }
            | Error::Git { .. }
            | Error::File { .. }
            | Error::Failpoint(_) => true,
            _ => false,
        }
    }

    /// The error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }

    /// Machine-readable fields of the error.
    #[must_use]
    pub fn details(&self) -> Value {
        match self {
            Error::Store(error) => error.details(),
            Error::UnknownHarness { name, nearest } => json!({"name": name, "nearest": nearest}),
            Error::AgentNotFound { harness, program, looked } => {
                json!({"harness": harness, "program": program, "looked": looked})
            }
            Error::AgentFailed { tail, .. } | Error::SetupFailed { tail, .. } => {
                json!({"tail": tail})
            }
            Error::AccountLimited { account, until } => {
                json!({"account": account, "ends_at": until.map(time)})
            }
            Error::BranchElsewhere { branch, path } => {
                json!({"branch": branch, "path": path.to_string_lossy()})
            }
            Error::BranchNotFetched { reference } => json!({"reference": reference}),
            Error::Interrupted { signal } => json!({"signal": signal}),
            Error::DecisionPending(decision) => json!({
                "session_id": decision.session.as_str(), "decision_id": decision.id,
                "kind": decision.kind.as_str(), "tool": decision.tool, "text": decision.text,
            }),
            Error::NotResendable { id, stage } => {
                json!({"delivery_id": id, "stage": stage.as_str()})
            }
            Error::Incomplete { id, missing } => {
                json!({"session_id": id.as_str(), "lacks": missing})
            }
            _ => json!({}),
        }
    }
}
