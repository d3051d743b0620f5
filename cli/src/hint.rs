//! What to do about an error: one hint a code, with the exact next command where there is one.

use ao_store::state::ENTITIES;
use ao_store::{CHANGE_TYPES, Code};

use crate::error::Error;

/// The hint for an error.
pub(crate) fn of(error: &Error) -> String {
    let particular = match error {
        Error::Cdc(ao_cdc::Error::Store(ao_store::Error::LeaseHeld { name, .. })) => Some(format!(
            "stop its owner, wait, or fence it off: `ao-store tail --consumer {name} --take-over`"
        )),
        Error::Store(error) | Error::Cdc(ao_cdc::Error::Store(error)) => of_store(error),
        Error::Cdc(error) => of_stream(error),
        Error::Stranded { name, .. } => Some(format!(
            "move it to what is kept: `ao-store consumer seek {name} --to beginning`"
        )),
        Error::Document { source, .. } => Some(of(source)),
        Error::Unconfirmed { command, .. } => Some(format!("`{command} --yes`")),
        Error::Delivery { source: ao_observer::Error::InvalidPayload { .. }, .. } => Some(
            "give the whole JSON body that GitHub sent; --event must name its X-GitHub-Event header"
                .to_owned(),
        ),
        _ => None,
    };
    particular.unwrap_or_else(|| of_code(error.code()).to_owned())
}

/// A hint that names what the error names.
fn of_store(error: &ao_store::Error) -> Option<String> {
    use ao_store::Error as E;
    Some(match error {
        E::ConsumerNotFound { name, known } => {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            match nearest(name, &known) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("create it: `ao-store consumer create {name}`"),
            }
        }
        E::LeaseLost { name } => format!("`ao-store consumer get {name}` shows who has it"),
        E::LeaseHeld { name, .. } => format!(
            "stop its owner or wait; `ao-store consumer get {name}` shows it, `seek` and `rm` take --force"
        ),
        E::PrClaimed { owner, .. } => format!(
            "`ao-store session get {owner}` shows the owner; leave --no-takeover out to take it over"
        ),
        E::PrOwnedByOther { pr, owner, named } => {
            format!("observe it for {owner}, or move it: `ao-store pr claim {named} {pr}`")
        }
        E::OrchestratorActive { session, .. } => {
            format!("`ao-store session get {session}` shows it")
        }
        E::PathAlreadyRegistered { owner, .. } => {
            format!("`ao-store project get {owner}` shows it")
        }
        E::CursorExpired { oldest, .. } => {
            format!("what is kept begins at {oldest}: `ao-store tail --from {oldest}`")
        }
        E::StoreInUse(path) => format!("stop what has it open: `fuser -v {}`", path.display()),
        E::StoreNotFound(path) if !path.ends_with("ao.db") => {
            "check the path of the file".to_owned()
        }
        E::IdAlreadyRegistered(id) => format!(
            "`ao-store project get {id}` shows it; for another repository choose another --id"
        ),
        E::ProjectHasLiveSessions { id, .. } => {
            format!("list them: `ao-store session ls --project {id}`")
        }
        E::InvalidId { what, .. } => of_id(what).to_owned(),
        _ => return None,
    })
}

/// A hint about a filter or a position.
fn of_stream(error: &ao_cdc::Error) -> Option<String> {
    let near = |typed: &str, known: &[&str]| match nearest(typed, known) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("they are: {}", known.join(", ")),
    };
    match error {
        ao_cdc::Error::UnknownType(typed) => Some(near(typed, CHANGE_TYPES)),
        ao_cdc::Error::UnknownEntity(typed) => Some(near(typed, ENTITIES)),
        ao_cdc::Error::NothingMatches => {
            Some("leave --entity out: a type names its entity already".to_owned())
        }
        ao_cdc::Error::InvalidPosition => Some(
            "give `resume` of a line snapshot_position and the filter of then, or leave --resume out"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The nearest of the known words, when it is near enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|word| (strsim::jaro_winkler(typed, word), *word));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

/// The form of an id, name or branch.
fn of_id(what: &str) -> &'static str {
    match what {
        "project id" | "consumer name" => of_code(Code::InvalidId),
        "session id" => "list the sessions: `ao-store session ls --all`",
        "branch" => "use a plain branch name such as feature/fix-1",
        _ => "use one line of text of at most 200 bytes",
    }
}

