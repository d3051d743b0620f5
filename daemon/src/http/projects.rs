//! Projects.

use std::path::PathBuf;
use std::sync::Arc;

use ao_store::row::project::{self, Project};
use ao_store::{Cause, ProjectId, Snapshot};
use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::failure::Failure;
use super::list::{Nothing, Page};
use super::{ACTOR, reply, work};
use crate::app::App;
use crate::document::project::document;
use crate::request::{self, Change, git};

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Include archived projects.
    #[serde(default)]
    all: bool,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The projects.
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects", params(Filter),
    responses((status = 200, description = "A page of projects", body = ref("#/components/schemas/document.project.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Failure> {
    let Filter { all, limit, after } = filter;
    work::run(&app, move |app| {
        let projects = app.store.read(|snapshot| project::list(snapshot, all))?;
        Page { limit, after }.cut("project.list", projects, |it| it.id.to_string(), document)
    })
    .await
}

/// A work tree to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// A directory inside a git work tree, absolute.
    path: String,
    /// The id; the name of the directory if it is absent.
    id: Option<String>,
    /// The display name; the id if it is absent.
    name: Option<String>,
    /// Succeed if it is registered with the given id and name.
    #[serde(default)]
    if_not_exists: bool,
}

/// Registers a git work tree.
#[utoipa::path(post, path = "/api/v1/projects", tag = "projects", request_body = NewProject,
    responses(
        (status = 201, description = "It is registered", body = ref("#/components/schemas/document.project.add")),
        (status = 200, description = "It was registered already", body = ref("#/components/schemas/document.project.add"))))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewProject>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let id = new.id.map(|id| id.parse()).transpose()?;
        let path = PathBuf::from(&new.path);
        if !path.is_absolute() {
            let reason = "it is not absolute".to_owned();
            return Err(request::Error::InvalidPath { path, reason }.into());
        }
        let tree = git::read(&path)?;
        let (names, cause) = ((id, new.name), Cause::now(ACTOR));
        let added = request::add_project(&app.store, cause, &tree, names, new.if_not_exists)?;
        let status = if added.is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, reply::document("project.add", document(&added.project))))
    })
    .await
}

/// One project.
#[utoipa::path(get, path = "/api/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses((status = 200, description = "The project", body = ref("#/components/schemas/document.project.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id = id.parse()?;
        let project = app.store.read(|snapshot| find(snapshot, &id))?;
        Ok(reply::document("project.get", document(&project)))
    })
    .await
}

/// The project of an id, also an archived one.
///
/// # Errors
/// `PROJECT_NOT_FOUND`.
pub(super) fn find(snapshot: &Snapshot<'_>, id: &ProjectId) -> ao_store::Result<Project> {
    let found = project::get(snapshot, id)?;
    found.ok_or_else(|| ao_store::Error::ProjectNotFound(id.clone()))
}

/// How the sessions of a project are made. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The files that are copied into a new worktree, as globs.
    copy_globs: Option<Vec<String>>,
    /// The command that is run in a new worktree; empty for none.
    setup_command: Option<String>,
    /// How long that may take, in milliseconds.
    #[schema(minimum = 1)]
    setup_timeout_ms: Option<i64>,
    /// The most live sessions; null for any number.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    max_live: Option<Option<u32>>,
}

/// A null that is present, which means something else than an absent field.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Changes how the sessions of a project are made.
#[utoipa::path(put, path = "/api/v1/projects/{id}", tag = "projects", request_body = Settings,
    params(("id" = String, Path, description = "The project")),
    responses((status = 200, description = "The project", body = ref("#/components/schemas/document.project.set"))))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(settings): Json<Settings>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let change = Change {
            copy: settings.copy_globs,
            setup_command: settings.setup_command,
            setup_timeout_ms: settings.setup_timeout_ms,
            max_live: settings.max_live,
        };
        let cause = Cause::now(ACTOR);
        let project = request::change_project(&app.store, cause, id.parse()?, change)?;
        Ok(reply::document("project.set", document(&project)))
    })
    .await
}

/// Archives a project that has no live session.
#[utoipa::path(delete, path = "/api/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses((status = 200, description = "The archived project", body = ref("#/components/schemas/document.project.rm"))))]
pub(crate) async fn archive(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id: ProjectId = id.parse()?;
        let archived = app.store.write(Cause::now(ACTOR), move |tx| project::archive(tx, &id))?;
        Ok(reply::document("project.rm", document(&archived.value)))
    })
    .await
}
