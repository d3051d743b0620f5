//! The leases that processes have.

use std::sync::Arc;

use ao_store::Timestamp;
use ao_store::log::consumer::{self, Consumer};
use axum::Json;
use axum::extract::{Query, State};
use serde_json::Value;

use super::failure::Failure;
use super::list::Page;
use super::work;
use crate::app::App;
use crate::document::turn as document;

/// The leases that have not expired: those of consumers.
#[utoipa::path(get, path = "/api/v1/leases", tag = "consumers", params(Page),
    responses((status = 200, description = "A page of leases", body = ref("#/components/schemas/document.lease.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let now = Timestamp::now();
        let mut found = app.store.read(consumer::list)?;
        found.retain(|consumer| consumer.live_lease(now).is_some());
        let name = |consumer: &Consumer| consumer.name.to_string();
        page.cut("lease.list", found, name, |it| document::lease(it, now).unwrap_or_default())
    })
    .await
}