fn of_code(code: Code) -> &'static str {
    match code {
        Code::Usage => "run the command with --help",
        Code::InvalidId | Code::InvalidPath | Code::InvalidCursor => of_form(code),
        Code::NotAGitRepo => "run `git init` there, or name another path",
        Code::InvalidPrRef => "write https://HOST/OWNER/REPO/pull/N or OWNER/REPO#N",
        Code::InvalidEventType => "the types are listed in docs/json.md",
        Code::InvalidDelivery
        | Code::InvalidJson
        | Code::InvalidObservation
        | Code::InputTooLarge
        | Code::CredentialsMissing
        | Code::CredentialsInvalid
        | Code::ObserverRunning
        | Code::ScmThrottled
        | Code::ScmUnavailable
        | Code::InvalidUrl
        | Code::WebhookSignature => of_observing(code),
        Code::StoreNotFound => "create it: `ao-store init`",
        Code::ProjectNotFound => "list the projects: `ao-store project ls --all`",
        Code::SessionNotFound => "list the sessions: `ao-store session ls --all`",
        Code::PrNotFound => "list the tracked pull requests: `ao-store pr ls`",
        Code::IdAlreadyRegistered => "choose another one: `ao-store project add PATH --id ID`",
        Code::PathAlreadyRegistered => "list the projects: `ao-store project ls`",
        Code::ProjectArchived => "register it again: `ao-store project add PATH --id ID`",
        Code::ProjectHasLiveSessions => "list them: `ao-store session ls --project ID`",
        Code::OrchestratorActive => "list the sessions: `ao-store session ls`",
        Code::SessionNotSeed
        | Code::SessionTerminated
        | Code::SessionNotClaimable
        | Code::PrClaimed
        | Code::PrNotOpen
        | Code::PrProjectMismatch
        | Code::PrOwnedByOther => of_ownership(code),
        Code::InvalidExport
        | Code::InvalidSource
        | Code::ConsumerNotFound
        | Code::ConsumerExists
        | Code::ConsumerFilter
        | Code::LeaseHeld
        | Code::LeaseLost
        | Code::TargetExists
        | Code::StoreInUse
        | Code::StoreReplaced
        | Code::SchemaMismatch
        | Code::Corrupt
        | Code::LogHole => of_upkeep(code),
        Code::NotAStore => "name another directory with --data-dir, or move the file away",
        Code::StoreNotEmpty => "name a new directory with --data-dir",
        Code::SchemaTooNew => "run the newer version of ao-store that wrote it",
        Code::SchemaOutdated | Code::MigrationPending => "run `ao-store migrate`",
        Code::CursorExpired | Code::CursorEpoch => {
            "take a new start: `ao-store tail --from beginning`"
        }
        Code::CursorFuture => "the cursor is of another store; `ao-store status` shows the head",
        Code::TimedOut => "give it more time with --timeout",
        Code::Busy => "try again, or wait longer with --busy-timeout 30s",
        Code::ReadOnly => "check the owner and mode of the data directory",
        Code::DiskFull => "free some space and try again; nothing was lost",
        Code::Io => "check the disk and the path, then try again",
        Code::GitFailed => "see that git is installed and the repository is sound: `git status`",
        Code::Internal => "this is a defect: please report it with the output of -vv",
    }
}

/// Those about the form of what was given.
fn of_form(code: Code) -> &'static str {
    match code {
        Code::InvalidId => {
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        }
        Code::InvalidPath => {
            "check the path: a project is a directory, the input of `observe` a file"
        }
        Code::InvalidCursor => {
            "write a cursor as an event carries it, such as 1-412; a start can be beginning or end too"
        }
        other => of_code(other),
    }
}

/// Those about what was learned of a host.
fn of_observing(code: Code) -> &'static str {
    match code {
        Code::InvalidDelivery => {
            "give the value of the X-GitHub-Event header, such as pull_request"
        }
        Code::InvalidJson | Code::InvalidObservation => {
            "the document is described in docs/json.md; `ao-store schema` prints its JSON Schema"
        }
        Code::InputTooLarge => "split the input into several documents, one a line",
        Code::InvalidUrl => "write https://HOST/api/v3, without user, query and fragment",
        Code::CredentialsMissing => "log in: `gh auth login`, or set GH_TOKEN",
        Code::CredentialsInvalid => {
            "log in again: `gh auth login`; `ao-store status` shows where the token is from"
        }
        Code::ObserverRunning => "it does the work: `ao-store status` shows how it goes",
        Code::ScmThrottled => "wait; `ao-store observe` without --once goes on by itself",
        Code::ScmUnavailable => "check the network and the address; `ao-store doctor` tells more",
        Code::WebhookSignature => {
            "give the X-Hub-Signature-256 header as --signature, the body byte for byte, and the secret of that webhook"
        }
        other => of_code(other),
    }
}

/// Those about what a session produced and owns.
fn of_ownership(code: Code) -> &'static str {
    match code {
        Code::SessionNotSeed => {
            "only a session without workspace, runtime, agent session, prompt and pull request can be removed"
        }
        Code::SessionTerminated => "claim it for a live session: `ao-store session ls`",
        Code::SessionNotClaimable => "claim it for a worker: `ao-store session new --project ID`",
        Code::PrClaimed => "leave --no-takeover out to take it over",
        Code::PrNotOpen => "only a pull request that is open or a draft can be claimed",
        Code::PrProjectMismatch => {
            "claim it for a session of its own project: `ao-store session ls`"
        }
        Code::PrOwnedByOther => "claim it first: `ao-store pr claim SESSION PR`",
        other => of_code(other),
    }
}

/// Those that consumers and the care of a store can meet.
fn of_upkeep(code: Code) -> &'static str {
    match code {
        Code::InvalidExport => {
            "export it again, or take what is good with `ao-store import FILE --skip-bad`"
        }
        Code::InvalidSource => {
            "name the database file of ao, by default in ~/.ao/data; start and stop ao once if it crashed"
        }
        Code::ConsumerNotFound => "list the consumers: `ao-store consumer ls`",
        Code::ConsumerExists => "`ao-store consumer ls` shows it; choose another name",
        Code::ConsumerFilter => {
            "leave the filter out, or create another consumer: `ao-store consumer create NAME`"
        }
        Code::LeaseHeld => "stop its owner or wait; `ao-store consumer ls` shows it",
        Code::LeaseLost => "`ao-store consumer ls` shows who has it",
        Code::TargetExists => {
            "name another file (for `import` another --data-dir), or move that one away"
        }
        Code::StoreInUse => "stop what has it open: `ao-store status` names readers",
        Code::StoreReplaced => "start the command again: it then opens the new file",
        Code::SchemaMismatch => {
            "something else changed the schema; keep a copy and restore a backup: `ao-store restore-db IN`"
        }
        Code::Corrupt | Code::LogHole => {
            "`ao-store verify --deep` names what is wrong; restore a backup: `ao-store restore-db IN`"
        }
        other => of_code(other),
    }
}

/// The hint for a command line that cannot be parsed.
pub(crate) fn of_usage() -> &'static str {
    of_code(Code::Usage)
}
