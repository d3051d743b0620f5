//! Conversations: listed, shown, reset, and their events in pages. `follow.rs` streams them.

mod follow;

use std::sync::Arc;

use ao_store::Cause;
use ao_store::turn::conversation::{self, Conversation};
use ao_store::turn::event::{self, Event};
use ao_store::turn::reset;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

pub(super) use follow::{__path_follow, follow};

use super::caller::Asked;
use super::failure::Failure;
use super::list::{Nothing, Page, key};
use super::scope::Scope;
use super::{ACTOR, reply, work};
use crate::app::App;
use crate::document::turn as document;

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only those of this organisation.
    org: Option<String>,
    /// Only those with this agent.
    agent: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The conversations.
#[utoipa::path(get, path = "/api/v1/conversations", tag = "conversations", params(Which),
    responses((status = 200, description = "A page of conversations", body = ref("#/components/schemas/document.conversation.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let Which { org, agent, limit, after } = which;
        let scope = Scope::parse(org.as_deref(), agent.as_deref())?;
        let is_wanted = |found: &Conversation| scope.has(&found.org, &found.agent);
        let read = |after: Option<&str>, limit| {
            let found = app.store.read(|snapshot| {
                scope.check(snapshot, &asked)?;
                let part = (after.unwrap_or_default(), limit);
                conversation::page(snapshot, &asked.0, part, is_wanted)
            });
            Ok(found?)
        };
        let id = |found: &Conversation| found.id.clone();
        Page { limit, after }.read("conversation.list", read, id, document::conversation)
    })
    .await
}

/// One conversation.
#[utoipa::path(get, path = "/api/v1/conversations/{id}", tag = "conversations",
    params(("id" = String, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = ref("#/components/schemas/document.conversation.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let found = app.store.read(|snapshot| asked.conversation(snapshot, &id))?;
        Ok(reply::document("conversation.get", document::conversation(&found)))
    })
    .await
}

/// Lets the agent begin without its memory of a conversation. Nothing is deleted.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/reset", tag = "conversations",
    params(("id" = String, Path, description = "The conversation")),
    responses((status = 200, description = "The conversation", body = ref("#/components/schemas/document.conversation.reset"))))]
pub(crate) async fn reset(
    State(app): State<Arc<App>>,
    Extension(Asked(caller)): Extension<Asked>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let done = app.store.write(Cause::now(ACTOR), move |tx| {
            reset::reset(tx, &caller, &id)?;
            conversation::require(tx, &id)
        })?;
        Ok(reply::document("conversation.reset", document::conversation(&done.value)))
    })
    .await
}

/// The events of a conversation that there are, in pages. `after` is a position.
///
/// A page has at most 1 MiB of texts, but at least one event: `next` says whether more follow.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/history", tag = "conversations",
    params(("id" = String, Path, description = "The conversation"), Page),
    responses((status = 200, description = "A page of events", body = ref("#/components/schemas/document.conversation.event.list"))))]
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let read = |after: Option<&str>, limit| {
            let position =
                key(after, 0, |text| text.parse().ok().filter(|position| *position >= 0))?;
            let found = app.store.read(|snapshot| {
                asked.conversation(snapshot, &id)?;
                let events = event::batch(snapshot, &id, position, limit)?;
                let last = events.last().map_or(position, |event| event.seq);
                Ok((events, last < event::head(snapshot, &id)?))
            });
            Ok(found?)
        };
        let position = |event: &Event| event.seq.to_string();
        page.read_part("conversation.event.list", read, position, |event| {
            document::event_line(&id, event)
        })
    })
    .await
}
