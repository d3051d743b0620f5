//! A daemon on a real store, asked over its real Unix socket and port.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails its test")]

mod doors;
mod events;
mod limits;
mod lists;
mod login;
mod served;
mod slow;
mod turns;
mod webhook;
