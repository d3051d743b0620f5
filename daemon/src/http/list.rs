//! Lists: every one is in the order of its keys, and is read in pages, each after the last key of the one before.

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::failure::Failure;
use super::reply;

/// The items of a page, if nothing else is asked for, and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// No query parameter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
}

impl Page {
    /// A page of a list; `next` beside its data is the key of its last item, or null at the end.
    pub(crate) fn of<T>(
        self,
        kind: &str,
        mut items: Vec<T>,
        key: impl Fn(&T) -> String,
        document: impl Fn(&T) -> Value,
    ) -> Result<Json<Value>, Failure> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > LIMIT_MAX {
            return Err(Failure::invalid_request(format!("limit is from 1 to {LIMIT_MAX}")));
        }
        if let Some(after) = &self.after {
            items.retain(|item| key(item) > *after);
        }
        items.sort_by_cached_key(&key);
        let has_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| has_more).map(key);
        let data: Vec<_> = items.iter().map(document).collect();
        let Json(mut document) = reply::document(kind, data.into());
        document["next"] = json!(next);
        Ok(Json(document))
    }
}

/// The values of a filter, separated by commas, each one of those that there are.
pub(crate) fn chosen(
    name: &str,
    text: Option<&str>,
    known: &[&str],
) -> Result<Vec<String>, Failure> {
    let values =
        text.iter().flat_map(|text| text.split(',')).map(|value| match known.contains(&value) {
            true => Ok(value.to_owned()),
            false => Err(Failure::invalid_request(format!(
                "{name} is one of {}, not {value:?}",
                known.join(", ")
            ))),
        });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: u32, after: Option<&str>) -> Value {
        let page = Page { limit: Some(limit), after: after.map(str::to_owned) };
        let items = vec!["c", "a", "d", "b"];
        page.of("x.list", items, |it| (*it).to_owned(), |it| json!(it)).unwrap().0
    }

    #[test]
    fn pages_follow_each_other_in_the_order_of_keys() {
        let first = page(3, None);
        assert_eq!((&first["data"], &first["next"]), (&json!(["a", "b", "c"]), &json!("c")));
        let last = page(3, Some("c"));
        assert_eq!((&last["data"], &last["next"]), (&json!(["d"]), &Value::Null));
        assert_eq!(page(4, None)["next"], Value::Null);
        // A key that is gone has its place all the same.
        assert_eq!(page(1, Some("bb"))["data"], json!(["c"]));
    }

    #[test]
    fn a_filter_names_what_there_is() {
        assert_eq!(chosen("ci", Some("a,b"), &["a", "b"]).unwrap(), ["a", "b"]);
        assert!(chosen("ci", None, &["a"]).unwrap().is_empty());
        let failure = chosen("ci", Some("a,x"), &["a", "b"]).unwrap_err();
        assert_eq!(failure.message, "ci is one of a, b, not \"x\"");
    }
}
