//! Turns: accepted, listed, shown, cancelled. Of another organisation than the caller's, nothing exists.

use std::sync::Arc;
use std::time::Duration;

use ao_session::{SentTurn, TurnRequest, local_member, send_turn};
use ao_store::turn::agent::Member;
use ao_store::turn::cancel;
use ao_store::turn::conversation::Caller;
use ao_store::turn::{self, State as TurnState, Turn};
use ao_store::{Cause, OrgId};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::caller::Asked;
use super::failure::Failure;
use super::list::{Nothing, Page, chosen};
use super::orgs::User;
use super::scope::Scope;
use super::{ACTOR, reply, work};
use crate::app::App;
use crate::document::turn as document;

/// A message to an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTurn {
    /// Its text.
    text: String,
    /// The agent; that of the conversation, or `default`, if it is absent.
    agent: Option<String>,
    /// The id of the conversation, or a name with which it is made on first use; one per agent and user if it is
    /// absent.
    conversation: Option<String>,
    /// The organisation; that of the token, of the conversation, or `local`, if it is absent.
    org: Option<String>,
    /// The user who asks; the one who runs the daemon, or the organisation of the token, if it is absent.
    user: Option<User>,
    /// A key that makes a repeated message the same turn.
    key: Option<String>,
    /// How many milliseconds it waits for a worker; 120,000 if it is absent.
    expires_ms: Option<u64>,
}

impl NewTurn {
    fn request(self, Asked(caller): Asked) -> Result<TurnRequest, Failure> {
        let member = match (&self.user, &caller) {
            (Some(user), _) => user.member()?,
            (None, Caller::Org(org)) => Member::new("org", org.as_str())?,
            (None, _) => local_member(),
        };
        let org = self.org.as_deref().map(str::parse::<OrgId>).transpose()?;
        let own = match &caller {
            Caller::Org(own) => Some(own.clone()),
            _ => None,
        };
        Ok(TurnRequest {
            org: org.or(own),
            agent: self.agent.as_deref().map(str::parse).transpose()?,
            conversation: self.conversation,
            member,
            key: self.key,
            input: self.text,
            expires: self.expires_ms.map(Duration::from_millis),
            caller,
        })
    }
}

/// Accepts a message to an agent. Its answer are events of the conversation, and then `text` of the turn.
#[utoipa::path(post, path = "/api/v1/turns", tag = "turns", request_body = NewTurn,
    responses((status = 202, description = "The turn", body = ref("#/components/schemas/document.turn.send"))))]
pub(crate) async fn send(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewTurn>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let request = new.request(asked)?;
        let sent = send_turn(&app.store, Cause::now(ACTOR), request)?;
        let SentTurn { turn, is_new, session, .. } = sent;
        if let Some(session) = session {
            app.sessions.start_runner(&session);
        }
        let mut data = app.store.read(|snapshot| document::answered(snapshot, &turn))?;
        data["is_new"] = is_new.into();
        Ok((StatusCode::ACCEPTED, reply::document("turn.send", data)))
    })
    .await
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only those of this organisation.
    org: Option<String>,
    /// Only those of this agent.
    agent: Option<String>,
    /// Only those of this conversation.
    conversation: Option<String>,
    /// Only those in these states, separated by commas.
    state: Option<String>,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The turns, newest first.
#[utoipa::path(get, path = "/api/v1/turns", tag = "turns", params(Which),
    responses((status = 200, description = "A page of turns", body = ref("#/components/schemas/document.turn.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let Which { limit, after, .. } = which;
        let scope = Scope::parse(which.org.as_deref(), which.agent.as_deref())?;
        let known: Vec<_> = TurnState::ALL.iter().map(|state| state.as_str()).collect();
        let states = chosen("state", which.state.as_deref(), &known)?;
        let is_wanted = |turn: &Turn| {
            asked.own().is_none_or(|own| *own == turn.org)
                && scope.has(&turn.org, &turn.agent)
                && which.conversation.as_ref().is_none_or(|id| *id == turn.conversation)
                && (states.is_empty() || states.iter().any(|state| state == turn.state.as_str()))
        };
        let read = |after: Option<&str>, limit| {
            let found = app.store.read(|snapshot| {
                scope.check(snapshot, &asked)?;
                if let Some(id) = &which.conversation {
                    asked.conversation(snapshot, id)?;
                }
                let before = after.map(|id| asked.turn(snapshot, id)).transpose()?;
                turn::list(snapshot, before.as_ref(), limit, is_wanted)
            });
            Ok(found?)
        };
        Page { limit, after }.read("turn.list", read, |it| it.id.clone(), document::listed)
    })
    .await
}

/// One turn: its message, its answer, and what it used.
#[utoipa::path(get, path = "/api/v1/turns/{id}", tag = "turns",
    params(("id" = String, Path, description = "The turn")),
    responses((status = 200, description = "The turn", body = ref("#/components/schemas/document.turn.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let data = app.store.read(|snapshot| {
            let turn = asked.turn(snapshot, &id)?;
            document::whole(snapshot, &turn)
        })?;
        Ok(reply::document("turn.get", data))
    })
    .await
}

/// Cancels a turn. The worker of a running one has 10 s to end it.
#[utoipa::path(post, path = "/api/v1/turns/{id}/cancel", tag = "turns",
    params(("id" = String, Path, description = "The turn")),
    responses((status = 200, description = "The turn", body = ref("#/components/schemas/document.turn.cancel"))))]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(Asked(caller)): Extension<Asked>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let done = app.store.write(Cause::now(ACTOR), move |tx| {
            cancel::cancel(tx, &caller, &id)?;
            turn::require(tx, &id)
        })?;
        Ok(reply::document("turn.cancel", document::listed(&done.value)))
    })
    .await
}
