//! The change stream: every committed change, in order, without a gap, from any position.
//!
//! * [`Tail`] reads the log from a position on and waits for more.
//! * [`Changes`] is a tail as an iterator and [`ChangeReceiver`] a tail as a channel; with the feature
//!   `tokio`, `TailStream` is a tail as a stream.
//! * [`Fanout`] decodes each change once for any number of subscribers, threads and tasks alike. A
//!   subscriber that does not keep up falls back to catch-up reads; it is never dropped and delays no
//!   other.
//! * [`Consumer`] is a durable named cursor under a lease; [`SnapshotReader`] reads the rows as they
//!   were at a cursor, then the stream from there.
//! * [`Wait`] ends when sessions meet a condition.
//! * [`History`] has the changes of one thing, and [`digest()`] counts what happened in a time.
//! * [`Feed`] is the protocol of all of these for a transport: it renders hello, rows, changes,
//!   bookmarks and bye, and acknowledges what was written.
//!
//! Delivery is ordered by seq and gap-free within retention; a position that cannot be resumed is a
//! typed error, never a silent skip. After a crash a consumer may receive a change again: its key is
//! (log, epoch, seq). No read transaction is held while a consumer works.
//!
//! ```
//! use ao_cdc::{Filter, Start, Tail};
//! # use ao_store::{Options, Store};
//! # let dir = tempfile::tempdir()?;
//! # let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default())?;
//! let tail = Tail::open(&store, Start::Beginning, Filter::default())?;
//! for change in tail.to_head() {
//!     let change = change?;
//!     println!("{} {}", change.seq, change.kind());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
mod condition;
mod consumer;
mod digest;
mod error;
mod fanout;
mod feed;
mod filter;
mod history;
mod ring;
mod snapshot;
#[cfg(feature = "tokio")]
mod stream;
mod subscription;
mod tail;
mod transition;
mod wait;
pub mod wire;

pub use changes::{ChangeReceiver, Changes, Event};
pub use condition::Condition;
pub use consumer::{Consumer, Delivery, LEASE_TTL, Takeover};
pub use digest::{Counts, Digest, Subject, digest};
pub use error::{Error, Result};
pub use fanout::Fanout;
pub use feed::{Feed, FeedOptions, Item, Origin, Render, Step};
pub use filter::{Filter, Unknown};
pub use history::{History, Thing};
pub use snapshot::{RESERVATION, Reservation, Rows, SnapshotReader};
#[cfg(feature = "tokio")]
pub use stream::TailStream;
pub use subscription::{Batch, Polled, Subscription};
pub use tail::{Start, Tail, Visited, has_settled};
pub use wait::{Outcome, Wait};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
