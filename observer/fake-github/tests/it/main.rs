//! What the fake guarantees: costs, answers, limits, faults and HTTP, each as on GitHub.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod cost;
mod documents;
mod faults;
mod graphql;
mod http;
mod limits;
mod random;
mod rest;
mod support;
