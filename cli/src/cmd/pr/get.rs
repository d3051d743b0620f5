//! Shows one pull request: as a page, with -v as a list of all fields, or as a document; now or as of a
//! cursor.

use std::collections::HashMap;

use ao_store::row::{facet, pr, scm};
use ao_store::{Cursor, PrName, Snapshot, Timestamp};
use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::page::pr::Details;
use crate::page::{self, Page};
use crate::{output, view};

/// Everything that is stored about the pull request of a name.
pub(super) fn details(
    snapshot: &Snapshot<'_>,
    name: &PrName,
    now: Timestamp,
) -> ao_store::Result<(Details, pr::Freshness)> {
    let pr = pr::require_named(snapshot, name)?;
    let checks = facet::checks(snapshot, &pr.id)?;
    let mut logs = HashMap::new();
    for check in &checks {
        if let Some(log) = facet::log_tail(snapshot, &pr.id, &check.external_id)? {
            logs.insert(check.external_id.clone(), log);
        }
    }
    let facets = facet::Facets {
        checks,
        threads: facet::threads(snapshot, &pr.id)?,
        reviews: facet::reviews(snapshot, &pr.id)?,
        comments: facet::comments(snapshot, &pr.id)?,
    };
    let poll = scm::poll(snapshot, &pr.id)?.unwrap_or_default();
    let observed = Some((poll, scm::pr_age(snapshot, &pr.id, now)?));
    let freshness = pr::freshness(snapshot, &pr.id)?;
    Ok((Details { pr, facets, logs, observed }, freshness))
}

pub(super) fn now(context: &Context, name: &PrName) -> Result<()> {
    let now = Timestamp::now();
    let (details, freshness) = context.open()?.read(|snapshot| details(snapshot, name, now))?;
    let document = || {
        let mut data = view::pr(&details.pr);
        let poll = details.observed.iter().map(|(poll, _)| view::poll(poll));
        for (name, value) in poll.flat_map(|poll| poll.as_object().cloned()).flatten() {
            data[&name] = value;
        }
        data["as_of"] = view::freshness(&freshness);
        items(&mut data, &details);
        for (at, check) in details.facets.checks.iter().enumerate() {
            let log = details.logs.get(&check.external_id);
            data["checks"][at]["log_tail"] = log.map(String::as_str).into();
        }
        data
    };
    print(context, &details, document, now)
}

/// The pull request of a reference as of a cursor, with its items.
pub(super) fn as_of(context: &Context, name: &PrName, cursor: Cursor) -> Result<()> {
    let details = context.open()?.read(|snapshot| {
        let pr = pr::require_as_of(snapshot, name, cursor)?;
        let facets = facet::as_of(snapshot, &pr.id, cursor)?;
        Ok(Details { pr, facets, logs: HashMap::new(), observed: None })
    })?;
    let document = || {
        let mut data = view::pr(&details.pr);
        items(&mut data, &details);
        data
    };
    print(context, &details, document, Timestamp::now())
}

fn items(data: &mut Value, details: &Details) {
    let facets = &details.facets;
    data["checks"] = facets.checks.iter().map(view::check).collect();
    data["threads"] = facets.threads.iter().map(view::thread).collect();
    data["reviews"] = facets.reviews.iter().map(view::review).collect();
    data["comments"] = facets.comments.iter().map(view::comment).collect();
}

fn print(
    context: &Context,
    details: &Details,
    document: impl Fn() -> Value,
    now: Timestamp,
) -> Result<()> {
    if context.is_json {
        return output::document("pr.get", &document());
    }
    if context.is_verbose {
        return output::text(&view::fields(&document()));
    }
    let mut page = Page::new();
    page::pr::write(&mut page, details, context.invocation(), now);
    page.print()
}
