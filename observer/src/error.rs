//! Why an input was refused; every variant has one [`Code`] of the registry.
//!
//! `Display` is a lower-case fragment and leaves the cause to `source()`. Text of the input in a
//! message is shortened and has no control characters.

use std::path::PathBuf;

use ao_store::{Code, Timestamp, io_code};

/// The longest piece of the input in a message, in characters.
const QUOTED_MAX: usize = 200;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an input was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not JSON, is cut off, or has a field of the wrong type.
    #[error("document {document}, line {line}: {reason}")]
    InvalidJson {
        /// Which document of the input, from 1.
        document: u64,
        /// The line of the input, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The input is not UTF-8.
    #[error("the input cannot be read: {0}")]
    NotText(&'static str),
    /// The input ended before the first document.
    #[error("the input has no document")]
    NoDocument,
    /// A document is larger than its bound.
    #[error("document {document}, line {line}: it is larger than {limit} bytes")]
    TooLarge {
        /// Which document of the input, from 1.
        document: u64,
        /// The line at which the bound was reached.
        line: u64,
        /// The bound.
        limit: u64,
    },
    /// The reader failed.
    #[error("cannot read the input")]
    Read(#[source] std::io::Error),
    /// A document contradicts itself.
    #[error("the observation is invalid: {0}")]
    InvalidObservation(String),
    /// A reference or id in the input does not have its form.
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    /// No webhook event has this name.
    #[error("{name:?} is not a supported webhook event ({known})")]
    UnknownEvent {
        /// The name given, shortened.
        name: String,
        /// The supported names.
        known: String,
    },
    /// The signature of a webhook delivery is invalid.
    #[error("the signature of the webhook delivery is invalid: {0}")]
    Signature(&'static str),
    /// The payload of a webhook delivery is not the JSON of its event.
    #[error("line {line} of the {event} payload: {reason}")]
    InvalidPayload {
        /// The event.
        event: &'static str,
        /// The line of the payload, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The payload of a webhook delivery is a form, as a webhook of another content type sends it.
    #[error("the {event} payload is a form (payload=...), not JSON")]
    Form {
        /// The event.
        event: &'static str,
    },
    /// A URL or host of a GitHub server is invalid. It is not repeated: it may contain a secret.
    #[error("the address of the GitHub server is invalid: {0}")]
    InvalidUrl(&'static str),
    /// No HTTPS client can be made: the certificates of the machine are missing or unreadable.
    #[error("cannot read the root certificates of this machine")]
    Certificates(#[source] std::io::Error),
    /// The threads of the observer cannot be started.
    #[error("cannot start the observer")]
    Runtime(#[source] std::io::Error),
    /// The lock file cannot be created.
    #[error("cannot lock {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process observes for this store.
    #[error("another process observes for this store")]
    Running,
    /// No source has a token for the host.
    #[error("there are no credentials for {host}")]
    NoCredentials {
        /// The host.
        host: String,
    },
    /// The host refuses the token.
    #[error("{host} refuses the credentials ({cause})")]
    CredentialsRefused {
        /// The host.
        host: String,
        /// The URL that was asked, and what it answered.
        cause: String,
    },
    /// The token cannot read a repository.
    #[error("the credentials for {host} cannot read {repos}")]
    RepositoriesRefused {
        /// The host.
        host: String,
        /// The repositories.
        repos: String,
    },
    /// The host has no such pull request, or hides it.
    #[error("there is no pull request {pr}, or the credentials cannot read its repository")]
    NoPullRequest {
        /// The pull request.
        pr: String,
    },
    /// The host cannot be reached, or answers with errors.
    #[error("{host} cannot be reached, or answers with errors ({cause})")]
    Unavailable {
        /// The host.
        host: String,
        /// The URL that was asked, and what went wrong.
        cause: String,
    },
    /// Something at the host could not be read, and the rest is stored.
    #[error("not everything at {host} could be read ({unread})")]
    Incomplete {
        /// The host.
        host: String,
        /// What could not be read, each with the reason.
        unread: String,
    },
    /// Several hosts could not be read.
    #[error("{}", texts(.0))]
    Hosts(Vec<Error>),
    /// The host, or the remaining budget, forbids requests for now.
    #[error("{host} accepts no request before {}: {reason} ({cause})", jiff::Timestamp::from_millisecond(until.0).unwrap_or_default())]
    Throttled {
        /// The host.
        host: String,
        /// The URL that was asked, and what it answered.
        cause: String,
        /// Why.
        reason: &'static str,
        /// Until when.
        until: Timestamp,
    },
}

impl Error {
    /// The code of this error in the registry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::InvalidJson { .. }
            | Error::NotText(_)
            | Error::NoDocument
            | Error::InvalidPayload { .. }
            | Error::Form { .. } => Code::InvalidJson,
            Error::TooLarge { .. } => Code::InputTooLarge,
            Error::Read(source)
            | Error::Certificates(source)
            | Error::Runtime(source)
            | Error::Lock { source, .. } => io_code(source),
            Error::Running => Code::ObserverRunning,
            Error::NoCredentials { .. } => Code::CredentialsMissing,
            Error::CredentialsRefused { .. } | Error::RepositoriesRefused { .. } => {
                Code::CredentialsInvalid
            }
            Error::NoPullRequest { .. } => Code::PrNotFound,
            Error::Unavailable { .. } => Code::ScmUnavailable,
            Error::Incomplete { .. } => Code::ScmIncomplete,
            Error::Throttled { .. } => Code::ScmThrottled,
            // The first one is that of the default host.
            Error::Hosts(errors) => errors.first().map_or(Code::ScmUnavailable, Error::code),
            Error::InvalidObservation(_) => Code::InvalidObservation,
            Error::Store(source) => source.code(),
            Error::UnknownEvent { .. } => Code::InvalidDelivery,
            Error::InvalidUrl(_) => Code::InvalidUrl,
            Error::Signature(_) => Code::WebhookSignature,
        }
    }
}

fn texts(errors: &[Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Makes text of the input fit for a message.
pub(crate) fn quoted(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
    };
    text.chars().take(QUOTED_MAX).map(shown).collect()
}

/// What is wrong with JSON, without the position, which the caller counts.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    quoted(text.strip_suffix(&position).unwrap_or(&text))
}
