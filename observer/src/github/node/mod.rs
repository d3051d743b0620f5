//! The shapes of GraphQL answers, each with the facts that it becomes.
//!
//! Enum values stay text and everything that GitHub may leave out is optional, so a new enum value
//! becomes `unknown`, a `null` leaves the stored fact unchanged, and neither is an error. A node of a
//! list that has another form than expected is missing from the list, and the others are read.

mod check;
mod detail;
mod pull_request;
mod rollup;

use ao_store::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use check::{ContextNode, checks_and_jobs};
pub(crate) use detail::{CommentNode, PartNode, ReviewNode, ThreadState};
pub(crate) use pull_request::{ListedRepo, PrNode};

use crate::time::Time;

/// A user, bot or mannequin, in an answer or in a webhook payload; `null` where the account is
/// gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Actor {
    #[serde(rename = "__typename", alias = "type")]
    kind: Option<String>,
    /// The login as GitHub writes it.
    pub(crate) login: Option<String>,
}

impl Actor {
    /// The login; of a bot without `[bot]`, which REST and webhooks have and GraphQL has not.
    pub(crate) fn login(&self) -> &str {
        let login = self.login.as_deref().unwrap_or_default();
        login.strip_suffix("[bot]").unwrap_or(login)
    }

    /// The login as REST has it: that of an app ends in `[bot]`.
    pub(crate) fn account(&self) -> String {
        let suffix = if self.is_bot() { "[bot]" } else { "" };
        format!("{}{suffix}", self.login())
    }

    pub(crate) fn is_bot(&self) -> bool {
        let has_bot_name = || self.login.as_ref().is_some_and(|login| login.ends_with("[bot]"));
        self.is("Bot") || has_bot_name()
    }

    /// Whether it is of this type of the schema.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

/// The login of an actor and whether it is a bot; the empty login for one that is gone, which is `null`
/// in answers and `ghost` in payloads.
pub(crate) fn author(actor: Option<&Actor>) -> (String, bool) {
    let actor = actor.filter(|actor| actor.login() != "ghost");
    actor.map(|actor| (actor.login().to_owned(), actor.is_bot())).unwrap_or_default()
}

/// An object of which one text field is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Leaf {
    #[serde(alias = "oid", alias = "id", alias = "login", alias = "name", alias = "slug")]
    pub(crate) value: String,
}

/// The text of an object that may be absent.
fn leaf(object: Option<Leaf>) -> Option<String> {
    object.map(|object| object.value)
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RepoName {
    pub(crate) name_with_owner: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    #[serde(default)]
    pub(crate) has_next_page: bool,
    pub(crate) end_cursor: Option<String>,
}

/// One page of a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) total_count: i64,
    #[serde(default)]
    pub(crate) page_info: PageInfo,
    /// `None` is a node that the host did not answer, or that cannot be read.
    #[serde(default, deserialize_with = "each")]
    pub(crate) nodes: Option<Vec<Option<T>>>,
}

/// Reads the nodes one by one, so that one that cannot be read costs one.
fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Vec<Option<T>>>, D::Error> {
    let raw = Option::<Vec<Box<RawValue>>>::deserialize(deserializer)?;
    let node = |raw: Box<RawValue>| serde_json::from_str(raw.get()).ok().flatten();
    Ok(raw.map(|nodes| nodes.into_iter().map(node).collect()))
}

impl<T> Page<T> {
    /// Whether GitHub did not answer some of it: then it is not all that is there.
    pub(crate) fn has_gaps(&self) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(Option::is_none))
    }

    /// The items that are there.
    pub(crate) fn items(self) -> impl Iterator<Item = T> {
        self.nodes.into_iter().flatten().flatten()
    }

    /// The items that are there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.nodes.iter().flatten().flatten()
    }
}

/// `rateLimit` of an answer; `null` where the host has no limits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateLimit {
    pub(crate) cost: i64,
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    pub(crate) reset_at: Option<Time>,
}

fn time(time: Option<Time>) -> Option<Timestamp> {
    time.map(Timestamp::from)
}

/// Text that becomes part of a key. SQL functions stop at a NUL character, so it may contain none.
pub(crate) fn key(text: Option<String>) -> String {
    text.unwrap_or_default().replace('\0', "\u{fffd}")
}

fn lower(text: Option<&String>) -> Option<String> {
    text.map(|text| text.to_ascii_lowercase())
}
