//! A GitHub in memory, for tests and benches: it answers and charges like the real
//! one, and injects faults on demand.
//!
//! What this crate guarantees:
//!
//! * A [`World`] depends on its seed and on the calls made, never on time or chance, while
//!   its clock is virtual.
//! * GraphQL is resolved field by field over one state, so the answers to all documents agree.
//! * The points charged are those of [`cost`]: GitHub's published formula.
//! * [`World::expected`] is what an observer must store, derived independently of
//!   the GraphQL answers.
//!
//! ```
//! use ao_fake_github::{NewPr, Request, World};
//! use serde_json::json;
//!
//! let mut world = World::new(1);
//! world.add_repo("octo/hello");
//! let pr = world.open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
//! let query = "query Heartbeat($ids:[ID!]!){ nodes(ids:$ids){ ... on PullRequest{ number } } }";
//! let answer = world.answer(&Request::graphql(query, &json!({"ids": [pr]})));
//! assert_eq!(answer.value()["data"]["nodes"][0]["number"], 1);
//! assert_eq!(world.counters.of("Heartbeat"), 1);
//! ```

mod answer;
mod budget;
mod corrupt;
mod counters;
mod entity;
mod enums;
mod expected;
mod fault;
mod fleet;
mod graphql;
mod http;
mod message;
mod mutate;
mod random;
mod rest;
mod state;
mod time;
mod world;

pub use fastrand::Rng;

pub use budget::{Bucket, Budget, Resource};
pub use counters::{Counters, Served};
pub use enums::{Access, CheckStatus, Conclusion, PrState, ReviewState, StatusState, UserKind};
pub use expected::{ExpectedCheck, ExpectedComment, ExpectedPr, ExpectedReview, ExpectedThread};
pub use fault::{Fault, Kind, On, Reply, When};
pub use graphql::{Cost, Schema, cost, validate};
pub use http::Server;
pub use message::{Request, Response, Transport};
pub use mutate::{CheckSpec, NewPr, NewThread};
pub use state::Snapshot;
pub use world::{Clock, JournalEntry, Options, World};
