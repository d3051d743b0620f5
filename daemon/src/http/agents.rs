//! The harnesses, as far as they are installed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::failure::Failure;
use super::list::Page;
use super::work;
use crate::app::App;
use crate::document::harness::{Installed, all};

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Run the installed programs to get their versions.
    #[serde(default)]
    versions: bool,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The harnesses, and where their programs are.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(Asked),
    responses((status = 200, description = "A page of harnesses", body = ref("#/components/schemas/document.harness.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let Asked { versions, limit, after } = asked;
        let rows = all(app.sessions.harnesses(), versions);
        let key = |it: &Installed<'_>| it.harness.name().to_owned();
        Page { limit, after }.cut("harness.list", rows, key, Installed::document)
    })
    .await
}
