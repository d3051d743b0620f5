//! The bookkeeping of an observer of SCM hosts, not captured: the state of each host, repository
//! and pull request, open refresh requests, recorded webhook deliveries, and what there is to
//! observe.
//!
//! Every write is guarded: a row that is stored already is not written again.

mod host;
mod poll;
mod refresh_request;
mod repo;
mod skipped_pr;
mod staleness;
mod subject;
mod unread;
mod webhook_delivery;

pub use host::{Credential, HostState, host, hosts, set_host};
pub(crate) use poll::set_attribution;
pub use poll::{PrPoll, Problem, poll, polls, problems, set_poll};
pub use refresh_request::{
    REFRESH_REQUESTS_MAX, RefreshRequest, delete_refresh_requests, refresh_requests,
    request_refresh,
};
pub use repo::{Access, RepoState, repos, set_repo};
pub use skipped_pr::{SKIPPED_PRS_MAX, SkippedPr, set_skipped_prs, skipped_prs};
pub use staleness::{FactAge, pr_age, pr_ages};
pub use subject::{SubjectPr, SubjectProject, Subjects, scans, subject_prs, subjects};
pub use unread::{Unread, unread};
pub use webhook_delivery::{
    DELIVERIES_MAX, DELIVERY_DAYS, forget_webhook_delivery, record_webhook_delivery,
};
