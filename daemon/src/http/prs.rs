//! Pull requests.

use std::sync::Arc;

use ao_store::observation::{Ci, PrState, ReviewDecision};
use ao_store::row::pr::{self, Pr};
use ao_store::row::session;
use ao_store::{PrName, PrRef, Timestamp};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::failure::Failure;
use super::list::{Page, chosen};
use super::sessions::At;
use super::{projects, reply, work};
use crate::app::App;
use crate::document::pull::{self, Details};

/// Which pull requests.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only those of this project.
    project: Option<String>,
    /// Only those of this session.
    session: Option<String>,
    /// Only those in these states, separated by commas.
    state: Option<String>,
    /// Only those whose checks are so, separated by commas.
    ci: Option<String>,
    /// Only those with these review decisions, separated by commas.
    review: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl Filter {
    fn page(self, app: &App) -> Result<Json<Value>, Failure> {
        let names = |all: &[&'static str]| all.to_vec();
        let states: Vec<_> = PrState::ALL.iter().map(|it| it.as_str()).collect();
        let cis: Vec<_> = Ci::ALL.iter().map(|it| it.as_str()).collect();
        let reviews: Vec<_> = ReviewDecision::ALL.iter().map(|it| it.as_str()).collect();
        let state = chosen("state", self.state.as_deref(), &names(&states))?;
        let ci = chosen("ci", self.ci.as_deref(), &names(&cis))?;
        let review = chosen("review", self.review.as_deref(), &names(&reviews))?;
        let project = self.project.as_deref().map(str::parse).transpose()?;
        let session = self.session.as_deref().map(str::parse).transpose()?;
        let filter = pr::Filter { project, session };
        let is_asked = |asked: &[String], value: &str| {
            asked.is_empty() || asked.iter().any(|asked| asked == value)
        };
        let is_wanted = |pr: &Pr| {
            is_asked(&state, pr.state.as_str())
                && is_asked(&ci, pr.ci.as_str())
                && is_asked(&review, pr.review_decision.as_str())
        };
        let read = |after: Option<&str>, limit| {
            let prs = app.store.read(|snapshot| {
                let project = filter.project.as_ref();
                project.map_or(Ok(()), |id| projects::find(snapshot, id).map(drop))?;
                let session = filter.session.as_ref();
                session.map_or(Ok(()), |id| session::require(snapshot, id).map(drop))?;
                pr::page(snapshot, &filter, after.unwrap_or_default(), limit, is_wanted)
            });
            Ok(prs?)
        };
        let page = Page { limit: self.limit, after: self.after };
        page.read("pr.list", read, |pr| pr.id.to_string(), pull::listed)
    }
}

/// The tracked pull requests.
#[utoipa::path(get, path = "/api/v1/prs", tag = "prs", params(Filter),
    responses((status = 200, description = "A page of pull requests", body = ref("#/components/schemas/document.pr.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| filter.page(app)).await
}

/// The pull requests of a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/prs", tag = "sessions",
    params(("id" = String, Path, description = "The session"), Page),
    responses((status = 200, description = "A page of pull requests", body = ref("#/components/schemas/document.pr.list"))))]
pub(crate) async fn of_session(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Page { limit, after }): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let filter = Filter { session: Some(id), limit, after, ..Filter::default() };
    work::run(&app, move |app| filter.page(app)).await
}

/// One pull request with its items, now or as of a cursor.
#[utoipa::path(get, path = "/api/v1/prs/{id}", tag = "prs",
    params(("id" = String, Path, description = "A URL, owner/repo#number, or an id, percent-encoded"), At),
    responses((status = 200, description = "The pull request", body = ref("#/components/schemas/document.pr.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(at): Query<At>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| details(app, &id.parse()?, &at)).await
}

/// The same by its location.
#[utoipa::path(get, path = "/api/v1/prs/{host}/{owner}/{repo}/{number}", tag = "prs",
    params(("host" = String, Path, description = "The host"), ("owner" = String, Path, description = "The owner"),
        ("repo" = String, Path, description = "The repository"), ("number" = i64, Path, description = "The number"), At),
    responses((status = 200, description = "The pull request", body = ref("#/components/schemas/document.pr.get"))))]
pub(crate) async fn at_location(
    State(app): State<Arc<App>>,
    Path((host, owner, repo, number)): Path<(String, String, String, i64)>,
    Query(at): Query<At>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let location = PrRef::new(&host, &format!("{owner}/{repo}"), number)?;
        details(app, &location.into(), &at)
    })
    .await
}

fn details(app: &App, name: &PrName, at: &At) -> Result<Json<Value>, Failure> {
    let details = match at.cursor()? {
        None => app.store.read(|snapshot| Details::read(snapshot, name, Timestamp::now()))?,
        Some(cursor) => app.store.read(|snapshot| Details::as_of(snapshot, name, cursor))?,
    };
    Ok(reply::document("pr.get", details.document()))
}
