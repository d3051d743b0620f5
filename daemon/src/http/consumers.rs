//! Durable consumers.

use std::sync::Arc;

use ao_cdc::{Filter, Start};
use ao_store::lease::Fence;
use ao_store::log::consumer::{self, Bounds};
use ao_store::{Cause, ClockReading, ConsumerName};
use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::failure::Failure;
use super::list::{Nothing, Page};
use super::{ACTOR, reply, work};
use crate::app::App;
use crate::document;
use crate::request;

/// The consumers, each with how far behind it is.
#[utoipa::path(get, path = "/api/v1/consumers", tag = "consumers", params(Page),
    responses((status = 200, description = "A page of consumers", body = ref("#/components/schemas/document.consumer.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let reading = ClockReading::now();
        let stats = app.store.stats(reading)?;
        let key = |(it, _): &(consumer::Consumer, _)| it.name.to_string();
        page.cut("consumer.list", stats.consumers, key, |(consumer, lag)| {
            document::consumer(consumer, lag, &stats.log, reading.at)
        })
    })
    .await
}

/// When pruning may remove what a consumer has not acknowledged.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PolicyName {
    /// Never.
    #[default]
    Block,
    /// When it is further behind than a bound.
    Bounded,
    /// Always.
    None,
}

/// A consumer to create. The values of one filter are alternatives; all filters must match.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConsumer {
    /// Its name.
    name: String,
    /// It starts after: `beginning`, `end` or a cursor; `end` if it is absent.
    from: Option<String>,
    /// Only changes of these types.
    #[serde(default)]
    types: Vec<String>,
    /// Only changes of these entities.
    #[serde(default)]
    entities: Vec<String>,
    /// Only changes of these projects.
    #[serde(default)]
    projects: Vec<String>,
    /// Only changes of these sessions.
    #[serde(default)]
    sessions: Vec<String>,
    /// Only updates that changed a field, `FIELD`, or changes that gave it a value, `FIELD=VALUE`.
    #[serde(default)]
    changed: Vec<String>,
    /// The retention policy; `block` if it is absent.
    #[serde(default)]
    policy: PolicyName,
    /// The most unacknowledged changes (policy `bounded`).
    max_events: Option<u64>,
    /// Their most bytes (policy `bounded`).
    max_bytes: Option<u64>,
    /// Their greatest age in milliseconds (policy `bounded`).
    max_age_ms: Option<u64>,
    /// Succeed if it exists with this filter and policy; it stays where it is.
    #[serde(default)]
    if_not_exists: bool,
}

impl NewConsumer {
    fn filter(&self) -> Result<Filter, Failure> {
        let projects = self.projects.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
        let sessions = self.sessions.iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
        let filter = Filter::new(self.types.clone(), projects, sessions)?;
        Ok(filter.of_entities(self.entities.clone())?.of_changed(&self.changed)?)
    }

    fn start(&self) -> Result<Start, Failure> {
        match self.from.as_deref() {
            None | Some("end") => Ok(Start::End),
            Some("beginning") => Ok(Start::Beginning),
            Some(cursor) => Ok(Start::Cursor(cursor.parse()?)),
        }
    }
}

/// Creates a consumer. Its filter is fixed.
#[utoipa::path(post, path = "/api/v1/consumers", tag = "consumers", request_body = NewConsumer,
    responses(
        (status = 201, description = "It is created", body = ref("#/components/schemas/document.consumer.create")),
        (status = 200, description = "It exists already", body = ref("#/components/schemas/document.consumer.create"))))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewConsumer>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let NewConsumer { max_events: events, max_bytes: bytes, max_age_ms: age_ms, .. } = new;
        let policy = match new.policy {
            PolicyName::Block => "block",
            PolicyName::Bounded => "bounded",
            PolicyName::None => "none",
        };
        let policy = request::policy(policy, Bounds { events, bytes, age_ms })?;
        let name: ConsumerName = new.name.parse()?;
        let (filter, start) = (new.filter()?, (new.start()?, new.if_not_exists));
        let (cause, settings) = (Cause::now(ACTOR), (&filter, policy));
        let is_new = request::create_consumer(&app.store, cause, name.clone(), settings, start)?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, described(app, "consumer.create", &name)?))
    })
    .await
}

fn described(app: &App, kind: &str, name: &ConsumerName) -> Result<Json<Value>, Failure> {
    let now = ClockReading::now();
    let data = app.store.read(|snapshot| document::consumer_now(snapshot, name, now))?;
    Ok(reply::document(kind, data))
}

/// One consumer.
#[utoipa::path(get, path = "/api/v1/consumers/{name}", tag = "consumers",
    params(("name" = String, Path, description = "The consumer")),
    responses((status = 200, description = "The consumer", body = ref("#/components/schemas/document.consumer.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| described(app, "consumer.get", &name.parse()?)).await
}

/// How it is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Removal {
    /// Also if another process has the lease.
    #[serde(default)]
    force: bool,
}

/// Deletes a consumer; what it held back can then be pruned.
#[utoipa::path(delete, path = "/api/v1/consumers/{name}", tag = "consumers",
    params(("name" = String, Path, description = "The consumer"), Removal),
    responses((status = 200, description = "It is deleted", body = ref("#/components/schemas/document.consumer.rm"))))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(removal): Query<Removal>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let name: ConsumerName = name.parse()?;
        let fence = if removal.force { Fence::Force } else { Fence::Respect };
        let removed = name.clone();
        app.store.write(Cause::now(ACTOR), move |tx| consumer::remove(tx, &removed, fence))?;
        Ok(reply::document("consumer.rm", document::consumer_deleted(&name)))
    })
    .await
}
