//! The hint for each error: what to do next, with the exact command where there is one.

use ao_store::log::as_of::ENTITIES;
use ao_store::text_input::NOT_UTF8;
use ao_store::turn::State;
use ao_store::{CHANGE_TYPES, Code, ConsumerName};

use crate::error::Error;
use crate::invocation::{Invocation, quoted};
use crate::nearest::nearest;
use crate::usage;

/// The hint for an error.
pub(crate) fn of(error: &Error, invocation: &Invocation) -> String {
    let particular = match error {
        Error::Document { source, .. } => return of(source, invocation),
        Error::Usage(_) => Some(usage::help()),
        Error::Unconfirmed(_) => return format!("confirm it: `{}`", invocation.with("--yes")),
        Error::Cdc(ao_cdc::Error::Store(ao_store::Error::LeaseHeld { .. })) => {
            let command = invocation.with("--take-over");
            return format!("stop its owner, wait, or take the lease: `{command}`");
        }
        Error::Store(ao_store::Error::PrClaimed { owner, .. })
        | Error::Session(ao_session::Error::Store(ao_store::Error::PrClaimed { owner, .. })) => Some(format!(
            "show the owner: `ao-store session get {owner}`; to take the pull request over: `{}`",
            invocation.with("--takeover")
        )),
        Error::ConfigFile { path, .. } => {
            Some(format!("check its owner and mode: `ls -la {}`", quoted(path)))
        }
        Error::Daemon(ao_daemon::Error::NetworkFileSystem { .. }) => {
            Some("use a directory on a local disk: `--data-dir DIR`".to_owned())
        }
        Error::Store(error)
        | Error::Session(ao_session::Error::Store(error))
        | Error::Daemon(ao_daemon::Error::Store(error))
        | Error::Cdc(ao_cdc::Error::Store(error)) => of_store(error),
        Error::Cdc(error) => of_stream(error),
        Error::Stranded { name, .. } => {
            Some(format!("move it to the oldest change that is kept: {}", of_stranded(name)))
        }
        Error::CommandFailed { name, cursor, .. } => Some(format!(
            "run it again: it continues with this change; to skip the change: `ao-store consumer ack {name} {cursor}`"
        )),
        Error::Session(error) => of_session(error, invocation),
        Error::DeliveryEnded(delivery) if delivery.can_be_resent() => Some(format!(
            "look at the terminal of the agent; to write it again: `ao-store delivery resend {}`",
            delivery.id
        )),
        Error::DeliveryWaits(of) => Some(format!("start it: `ao-store session relaunch {}`", of.session)),
        Error::DeliveryEnded(delivery) | Error::DeliveryNotReached { delivery, .. } => {
            Some(format!("show it: `ao-store delivery get {}`", delivery.id))
        }
        Error::TurnEnded { .. } | Error::TurnNotEnded(_) | Error::TurnLost { .. } => of_turn(error),
        Error::RepoMoved { .. } => Some(
            "if that repository was moved, run `git worktree repair` in it; otherwise pass another path"
                .to_owned(),
        ),
        Error::GitNotTrusted(repo) => Some(format!(
            "if you trust its files: `git config --global --add safe.directory {}`",
            quoted(repo)
        )),
        Error::NotVerified(ao_observer::Error::NoPullRequest { .. }) => Some(format!(
            "check the number, and that the credentials can read the repository; to claim it all the same: `{}`",
            invocation.with("--no-verify")
        )),
        Error::NotVerified(_) => Some(format!(
            "try again later, or claim it without asking the host: `{}`",
            invocation.with("--no-verify")
        )),
        Error::Delivery { source: ao_observer::Error::Form { .. }, .. } => Some(
            "set the content type of the webhook to application/json, and send the delivery again"
                .to_owned(),
        ),
        Error::Observer(ao_observer::Error::NotText(_)) => Some(CONVERT.to_owned()),
        Error::Delivery { source: ao_observer::Error::InvalidPayload { .. }, .. } => Some(
            "pass the whole JSON body that GitHub sent, and its X-GitHub-Event header as --event"
                .to_owned(),
        ),
        _ => None,
    };
    invocation.complete(&particular.unwrap_or_else(|| of_code(error.code()).to_owned()))
}

