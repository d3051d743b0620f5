//! The verbs on a session. One that has begun goes on to its end, whatever the client does.

use std::sync::Arc;

use ao_session::harness::Answer;
use ao_session::{Message, Sent};
use ao_store::row::delivery::Stage;
use ao_store::row::session;
use ao_store::{Cause, SessionId, Takeover};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::failure::Failure;
use super::list::Nothing;
use super::sessions::described;
use super::{ACTOR, projects, reply, work};
use crate::app::App;
use crate::document;
use crate::request;

/// No field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// Terminates a session: stops its agent, and keeps its work.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/kill", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.kill"))))]
pub(crate) async fn kill(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    _: Option<Json<Empty>>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let killed = app.sessions.kill(&id.parse()?)?;
        described(app, "session.kill", &killed.session, &killed.warnings)
    })
    .await
}

/// Makes a terminated session run again.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/restore", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.restore"))))]
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    _: Option<Json<Empty>>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let restored = app.sessions.restore(&id.parse()?)?;
        described(app, "session.restore", &restored.session, &restored.warnings)
    })
    .await
}

/// Starts the agent of a session again after it ended.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/relaunch", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.relaunch"))))]
pub(crate) async fn relaunch(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    _: Option<Json<Empty>>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let restored = app.sessions.relaunch(&id.parse()?)?;
        described(app, "session.relaunch", &restored.session, &restored.warnings)
    })
    .await
}

/// Undoes a spawn: deletes a session that has produced nothing, terminates any other.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/rollback", tag = "sessions",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "`session.rm` if it is deleted, otherwise `session.kill`",
        body = ref("#/components/schemas/rollback"))))]
pub(crate) async fn rollback(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    _: Option<Json<Empty>>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id: SessionId = id.parse()?;
        match app.sessions.remove(&id) {
            Ok(()) => Ok(reply::document("session.rm", document::session::deleted(&id))),
            Err(ao_session::Error::Store(ao_store::Error::SessionNotSeed(_))) => {
                let killed = app.sessions.kill(&id)?;
                described(app, "session.kill", &killed.session, &killed.warnings)
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// A message to an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// Its text, at most 1 MiB.
    text: String,
    /// A key that makes a repeated request the same delivery.
    key: Option<String>,
    /// The session that sends it.
    sender: Option<String>,
    /// Send it although the account of the harness has reached a limit.
    #[serde(default)]
    force: bool,
}

/// Sends a message to an agent. The answer comes when it is accepted; its further stages are changes of the
/// delivery.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/send", tag = "sessions", request_body = NewMessage,
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The delivery", body = ref("#/components/schemas/document.send"))))]
pub(crate) async fn send(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewMessage>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let sender: Option<SessionId> = new.sender.map(|id| id.parse()).transpose()?;
        if let Some(sender) = &sender {
            app.store.read(|snapshot| session::require(snapshot, sender).map(drop))?;
        }
        let message = Message {
            session: id.parse()?,
            text: new.text,
            key: new.key,
            sender: sender.map(|id| id.to_string()).unwrap_or_default(),
            wanted: Stage::Accepted,
            force: new.force,
        };
        let Sent { delivery, is_new } = app.sessions.send(&message)?;
        let mut data = document::delivery::document(&delivery);
        data["is_new"] = is_new.into();
        Ok(reply::document("send", data))
    })
    .await
}

/// An answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answered {
    /// Allow it.
    Allow,
    /// Deny it.
    Deny,
    /// Choose the option of this number, from 1 to 9.
    Choice(u8),
    /// Answer with this line of text.
    Text(String),
}

/// The answer to what an agent waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAnswer {
    /// `"allow"`, `"deny"`, `{"choice": N}` or `{"text": "…"}`.
    answer: Answered,
}

/// Answers what the agent of a session waits for.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/answer", tag = "sessions", request_body = NewAnswer,
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The decision", body = ref("#/components/schemas/document.session.answer"))))]
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewAnswer>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let answer = match new.answer {
            Answered::Allow => Answer::Allow,
            Answered::Deny => Answer::Deny,
            Answered::Choice(number) => Answer::Choice(request::choice(number)?),
            Answered::Text(text) => Answer::Text(request::answer_text(text)?),
        };
        let decision = app.sessions.answer(&id.parse()?, &answer)?;
        Ok(reply::document("session.answer", document::decision(&decision)))
    })
    .await
}

/// A pull request to claim.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClaim {
    /// The pull request: a URL, owner/repo#number, or an id.
    pr: String,
    /// Take it from an active session, too.
    #[serde(default)]
    takeover: bool,
    /// Do not ask the host whether it exists.
    #[serde(default)]
    no_verify: bool,
}

/// Makes a session the owner of a pull request.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/pr/claim", tag = "sessions", request_body = NewClaim,
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The claim", body = ref("#/components/schemas/document.pr.claim"))))]
pub(crate) async fn claim(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewClaim>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let (id, name) = (id.parse()?, new.pr.parse()?);
        let takeover = if new.takeover { Takeover::Allow } else { Takeover::Refuse };
        let checked = request::verify(&app.store, &id, &name, new.no_verify, app.api.clone())?;
        let wanted = (name, takeover);
        let (claim, reason) = request::claim(&app.store, Cause::now(ACTOR), id, wanted, checked)?;
        Ok(reply::document("pr.claim", document::pull::claim(&claim, reason.as_deref())))
    })
    .await
}

/// What is cleaned up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cleanup {
    /// Only after the sessions of this project.
    project: Option<String>,
    /// Tell what would be done, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Removes the worktrees of terminated sessions, and the branches whose work is elsewhere. What failed for one
/// session is in its entry.
#[utoipa::path(post, path = "/api/v1/sessions/cleanup", tag = "sessions", request_body = Cleanup,
    responses((status = 200, description = "What was done", body = ref("#/components/schemas/document.session.cleanup"))))]
pub(crate) async fn cleanup(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(asked): Json<Cleanup>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let project = asked.project.map(|id| id.parse()).transpose()?;
        if let Some(id) = &project {
            app.store.read(|snapshot| projects::find(snapshot, id).map(drop))?;
        }
        let cleaned = app.sessions.cleanup(project.as_ref(), asked.dry_run)?;
        let data = document::session::cleanup(&cleaned, asked.dry_run);
        Ok(reply::document("session.cleanup", data))
    })
    .await
}
