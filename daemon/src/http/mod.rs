//! The HTTP interface: which requests are let in, which handler answers each, and the document that describes
//! them all.

mod agents;
mod attention;
mod caller;
mod consumers;
mod conversations;
mod daemon;
mod decisions;
mod deliveries;
mod events;
mod export;
mod failure;
mod guard;
mod history;
mod launches;
mod leases;
mod limit;
mod list;
mod login;
mod openapi;
mod orchestrators;
mod orgs;
mod probes;
mod projects;
mod prs;
mod reply;
mod scope;
mod sessions;
mod spawn;
mod status;
mod terminal;
mod turns;
mod verbs;
mod webhook;
mod work;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use failure::Failure;

/// Who makes the changes that a request asks for.
const ACTOR: &str = "http";

#[derive(OpenApi)]
#[openapi(info(
    title = "ao-store",
    description = "The store of agent sessions, and what runs them."
))]
struct Api;

/// All routes, behind the checks that every request passes.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (router, document) = routes().split_for_parts();
    router
        .fallback(async || Failure::route_not_found())
        .method_not_allowed_fallback(async || Failure::method_not_allowed())
        .layer(Extension(openapi::complete(&document)))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(limit::Limits::default(), limit::check))
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
        .routes(routes!(openapi::get))
        .routes(routes!(openapi::get_versioned))
        .routes(routes!(status::metrics))
        .routes(routes!(status::get))
        .routes(routes!(export::get))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::get, projects::set, projects::archive))
        .routes(routes!(orchestrators::list, orchestrators::ensure))
        .routes(routes!(orchestrators::get))
        .routes(routes!(prs::list))
        .routes(routes!(prs::get))
        .routes(routes!(prs::at_location))
        .routes(routes!(attention::list))
        .routes(routes!(decisions::list))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(consumers::list, consumers::create))
        .routes(routes!(consumers::get, consumers::remove))
        .routes(routes!(agents::list))
        .merge(of_sessions())
        .merge(of_turns())
        .routes(routes!(events::follow))
        .routes(routes!(login::link))
        .routes(routes!(login::login))
        .routes(routes!(webhook::github))
}

fn of_turns() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(turns::list, turns::send))
        .routes(routes!(turns::get))
        .routes(routes!(turns::cancel))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::get))
        .routes(routes!(conversations::reset))
        .routes(routes!(conversations::history))
        .routes(routes!(conversations::follow))
        .routes(routes!(orgs::list, orgs::create))
        .routes(routes!(orgs::agents, orgs::add_agent))
        .routes(routes!(orgs::get_agent))
        .routes(routes!(orgs::change_members))
        .routes(routes!(leases::list))
}

fn of_sessions() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::get, sessions::set, sessions::remove))
        .routes(routes!(sessions::diff))
        .routes(routes!(terminal::follow, terminal::type_keys))
        .routes(routes!(verbs::cleanup))
        .routes(routes!(verbs::kill))
        .routes(routes!(verbs::restore))
        .routes(routes!(verbs::relaunch))
        .routes(routes!(verbs::rollback))
        .routes(routes!(verbs::send))
        .routes(routes!(verbs::answer))
        .routes(routes!(verbs::claim))
        .routes(routes!(prs::of_session))
        .routes(routes!(launches::of_session))
        .routes(routes!(deliveries::of_session))
        .routes(routes!(decisions::of_session))
        .routes(routes!(history::of_session))
}
