//! Pull requests: list them, show one with its checks, threads, reviews and comments, claim one.

use ao_observer::github::host::Endpoints;
use ao_observer::run::{Lookup, look_up};
use ao_program::Environment;
use ao_store::observation::Observation;
use ao_store::row::pr::{self, Filter};
use ao_store::row::{facet, project, scm, session};
use ao_store::{Claim, Cursor, PrName, SessionId, Takeover, Timestamp, claim_observed, claim_pr};
use serde_json::{Value, json};

use crate::args::Pr as Command;
use crate::cmd::poll;
use crate::context::{Context, cause};
use crate::error::{Error, Result};
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
        Command::Claim { session, pr, takeover, no_verify, api } => {
            let takeover = if takeover { Takeover::Allow } else { Takeover::Refuse };
            let (session, name) = (session.parse()?, pr.parse()?);
            let checked = verify(context, &session, &name, no_verify, poll::api(&api)?)?;
            claim(context, session, name, takeover, checked)
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

/// Asks the host about a pull request of which nothing was ever read.
fn verify(
    context: &Context,
    session: &SessionId,
    name: &PrName,
    no_verify: bool,
    api: Option<Endpoints>,
) -> Result<Option<Lookup>> {
    let (stored, location) = context.open()?.read(|snapshot| {
        session::require(snapshot, session)?;
        Ok((pr::named(snapshot, name)?, pr::locate(snapshot, name)?))
    })?;
    if stored.is_some_and(|pr| !pr.node_id.is_empty()) {
        return Ok(None);
    }
    if no_verify {
        return Ok(Some(Lookup::NotAsked("--no-verify was passed".to_owned())));
    }
    let environment = Environment::of_process();
    let found = look_up(&location, api, &environment, Timestamp::now());
    found.map(Some).map_err(Error::NotVerified)
}

/// Claims it, with what was read of it; a rename that this shows is followed.
fn write_claim(
    tx: &ao_store::Tx<'_>,
    session: &SessionId,
    name: &PrName,
    takeover: Takeover,
    seen: Option<&Observation>,
) -> ao_store::Result<Claim> {
    let Some(seen) = seen else { return claim_pr(tx, session, name, takeover) };
    let asked = pr::locate(tx, name)?;
    if !asked.repo.eq_ignore_ascii_case(&seen.pr.repo) {
        project::relocate(tx, &asked.host, &asked.repo, &seen.pr.repo)?;
    }
    claim_observed(tx, session, seen, takeover)
}

fn claim(
    context: &Context,
    session: SessionId,
    name: PrName,
    takeover: Takeover,
    checked: Option<Lookup>,
) -> Result<()> {
    let (seen, reason) = match checked {
        None => (None, None),
        Some(Lookup::Found(seen)) => (Some(seen), None),
        Some(Lookup::NotAsked(reason)) => (None, Some(reason)),
    };
    let write =
        move |tx: &ao_store::Tx<'_>| write_claim(tx, &session, &name, takeover, seen.as_deref());
    let claim = context.open()?.write(cause(), write)?.value;
    if context.is_json {
        return output::document(
            "pr.claim",
            &json!({
                "pr_id": claim.pr.as_str(),
                "session_id": claim.session.as_str(),
                "previous_session_id": claim.previous.as_ref().map(SessionId::as_str),
                "was_previous_terminated": claim.was_previous_terminated,
                "is_verified": reason.is_none(),
                "reason": reason,
            }),
        );
    }
    // The name that was passed may be that of before a rename.
    let (shown, session) = (&claim.pr, &claim.session);
    let mut text = match claim.previous {
        None => format!("{shown} is now tracked and owned by {session}"),
        Some(previous) if previous == *session => format!("{shown} is already owned by {session}"),
        Some(previous) => format!("{shown} moved from {previous} to {session}"),
    };
    if let Some(reason) = reason {
        text += &format!("; whether it exists was not verified: {reason}");
    }
    output::say(&output::printable(&text));
    Ok(())
}
