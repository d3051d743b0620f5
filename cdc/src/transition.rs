//! A transition that a filter selects: an update changed a field, or a change gave it a value that it did
//! not have before. An insert with that value is such a change, so that a pull request which fails when it
//! is first observed is found, too. A delete is none.

use std::fmt;

use ao_store::log::as_of::ENTITIES;
use ao_store::log::changed::{changed_fields, text_of, value_of};
use ao_store::log::field::{Field, FieldKind, fields};

use crate::error::{Error, Result};

/// The time of the last update of a row, which differs in every update.
const BOOKKEEPING: &str = "updated_at";

/// `FIELD` or `FIELD=VALUE`, and the entities whose rows can have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Transition {
    field: String,
    value: Option<String>,
    entities: Vec<&'static str>,
}

impl Transition {
    /// Reads a transition of rows of these entities.
    pub(crate) fn parse(text: &str, of: &[&'static str]) -> Result<Transition> {
        let (field, value) = match text.split_once('=') {
            Some((field, value)) => (field, Some(value)),
            None => (text, None),
        };
        let with_field = |entities: &[&'static str]| -> Vec<_> {
            let has = |entity: &&&'static str| find(entity, field).is_some();
            entities.iter().filter(has).copied().collect()
        };
        let mut entities = with_field(of);
        if entities.is_empty() {
            let (known, elsewhere) = (names(of), with_field(ENTITIES));
            return Err(Error::UnknownField { field: field.to_owned(), known, elsewhere });
        }
        if let Some(value) = value {
            let mut accepted = Vec::new();
            for entity in std::mem::take(&mut entities) {
                let values =
                    find(entity, field).map_or_else(Vec::new, |field| accept(field, value));
                if values.is_empty() { entities.push(entity) } else { accepted.extend(values) }
            }
            if entities.is_empty() {
                accepted.dedup();
                let (field, value) = (field.to_owned(), value.to_owned());
                return Err(Error::InvalidValue { field, value, accepted });
            }
        }
        Ok(Transition { field: field.to_owned(), value: value.map(str::to_owned), entities })
    }

    /// Whether rows of an entity can have it.
    pub(crate) fn is_of(&self, entity: &str) -> bool {
        self.entities.contains(&entity)
    }

    /// Whether a change of a type can be it: a delete never is, and an insert only with a value. A pull
    /// request that comes to be merged or closed has the type of that.
    pub(crate) fn is_of_type(&self, kind: &str) -> bool {
        let ends = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
        let end = ["merged", "closed"];
        let is_end =
            self.field == "state" && self.value.as_deref().is_some_and(|it| end.contains(&it));
        if ends(&["_deleted", "_removed"])
            || (is_end && ["pr_updated", "pr_session_changed"].contains(&kind))
        {
            return false;
        }
        self.value.is_some() || !ends(&["_created", "_added"])
    }

    fn has_value(&self, found: &str) -> bool {
        let Some(wanted) = &self.value else { return true };
        text_of(found).map_or(found == wanted, |text| text == wanted.as_str())
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

/// Whether a change with these images is one of the transitions.
pub(crate) fn is_any(wanted: &[Transition], before: Option<&str>, after: Option<&str>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => changed_fields(before, after).any(|changed| {
            let is_wanted =
                |it: &Transition| it.field == changed.name && it.has_value(changed.after);
            wanted.iter().any(is_wanted)
        }),
        (None, Some(after)) => wanted.iter().any(|it| {
            it.value.is_some()
                && value_of(after, &it.field).is_some_and(|found| it.has_value(found))
        }),
        (_, None) => false,
    }
}

fn find(entity: &str, name: &str) -> Option<&'static Field> {
    fields(entity).iter().find(|field| field.name == name && name != BOOKKEEPING)
}

/// The names of the fields of these entities.
fn names(entities: &[&'static str]) -> Vec<&'static str> {
    let all = entities.iter().flat_map(|entity| fields(entity)).map(|field| field.name);
    let mut names: Vec<_> = all.filter(|name| *name != BOOKKEEPING).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The values that the field accepts, if this one is not among them.
fn accept(field: &Field, value: &str) -> Vec<&'static str> {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    let mut accepted = match field.kind {
        FieldKind::Text => return Vec::new(),
        FieldKind::OneOf(values) => values.to_vec(),
        FieldKind::Boolean => vec!["true", "false"],
        FieldKind::Integer | FieldKind::Time if is_number => return Vec::new(),
        FieldKind::Integer => vec!["an integer"],
        FieldKind::Time => vec!["milliseconds since 1970-01-01 UTC"],
    };
    if field.is_nullable {
        accepted.push("null");
    }
    // The words for people contain a space, which no value of such a field does.
    if !value.contains(' ') && accepted.contains(&value) { Vec::new() } else { accepted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Transition> {
        Transition::parse(text, ENTITIES)
    }

    fn has(text: &str, before: Option<&str>, after: Option<&str>) -> bool {
        is_any(&[parse(text).unwrap()], before, after)
    }

    #[test]
    fn a_value_passes_when_it_is_reached_and_a_field_when_it_changes() {
        let image = |ci: &str| format!(r#"{{"id":"x","ci":"{ci}","line":null}}"#);
        let (passing, failing) = (image("passing"), image("failing"));
        let (passing, failing) = (Some(passing.as_str()), Some(failing.as_str()));
        for (text, before, after, expected) in [
            ("ci=failing", passing, failing, true),
            ("ci=failing", failing, passing, false),
            ("ci=failing", failing, failing, false),
            ("ci=failing", None, failing, true),
            ("ci=failing", None, passing, false),
            ("ci=failing", failing, None, false),
            ("ci", passing, failing, true),
            ("ci", failing, failing, false),
            ("ci", None, failing, false),
            ("ci", failing, None, false),
            ("line=null", None, passing, true),
            ("line=null", failing, passing, false),
            ("title", passing, failing, false),
        ] {
            assert_eq!(has(text, before, after), expected, "{text} {before:?} {after:?}");
        }
    }

    #[test]
    fn texts_are_compared_as_texts_and_not_as_json() {
        let image = |title: &str| serde_json::json!({ "title": title, "number": 7 }).to_string();
        for title in ["", "null", "7", "a=b", "quote \" and \\", "line\nend", "\u{1F980}"] {
            let (before, after) = (image("other"), image(title));
            assert!(has(&format!("title={title}"), Some(&before), Some(&after)), "{title:?}");
            assert!(!has(&format!("title={title}x"), Some(&before), Some(&after)), "{title:?}");
        }
        assert!(has("number=7", None, Some(&image(""))));
        assert!(!has("number=77", None, Some(&image(""))));
    }

    #[test]
    fn fields_and_values_that_cannot_occur_are_refused() {
        for unknown in ["", "=", "=failing", "CI", "ci ", "updated_at", "*", "log_tail"] {
            assert!(matches!(parse(unknown), Err(Error::UnknownField { .. })), "{unknown:?}");
        }
        for invalid in [
            "ci=",
            "ci=failed",
            "ci=FAILING",
            "is_resolved=1",
            "is_resolved=null",
            "line=x",
            "line=007",
            "line=an integer",
            "number=null",
            "merged_at=yesterday",
        ] {
            assert!(matches!(parse(invalid), Err(Error::InvalidValue { .. })), "{invalid:?}");
        }
        for valid in ["is_required=null", "line=-1", "merged_at=null", "merged_at=0", "title="] {
            assert_eq!(parse(valid).unwrap().to_string(), valid);
        }
    }

    #[test]
    fn a_type_that_can_have_none_of_the_transitions_is_refused() {
        let of = |kind: &str, changed: &[&str]| {
            let filter = crate::Filter::new(vec![kind.to_owned()], vec![], vec![]).unwrap();
            filter.of_changed(&changed.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        for (kind, changed) in [
            ("pr_deleted", &["ci", "ci=failing"][..]),
            ("pr_created", &["ci"]),
            ("pr_review_added", &["body"]),
            ("pr_updated", &["state=merged"]),
        ] {
            assert!(matches!(of(kind, changed), Err(Error::NoTransition)), "{kind} {changed:?}");
        }
        for (kind, changed) in [
            ("pr_created", &["ci", "ci=failing"][..]),
            ("pr_check_recorded", &["status"]),
            ("pr_merged", &["state"]),
            ("pr_updated", &["state=merged", "ci"]),
            ("pr_deleted", &[]),
        ] {
            assert!(of(kind, changed).is_ok(), "{kind} {changed:?}");
        }
    }

    #[test]
    fn a_value_selects_the_entities_that_accept_it() {
        assert_eq!(parse("state").unwrap().entities, ["turn", "pr", "pr_review"]);
        assert_eq!(parse("state=merged").unwrap().entities, ["pr"]);
        assert_eq!(parse("state=unknown").unwrap().entities, ["pr", "pr_review"]);
        let found = Transition::parse("state=approved", &["pr"]);
        assert!(matches!(found, Err(Error::InvalidValue { accepted, .. }) if accepted.len() == 5));
        let found = Transition::parse("ci", &["session"]);
        let Err(Error::UnknownField { elsewhere, .. }) = found else { panic!("{found:?}") };
        assert_eq!(elsewhere, ["pr"]);
    }
}
