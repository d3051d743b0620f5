//! The fields in which two images of a row differ, in the order of the columns, without parsing either.
//!
//! Capture writes both images of an update from the same list of columns, as flat JSON objects without
//! white space. So the first byte that differs is in the value of a field, whose name is the last one before
//! it. What is not such an image ends the list: it is never read past its end, and never a panic.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The time of the last update of a row. It differs in every update, so it is not listed.
const BOOKKEEPING: &str = "updated_at";

/// A field that an update changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedField<'a> {
    /// The name of the column.
    pub name: &'a str,
    /// Its value before, as JSON.
    pub before: &'a str,
    /// Its value after, as JSON.
    pub after: &'a str,
}

/// Iterates over the fields that differ; made by [`changed_fields`]. Both texts are rests of the images,
/// which begin with the character before a field.
#[derive(Debug, Clone)]
pub struct ChangedFields<'a> {
    before: &'a str,
    after: &'a str,
}

/// The fields in which the image `before` and the image `after` of the same row differ, without
/// `updated_at`.
#[must_use]
pub fn changed_fields<'a>(before: &'a str, after: &'a str) -> ChangedFields<'a> {
    ChangedFields { before, after }
}

/// The value of a field of an image, as JSON.
#[must_use]
pub fn value_of<'a>(image: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = image;
    while let Some(field) = Field::first(rest) {
        if field.name == name {
            return Some(field.value);
        }
        rest = field.rest;
    }
    None
}

/// The text of a JSON string; `None` for another value.
#[must_use]
pub fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
}

impl<'a> Iterator for ChangedFields<'a> {
    type Item = ChangedField<'a>;

    fn next(&mut self) -> Option<ChangedField<'a>> {
        loop {
            let equal = common_prefix(self.before.as_bytes(), self.after.as_bytes());
            if equal == self.before.len() {
                return None;
            }
            let start = last_start(&self.before.as_bytes()[..equal])?;
            let before = Field::first(&self.before[start..])?;
            let after = Field::first(&self.after[start..])?;
            (self.before, self.after) = (before.rest, after.rest);
            if before.name != after.name {
                return None;
            }
            // They can be equal in what is no image, such as an object that is cut off.
            if before.name != BOOKKEEPING && before.value != after.value {
                let (name, before, after) = (before.name, before.value, after.value);
                return Some(ChangedField { name, before, after });
            }
        }
    }
}

/// The number of bytes at the beginning that are equal. Almost all are, so it compares many at once.
fn common_prefix(one: &[u8], two: &[u8]) -> usize {
    const STEP: usize = 32;
    let steps = one.chunks_exact(STEP).zip(two.chunks_exact(STEP));
    let start = steps.take_while(|(one, two)| one == two).count() * STEP;
    let rest = one[start..].iter().zip(&two[start..]);
    start + rest.take_while(|(one, two)| one == two).count()
}

/// Where the last field begins whose name has begun, at the character before it. Only a name is a quote
/// after a comma or brace and before a letter: within a string every quote follows a backslash, and
/// after the end of one comes a comma or brace.
fn last_start(bytes: &[u8]) -> Option<usize> {
    let is_start = |window: &[u8]| matches!(window, [b',' | b'{', b'"', first] if first.is_ascii_lowercase() || *first == b'_');
    bytes.windows(3).rposition(is_start)
}

/// A field at the beginning of the rest of an image.
struct Field<'a> {
    name: &'a str,
    value: &'a str,
    /// What follows, from the comma or brace after the value on.
    rest: &'a str,
}

impl<'a> Field<'a> {
    /// The first field of `{"name":value,…}` or `,"name":value,…}`.
    fn first(text: &'a str) -> Option<Field<'a>> {
        let bytes = text.as_bytes();
        if bytes.first() == Some(&b'}') || bytes.get(1) != Some(&b'"') {
            return None;
        }
        let colon = 2 + memchr(b':', &bytes[2..])?;
        let start = colon + 1;
        let end = match bytes.get(start)? {
            b'"' => end_of_string(bytes, start)?,
            _ => start + memchr2(b',', b'}', &bytes[start..])?,
        };
        matches!(bytes.get(end), Some(b',' | b'}')).then_some(())?;
        Some(Field {
            name: text.get(2..colon - 1)?,
            value: text.get(start..end)?,
            rest: text.get(end..)?,
        })
    }
}

/// The position after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            prop_oneof![-3..30_i64, any::<i64>()].prop_map(Value::from),
            prop_oneof!["[a\"\\\\:,{}]{0,4}", ".{0,12}", any::<String>()].prop_map(Value::from),
        ]
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[a-z_]{1,6}", 0..6).prop_map(|mut names| {
            names.push("updated_at".to_owned());
            names.sort();
            names.dedup();
            names
        })
    }

    /// Two images with the same columns; every other value is equal on average.
    fn images() -> impl Strategy<Value = (Map<String, Value>, Map<String, Value>)> {
        let row = names().prop_flat_map(|names| {
            let values = proptest::collection::vec((value(), value(), any::<bool>()), names.len());
            (Just(names), values)
        });
        row.prop_map(|(names, values)| {
            let (mut before, mut after) = (Map::new(), Map::new());
            for (name, (old, new, is_equal)) in names.into_iter().zip(values) {
                after.insert(name.clone(), if is_equal { old.clone() } else { new });
                before.insert(name, old);
            }
            (before, after)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_scan_finds_what_a_parser_finds((before, after) in images()) {
            let expected: Vec<_> = before
                .iter()
                .filter(|(name, old)| *name != "updated_at" && after[*name] != **old)
                .map(|(name, old)| (name.clone(), old.clone(), after[name].clone()))
                .collect();
            let (old, new) = (Value::from(before.clone()), Value::from(after));
            let (old, new) = (old.to_string(), new.to_string());
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let found: Vec<_> = changed_fields(&old, &new)
                .map(|field| (field.name.to_owned(), parse(field.before), parse(field.after)))
                .collect();
            prop_assert_eq!(found, expected);
            for (name, value) in &before {
                let found = value_of(&old, name).unwrap();
                prop_assert_eq!(&parse(found), value);
                let text = text_of(found);
                prop_assert_eq!(text.as_deref(), value.as_str());
            }
            prop_assert_eq!(value_of(&old, "0"), None);
        }

        #[test]
        fn what_is_no_image_is_never_a_panic(before in ".{0,20}", after in ".{0,20}", cut in 0_usize..60) {
            let image = json!({"a": "é\"", "b": 1, "c": before.clone()}).to_string();
            let part = &image[..image.floor_char_boundary(cut)];
            for (one, two) in [(&before[..], &after[..]), (part, &image), (&image, part), (part, part)] {
                let _ = changed_fields(one, two).count();
                let _ = value_of(one, "c");
            }
        }
    }
}
