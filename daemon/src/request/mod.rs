//! What the command line and HTTP do for a request beyond one call of a library: the checks of the input, and the
//! steps before a write.

mod answer;
mod claim;
mod consumer;
mod error;
pub mod git;
mod project;

pub use answer::{answer_text, choice};
pub use claim::{Unverified, claim, verify, wanted};
pub use consumer::{create_consumer, policy, resolve};
pub use error::{Error, Result};
pub use project::{Change, Registered, add_project, change_project, register_under_free_id};
