//! Lists: every one is in the order of a key that never changes, and is read in pages, each after the last key of
//! the one before, so that what is created or deleted meanwhile moves nothing from one page to another.

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
    /// A page of a list that can be long. `read` gets the key after which it begins, which is not empty, and how
    /// many items it may return, in the order of their keys; `next` beside the data is the key of the last item, or
    /// null at the end.
    pub(crate) fn read<T>(
        self,
        kind: &str,
        read: impl FnOnce(Option<&str>, usize) -> Result<Vec<T>, Failure>,
        key: impl Fn(&T) -> String,
        document: impl Fn(&T) -> Value,
    ) -> Result<Json<Value>, Failure> {
        // One more shows whether there is a next page.
        let part = |after: Option<&str>, limit| {
            let mut items = read(after, limit + 1)?;
            let has_more = items.len() > limit;
            items.truncate(limit);
            Ok((items, has_more))
        };
        self.read_part(kind, part, key, document)
    }

    /// The same of a list whose pages are bounded by more than the number of items: `read` returns also whether
    /// more follow.
    pub(crate) fn read_part<T>(
        self,
        kind: &str,
        read: impl FnOnce(Option<&str>, usize) -> Result<(Vec<T>, bool), Failure>,
        key: impl Fn(&T) -> String,
        document: impl Fn(&T) -> Value,
    ) -> Result<Json<Value>, Failure> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > LIMIT_MAX {
            return Err(Failure::invalid_request(format!("limit is from 1 to {LIMIT_MAX}")));
        }
        let after = self.after.as_deref().filter(|after| !after.is_empty());
        let (items, has_more) = read(after, limit as usize)?;
        let next = items.last().filter(|_| has_more).map(key);
        let data: Vec<_> = items.iter().map(document).collect();
        let Json(mut document) = reply::document(kind, data.into());
        document["next"] = json!(next);
        Ok(Json(document))
    }

    /// A page of a list that was read whole. Only for what stays short by its nature: a person registers it,
    /// or is to look at all of it.
    pub(crate) fn cut<T>(
        self,
        kind: &str,
        mut items: Vec<T>,
        key: impl Fn(&T) -> String,
        document: impl Fn(&T) -> Value,
    ) -> Result<Json<Value>, Failure> {
        let sorted = |after: Option<&str>, _| {
            items.retain(|item| after.is_none_or(|after| key(item).as_str() > after));
            items.sort_by_cached_key(&key);
            Ok(items)
        };
        self.read(kind, sorted, &key, document)
    }
}

/// The key that `after` is, or `first` without one.
///
/// # Errors
/// `INVALID_REQUEST` when it is no key of the list.
pub(crate) fn key<'a, T>(
    after: Option<&'a str>,
    first: T,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, Failure> {
    let Some(text) = after else { return Ok(first) };
    let refused = || Failure::invalid_request(format!("after is no `next` of this list: {text:?}"));
    parse(text).ok_or_else(refused)
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
        page.cut("x.list", items, |it| (*it).to_owned(), |it| json!(it)).unwrap().0
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
    fn a_page_asks_for_one_item_more_to_see_whether_it_is_the_last() {
        let page = |count: usize| {
            let page = Page { limit: Some(2), after: Some("k".to_owned()) };
            let read = |after: Option<&str>, limit: usize| {
                assert_eq!((after, limit), (Some("k"), 3));
                Ok(vec!["z", "y", "x"][..count].to_vec())
            };
            page.read("x.list", read, |it| (*it).to_owned(), |it| json!(it)).unwrap().0
        };
        let full = page(3);
        assert_eq!((&full["data"], &full["next"]), (&json!(["z", "y"]), &json!("y")));
        assert_eq!((&page(2)["data"], &page(2)["next"]), (&json!(["z", "y"]), &Value::Null));
    }

    #[test]
    fn a_key_that_is_no_text_is_read_or_refused() {
        let number = |after| key(after, 0, |text| text.parse::<i64>().ok());
        assert_eq!((number(None).unwrap(), number(Some("7")).unwrap()), (0, 7));
        assert!(number(Some("x")).unwrap_err().message.contains("\"x\""));
    }

    #[test]
    fn a_filter_names_what_there_is() {
        assert_eq!(chosen("ci", Some("a,b"), &["a", "b"]).unwrap(), ["a", "b"]);
        assert!(chosen("ci", None, &["a"]).unwrap().is_empty());
        let failure = chosen("ci", Some("a,x"), &["a", "b"]).unwrap_err();
        assert_eq!(failure.message, "ci is one of a, b, not \"x\"");
    }
}
