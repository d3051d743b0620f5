//! Reading the body of a GraphQL answer alias by alias, and in an alias node by node of each list, so
//! that one bad node costs one node.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::quoted;
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
    pub(crate) fn is(&self, kinds: &[&str]) -> bool {
        let extension = self.extensions.as_ref().and_then(|it| it.code.as_deref());
        let known = [self.kind.as_deref(), self.code.as_deref(), extension];
        known.into_iter().flatten().any(|kind| kinds.contains(&kind))
    }

    /// Whether it is the host's answer about one thing, and not a failure to answer.
    fn is_final(&self) -> bool {
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
    /// The reason, in a refusal by HTTP status.
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

/// The answer to an alias, or to one node of a list.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// It exists.
    Node(T),
    /// The host states that it does not exist.
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
        let has_data = body.data.is_some();
        let mut errors = body.errors;
        errors.extend(body.message.map(|message| GraphqlError { message, ..Default::default() }));
        if !has_data && errors.is_empty() {
            return None;
        }
        let aliases = body.data.unwrap_or_default();
        let value = |alias: &str| aliases.get(alias).map(|raw: &&RawValue| raw.get());
        let rate = value("rateLimit").and_then(|text| serde_json::from_str(text).ok());
        let viewer = value("viewer").and_then(|text| serde_json::from_str(text).ok());
        Some(GraphqlAnswer { rate, viewer, errors, has_data, aliases })
    }

    /// Whether the host refused the query because its schema has no roll-up at pull requests.
    pub(crate) fn lacks_rollup(&self) -> bool {
        let lacks = |message: &str| {
            message.contains("statusCheckRollup") && message.contains("doesn't exist on type")
        };
        !self.has_data && self.errors.iter().any(|error| lacks(&error.message))
    }

    /// The answer to one alias.
    pub(crate) fn alias<T: DeserializeOwned>(&self, alias: &str) -> Found<T> {
        self.node(self.aliases.get(alias).copied(), alias, None, 1)
    }

    /// The answer to one alias inside a repository, which may itself be missing.
    pub(crate) fn pull_request<T: DeserializeOwned>(&self, alias: &str) -> Found<T> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Repository<'a> {
            #[serde(borrow)]
            pull_request: Option<&'a RawValue>,
        }
        let raw = self.aliases.get(alias).copied();
        match raw.and_then(|raw| serde_json::from_str::<Option<Repository<'_>>>(raw.get()).ok()) {
            Some(Some(repository)) => self.node(repository.pull_request, alias, None, 2),
            _ => self.node(raw, alias, None, 1),
        }
    }

    /// The nodes of `nodes(ids:)`, in the order in which they were asked for.
    pub(crate) fn nodes<T: DeserializeOwned>(&self, count: usize) -> Vec<Found<T>> {
        let raw = self.aliases.get("nodes").map(|raw| raw.get());
        if self.errors.is_empty()
            && let Some(Ok(all)) = raw.map(serde_json::from_str::<Vec<Option<T>>>)
            && all.len() == count
        {
            // Each can be read, so the list is, at once.
            return all.into_iter().map(|it| it.map_or(Found::Missing, Found::Node)).collect();
        }
        // A `null` is kept: that a node does not exist is an answer too.
        let list: Vec<&RawValue> =
            raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        if list.len() != count {
            return (0..count).map(|_| Found::Failed).collect();
        }
        let found = |(index, raw)| self.node(Some(raw), "nodes", Some(index), 2);
        list.into_iter().enumerate().map(found).collect()
    }

    /// Whether the credentials may not see the checks of a pull request.
    pub(crate) fn withholds_checks(&self, alias: &str, index: Option<usize>) -> bool {
        let is_of_checks = |error: &&GraphqlError| {
            let mut path = error.path.iter().flatten();
            path.any(|step| matches!(step.as_str(), Some("rollup" | "counts")))
        };
        self.errors_at(alias, index).filter(is_of_checks).any(GraphqlError::is_refusal)
    }

    /// Whether the credentials may not see something within an alias.
    pub(crate) fn is_withheld(&self, alias: &str) -> bool {
        self.errors_at(alias, None).any(GraphqlError::is_refusal)
    }

    /// Why there is no usable answer to an alias, as the host says; empty when it does not.
    pub(crate) fn cause_at(&self, alias: &str) -> String {
        let of_all = self.errors.iter().filter(|error| error.path.is_none());
        let error = self.errors_at(alias, None).chain(of_all).next();
        error.map_or(String::new(), |error| quoted(&error.message))
    }

    fn errors_at(&self, alias: &str, index: Option<usize>) -> impl Iterator<Item = &GraphqlError> {
        self.errors.iter().filter(move |error| error.is_at(alias, index))
    }

    /// Reads a node, which begins after this number of `steps` of the paths of errors.
    fn node<T: DeserializeOwned>(
        &self,
        raw: Option<&RawValue>,
        alias: &str,
        index: Option<usize>,
        steps: usize,
    ) -> Found<T> {
        let is_final = |error: &GraphqlError| error.is_final();
        let text = raw.map(RawValue::get);
        if let Some(text) = text.filter(|text| *text != "null") {
            let failed = || self.errors_at(alias, index).filter(|error| !is_final(error));
            let node = match failed().next() {
                None => serde_json::from_str(text).ok(),
                Some(_) => without_failed(text, failed(), steps),
            };
            return node.map_or(Found::Failed, Found::Node);
        }
        match (text, self.errors_at(alias, index).next()) {
            (_, Some(error)) if error.is(&["NOT_FOUND"]) => Found::Missing,
            (_, Some(error)) if error.is_refusal() => Found::Forbidden,
            // Something else is wrong with it.
            (_, Some(_)) => Found::Failed,
            // Something kept the host from answering all: then a `null` means nothing.
            (_, None) if !self.errors.iter().all(is_final) => Found::Failed,
            (Some(_), None) => Found::Missing,
            (None, None) => Found::Failed,
        }
    }
}

/// Reads a node of which parts could not be answered, where a `null` means nothing. A part in an item
/// of a list costs that item; `None` when another part is missing.
fn without_failed<'a, T: DeserializeOwned>(
    text: &str,
    errors: impl Iterator<Item = &'a GraphqlError>,
    steps: usize,
) -> Option<T> {
    let mut node: Value = serde_json::from_str(text).ok()?;
    for error in errors {
        let path = error.path.as_deref().and_then(|path| path.get(steps..))?;
        let is_item = |pair: &[Value]| pair[0].as_str() == Some("nodes") && pair[1].is_u64();
        let end = path.windows(2).rposition(is_item)? + 2;
        let step = |value: &'a Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let pointer: String = path[..end].iter().map(|it| format!("/{}", step(it))).collect();
        *node.pointer_mut(&pointer)? = Value::Null;
    }
    serde_json::from_value(node).ok()
}
