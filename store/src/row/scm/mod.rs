//! What an observer of SCM hosts keeps, not captured: one row a host, a repository and a pull request;
//! what it is asked to look at; what it has to look at at all.
//!
//! Every write is guarded: a row that is stored already is not written again.

mod host;
mod poke;
mod poll;
mod subject;

pub use host::{Access, Credential, HostState, RepoState, host, hosts, repos, set_host, set_repo};
pub use poke::{
    DELIVERIES_MAX, DELIVERY_DAYS, POKES_MAX, Poke, forget_pokes, poke, pokes, take_delivery,
};
pub use poll::{PrPoll, Problem, poll, polls, problems, set_poll};
pub use subject::{Branch, SubjectPr, SubjectProject, Subjects, subjects};
