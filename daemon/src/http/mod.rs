//! The HTTP interface: which requests are let in, which handler answers each, and the document that describes
//! them all.

mod daemon;
mod events;
mod failure;
mod guard;
mod probes;
mod reply;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
pub(crate) use events::CLIENTS;
use failure::Failure;

/// The largest body of a request.
const BODY_MAX: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "ao-store",
    description = "The store of agent sessions, and what runs them."
))]
struct Api;

/// All routes, behind the checks that every request passes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (router, _document) = routes().split_for_parts();
    router
        .fallback(async || Failure::route_not_found())
        .method_not_allowed_fallback(async || Failure::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(app), guard::check))
        .layer(CatchPanicLayer::custom(failure::of_panic))
        // Outermost: whatever failed, the answer has the same form and an id.
        .layer(from_fn(reply::finish))
        .with_state(Arc::clone(app))
}

/// The handlers that the document describes.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::shutdown))
        .routes(routes!(daemon::get))
        .routes(routes!(events::follow))
}
