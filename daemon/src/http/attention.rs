//! What needs a person now.

use std::sync::Arc;

use ao_store::Timestamp;
use ao_store::attention::{self, Attention, Kind};
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::failure::Failure;
use super::list::{Page, chosen};
use super::work;
use crate::app::App;
use crate::document::attention as document;

/// Which items.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only what belongs to this project, or hinders the observation of it.
    project: Option<String>,
    /// Only what belongs to this session, or hinders the observation of its project.
    session: Option<String>,
    /// Only these kinds, separated by commas.
    kind: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// What needs a person now.
#[utoipa::path(get, path = "/api/v1/attention", tag = "attention", params(Filter),
    responses((status = 200, description = "A page of items", body = ref("#/components/schemas/document.attention.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let Filter { project, session, kind, limit, after } = filter;
        let known: Vec<_> = Kind::ALL.iter().map(|it| it.as_str()).collect();
        let kinds = chosen("kind", kind.as_deref(), &known)?;
        let filter = attention::Filter {
            project: project.as_deref().map(str::parse).transpose()?,
            session: session.as_deref().map(str::parse).transpose()?,
            kinds: kinds.iter().map(|kind| Kind::parse(kind)).collect(),
        };
        // Each item is made from several tables, and a person is to look at all of them: no index has them.
        let now = Timestamp::now();
        let items = app.store.read(|snapshot| attention::attention(snapshot, &filter, now))?;
        let key = |it: &Attention| format!("{} {} {}", it.kind.as_str(), it.host, it.name);
        let harnesses = Some(app.sessions.harnesses());
        Page { limit, after }.cut("attention.list", items, key, |item| {
            document::document(item, document::command(&document::next(item, harnesses)))
        })
    })
    .await
}