/// For text that is not UTF-8.
const CONVERT: &str = "convert it: `iconv -f UTF-16 -t UTF-8 FILE > COPY`";

/// A hint with the name of the session.
fn of_session(error: &ao_session::Error, invocation: &Invocation) -> Option<String> {
    use ao_session::Error as E;
    match error {
        E::BranchExists { is_own: true, .. } => Some(format!(
            "run it again, which takes the next name; if another store spawns sessions in this repository, name the branch: `{}`",
            invocation.with("--branch NAME --create-branch")
        )),
        E::Incomplete { id, missing: "worktree" | "base commit" } => {
            Some(format!("show what is recorded of it: `ao-store session get {id}`"))
        }
        E::DecisionPending(decision) => Some(format!(
            "answer it: `ao-store session answer {0} --allow` or --deny, or in its terminal: `ao-store session attach {0}`; then send again",
            decision.session
        )),
        E::NotResendable { id, .. } => Some(format!(
            "show it: `ao-store delivery get {id}`; to send the text anew: `ao-store send SESSION TEXT`"
        )),
        E::NoTerminal(session) => Some(format!(
            "a session has a terminal unless it was spawned with --runtime process; what it printed: `ao-store session log {session}`"
        )),
        E::AnswerNotPossible { session, .. } | E::AnswerNotTaken(session) => {
            Some(format!("answer it in its terminal: `ao-store session attach {session}`"))
        }
        _ => None,
    }
}

/// What to do about a turn that was not answered, or whose answer was not waited for.
fn of_turn(error: &Error) -> Option<String> {
    let turn = match error {
        Error::TurnNotEnded(at) | Error::TurnLost { at, .. } => return Some(at.hint()),
        Error::TurnEnded { turn, .. } => turn,
        _ => return None,
    };
    match turn.state {
        State::Failed if turn.reason.can_be_sent_again() => Some(format!(
            "the message may be sent again, under another key; all of it: `ao-store turn get {}`",
            turn.id
        )),
        State::Failed => Some(format!("show it: `ao-store turn get {}`", turn.id)),
        State::Expired => Some(format!(
            "start a worker: `ao-store worker run --agent {} --org {} -- COMMAND`, then send it again",
            turn.agent, turn.org
        )),
        _ => None,
    }
}

