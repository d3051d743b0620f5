//! Pull requests: list them, show one with its checks, threads, reviews and comments, claim one.

use ao_store::row::pr::{self, Filter};
use ao_store::row::{facet, project, scm, session};
use ao_store::{Cursor, PrName, SessionId, Takeover, claim_pr};
use serde_json::{Value, json};

use crate::args::Pr as Command;
use crate::context::{Context, cause};
use crate::error::Result;
use crate::{output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Ls { project, session } => {
            let project = project.map(|id| id.parse()).transpose()?;
            let session = session.map(|id| id.parse()).transpose()?;
            list(context, &Filter { project, session })
        }
        Command::Get { pr, at: None } => get(context, &pr.parse()?),
        Command::Get { pr, at: Some(at) } => get_as_of(context, &pr.parse()?, at.parse()?),
        Command::Claim { session, pr, no_takeover } => {
            let takeover = if no_takeover { Takeover::Refuse } else { Takeover::Allow };
            claim(context, session.parse()?, pr.parse()?, takeover)
        }
    }
}

fn list(context: &Context, filter: &Filter) -> Result<()> {
    let prs = context.open()?.read(|snapshot| {
        if let Some(id) = &filter.project {
            let found = project::get(snapshot, id)?;
            found.ok_or_else(|| ao_store::Error::ProjectNotFound(id.clone()))?;
        }
        if let Some(id) = &filter.session {
            session::require(snapshot, id)?;
        }
        pr::list(snapshot, filter)
    })?;
    if context.is_json {
        return output::list("pr.list", || prs.iter().map(view::pr));
    }
    if prs.is_empty() {
        context.say("no tracked pull requests; find them: `ao-store observe --once`");
        return Ok(());
    }
    let rows = prs.into_iter().map(|pr| {
        vec![
            pr.place(),
            pr.session.to_string(),
            pr.state.to_string(),
            pr.ci.to_string(),
            pr.review_decision.to_string(),
            pr.mergeability.to_string(),
            pr.title,
        ]
    });
    output::table(&["PR", "SESSION", "STATE", "CI", "REVIEW", "MERGE", "TITLE"], rows.collect())
}

fn get(context: &Context, name: &PrName) -> Result<()> {
    let data = context.open()?.read(|snapshot| {
        let pr = pr::require_named(snapshot, name)?;
        let mut data = view::pr(&pr);
        let poll = view::poll(&scm::poll(snapshot, &pr.id)?.unwrap_or_default());
        for (name, value) in poll.as_object().into_iter().flatten() {
            data[name] = value.clone();
        }
        data["as_of"] = view::freshness(&pr::freshness(snapshot, &pr.id)?);
        let mut checks = Vec::new();
        for check in facet::checks(snapshot, &pr.id)? {
            let mut shown = view::check(&check);
            shown["log_tail"] = facet::log_tail(snapshot, &pr.id, &check.external_id)?.into();
            checks.push(shown);
        }
        data["checks"] = Value::Array(checks);
        data["threads"] = facet::threads(snapshot, &pr.id)?.iter().map(view::thread).collect();
        data["reviews"] = facet::reviews(snapshot, &pr.id)?.iter().map(view::review).collect();
        data["comments"] = facet::comments(snapshot, &pr.id)?.iter().map(view::comment).collect();
        Ok(data)
    })?;
    if context.is_json {
        return output::document("pr.get", &data);
    }
    output::text(&view::fields(&data))
}

/// The pull request of a reference as of a cursor, with its items.
fn get_as_of(context: &Context, name: &PrName, cursor: Cursor) -> Result<()> {
    let data = context.open()?.read(|snapshot| {
        let pr = pr::require_as_of(snapshot, name, cursor)?;
        let facets = facet::as_of(snapshot, &pr.id, cursor)?;
        let mut data = view::pr(&pr);
        data["checks"] = facets.checks.iter().map(view::check).collect();
        data["threads"] = facets.threads.iter().map(view::thread).collect();
        data["reviews"] = facets.reviews.iter().map(view::review).collect();
        data["comments"] = facets.comments.iter().map(view::comment).collect();
        Ok(data)
    })?;
    if context.is_json {
        return output::document("pr.get", &data);
    }
    output::text(&view::fields(&data))
}

fn claim(context: &Context, session: SessionId, name: PrName, takeover: Takeover) -> Result<()> {
    let shown = name.to_string();
    let write = move |tx: &ao_store::Tx<'_>| claim_pr(tx, &session, &name, takeover);
    let claim = context.open()?.write(cause(), write)?.value;
    if context.is_json {
        return output::document(
            "pr.claim",
            &json!({
                "pr_id": claim.pr.as_str(),
                "session_id": claim.session.as_str(),
                "previous_session_id": claim.previous.as_ref().map(SessionId::as_str),
                "was_previous_terminated": claim.was_previous_terminated,
            }),
        );
    }
    let session = &claim.session;
    output::say(&match claim.previous {
        None => format!("{shown} is now tracked and owned by {session}"),
        Some(previous) if previous == *session => format!("{shown} is already owned by {session}"),
        Some(previous) => format!("{shown} moved from {previous} to {session}"),
    });
    Ok(())
}
