//! Sessions: listed, shown, spawned, changed, deleted.

use std::sync::Arc;
use std::time::Duration;

use ao_store::row::session::{self, Session};
use ao_store::row::shared_branch::{self, SharedBranch};
use ao_store::status::{self, Derived, Status};
use ao_store::{Cause, Cursor, SessionId};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::failure::Failure;
use super::list::{self, Nothing, Page, chosen};
use super::spawn::Spawn;
use super::{ACTOR, limit, projects, reply, work};
use crate::app::App;
use crate::document::session::{self as document, Past};

/// Which sessions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only those of this project.
    pub(super) project: Option<String>,
    /// Include terminated sessions.
    #[serde(default)]
    pub(super) all: bool,
    /// Only those of these statuses, separated by commas.
    pub(super) status: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// The `next` of the page before.
    pub(super) after: Option<String>,
}

/// A session with its status, and what is warned of.
type Row = (Session, Derived, Option<SharedBranch>);

impl Filter {
    /// A page of those that `is_listed`.
    pub(super) fn page(
        self,
        app: &App,
        is_listed: impl Fn(&Session) -> bool,
    ) -> Result<Json<Value>, Failure> {
        let known: Vec<_> = Status::ALL.iter().map(|it| it.as_str()).collect();
        let states = chosen("status", self.status.as_deref(), &known)?;
        let ended = states.iter().any(|it| ["terminated", "merged"].contains(&it.as_str()));
        let project = self.project.as_deref().map(str::parse).transpose()?;
        let filter = session::Filter { project, terminated: self.all || ended };
        let is_wanted = |session: &Session, derived: &Derived| {
            let is_asked = |it: &String| it == derived.status.as_str();
            is_listed(session) && (states.is_empty() || states.iter().any(is_asked))
        };
        let read = |after: Option<&str>, limit| {
            let after = list::key(after, session::START, session::key_of)?;
            let rows = app.store.read(|snapshot| {
                let project = filter.project.as_ref();
                project.map_or(Ok(()), |id| projects::find(snapshot, id).map(drop))?;
                let rows = status::page(snapshot, &filter, after, limit, is_wanted)?.into_iter();
                let row = |(session, derived)| {
                    let shared = shared_branch::of(snapshot, &session)?;
                    Ok((session, derived, shared))
                };
                rows.map(row).collect::<ao_store::Result<Vec<Row>>>()
            });
            Ok(rows?)
        };
        let key = |(session, ..): &Row| session.id.to_string();
        Page { limit: self.limit, after: self.after }
            .read("session.list", read, key, |row| document::listed(&row.0, &row.1, row.2.as_ref()))
    }
}

/// The sessions.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(Filter),
    responses((status = 200, description = "A page of sessions", body = ref("#/components/schemas/document.session.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| filter.page(app, |_| true)).await
}

/// Spawns a session. Everything is checked first; after a failure nothing is left.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = Spawn,
    responses((status = 201, description = "The session", body = ref("#/components/schemas/document.spawn"))))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(spawn): Json<Spawn>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let request = spawn.request(app)?;
        let spawned = app.sessions.spawn(&request)?;
        let document = described(app, "spawn", &spawned.session, &spawned.warnings)?;
        Ok((StatusCode::CREATED, document))
    })
    .await
}

/// A session as it is now, with what did not work.
pub(super) fn described(
    app: &App,
    kind: &str,
    id: &SessionId,
    warnings: &[String],
) -> Result<Json<Value>, Failure> {
    let mut data = app.store.read(|snapshot| document::now(snapshot, id))?;
    document::put_incomplete(&mut data, warnings);
    Ok(reply::document(kind, data))
}

/// As of when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct At {
    /// As of this cursor.
    pub(super) at: Option<String>,
}

impl At {
    pub(super) fn cursor(&self) -> Result<Option<Cursor>, Failure> {
        Ok(self.at.as_deref().map(str::parse).transpose()?)
    }
}

/// One session, now or as of a cursor.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "The session"), At),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(at): Query<At>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id = id.parse()?;
        let data = match at.cursor()? {
            None => app.store.read(|snapshot| document::now(snapshot, &id))?,
            Some(cursor) => {
                app.store.read(|snapshot| Past::read(snapshot, &id, cursor))?.document()
            }
        };
        Ok(reply::document("session.get", data))
    })
    .await
}

/// How long a diff waits for others to end. With the time of its own it is shorter than that of an answer.
const WAIT: Duration = Duration::from_secs(2);

/// What a session has changed: its worktree, with what is uncommitted, against its recorded base.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/diff", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The difference", body = ref("#/components/schemas/document.session.diff")),
        (status = 502, description = "`GIT_FAILED`", body = ref("#/components/schemas/error")),
        (status = 503, description = "`OVERLOADED`: eight worktrees are compared", body = ref("#/components/schemas/error"))))]
pub(crate) async fn diff(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Response, Failure> {
    let Ok(place) = timeout(WAIT, Arc::clone(&app.diffs).acquire_owned()).await else {
        return Ok(limit::overloaded("too many worktrees are compared; try again"));
    };
    let diff = work::run(&app, move |app| {
        // Until git has ended, also when the client has gone.
        let _place = place;
        let id = id.parse()?;
        let diff = app.sessions.diff(&id)?;
        Ok(reply::document("session.diff", document::diff(&id, &diff)))
    });
    Ok(diff.await?.into_response())
}

/// What is changed of a session. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The display name.
    name: Option<String>,
    /// The branch, by which its pull request is found; empty for none.
    branch: Option<String>,
}

/// Changes the name or the branch of a session.
#[utoipa::path(patch, path = "/api/v1/sessions/{id}", tag = "sessions", request_body = Change,
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.set"))))]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(change): Json<Change>,
) -> Result<Json<Value>, Failure> {
    if change.name.is_none() && change.branch.is_none() {
        return Err(Failure::invalid_request("name or branch is to be given"));
    }
    work::run(&app, move |app| {
        let id: SessionId = id.parse()?;
        let changed = app.store.write(Cause::now(ACTOR), move |tx| {
            let mut session = session::require(tx, &id)?;
            if let Some(name) = &change.name {
                session = session::rename(tx, &id, name)?;
            }
            if let Some(branch) = &change.branch {
                session = session::set_branch(tx, &id, branch)?;
            }
            let shared = shared_branch::of(tx, &session)?;
            Ok(document::changed(&session, shared.as_ref()))
        })?;
        Ok(reply::document("session.set", changed.value))
    })
    .await
}

/// Deletes a session that has produced nothing.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "It is deleted", body = ref("#/components/schemas/document.session.rm"))))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id = id.parse()?;
        app.sessions.remove(&id)?;
        Ok(reply::document("session.rm", document::deleted(&id)))
    })
    .await
}
