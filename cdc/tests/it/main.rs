//! Tests of the change stream on real database files, threads and processes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first failure")]

mod bookmark;
mod consumer;
mod consumer_policy;
mod etcd;
mod fanout;
mod fanout_epoch;
mod fanout_task;
mod feed;
mod filter;
mod kill;
mod model;
mod process;
mod race;
mod receiver;
mod refusal;
mod reservation;
mod snapshot;
mod soak;
mod standing;
mod start;
#[cfg(feature = "tokio")]
mod stream;
mod support;
mod tailer;
mod transition;
mod validate;
mod wait;
mod wake;
mod watch;
mod wire;
mod world;
