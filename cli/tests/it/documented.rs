//! `docs/json.md` as a contract: every document that a test reads has exactly the fields and types
//! of its section, and so has every row image.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use ao_store::attribution::Reason;
use serde_json::Value;

use crate::support::{TestEnv, parsed};

static PAGE: LazyLock<Page> = LazyLock::new(Page::read);

/// The sections of the page by the anchors of their headings, and the section of each document.
struct Page {
    sections: BTreeMap<String, Vec<Field>>,
    documents: BTreeMap<String, String>,
}

/// A row of a table of fields.
struct Field {
    name: String,
    kind: String,
    meaning: String,
}

impl Page {
    fn read() -> Page {
        let text = fs::read_to_string(super::tidy::root().join("docs/json.md")).unwrap();
        let mut page = Page { sections: BTreeMap::new(), documents: BTreeMap::new() };
        let mut section = String::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                section = heading.to_lowercase().replace(' ', "-").replace('`', "");
            } else if let Some(kinds) = line.strip_prefix("Documents: ") {
                let kinds = kinds.split('`').skip(1).step_by(2);
                page.documents.extend(kinds.map(|kind| (kind.to_owned(), section.clone())));
            } else if line.starts_with("| `") {
                let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
                let [name, kind, meaning] = cells[..] else { continue };
                let [name, kind, meaning] = [name, kind, meaning].map(str::to_owned);
                let name = name.trim_matches('`').to_owned();
                page.sections.entry(section.clone()).or_default().push(Field {
                    name,
                    kind,
                    meaning,
                });
            }
        }
        page
    }

    /// Checks an object, or each object of a list.
    fn check(&self, section: &str, value: &Value, is_image: bool) {
        if let Some(list) = value.as_array() {
            return list.iter().for_each(|item| self.check(section, item, is_image));
        }
        let fields = self.sections.get(section).unwrap_or_else(|| panic!("no section {section}"));
        let object = value.as_object().unwrap_or_else(|| panic!("{section}: {value}"));
        for name in object.keys() {
            let found = fields.iter().find(|field| field.name == *name);
            let is_known = found.is_some_and(|field| !field.is_elsewhere(is_image));
            assert!(is_known, "docs/json.md, {section}: {name} is not documented: {value}");
        }
        for field in fields {
            let place = format!("docs/json.md, {section}: {}", field.name);
            match object.get(&field.name) {
                Some(value) => self.check_value(&place, field, value, is_image),
                None => assert!(field.is_optional(is_image), "{place} is missing: {value}"),
            }
        }
    }

    fn check_value(&self, place: &str, field: &Field, value: &Value, is_image: bool) {
        if value.is_null() {
            return assert!(field.kind.contains("or null"), "{place} is null");
        }
        let link = field.kind.split_once("(#").and_then(|(_, rest)| rest.split_once(')'));
        let kind = field.kind.split([' ', ',']).next().unwrap();
        let fits = match kind {
            "text" | "cursor" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "time" if is_image => value.is_i64(),
            "time" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            "list" => value.is_array(),
            _ => value.is_object(),
        };
        assert!(fits, "{place} is {value}, not {kind}");
        match (kind, link) {
            ("map", Some((section, _))) => {
                value.as_object().unwrap().values().for_each(|it| self.check(section, it, false));
            }
            (_, Some((section, _))) => self.check(section, value, false),
            (_, None) => {}
        }
    }
}

impl Field {
    /// Whether the field belongs to images when a document is checked, or the other way round.
    fn is_elsewhere(&self, is_image: bool) -> bool {
        let is_of_images = self.meaning.starts_with("Only in images");
        if is_image { self.is_optional(true) } else { is_of_images }
    }

    fn is_optional(&self, is_image: bool) -> bool {
        let is_of_images = self.meaning.starts_with("Only in images");
        self.meaning.starts_with("Only ") && !(is_image && is_of_images)
    }
}

/// Checks the data of a document of this kind.
pub(crate) fn check(kind: &str, data: &Value) {
    let section = PAGE.documents.get(kind);
    PAGE.check(section.unwrap_or_else(|| panic!("docs/json.md: no {kind}")), data, false);
}

#[test]
fn the_images_of_every_captured_table_are_documented() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "changes"]);
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1", "facts": {"state": "open"},
        "checks": [{"head_sha": "abc", "name": "build", "status": "failed"}],
        "threads": [{"id": "T", "path": "a", "is_resolved": true}],
        "reviews": [{"id": "R", "state": "approved"}], "comments": [{"id": "C", "kind": "issue"}]}"#;
    env.ok(&["observe", "apply", &env.file("document.json", document)]);
    env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    let mut images = BTreeMap::new();
    for change in parsed(&env.ok(&["tail", "--from", "beginning", "--no-follow"])) {
        images.insert(change["entity"].as_str().unwrap().to_owned(), change["after"].clone());
    }
    assert!(images.keys().map(String::as_str).eq(entities()), "{images:?}");
    images.iter().for_each(|(entity, image)| PAGE.check(entity, image, true));
}

#[test]
fn every_reason_against_an_attribution_is_documented() {
    let text = fs::read_to_string(super::tidy::root().join("docs/json.md")).unwrap();
    let section = text.split("### ").find(|section| section.starts_with("Attribution\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let documented: Vec<_> = rows.map(|line| line.split('`').nth(1).unwrap()).collect();
    let codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(documented, codes);
}

/// Every entity, sorted by name.
fn entities() -> impl Iterator<Item = &'static str> {
    let mut entities = ao_store::log::as_of::ENTITIES.to_vec();
    entities.sort_unstable();
    entities.into_iter()
}
