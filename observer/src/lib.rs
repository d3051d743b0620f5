//! Facts about pull requests, turned from JSON into observations that the store applies.
//!
//! What this crate guarantees:
//!
//! * It is pure but for the edges: [`run`], [`github::transport`], and looking up credentials and
//!   remotes. Elsewhere it does no I/O but with the reader or transaction that it is given, and has
//!   no clock and no state. The same input gives the same observations.
//! * No input makes it panic or use memory without bound; invalid input is a typed [`Error`].
//! * An incomplete listing never becomes an observation that deletes.
//!
//! It reads three inputs: the *observation document* ([`Document`], the published contract of
//! `ao-store observe apply`, described by [`schema`]), recorded GitHub webhook deliveries
//! ([`webhook::read`], [`webhook::verify_signature`], [`webhook::record`]), and the answers of
//! GitHub itself, which [`poll`] asks for.
//!
//! ```
//! use ao_observer::{Document, Numbered, documents};
//! use ao_store::Timestamp;
//! use ao_store::observation::{Mode, PrState};
//!
//! let input = br#"{"pr": "octo/hello#7", "facts": {"state": "open"},
//!                  "threads": {"completeness": "partial", "items": [{"id": "T_1"}]}}"#;
//! for document in documents(&input[..]) {
//!     let Numbered { value, .. } = document?;
//!     let observation = value.into_observation(Timestamp(1_000))?;
//!     assert_eq!(observation.facts.state, Some(PrState::Open));
//!     assert_eq!(observation.threads.mode, Mode::Merge);
//!     assert_eq!(observation.checks.mode, Mode::Preserve);
//! }
//! # Ok::<(), ao_observer::Error>(())
//! ```

pub mod document;
mod error;
pub mod github;
mod json;
pub mod poll;
pub mod run;
mod time;
pub mod webhook;

pub use document::{
    DOCUMENT_MAX, Document, Numbered, UnknownFields, documents, documents_with, schema,
};
pub use error::{Error, Result};
pub use time::Time;
