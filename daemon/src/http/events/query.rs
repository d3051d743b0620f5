//! What a client asks for: from where on, and which changes.

use ao_cdc::{Filter, Start};
use http::HeaderValue;
use serde::Deserialize;
use utoipa::IntoParams;

use super::DEFAULT;
use crate::http::failure::Failure;

/// The parameters of the stream.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// Begin after this position: a cursor, `beginning`, `end` (the default), or `-N` for the last N changes. The
    /// header `Last-Event-ID` beats it.
    from: Option<String>,
    /// The same as `from`; it beats that.
    after: Option<String>,
    /// `1`: send the rows as of the position first.
    #[param(minimum = 0, maximum = 1)]
    pub(crate) snapshot: Option<u8>,
    /// `1`: send no `event` field, so that `onmessage` of a browser gets every change.
    #[param(minimum = 0, maximum = 1)]
    pub(crate) unnamed: Option<u8>,
    /// Only changes of these types, separated by commas.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only changes of these projects, separated by commas.
    project: Option<String>,
    /// Only changes of these sessions, separated by commas.
    session: Option<String>,
    /// Only changes of these tables, separated by commas.
    entity: Option<String>,
    /// Only changes of these fields: FIELD or FIELD=VALUE, separated by commas.
    changed: Option<String>,
}

impl Query {
    pub(crate) fn start(&self, last: Option<&HeaderValue>) -> Result<Start, Failure> {
        // A browser sends an empty one before it has received an id.
        let last = last.map(|last| last.to_str().unwrap_or("?")).filter(|last| !last.is_empty());
        match last.or(self.after.as_deref()).or(self.from.as_deref()) {
            None => Ok(DEFAULT),
            Some("beginning") => Ok(Start::Beginning),
            Some("end") => Ok(Start::End),
            Some(text) => match text.strip_prefix('-').map(str::parse) {
                Some(Ok(count)) => Ok(Start::Last(count)),
                _ => Ok(Start::Cursor(text.parse()?)),
            },
        }
    }

    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let projects = list(&self.project).map(|id| id.parse());
        let sessions = list(&self.session).map(|id| id.parse());
        let filter = Filter::new(
            list(&self.kind).map(str::to_owned).collect(),
            projects.collect::<ao_store::Result<_>>()?,
            sessions.collect::<ao_store::Result<_>>()?,
        )?;
        let changed: Vec<_> = list(&self.changed).map(str::to_owned).collect();
        let entities = list(&self.entity).map(str::to_owned).collect();
        Ok(filter.of_entities(entities)?.of_changed(&changed)?)
    }
}

fn list(text: &Option<String>) -> impl Iterator<Item = &str> {
    text.as_deref().unwrap_or_default().split(',').filter(|part| !part.is_empty())
}