/// A hint with the names that the error carries.
fn of_store(error: &ao_store::Error) -> Option<String> {
    use ao_store::Error as E;
    Some(match error {
        E::ConsumerNotFound { name, known } => {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            match nearest(name, &known) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("list them: `ao-store consumer ls`; or create it: `ao-store consumer create {name}`"),
            }
        }
        E::LeaseLost { name } => format!("show its owner: `ao-store consumer get {name}`"),
        E::LeaseHeld { name, .. } => format!(
            "stop its owner or wait: `ao-store consumer get {name}` shows it; `seek` and `rm` accept --force"
        ),
        E::PrOwnedByOther { pr, owner, named } => {
            format!("name {owner} in the document, or move it: `ao-store pr claim {named} {pr} --takeover`")
        }
        E::OrchestratorActive { session, .. } => {
            format!("show it: `ao-store session get {session}`")
        }
        E::PathAlreadyRegistered { owner, .. } => {
            format!("show it: `ao-store project get {owner}`")
        }
        E::CursorExpired { oldest, .. } => {
            format!("start at the oldest resumable cursor: `ao-store tail --from {oldest}`")
        }
        // Moved away, it would stop the command that fills it.
        E::TargetExists(path) if path.extension().is_some_and(|it| it == "partial") => {
            let shown = quoted(path);
            format!("another command may make it: wait for that, else look into it: `ls -la {shown}`")
        }
        E::StoreInUse(path) => {
            format!("stop the processes that have it open: `fuser -v {}`", quoted(path))
        }
        error if error.is_unreadable() => "restore a backup, which `ao-store verify FILE` finds sound: `ao-store restore-db BACKUP`"
            .to_owned(),
        E::Damaged { path, .. } if !path.ends_with("ao.db") && path.exists() => format!(
            "show what is damaged: `ao-store verify --deep {}`; or choose another file",
            quoted(path)
        ),
        E::Emptied(path) if !path.ends_with("ao.db") => "choose another file".to_owned(),
        E::Emptied(_) => "restore a backup: `ao-store restore-db BACKUP`; without one, move the file away and create a new store: `ao-store init`"
            .to_owned(),
        E::NotAStore(path) if !path.ends_with("ao.db") => {
            "pass a database of ao-store, such as the file that `ao-store backup` wrote".to_owned()
        }
        E::ReservedName(_) => {
            "choose a name that no store uses, without -journal, -wal, -shm or .partial at its end"
                .to_owned()
        }
        E::StoreNotFound(path) if !path.ends_with("ao.db") => {
            "check the path of the file".to_owned()
        }
        E::IdAlreadyRegistered(id) => format!(
            "show it: `ao-store project get {id}`; for another repository choose another --id"
        ),
        E::ProjectHasLiveSessions { id, .. } => {
            format!("list them: `ao-store session ls --project {id}`")
        }
        E::InvalidExport { reason, .. } if reason == NOT_UTF8 => CONVERT.to_owned(),
        E::InvalidId { what, .. } => of_id(what).to_owned(),
        _ => return of_stored_turn(error),
    })
}

/// A hint about turns with the names that the error carries.
fn of_stored_turn(error: &ao_store::Error) -> Option<String> {
    use ao_store::Error as E;
    Some(match error {
        E::NameTaken { what: "agent", .. } => "list them: `ao-store agent ls`".to_owned(),
        E::NameTaken { .. } => "list them: `ao-store org ls`".to_owned(),
        E::TurnKeyUsed(turn) => {
            format!("use another key, or send the same text; show it: `ao-store turn get {turn}`")
        }
        E::ConversationBusy { turn, .. } => {
            format!("wait for it, or cancel it: `ao-store turn cancel {turn}`")
        }
        E::EventFuture { head, .. } => format!("the newest position is {head}: pass at most that"),
        E::EmptyText(_) => "pass a text".to_owned(),
        E::TextTooLarge { limit, .. } => format!("pass at most {limit} bytes"),
        _ => return None,
    })
}

/// A hint about a filter or a position.
fn of_stream(error: &ao_cdc::Error) -> Option<String> {
    let near = |typed: &str, known: &[&str]| match nearest(typed, known) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("the known ones are: {}", known.join(", ")),
    };
    match error {
        ao_cdc::Error::UnknownType(typed) => Some(near(typed, CHANGE_TYPES)),
        ao_cdc::Error::UnknownEntity(typed) => Some(near(typed, ENTITIES)),
        ao_cdc::Error::UnknownField { elsewhere, .. } if !elsewhere.is_empty() => {
            Some(format!("it is a field of {}: select that entity", elsewhere.join(", ")))
        }
        ao_cdc::Error::UnknownField { field, known, .. } => Some(near(field, known)),
        ao_cdc::Error::InvalidValue { accepted, .. } => {
            Some(format!("it can be: {}", accepted.join(", ")))
        }
        ao_cdc::Error::NothingMatches => {
            Some("omit --entity: each type belongs to one entity".to_owned())
        }
        ao_cdc::Error::NoTransition => {
            Some("omit --type: --changed selects the changes of every type".to_owned())
        }
        ao_cdc::Error::InvalidPosition => Some(
            "pass the `resume` field of a snapshot_position line with the same filter, or omit --resume"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The form of an id, name or branch.
fn of_id(what: &str) -> &'static str {
    match what {
        "project id"
        | "consumer name"
        | "token name"
        | "name of an organisation"
        | "name of an agent" => of_code(Code::InvalidId),
        "id of a turn" => of_code(Code::TurnNotFound),
        "id of a conversation" => of_code(Code::ConversationNotFound),
        "session id" => "list the sessions: `ao-store session ls --all`",
        "branch" => "use a name that git accepts, such as feature/fix-1",
        "pattern" => "write it relative to the repository, such as .env or config/*.local",
        _ => "use one line of text of at most 200 bytes",
    }
}

/// One hint per code; a code without a hint does not compile.
macro_rules! hints {
    ($($code:ident $hint:literal;)*) => {
        fn of_code(code: Code) -> &'static str {
            match code { $(Code::$code => $hint,)* }
        }
    };
}

