//! Pull requests: a row of a list, one with everything that is stored about it, and a claim.

use std::collections::HashMap;

use ao_store::observation::{Check, CheckStatus};
use ao_store::row::facet::{self, Facets};
use ao_store::row::pr::{self, Freshness, Pr};
use ao_store::row::scm::{self, FactAge, PrPoll};
use ao_store::{Claim, Cursor, PrName, Result, SessionId, Snapshot, Timestamp};
use serde_json::{Value, json};

use super::row;

pub use super::row::pr as listed;

/// A pull request with everything that is stored about it.
#[derive(Debug)]
pub struct Details {
    /// Its row.
    pub pr: Pr,
    /// Its items.
    pub facets: Facets,
    /// The ends of the logs of its checks, by the ids of these.
    pub logs: HashMap<String, String>,
    /// What the observer records about it; `None` as of a cursor.
    pub observed: Option<(PrPoll, Option<FactAge>)>,
    /// When each of its facets was read; `None` as of a cursor.
    freshness: Option<Freshness>,
}

impl Details {
    /// The pull request of a name as it is now.
    ///
    /// # Errors
    /// `PR_NOT_FOUND`.
    pub fn read(snapshot: &Snapshot<'_>, name: &PrName, now: Timestamp) -> Result<Details> {
        let pr = pr::require_named(snapshot, name)?;
        let checks = facet::checks(snapshot, &pr.id)?;
        let mut logs = HashMap::new();
        for check in &checks {
            if let Some(log) = facet::log_tail(snapshot, &pr.id, &check.external_id)? {
                logs.insert(check.external_id.clone(), log);
            }
        }
        let facets = Facets {
            checks,
            threads: facet::threads(snapshot, &pr.id)?,
            reviews: facet::reviews(snapshot, &pr.id)?,
            comments: facet::comments(snapshot, &pr.id)?,
        };
        let poll = scm::poll(snapshot, &pr.id)?.unwrap_or_default();
        let observed = Some((poll, scm::pr_age(snapshot, &pr.id, now)?));
        let freshness = Some(pr::freshness(snapshot, &pr.id)?);
        Ok(Details { pr, facets, logs, observed, freshness })
    }

    /// The pull request of a name as of a cursor.
    ///
    /// # Errors
    /// `PR_NOT_FOUND`, or the cursor cannot be used.
    pub fn as_of(snapshot: &Snapshot<'_>, name: &PrName, cursor: Cursor) -> Result<Details> {
        let pr = pr::require_as_of(snapshot, name, cursor)?;
        let facets = facet::as_of(snapshot, &pr.id, cursor)?;
        Ok(Details { pr, facets, logs: HashMap::new(), observed: None, freshness: None })
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut data = row::pr(&self.pr);
        let poll = self.observed.iter().map(|(poll, _)| row::poll(poll));
        for (name, value) in poll.flat_map(|poll| poll.as_object().cloned()).flatten() {
            data[&name] = value;
        }
        if let Some(freshness) = &self.freshness {
            data["as_of"] = row::freshness(freshness);
        }
        let facets = &self.facets;
        data["checks"] = facets.checks.iter().map(|check| self.check(check)).collect();
        data["threads"] = facets.threads.iter().map(row::thread).collect();
        data["reviews"] = facets.reviews.iter().map(row::review).collect();
        data["comments"] = facets.comments.iter().map(row::comment).collect();
        data
    }

    /// As of a cursor, the ends of logs are not known.
    fn check(&self, check: &Check) -> Value {
        let mut data = row::check(check);
        if self.observed.is_some() {
            data["log_tail"] = self.logs.get(&check.external_id).map(String::as_str).into();
        }
        data
    }

    /// The failed checks, in the order of their names.
    #[must_use]
    pub fn failed(&self) -> Vec<&Check> {
        let failed = |check: &&Check| check.status == CheckStatus::Failed;
        let mut failed: Vec<_> = self.facets.checks.iter().filter(failed).collect();
        failed.sort_by_key(|check| check_name(check));
        failed
    }

    /// The end of the log of a check, if it is stored.
    #[must_use]
    pub fn log(&self, check: &Check) -> Option<&str> {
        let log = self.logs.get(&check.external_id).map(String::as_str);
        log.filter(|log| !log.trim().is_empty())
    }
}

/// The name of a check with its workflow and event.
#[must_use]
pub fn check_name(check: &Check) -> String {
    let mut name = check.name.clone();
    if !check.workflow.is_empty() && check.workflow != check.name {
        name = format!("{} / {name}", check.workflow);
    }
    if !check.event.is_empty() {
        name += &format!(" ({})", check.event);
    }
    name
}

/// A claim; `unverified` is why the host was not asked whether the pull request exists.
#[must_use]
pub fn claim(claim: &Claim, unverified: Option<&str>) -> Value {
    json!({
        "pr_id": claim.pr.as_str(),
        "session_id": claim.session.as_str(),
        "previous_session_id": claim.previous.as_ref().map(SessionId::as_str),
        "was_previous_terminated": claim.was_previous_terminated,
        "is_verified": unverified.is_none(),
        "reason": unverified,
    })
}
