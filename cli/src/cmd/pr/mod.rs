//! Pull requests: list them, show one, open its page, print its logs, claim one.

mod claim;
mod get;
mod log;
pub(super) mod name;
mod open;

use std::collections::HashMap;

use ao_daemon::document;
use ao_store::row::pr::{self, Filter, Pr};
use ao_store::row::scm::{self, FactAge};
use ao_store::row::{project, session};
use ao_store::{PrId, Takeover, Timestamp};

use crate::args::{ClaimPr, ListArgs, ListFormat, Pr as Command};
use crate::cmd::poll;
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Ls { project, session, state, ci, review, list: args } => {
            let project = project.map(|id| id.parse()).transpose()?;
            let session = session.map(|id| id.parse()).transpose()?;
            let is_asked = |asked: &[String], value: &str| {
                asked.is_empty() || asked.iter().any(|asked| asked == value)
            };
            let select = |pr: &Pr| {
                is_asked(&state, pr.state.as_str())
                    && is_asked(&ci, pr.ci.as_str())
                    && is_asked(&review, pr.review_decision.as_str())
            };
            list(context, &Filter { project, session }, &select, &args)
        }
        Command::Get { pr, at: None } => get::now(context, &name::resolve(context, &pr)?),
        Command::Get { pr, at: Some(at) } => {
            get::as_of(context, &name::resolve(context, &pr)?, at.parse()?)
        }
        Command::Open { pr, print } => open::run(context, &name::resolve(context, &pr)?, print),
        Command::Log { pr, check } => {
            log::run(context, &name::resolve(context, &pr)?, check.as_deref())
        }
        Command::Claim(args) => claim(context, &args),
    }
}

/// Claims a pull request for a session.
pub(super) fn claim(context: &Context, args: &ClaimPr) -> Result<()> {
    let takeover = if args.takeover { Takeover::Allow } else { Takeover::Refuse };
    let (session, name) = (args.session.parse()?, name::resolve(context, &args.pr)?);
    let api = poll::api(&args.api)?;
    claim::claim(context, session, (name, takeover), args.no_verify, api)
}

fn list(
    context: &Context,
    filter: &Filter,
    select: &dyn Fn(&Pr) -> bool,
    args: &ListArgs,
) -> Result<()> {
    let now = Timestamp::now();
    let (mut prs, ages) = context.open()?.read(|snapshot| {
        if let Some(id) = &filter.project {
            let found = project::get(snapshot, id)?;
            found.ok_or_else(|| ao_store::Error::ProjectNotFound(id.clone()))?;
        }
        if let Some(id) = &filter.session {
            session::require(snapshot, id)?;
        }
        Ok((pr::list(snapshot, filter)?, scm::pr_ages(snapshot, filter, now)?))
    })?;
    let is_empty = prs.is_empty();
    prs.retain(select);
    let is_any_stale = prs.iter().any(|pr| ages.get(&pr.id).is_some_and(|age| age.is_stale));
    let is_table = matches!(args.output, None | Some(ListFormat::Table));
    let is_shown = args.columns.is_empty() || args.columns.iter().any(|name| name == "facts");
    if is_any_stale && is_table && is_shown {
        context.say(
            "stale: facts that the host did not confirm lately; to read them: `ao-store observe`",
        );
    }
    Listing {
        kind: "pr.list",
        columns: columns(&ages, is_any_stale),
        id: &|pr: &Pr| pr.id.to_string(),
        document: &document::pull::listed,
        empty: match is_empty {
            true => "no tracked pull requests; find them: `ao-store observe --once`",
            false => "no tracked pull request is in that state; all: `ao-store pr ls`",
        },
    }
    .print(context, args, prs)
}

/// How old the facts are is shown where some are stale, or on request.
fn columns(ages: &HashMap<PrId, FactAge>, is_any_stale: bool) -> Vec<Column<'_, Pr>> {
    type Of<'a> = Column<'a, Pr>;
    let facts = Of::new("facts", |pr| facts(ages.get(&pr.id))).rank(1);
    vec![
        Of::new("pr", |pr| Cell::text(pr.place())),
        Of::new("session", |pr| Cell::text(pr.session.as_str())).rank(2),
        Of::state("state", |pr| pr.state.to_string()).rank(1),
        Of::state("ci", |pr| pr.ci.to_string()),
        Of::state("review", |pr| pr.review_decision.to_string()),
        Of::state("merge", |pr| pr.mergeability.to_string()).rank(3),
        if is_any_stale { facts } else { facts.on_request() },
        Of::text("title", |pr| pr.title.clone()),
        Of::new("project", |pr| Cell::text(pr.project.as_str())).on_request(),
        Of::text("author", |pr| pr.author.clone()).on_request(),
        Of::text("branch", |pr| pr.head_ref.clone()).on_request(),
        Of::text("base", |pr| pr.base_ref.clone()).on_request(),
        Of::new("lines", lines).on_request(),
        Of::new("url", |pr| Cell::text(&pr.url)).on_request(),
        Of::new("updated", |pr| Cell::age(pr.updated_at)).on_request(),
        Of::new("created", |pr| pr.provider_created_at.map_or(Cell::absent(), Cell::age))
            .on_request(),
    ]
}

/// When the host last confirmed the facts.
fn facts(age: Option<&FactAge>) -> Cell {
    match age.and_then(|age| Some((age.confirmed_at?, age.is_stale))) {
        Some((at, true)) => Cell::age_as("stale", at),
        Some((at, false)) => Cell::age(at),
        None if age.is_some_and(|age| age.is_stale) => Cell::state("stale"),
        None => Cell::absent(),
    }
}

/// The added and deleted lines.
fn lines(pr: &Pr) -> Cell {
    let (Some(added), Some(deleted)) = (pr.additions, pr.deletions) else { return Cell::absent() };
    Cell::number(added.saturating_add(deleted).unsigned_abs(), format!("+{added} -{deleted}"))
}
