//! Asks a host about one pull request, once and in bounded time: whether it exists, and what a listing
//! reports of it.

use std::time::Duration;

use ao_program::Environment;
use ao_store::observation::Observation;
use ao_store::{PrRef, Timestamp};

use super::{END, hosts};
use crate::error::{Error, Result};
use crate::github::answer::{Found, GraphqlAnswer};
use crate::github::call::{Answer, Call, Reply, Request};
use crate::github::classify::{self, Signal};
use crate::github::credential::{self, Credential};
use crate::github::host::Endpoints;
use crate::github::node::PrNode;
use crate::github::query;
use crate::github::token::Token;
use crate::github::transport::Transport;

/// How long the request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that are read.
const ANSWER_MAX: usize = 1 << 20;

/// When a host that sets a limit without a time is asked again at the earliest.
const LIMITED_MS: i64 = 60_000;

/// What a host reports of a pull request.
#[derive(Debug)]
pub enum Lookup {
    /// It exists: where it is now, which differs after a rename, and its metadata.
    Found(Box<Observation>),
    /// The host was not asked, and why.
    NotAsked(String),
}

/// Asks the host of a pull request about it. It blocks, for at most about 15 seconds. `api` are the
/// endpoints of the default host, when they are not the usual ones.
///
/// # Errors
/// [`Error::NoPullRequest`] when it does not exist; [`Error::CredentialsRefused`],
/// [`Error::RepositoriesRefused`], [`Error::Throttled`] and [`Error::Unavailable`] when the host does
/// not say.
pub fn look_up(
    pr: &PrRef,
    api: Option<Endpoints>,
    environment: &Environment,
    now: Timestamp,
) -> Result<Lookup> {
    let host = pr.host.to_ascii_lowercase();
    if !hosts::is_observed(&host, environment) {
        return Ok(Lookup::NotAsked(format!("{host} is not known to be a GitHub server")));
    }
    let token = match credential::resolve(&host, environment) {
        Credential::Found { token, .. } => token,
        Credential::Missing => {
            return Ok(Lookup::NotAsked(format!("there are no credentials for {host}")));
        }
        Credential::Failed(reason) => return Ok(Lookup::NotAsked(reason)),
    };
    let is_default = host == hosts::default_host(environment);
    let endpoints = match api.filter(|_| is_default) {
        Some(endpoints) => endpoints,
        None => Endpoints::of_host(&host)?,
    };
    let reply = send(&endpoints, &token, pr)?;
    let address = &endpoints.graphql;
    match reply {
        Reply::Failed(failure) => {
            Err(Error::Unavailable { host, cause: format!("{address}: {failure}") })
        }
        Reply::Answer(answer) => read(pr, &answer, address, now),
    }
}

fn send(endpoints: &Endpoints, token: &Token, pr: &PrRef) -> Result<Reply> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let request = Request::Graphql { body: query::one(&pr.repo, pr.number) };
    let call = Call { request, deadline: DEADLINE, max_bytes: ANSWER_MAX };
    let reply = runtime.block_on(async { Ok(Transport::new(endpoints)?.send(token, &call).await) });
    runtime.shutdown_timeout(END);
    reply
}

fn read(pr: &PrRef, answer: &Answer, address: &str, now: Timestamp) -> Result<Lookup> {
    let host = pr.host.to_ascii_lowercase();
    let answered = GraphqlAnswer::read(&answer.body).filter(|_| !answer.truncated);
    let signal = classify::graphql(answer, answered.as_ref());
    let cause = || format!("{address}: {}", classify::cause(answer, answered.as_ref()));
    let throttled = |wait_ms| {
        let (reason, until) = ("a limit of the host", Timestamp(now.0.saturating_add(wait_ms)));
        Error::Throttled { host: host.clone(), cause: cause(), reason, until }
    };
    let refused = || Error::RepositoriesRefused { host: host.clone(), repos: pr.repo.clone() };
    let found = match (signal, &answered) {
        (Signal::Success, Some(answered)) => answered.pull_request::<PrNode>("p0"),
        (Signal::Unauthorized, _) => {
            return Err(Error::CredentialsRefused { cause: cause(), host });
        }
        (Signal::RetryAfter(wait), _) => {
            return Err(throttled(i64::try_from(wait.as_millis()).unwrap_or(LIMITED_MS)));
        }
        (Signal::Exhausted | Signal::Secondary, _) => return Err(throttled(LIMITED_MS)),
        (Signal::Forbidden, _) => return Err(refused()),
        _ => return Err(Error::Unavailable { cause: cause(), host }),
    };
    match found {
        Found::Node(node) => {
            let repo = match node.repository.name_with_owner.as_str() {
                "" => &pr.repo,
                repo => repo,
            };
            let location = PrRef::new(&pr.host, repo, node.number)?;
            Ok(Lookup::Found(Box::new(node.listed(location, now))))
        }
        Found::Missing => Err(Error::NoPullRequest { pr: pr.to_string() }),
        Found::Forbidden => Err(refused()),
        Found::Failed => Err(Error::Unavailable { cause: cause(), host }),
    }
}