hints! {
    Usage "run the command with --help";
    InvalidConfig "correct the file, whose keys are in `ao-store config --help`";
    InvalidId "use letters, digits, '.', '_' and '-', beginning with a letter or digit";
    InvalidPath "check the path; --help says whether a file or a directory is expected";
    NotAGitRepo "run `git init` there, or pass another path";
    GitNotTrusted "if you trust its files: `git config --global --add safe.directory DIRECTORY`";
    InvalidBranch "use a name that git accepts, such as feature/fix-1";
    InvalidPrompt "pass a text of at most 1 MiB; `ao-store spawn` reads a file with --prompt-file, `ao-store send` with --file";
    InvalidHarness "correct the file, or move it away; what is built in: `ao-store harness ls`";
    ProjectRequired "pass --project ID, or run it in the directory of a project; list them: `ao-store project ls`";
    AgentRequired "pass --harness NAME, or set AO_AGENT; list them: `ao-store harness ls`";
    UnknownHarness "list them: `ao-store harness ls`";
    InvalidPrRef "write https://HOST/OWNER/REPO/pull/N, OWNER/REPO#N, the id of a tracked pull request, or in its repository only N";
    InvalidUrl "write https://HOST/api/v3, without user, query and fragment";
    InvalidCursor "pass the cursor of an event, such as 1-412; --from also accepts beginning and end, and tail --since a time";
    InvalidEventType "the types are listed in docs/json.md";
    InvalidField "the fields and their values are listed in docs/json.md";
    InvalidDelivery "pass the value of the X-GitHub-Event header, such as pull_request";
    InvalidJson "docs/json.md describes the document; `ao-store schema` prints its JSON Schema";
    InvalidObservation "docs/json.md describes the document; `ao-store schema` prints its JSON Schema";
    InvalidExport "export the store again, or import the valid lines: `ao-store import FILE --skip-bad`";
    InvalidSource "pass the database file of ao, by default in ~/.ao/data; if ao crashed, start and stop it once";
    InputTooLarge "split the input into several documents, one per line";
    StoreNotFound "create it: `ao-store init`";
    ProjectNotFound "list the projects: `ao-store project ls --all`";
    SessionNotFound "list the sessions: `ao-store session ls --all`";
    PrNotFound "list the tracked pull requests: `ao-store pr ls`";
    DeliveryNotFound "list the deliveries: `ao-store delivery ls`";
    DeliveryKeyUsed "use another key, or send the same text";
    OrgNotFound "list them: `ao-store org ls`; or make it: `ao-store org add NAME`";
    AgentIsSession "send it turns: `ao-store turn send --agent AGENT TEXT`; workers need another agent: `ao-store agent add NAME`";
    AgentUnknown "list them: `ao-store agent ls`; or make it: `ao-store agent add NAME`";
    ConversationNotFound "list them: `ao-store conversation ls`";
    TurnNotFound "list them: `ao-store turn ls`";
    TurnKeyUsed "use another key, or send the same text";
    ConversationBusy "wait for it, or cancel it: `ao-store turn cancel TURN`";
    TurnFailed "show why: `ao-store turn get TURN`; to send the message again, use another key";
    TurnCancelled "to send the message again, use another key: `ao-store turn send TEXT`";
    TurnExpired "start a worker for the agent, then send the message again: `ao-store turn send TEXT`";
    ConsumerNotFound "list the consumers: `ao-store consumer ls`";
    TokenNotFound "list the tokens: `ao-store token ls`";
    CredentialsMissing "log in with `gh auth login`, or set GH_TOKEN";
    CredentialsInvalid "log in again with `gh auth login`; `ao-store status` shows the source of the token";
    DaemonRunning "`ao-store daemon status` shows it, and `ao-store stop` stops it";
    DaemonFailed "its messages are in daemon.log in the data directory; in the foreground: `ao-store daemon`";
    DaemonUnanswered "look at daemon.log in the data directory; a process that hangs can be killed, nothing is lost";
    ObserverRunning "the other process does the work: `ao-store status` shows its state";
    ScmIncomplete "run it again: what is missing is read then; `ao-store status` shows what it is";
    ScmThrottled "wait, or run `ao-store observe` without --once, which continues by itself";
    ScmUnavailable "check the network and the URL: `ao-store doctor`";
    WebhookSignature "pass the X-Hub-Signature-256 header as --signature, the unchanged body, and the secret of that webhook";
    IdAlreadyRegistered "choose another id: `ao-store project add PATH --id ID`";
    PathAlreadyRegistered "list the projects: `ao-store project ls`";
    ProjectArchived "register it again: `ao-store project add PATH --id ID`";
    ProjectHasLiveSessions "list them: `ao-store session ls --project ID`";
    OrchestratorActive "list the sessions: `ao-store session ls`";
    SessionNotSeed "end it: `ao-store session kill SESSION`; only one that was never spawned and has no pull request can be deleted";
    SessionTerminated "bring it back: `ao-store session restore SESSION`; the live ones: `ao-store session ls`";
    SessionNotClaimable "claim it for a worker: `ao-store session new --project ID`";
    PrClaimed "to take the pull request over, pass --takeover";
    PrNotOpen "only a pull request that is open or a draft can be claimed";
    PrProjectMismatch "claim it for a session of its own project: `ao-store session ls`";
    PrOwnedByOther "claim it first: `ao-store pr claim SESSION PR --takeover`";
    NotApplied "name its session in the document, or claim it: `ao-store pr claim SESSION PR`; without --strict it is reported only";
    ConsumerExists "choose another name, or show it: `ao-store consumer ls`";
    ConsumerFilter "omit the filter, or create another consumer: `ao-store consumer create NAME`";
    TokenExists "choose another name; or revoke it, and create it again: `ao-store token revoke NAME`";
    LeaseLost "show its owner: `ao-store consumer ls`";
    LeaseHeld "stop its owner or wait: `ao-store consumer ls` shows it";
    SessionBusy "wait for it; if its process is dead, the next command on the session finishes or undoes it";
    SessionExternal "spawn a session of ao-store instead: `ao-store spawn --project ID --harness NAME`";
    SessionNotRestorable "if its agent exited, run `ao-store session relaunch SESSION`; otherwise nothing is needed";
    SessionIncomplete "it cannot come back; spawn a new one: `ao-store spawn --project ID --harness NAME`";
    SessionNotResumable "spawn a new one with a prompt: `ao-store spawn --project ID --harness NAME --prompt TEXT`";
    NotResendable "show it: `ao-store delivery get ID`; to send the text anew: `ao-store send SESSION TEXT`";
    DeliveryAmbiguous "look at the terminal of the agent; to write it again: `ao-store delivery resend ID`";
    DeliveryFailed "show why: `ao-store delivery ls`; what was not written can be written again: `ao-store delivery resend ID`";
    StageNotReported "choose another harness, or wait for written, the last stage that is known of this one";
    DecisionPending "answer it: `ao-store session answer SESSION --allow` or --deny, or in its terminal: `ao-store session attach SESSION`; then send again";
    AgentNotExited "nothing is needed; to start it anew: `ao-store session kill SESSION`, then `ao-store session restore SESSION`";
    SessionNotRunning "start it: `ao-store session relaunch SESSION`, after a kill `ao-store session restore SESSION`; what it printed: `ao-store session log SESSION`";
    NoTerminal "run it at a terminal; what the agent shows: `ao-store session log SESSION`";
    DecisionNotOpen "list what is open: `ao-store decision ls`";
    AnswerNotPossible "answer it in its terminal: `ao-store session attach SESSION`";
    AnswerNotTaken "answer it in its terminal: `ao-store session attach SESSION`";
    AgentNotFound "install it, or add its directory to PATH; custom needs a command after --; what is found: `ao-store harness ls`";
    AgentFailed "run the program by hand in the repository; its last output is in the error";
    RuntimeMissing "install tmux 3.2 or newer, such as `apt-get install tmux`";
    RuntimeFailed "check tmux by hand, then try again; `ao-store doctor` shows its version";
    Interrupted "nothing of it is left: run the command again; what a second signal left, `ao-store reconcile` removes";
    AdmissionLimit "wait for a session to end, or raise the limit: `ao-store project set PROJECT --max-live N`";
    AccountLimited "wait until it ends, or pass --force; the limits: `ao-store harness limits`; if it is over: `ao-store harness limits --clear ACCOUNT`";
    SetupFailed "correct the command: `ao-store project set PROJECT --setup CMD`";
    ProjectNotResolvable "check that the directory still exists and is a git repository: `ao-store project ls`";
    BranchElsewhere "choose another branch, or remove that worktree: `git worktree remove PATH`";
    BranchNotFetched "fetch it: `git fetch origin`; to create the branch that --branch names, pass --create-branch";
    BranchExists "omit --create-branch to work on it, or choose another name";
    WorktreeExists "move it away";
    TargetExists "choose another file (for `import` another --data-dir), or move the existing one away";
    StoreInUse "stop the processes that have it open: `ao-store status` lists them";
    StoreReplaced "run the command again: it then opens the new file";
    StoreHardLinked "delete its other name; how to find it: `ao-store doctor`";
    NotAStore "choose another directory with --data-dir, or move the file away";
    StoreNotEmpty "choose a new directory with --data-dir";
    SchemaTooNew "run the newer version of ao-store that wrote it";
    SchemaOutdated "migrate it: `ao-store migrate`";
    MigrationPending "migrate it: `ao-store migrate`";
    SchemaDraft "use the ao-store that created it, or another directory: `ao-store --data-dir DIR init`";
    SchemaMismatch "another program changed the schema: `ao-store repair`; if that changes nothing, remove a table that is not ours, or restore a backup: `ao-store restore-db BACKUP`";
    Corrupt "show what is damaged: `ao-store verify --deep`; restore a backup: `ao-store restore-db BACKUP`, or keep the rows without the history: `ao-store repair --drop-history`";
    LogHole "show what is damaged: `ao-store verify --deep`; restore a backup: `ao-store restore-db BACKUP`, or keep the rows without the history: `ao-store repair --drop-history`";
    CursorExpired "start over from the oldest change that is kept: `ao-store tail --from beginning`";
    CursorEpoch "start over from the oldest change that is kept: `ao-store tail --from beginning`";
    CursorFuture "the cursor belongs to another store; show the head: `ao-store status`";
    ConditionLost "show how it ended: `ao-store session ls --all`; what it printed: `ao-store session log SESSION`";
    TimedOut "allow more time with --timeout";
    Busy "try again, or wait longer with --busy-timeout 30s";
    ReadOnly "check the owner and mode of the data directory";
    DiskFull "free some space and try again; nothing was lost";
    Io "check the disk and the path, then try again";
    GitFailed "check that git is installed and that `git status` works in the repository";
    CommandFailed "check that /bin/sh is there and can be run";
    Internal "this is a bug: please report it with the output of -vv";
}

/// The command that moves a stranded consumer to where it can continue.
pub(crate) fn of_stranded(name: &ConsumerName) -> String {
    format!("`ao-store consumer seek {name} --to beginning`")
}
