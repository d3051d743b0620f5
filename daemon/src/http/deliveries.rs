//! Messages to agents.

use std::sync::Arc;

use ao_store::SessionId;
use ao_store::row::{delivery, session};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::failure::Failure;
use super::list::{Nothing, Page};
use super::{reply, work};
use crate::app::App;
use crate::document::delivery as document;

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfSession {
    /// Only those of this session.
    pub(super) session: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// The `next` of the page before.
    pub(super) after: Option<String>,
}

fn page(app: &App, asked: OfSession) -> Result<Json<Value>, Failure> {
    let OfSession { session, limit, after } = asked;
    let session: Option<SessionId> = session.as_deref().map(str::parse).transpose()?;
    let read = |after: Option<&str>, limit| {
        let found = app.store.read(|snapshot| {
            let session = session.as_ref();
            session.map_or(Ok(()), |id| session::require(snapshot, id).map(drop))?;
            delivery::page(snapshot, session, after.unwrap_or_default(), limit)
        });
        Ok(found?)
    };
    Page { limit, after }.read("delivery.list", read, |it| it.id.clone(), document::listed)
}

/// The deliveries.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", params(OfSession),
    responses((status = 200, description = "A page of deliveries", body = ref("#/components/schemas/document.delivery.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<OfSession>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| page(app, asked)).await
}

/// The deliveries to a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/deliveries", tag = "sessions",
    params(("id" = String, Path, description = "The session"), Page),
    responses((status = 200, description = "A page of deliveries", body = ref("#/components/schemas/document.delivery.list"))))]
pub(crate) async fn of_session(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Page { limit, after }): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let asked = OfSession { session: Some(id), limit, after };
    work::run(&app, move |app| page(app, asked)).await
}

/// One delivery, with its text and what proves its stages.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery")),
    responses((status = 200, description = "The delivery", body = ref("#/components/schemas/document.delivery.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let (delivery, text) = app.store.read(|snapshot| {
            Ok((delivery::require(snapshot, &id)?, delivery::text_of(snapshot, &id)?))
        })?;
        let mut data = document::document(&delivery);
        data["text"] = text.into();
        Ok(reply::document("delivery.get", data))
    })
    .await
}
