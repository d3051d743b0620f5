//! The registry of error codes: one row per code. `docs/errors.md` is generated from it.
//!
//! Every error of every crate has exactly one [`Code`]; its exit status, HTTP status and retryability
//! are defined here and nowhere else.

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong; sending it again cannot help.
    Invalid,
    /// A credential is missing, or was refused.
    Credentials,
    /// The thing named does not exist.
    NotFound,
    /// The state of the store forbids the request.
    Conflict,
    /// A cursor can no longer be resumed; take a snapshot or start over.
    Cursor,
    /// Another process holds the resource; retry later.
    Busy,
    /// The stop condition was not met in time.
    TimedOut,
    /// The store or its machine has a defect.
    Unsound,
    /// An external program or service failed.
    External,
    /// A defect of this program.
    Internal,
}

macro_rules! codes {
    ($($variant:ident $name:literal $kind:ident $http:literal $exit:literal $meaning:literal;)*) => {
        /// A stable, machine-readable name of a failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the registry.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The name on the wire, such as `PROJECT_NOT_FOUND`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// What the caller can do about it.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Code::$variant => Kind::$kind,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Code::$variant => $http,)* }
            }

            /// The exit status of the command line.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Code::$variant => $exit,)* }
            }

            /// What happened, as a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    Usage "USAGE" Invalid 400 2 "The command line is wrong.";
    InvalidConfig "INVALID_CONFIG" Invalid 400 2 "The configuration file has an unknown key or an invalid value.";
    InvalidId "INVALID_ID" Invalid 400 2 "An id, a name or a branch has an invalid form.";
    InvalidPath "INVALID_PATH" Invalid 400 2 "A path does not exist or cannot be used.";
    NotAGitRepo "NOT_A_GIT_REPO" Invalid 400 2 "The path is not the work tree of a git repository.";
    GitNotTrusted "GIT_NOT_TRUSTED" Invalid 403 2 "git does not read the repository, because another user owns it.";
    InvalidBranch "INVALID_BRANCH" Invalid 400 2 "A branch has a name that git or ao-store refuses.";
    InvalidPrompt "INVALID_PROMPT" Invalid 400 2 "A prompt or a message is empty, too long, or not a text.";
    InvalidHarness "INVALID_HARNESS" Invalid 400 2 "The file of harnesses has an unknown key or an invalid value.";
    ProjectRequired "PROJECT_ID_REQUIRED" Invalid 400 2 "No project was named, and none could be inferred.";
    AgentRequired "AGENT_REQUIRED" Invalid 400 2 "No harness was named, and AO_AGENT is not set.";
    UnknownHarness "UNKNOWN_HARNESS" Invalid 400 2 "No harness has this name.";
    InvalidPrRef "INVALID_PR_REF" Invalid 400 2 "A pull request reference is neither a URL nor owner/repo#number.";
    InvalidUrl "INVALID_URL" Invalid 400 2 "The URL or host of a GitHub server is not one that can be used.";
    InvalidCursor "INVALID_CURSOR" Invalid 400 2 "A cursor or the position of a snapshot has an invalid form.";
    InvalidEventType "INVALID_EVENT_TYPE" Invalid 400 2 "No change has this type or entity.";
    InvalidField "INVALID_FIELD" Invalid 400 2 "No row has this field, or the field never has this value.";
    InvalidDelivery "INVALID_DELIVERY" Invalid 400 2 "The name of a webhook delivery is not one that is understood.";
    InvalidJson "INVALID_JSON" Invalid 400 2 "The input is not JSON, is cut off, or has a field of the wrong type.";
    InvalidObservation "INVALID_OBSERVATION" Invalid 400 2 "An observation is JSON but contradicts itself.";
    InvalidExport "INVALID_EXPORT" Invalid 400 2 "A line of an export is damaged, missing, or contradicts the others.";
    InvalidSource "INVALID_SOURCE" Invalid 400 2 "The file to import is not a database of ao, or is in use.";
    InputTooLarge "INPUT_TOO_LARGE" Invalid 413 2 "One document of the input is larger than its bound.";
    StoreNotFound "STORE_NOT_FOUND" NotFound 404 3 "There is no database in the data directory.";
    ProjectNotFound "PROJECT_NOT_FOUND" NotFound 404 3 "No project has this id.";
    SessionNotFound "SESSION_NOT_FOUND" NotFound 404 3 "No session has this id.";
    PrNotFound "PR_NOT_FOUND" NotFound 404 3 "No tracked pull request has this reference.";
    DeliveryNotFound "DELIVERY_NOT_FOUND" NotFound 404 3 "No delivery has this id.";
    OrgNotFound "ORG_NOT_FOUND" NotFound 404 3 "No organisation has this name.";
    AgentUnknown "AGENT_NOT_FOUND" NotFound 404 3 "The organisation has no agent of this name, or the caller may not use it.";
    ConversationNotFound "CONVERSATION_NOT_FOUND" NotFound 404 3 "No conversation has this id, or the caller may not see it.";
    TurnNotFound "TURN_NOT_FOUND" NotFound 404 3 "No turn has this id, or the caller may not see it.";
    ConsumerNotFound "CONSUMER_NOT_FOUND" NotFound 404 3 "No consumer has this name.";
    TokenNotFound "TOKEN_NOT_FOUND" NotFound 404 3 "No token of the daemon has this name.";
    CredentialsMissing "CREDENTIALS_MISSING" Credentials 401 4 "No source has a token for the host.";
    CredentialsInvalid "CREDENTIALS_INVALID" Credentials 401 4 "The host refuses the token.";
    DaemonRunning "DAEMON_RUNNING" Busy 409 9 "Another process serves the data directory.";
    DaemonFailed "DAEMON_FAILED" External 500 1 "The daemon ended before it was ready.";
    DaemonUnanswered "DAEMON_UNANSWERED" TimedOut 503 8 "The daemon of the data directory did not answer, or did not end, in time.";
    ObserverRunning "OBSERVER_RUNNING" Busy 409 9 "Another process observes for this store.";
    ScmIncomplete "SCM_INCOMPLETE" External 502 1 "Something at the host could not be read; the rest is stored.";
    ScmThrottled "SCM_THROTTLED" Busy 503 9 "The host or its remaining rate limit forbids requests for now.";
    ScmUnavailable "SCM_UNAVAILABLE" External 502 1 "The host cannot be reached, or answers with errors.";
    WebhookSignature "WEBHOOK_SIGNATURE" Credentials 401 4 "The signature of a webhook delivery is missing or wrong; nothing was applied.";
    IdAlreadyRegistered "ID_ALREADY_REGISTERED" Conflict 409 5 "Another project, organisation or agent has this id.";
    PathAlreadyRegistered "PATH_ALREADY_REGISTERED" Conflict 409 5 "Another active project has this path.";
    ProjectArchived "PROJECT_ARCHIVED" Conflict 409 5 "The project is archived.";
    ProjectHasLiveSessions "PROJECT_HAS_LIVE_SESSIONS" Conflict 409 5 "The project has sessions that are not terminated.";
    OrchestratorActive "ORCHESTRATOR_ALREADY_ACTIVE" Conflict 409 5 "The project already has an active orchestrator.";
    SessionNotSeed "SESSION_NOT_SEED" Conflict 409 5 "The session produced something, so its row is kept.";
    SessionTerminated "SESSION_TERMINATED" Conflict 409 5 "The session is terminated.";
    SessionNotClaimable "SESSION_NOT_CLAIMABLE" Conflict 422 5 "An orchestrator cannot own a pull request.";
    PrClaimed "PR_CLAIMED_BY_ACTIVE_SESSION" Conflict 409 5 "An active session owns the pull request and takeover was not allowed.";
    PrNotOpen "PR_NOT_OPEN" Conflict 409 5 "The pull request is merged or closed.";
    PrProjectMismatch "PR_PROJECT_MISMATCH" Conflict 422 5 "The pull request belongs to another project than the session.";
    PrOwnedByOther "PR_OWNED_BY_OTHER_SESSION" Conflict 409 5 "The observation names another session than the owner of the pull request.";
    NotApplied "OBSERVATION_NOT_APPLIED" Conflict 409 5 "With --strict: no session owns the pull request, or another one is stored at its location.";
    ConsumerExists "CONSUMER_EXISTS" Conflict 409 5 "A consumer of this name already exists.";
    TokenExists "TOKEN_EXISTS" Conflict 409 5 "A token of the daemon with this name already exists.";
    ConsumerFilter "CONSUMER_FILTER_MISMATCH" Conflict 409 5 "The consumer was created with another filter.";
    LeaseLost "LEASE_LOST" Conflict 409 5 "The lease on the consumer is lost; nothing was acknowledged.";
    LeaseHeld "LEASE_HELD" Busy 409 9 "Another owner reads this consumer.";
    SessionBusy "SESSION_BUSY" Busy 409 9 "Another process runs a command on the session.";
    SessionExternal "SESSION_EXTERNAL" Conflict 409 5 "Another program runs the session, so it cannot be started here.";
    SessionNotRestorable "SESSION_NOT_RESTORABLE" Conflict 409 5 "The session is not terminated, so there is nothing to restore.";
    SessionIncomplete "SESSION_INCOMPLETE_HANDLE" Conflict 409 5 "The session has no worktree or branch to be restored from, or no worktree or base to be compared.";
    SessionNotResumable "SESSION_NOT_RESUMABLE" Conflict 409 5 "The session has neither a conversation nor a prompt to continue from.";
    DeliveryKeyUsed "DELIVERY_KEY_USED" Conflict 409 5 "The key belongs to a delivery of another text.";
    TurnKeyUsed "TURN_KEY_USED" Conflict 409 5 "The key belongs to a turn of another text.";
    TurnFailed "TURN_FAILED" External 502 1 "The turn ended without an answer.";
    TurnCancelled "TURN_CANCELLED" Conflict 409 5 "The turn was cancelled.";
    TurnExpired "TURN_EXPIRED" TimedOut 504 8 "No worker took the turn in time.";
    ConversationBusy "CONVERSATION_BUSY" Busy 409 9 "A turn of the conversation has not ended.";
    AgentIsSession "AGENT_IS_SESSION" Conflict 409 5 "The agent is a session, so no worker answers for it.";
    NotResendable "DELIVERY_NOT_RESENDABLE" Conflict 409 5 "The delivery is neither ambiguous nor failed, so it is not written again.";
    DeliveryAmbiguous "DELIVERY_AMBIGUOUS" Conflict 409 5 "It is not known whether the agent got the message.";
    DeliveryFailed "DELIVERY_FAILED" External 502 1 "The message was not written, or its turn ended by a failure.";
    StageNotReported "STAGE_NOT_REPORTED" Conflict 409 5 "The harness has no hook that reports this stage of a delivery; nothing was sent.";
    DecisionPending "DECISION_PENDING" Conflict 409 5 "The agent waits for a decision, which a message would answer.";
    AgentNotExited "AGENT_NOT_EXITED" Conflict 409 5 "The agent of the session is still running.";
    SessionNotRunning "SESSION_NOT_RUNNING" Conflict 409 5 "The agent of the session does not run.";
    NoTerminal "NO_TERMINAL" Conflict 409 5 "The command, or the agent of the session, has no terminal.";
    DecisionNotOpen "DECISION_NOT_OPEN" Conflict 409 5 "The session does not wait for a decision, or no longer for the same one.";
    AnswerNotPossible "ANSWER_NOT_POSSIBLE" Conflict 409 5 "The answer cannot be given from here; no key was sent.";
    AnswerNotTaken "ANSWER_NOT_TAKEN" External 502 1 "The keys of an answer were sent, and the dialog is still there; or the hook that waited did not take it.";
    AgentNotFound "AGENT_BINARY_NOT_FOUND" Conflict 400 5 "The program of the harness is not installed; nothing was created.";
    AgentFailed "AGENT_START_FAILED" External 502 1 "The program of the agent could not be started.";
    RuntimeMissing "RUNTIME_PREREQUISITE_MISSING" Conflict 400 5 "tmux is missing or cannot be used; nothing was created.";
    RuntimeFailed "RUNTIME_FAILED" External 502 1 "tmux failed or did not answer in time.";
    AdmissionLimit "ADMISSION_LIMIT" Busy 429 9 "The project has as many live sessions as its limit allows.";
    AccountLimited "ACCOUNT_LIMITED" Busy 429 9 "The account of the harness has reached a limit.";
    SetupFailed "SETUP_FAILED" External 502 1 "The setup command of the project failed; the session was not created.";
    ProjectNotResolvable "PROJECT_NOT_RESOLVABLE" Conflict 400 5 "The repository of the project does not exist or cannot be used.";
    BranchElsewhere "BRANCH_CHECKED_OUT_ELSEWHERE" Conflict 409 5 "Another worktree has checked out the branch.";
    BranchNotFetched "BRANCH_NOT_FETCHED" Conflict 400 5 "The branch or base exists neither locally nor among the fetched branches.";
    BranchExists "BRANCH_EXISTS" Conflict 409 5 "The branch to create already exists.";
    WorktreeExists "WORKTREE_EXISTS" Conflict 409 5 "Something else is at the path of the worktree.";
    TargetExists "TARGET_EXISTS" Conflict 409 5 "The file to write already exists.";
    StoreInUse "STORE_IN_USE" Busy 409 9 "Another process has the store open.";
    StoreReplaced "STORE_REPLACED" Conflict 409 5 "The database file was replaced while it was open.";
    StoreHardLinked "STORE_HARD_LINKED" Conflict 409 5 "The database file has a second name (a hard link); nothing was written.";
    NotAStore "NOT_A_STORE" Conflict 409 5 "The file is not a database of ao-store.";
    StoreNotEmpty "STORE_NOT_EMPTY" Conflict 409 5 "The store already contains facts.";
    SchemaTooNew "SCHEMA_TOO_NEW" Conflict 409 5 "The database was written by a newer program.";
    SchemaOutdated "SCHEMA_OUTDATED" Conflict 409 5 "The database needs a migration.";
    MigrationPending "MIGRATION_PENDING" Unsound 409 6 "A check found migrations that are not applied.";
    SchemaDraft "SCHEMA_DRAFT" Conflict 409 5 "The database was created by an unreleased draft of the schema.";
    SchemaMismatch "SCHEMA_MISMATCH" Unsound 500 6 "The live schema differs from that of the migrations.";
    Corrupt "CORRUPT" Unsound 500 6 "The database file is damaged.";
    LogHole "LOG_HOLE" Unsound 500 6 "A change that was not pruned is missing from the log.";
    CursorExpired "CURSOR_EXPIRED" Cursor 410 7 "The changes after the cursor were pruned.";
    CursorEpoch "CURSOR_EPOCH_MISMATCH" Cursor 409 7 "The cursor belongs to another epoch of the log.";
    CursorFuture "CURSOR_IN_FUTURE" Invalid 400 2 "The cursor is beyond the head of the log.";
    ConditionLost "CONDITION_LOST" Conflict 409 5 "The session can no longer meet the condition that is waited for.";
    TimedOut "TIMED_OUT" TimedOut 504 8 "The stop condition was not met in time.";
    Busy "BUSY" Busy 503 9 "Another writer held the database longer than the bound.";
    Interrupted "INTERRUPTED" Busy 503 130 "A signal interrupted the command, which undid what it had done. The exit code is 128 plus the number of the signal.";
    ReadOnly "READ_ONLY_STORE" Unsound 403 1 "The database or its directory cannot be written.";
    DiskFull "DISK_FULL" Unsound 507 1 "The disk is full; nothing was written.";
    Io "IO_ERROR" Unsound 500 1 "Reading or writing a file failed.";
    GitFailed "GIT_FAILED" External 502 1 "The program git is missing or failed.";
    CommandFailed "COMMAND_FAILED" External 502 1 "A command that tail runs for a change failed; the change is not acknowledged.";
    Internal "INTERNAL_ERROR" Internal 500 1 "A defect of ao-store.";
}

impl Code {
    /// Whether the same request can succeed later without a change.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Code::DaemonRunning
                | Code::DaemonUnanswered
                | Code::ObserverRunning
                | Code::ScmIncomplete
                | Code::ScmThrottled
                | Code::ScmUnavailable
                | Code::Busy
                | Code::LeaseHeld
                | Code::SessionBusy
                | Code::ConversationBusy
                | Code::AdmissionLimit
                | Code::AccountLimited
                | Code::RuntimeFailed
                | Code::StoreInUse
                | Code::TimedOut
                | Code::DiskFull
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_upper_snake() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{name}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_design() {
        for code in Code::ALL {
            assert!(matches!(code.exit_code(), 1..=9 | 130), "{}", code.name());
        }
    }
}
