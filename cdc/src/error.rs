//! The errors of this crate; each has one code of the store's registry.

use ao_store::Code;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a stream ended or could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed, or refused the cursor (`CURSOR_…`).
    #[error(transparent)]
    Store(#[from] ao_store::Error),
    /// A filter names a type that no change has.
    #[error("no change has the type {0:?}")]
    UnknownType(String),
    /// A filter names an entity that has no changes.
    #[error("there is no entity {0:?} in the log")]
    UnknownEntity(String),
    /// No row image has the field that must change.
    #[error("no row has the field {field:?}")]
    UnknownField {
        /// The field.
        field: String,
        /// The fields of the entities that the filter selects.
        known: Vec<&'static str>,
        /// The other entities that have the field.
        elsewhere: Vec<&'static str>,
    },
    /// A field never has the value that it must reach.
    #[error("the field {field} never has the value {value:?}")]
    InvalidValue {
        /// The field.
        field: String,
        /// The value.
        value: String,
        /// What it can have.
        accepted: Vec<&'static str>,
    },
    /// The types and entities of a filter exclude each other.
    #[error("no change of these entities has one of these types")]
    NothingMatches,
    /// The types and transitions of a filter exclude each other.
    #[error("no change of these types is such a transition")]
    NoTransition,
    /// A text is not the position of a snapshot, or belongs to another filter.
    #[error("this is not the position of a snapshot with this filter")]
    InvalidPosition,
    /// A thread of the stream could not be started.
    #[error("cannot start the thread of a tail")]
    Thread(#[source] std::io::Error),
    /// The fan-out was stopped.
    #[error("the fan-out was stopped")]
    Stopped,
}

impl Error {
    /// The code of this error in the registry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::Store(error) => error.code(),
            Error::UnknownType(_) | Error::UnknownEntity(_) | Error::NothingMatches => {
                Code::InvalidEventType
            }
            Error::UnknownField { .. } | Error::InvalidValue { .. } | Error::NoTransition => {
                Code::InvalidField
            }
            Error::InvalidPosition => Code::InvalidCursor,
            Error::Thread(_) => Code::Io,
            Error::Stopped => Code::Internal,
        }
    }
}
