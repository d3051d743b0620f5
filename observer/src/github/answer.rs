//! Reading the body of a GraphQL answer alias by alias, so that one bad node costs one node.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::github::node::{Actor, RateLimit};

/// One entry of `errors`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct GraphqlError {
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) path: Option<Vec<Value>>,
    #[serde(default)]
    pub(crate) extensions: Option<Extensions>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Extensions {
    #[serde(default)]
    pub(crate) code: Option<String>,
}

impl GraphqlError {
    /// Whether it is of one of these types or codes.
    pub(crate) fn is(&self, words: &[&str]) -> bool {
        let extension = self.extensions.as_ref().and_then(|it| it.code.as_deref());
        let known = [self.kind.as_deref(), self.code.as_deref(), extension];
        known.into_iter().flatten().any(|word| words.contains(&word))
    }

    /// Whether it is the host's word on one thing, and not a failure to answer.
    fn is_word(&self) -> bool {
        self.is(&["NOT_FOUND"]) || self.is_refusal()
    }

    /// Whether the credentials may not see something.
    fn is_refusal(&self) -> bool {
        self.is(&["FORBIDDEN", "INSUFFICIENT_SCOPES"])
    }

    /// Whether it is about this alias, and this index in it where one is given.
    fn is_at(&self, alias: &str, index: Option<usize>) -> bool {
        let Some([first, rest @ ..]) = self.path.as_deref() else { return false };
        let is_there =
            index.is_none_or(|index| rest.first().and_then(Value::as_u64) == Some(index as u64));
        first.as_str() == Some(alias) && is_there
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    data: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
    /// What a refusal by status has instead.
    #[serde(default)]
    message: Option<String>,
}

/// An answer that is JSON of the expected outline.
#[derive(Debug, Default)]
pub(crate) struct GraphqlAnswer<'a> {
    pub(crate) rate: Option<RateLimit>,
    pub(crate) viewer: Option<Actor>,
    pub(crate) errors: Vec<GraphqlError>,
    pub(crate) has_data: bool,
    aliases: BTreeMap<String, &'a RawValue>,
}

/// What an alias, or one node of a list, answered.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// It is there.
    Node(T),
    /// The host says that there is no such thing.
    Missing,
    /// The credentials may not see it.
    Forbidden,
    /// It could not be answered this time.
    Failed,
}

impl<'a> GraphqlAnswer<'a> {
    /// Reads the outline; `None` for what is not JSON, is cut off, or has neither data nor errors.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<GraphqlAnswer<'a>> {
        let body: Body<'a> = serde_json::from_slice(bytes).ok()?;
        let mut errors = body.errors;
        errors.extend(body.message.map(|message| GraphqlError { message, ..Default::default() }));
        let Some(aliases) = body.data else {
            let only_errors = GraphqlAnswer { errors, ..GraphqlAnswer::default() };
            return (!only_errors.errors.is_empty()).then_some(only_errors);
        };
        let mut answered =
            GraphqlAnswer { errors, has_data: true, aliases, ..GraphqlAnswer::default() };
        answered.rate = answered.value("rateLimit");
        answered.viewer = answered.value("viewer");
        Some(answered)
    }

    fn value<T: DeserializeOwned>(&self, alias: &str) -> Option<T> {
        let raw = self.aliases.get(alias)?;
        serde_json::from_str(raw.get()).ok()
    }

    /// What one alias answered.
    pub(crate) fn alias<T: DeserializeOwned>(&self, alias: &str) -> Found<T> {
        match self.aliases.get(alias) {
            Some(raw) => self.node(Some(raw), alias, None),
            None => self.node(None, alias, None),
        }
    }

    /// What one alias answered inside a repository, which may itself be missing.
    pub(crate) fn pull_request<T: DeserializeOwned>(&self, alias: &str) -> Found<T> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Holder<'a> {
            #[serde(borrow)]
            pull_request: Option<&'a RawValue>,
        }
        let raw = self.aliases.get(alias).copied();
        match raw.and_then(|raw| serde_json::from_str::<Option<Holder<'_>>>(raw.get()).ok()) {
            Some(Some(holder)) => self.node(holder.pull_request, alias, None),
            _ => self.node(raw, alias, None),
        }
    }

    /// The nodes of `nodes(ids:)`, in the order in which they were asked for.
    pub(crate) fn nodes<T: DeserializeOwned>(&self, count: usize) -> Vec<Found<T>> {
        let raw = self.aliases.get("nodes").map(|raw| raw.get());
        // A `null` is kept as such: that a node is not there is an answer too.
        let list: Vec<&RawValue> =
            raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        if list.len() != count {
            return (0..count).map(|_| Found::Failed).collect();
        }
        let found = |(index, raw)| self.node(Some(raw), "nodes", Some(index));
        list.into_iter().enumerate().map(found).collect()
    }

    /// Whether something kept the host from answering all: then a `null` says nothing.
    fn is_partial(&self) -> bool {
        self.errors.iter().any(|error| !error.is_word())
    }

    /// Whether the credentials may not see the checks of a pull request.
    pub(crate) fn withholds_checks(&self, alias: &str, index: Option<usize>) -> bool {
        let is_of_checks = |error: &GraphqlError| {
            let path = error.path.as_deref().unwrap_or_default();
            path.iter().any(|step| matches!(step.as_str(), Some("rollup" | "counts")))
        };
        let is_it = |error: &GraphqlError| {
            error.is_at(alias, index) && error.is_refusal() && is_of_checks(error)
        };
        self.errors.iter().any(is_it)
    }

    /// Whether the credentials may not see something within an alias.
    pub(crate) fn is_withheld(&self, alias: &str) -> bool {
        let is_it = |error: &GraphqlError| error.is_at(alias, None) && error.is_refusal();
        self.errors.iter().any(is_it)
    }

    fn node<T: DeserializeOwned>(
        &self,
        raw: Option<&RawValue>,
        alias: &str,
        index: Option<usize>,
    ) -> Found<T> {
        let error = self.errors.iter().find(|error| error.is_at(alias, index));
        let is_torn = || {
            let mut errors = self.errors.iter().filter(|error| error.is_at(alias, index));
            errors.any(|error| !error.is_word())
        };
        match (raw.map(RawValue::get), error) {
            // A part of it could not be answered: that it is null there says nothing.
            (Some(text), Some(_)) if text != "null" && is_torn() => Found::Failed,
            (Some(text), _) if text != "null" => {
                serde_json::from_str(text).map_or(Found::Failed, Found::Node)
            }
            (_, Some(error)) if error.is(&["NOT_FOUND"]) => Found::Missing,
            (_, Some(error)) if error.is_refusal() => Found::Forbidden,
            // Something else is wrong with it, or with the answer as a whole.
            (_, Some(_)) => Found::Failed,
            (_, None) if self.is_partial() => Found::Failed,
            (Some(_), None) => Found::Missing,
            (None, None) => Found::Failed,
        }
    }
}
