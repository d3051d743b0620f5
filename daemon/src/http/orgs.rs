//! Organisations and their agents. The token of an organisation reads its own agents and changes none.

use std::sync::Arc;

use ao_session::{ensure_org, local_member};
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::org;
use ao_store::{AgentId, Cause, OrgId, Timestamp};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Asked;
use super::failure::Failure;
use super::list::{Nothing, Page};
use super::{ACTOR, reply, work};
use crate::app::App;
use crate::document::turn as document;

/// The organisations.
#[utoipa::path(get, path = "/api/v1/orgs", tag = "orgs", params(Page),
    responses((status = 200, description = "A page of organisations", body = ref("#/components/schemas/document.org.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let orgs = app.store.read(org::list)?;
        page.cut("org.list", orgs, |org| org.id.to_string(), document::org)
    })
    .await
}

/// An organisation to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrg {
    /// Its name.
    id: String,
}

/// Adds an organisation, with an agent named `default`.
#[utoipa::path(post, path = "/api/v1/orgs", tag = "orgs", request_body = NewOrg,
    responses((status = 201, description = "It is added", body = ref("#/components/schemas/document.org.add"))))]
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewOrg>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let id: OrgId = new.id.parse()?;
        let added = app.store.write(Cause::now(ACTOR), move |tx| {
            org::add(tx, &id)?;
            org::ensure_default_agent(tx, &id, &local_member())?;
            org::require(tx, &id)
        })?;
        Ok((StatusCode::CREATED, reply::document("org.add", document::org(&added.value))))
    })
    .await
}

/// The agents of an organisation.
#[utoipa::path(get, path = "/api/v1/orgs/{org}/agents", tag = "orgs",
    params(("org" = String, Path, description = "The organisation"), Page),
    responses((status = 200, description = "A page of agents", body = ref("#/components/schemas/document.agent.list"))))]
pub(crate) async fn agents(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path(org): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let org: OrgId = org.parse()?;
        asked.check(&org)?;
        let agents = app.store.read(|snapshot| {
            org::require(snapshot, &org)?;
            agent::list(snapshot, Some(&org))
        })?;
        page.cut("agent.list", agents, |agent| agent.id.to_string(), document::agent)
    })
    .await
}

/// An agent to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgent {
    /// Its name.
    id: String,
    /// The account that its program uses; a session has that of its harness.
    #[serde(default)]
    account: String,
    /// The session that answers; workers answer if it is absent.
    session: Option<String>,
}

/// Adds an agent to an organisation.
#[utoipa::path(post, path = "/api/v1/orgs/{org}/agents", tag = "orgs", request_body = NewAgent,
    params(("org" = String, Path, description = "The organisation")),
    responses((status = 201, description = "It is added", body = ref("#/components/schemas/document.agent.add"))))]
pub(crate) async fn add_agent(
    State(app): State<Arc<App>>,
    Path(org): Path<String>,
    Query(_): Query<Nothing>,
    Json(new): Json<NewAgent>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let agent = Agent {
            account: new.account,
            ..Agent::new(org.parse()?, new.id.parse()?, Timestamp::now())
        };
        let agent = match new.session {
            Some(session) => app.sessions.answers_for(agent, &session.parse()?)?,
            None => agent,
        };
        let added = app.store.write(Cause::now(ACTOR), move |tx| {
            ensure_org(tx, &agent.org)?;
            agent::add(tx, &agent)?;
            let (org, id) = (&agent.org, &agent.id);
            Ok((agent::require(tx, org, id)?, agent::members(tx, org, id)?))
        })?;
        let (agent, members) = added.value;
        let data = document::agent_with(&agent, &members);
        Ok((StatusCode::CREATED, reply::document("agent.add", data)))
    })
    .await
}

/// One agent with its members.
#[utoipa::path(get, path = "/api/v1/orgs/{org}/agents/{agent}", tag = "orgs",
    params(("org" = String, Path, description = "The organisation"), ("agent" = String, Path, description = "The agent")),
    responses((status = 200, description = "The agent", body = ref("#/components/schemas/document.agent.get"))))]
pub(crate) async fn get_agent(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path((org, id)): Path<(String, String)>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let (org, id): (OrgId, AgentId) = (org.parse()?, id.parse()?);
        asked.check(&org)?;
        let (agent, members) = app.store.read(|snapshot| {
            org::require(snapshot, &org)?;
            Ok((agent::require(snapshot, &org, &id)?, agent::members(snapshot, &org, &id)?))
        })?;
        Ok(reply::document("agent.get", document::agent_with(&agent, &members)))
    })
    .await
}

/// A user of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The platform that names the user.
    platform: String,
    /// The user.
    user_id: String,
}

impl User {
    /// As a member.
    pub(crate) fn member(&self) -> ao_store::Result<Member> {
        Member::new(&self.platform, &self.user_id)
    }
}

/// Whom to add, and whom to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    /// These may send turns from now on.
    #[serde(default)]
    add: Vec<User>,
    /// These may not any more.
    #[serde(default)]
    remove: Vec<User>,
}

/// Changes who may send turns to an agent, and lists them.
#[utoipa::path(patch, path = "/api/v1/orgs/{org}/agents/{agent}/members", tag = "orgs", request_body = Members,
    params(("org" = String, Path, description = "The organisation"), ("agent" = String, Path, description = "The agent")),
    responses((status = 200, description = "The members", body = ref("#/components/schemas/document.member.list"))))]
pub(crate) async fn change_members(
    State(app): State<Arc<App>>,
    Path((org, id)): Path<(String, String)>,
    Query(_): Query<Nothing>,
    Json(wanted): Json<Members>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let (org, id): (OrgId, AgentId) = (org.parse()?, id.parse()?);
        if wanted.add.iter().any(|user| wanted.remove.contains(user)) {
            return Err(Failure::invalid_request("a user is both added and removed"));
        }
        let members =
            |users: &[User]| users.iter().map(User::member).collect::<Result<Vec<_>, _>>();
        let (add, remove) = (members(&wanted.add)?, members(&wanted.remove)?);
        let changed = app.store.write(Cause::now(ACTOR), move |tx| {
            agent::require(tx, &org, &id)?;
            for member in &add {
                agent::add_member(tx, &org, &id, member)?;
            }
            for member in &remove {
                agent::remove_member(tx, &org, &id, member)?;
            }
            agent::members(tx, &org, &id)
        })?;
        let data: Vec<_> = changed.value.iter().map(document::member).collect();
        let Json(mut listed) = reply::document("member.list", data.into());
        listed["next"] = Value::Null;
        Ok(Json(listed))
    })
    .await
}
