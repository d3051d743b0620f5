//! The JSON Schemas of what the program prints, made from the tables of `docs/json.md`: the page for people,
//! the schemas, and the tests that validate real output with them have one source.
//!
//! The schemas permit further fields, since the formats only grow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../../docs/json.md");

/// The schemas that have a name of their own besides the kinds of documents.
const NAMES: &[&str] =
    &["observation", "event", "cloudevent", "conversation.event", "error", "document"];

/// The sections whose fields are those of row images.
const ENTITIES: &[&str] = ao_store::log::as_of::ENTITIES;

/// The sections of the page by the anchors of their headings, and the section of each kind of document.
struct Page {
    sections: BTreeMap<String, Vec<Field>>,
    documents: BTreeMap<&'static str, String>,
}

/// A row of a table of fields.
struct Field {
    name: &'static str,
    kind: &'static str,
    meaning: &'static str,
}

/// Whether the fields of a section are those of a document or of a row image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Document,
    Image,
}

/// The names that [`schema`] knows.
#[must_use]
pub fn names() -> Vec<&'static str> {
    NAMES.iter().copied().chain(Page::read().documents.into_keys()).collect()
}

/// The schema of this name; `None` for a name that is not among [`names`].
#[must_use]
pub fn schema(name: &str) -> Option<Value> {
    let page = Page::read();
    let mut definitions = Definitions { page: &page, made: BTreeMap::new(), open: BTreeSet::new() };
    let title = format!("{name} of ao-store");
    let root = match name {
        "observation" => return Some(ao_observer::document::schema()),
        "event" => {
            let lines = ["change-line", "control-line"].map(|line| definitions.link(line));
            json!({ "anyOf": lines })
        }
        "cloudevent" => definitions.link("cloudevent"),
        "conversation.event" => {
            let lines = ["conversation-event", "conversation-control-line"];
            json!({ "anyOf": lines.map(|line| definitions.link(line)) })
        }
        "error" => definitions.link("error"),
        "document" => {
            let kinds = page.documents.keys().map(|kind| definitions.document(kind));
            json!({ "anyOf": kinds.collect::<Vec<_>>() })
        }
        kind => definitions.document(page.documents.get_key_value(kind)?.0),
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
    });
    let made = definitions.finish();
    if let (Value::Object(schema), Value::Object(root)) = (&mut schema, root) {
        schema.extend(root);
        schema.insert("$defs".to_owned(), made);
    }
    Some(schema)
}

/// The schemas of all documents, each under `document.KIND`, and of what they consist of, as the components of an
/// OpenAPI document.
#[must_use]
pub fn components() -> Map<String, Value> {
    let page = Page::read();
    let mut definitions = Definitions { page: &page, made: BTreeMap::new(), open: BTreeSet::new() };
    let kinds =
        page.documents.keys().map(|kind| (format!("document.{kind}"), definitions.document(kind)));
    let mut components: Map<_, _> = kinds.collect();
    if let Value::Object(made) = definitions.finish() {
        components.extend(made);
    }
    components.values_mut().for_each(move_references);
    components
}

/// Makes references to the components of an OpenAPI document of those to definitions.
fn move_references(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                    Some(to) if name == "$ref" => {
                        *value = format!("#/components/schemas/{to}").into()
                    }
                    _ => move_references(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

impl Page {
    fn read() -> Page {
        let mut page = Page { sections: BTreeMap::new(), documents: BTreeMap::new() };
        let mut section = String::new();
        // Whether a list of kinds goes on in the next line.
        let mut is_cut = false;
        for line in PAGE.lines() {
            let rest = is_cut.then_some(line);
            is_cut = false;
            let heading = line.strip_prefix("### ").or_else(|| line.strip_prefix("## "));
            if let Some(heading) = heading {
                section = heading.to_lowercase().replace(' ', "-").replace('`', "");
            } else if let Some(kinds) = line.strip_prefix("Documents: ").or(rest) {
                // What follows the list is prose, which may name other things.
                let kinds = kinds.split(". ").next().unwrap_or(kinds);
                is_cut = kinds.ends_with(',');
                let kinds = kinds.split('`').skip(1).step_by(2);
                page.documents.extend(kinds.map(|kind| (kind, section.clone())));
            } else if line.starts_with("| `") {
                let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
                let [name, kind, meaning] = cells[..] else { continue };
                let field = Field { name: name.trim_matches('`'), kind, meaning };
                page.sections.entry(section.clone()).or_default().push(field);
            }
        }
        page
    }
}

/// The definitions that a schema refers to.
struct Definitions<'a> {
    page: &'a Page,
    made: BTreeMap<String, Value>,
    /// Those that are referred to and not made yet.
    open: BTreeSet<(Form, String)>,
}

impl Definitions<'_> {
    /// Makes the definitions that are referred to, and what those refer to.
    fn finish(mut self) -> Value {
        while let Some((form, section)) = self.open.pop_first() {
            let name = definition_name(form, &section);
            if !self.made.contains_key(&name) {
                let made = self.object(form, &section);
                self.made.insert(name, made);
            }
        }
        Value::Object(self.made.into_iter().collect())
    }

    fn link(&mut self, section: &str) -> Value {
        self.link_as(Form::Document, section)
    }

    fn link_as(&mut self, form: Form, section: &str) -> Value {
        self.open.insert((form, section.to_owned()));
        json!({ "$ref": format!("#/$defs/{}", definition_name(form, section)) })
    }

    /// The envelope of a document.
    fn document(&mut self, kind: &'static str) -> Value {
        let section = self.page.documents.get(kind).map_or("", String::as_str).to_owned();
        let data = self.link(&section);
        let is_list =
            kind.ends_with(".list") || matches!(kind, "observe.apply" | "observe.deliver");
        let data = if is_list { json!({"type": "array", "items": data}) } else { data };
        json!({
            "type": "object",
            "properties": {"schema_version": {"const": 1}, "kind": {"const": kind}, "data": data},
            "required": ["schema_version", "kind", "data"],
        })
    }

    /// An object with the fields of a section.
    fn object(&mut self, form: Form, section: &str) -> Value {
        let page = self.page;
        let fields = page.sections.get(section).map_or(&[][..], Vec::as_slice);
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in fields.iter().filter(|field| field.is_of(form)) {
            properties.insert(field.name.to_owned(), self.value(form, field));
            if !field.is_optional(form) {
                required.push(field.name);
            }
        }
        let mut object = json!({"type": "object", "properties": properties, "required": required});
        let images: &[&str] = match section {
            "change-line" => &["before", "after"],
            "control-line" => &["row"],
            _ => &[],
        };
        if !images.is_empty() {
            object["allOf"] = ENTITIES.iter().map(|entity| self.images(entity, images)).collect();
        }
        object
    }

    /// The images have the fields of their entity.
    fn images(&mut self, entity: &str, images: &[&str]) -> Value {
        let image = json!({ "anyOf": [{"type": "null"}, self.link_as(Form::Image, entity)] });
        let images: Map<_, _> =
            images.iter().map(|name| ((*name).to_owned(), image.clone())).collect();
        json!({
            "if": {"properties": {"entity": {"const": entity}}, "required": ["entity"]},
            "then": {"properties": images},
        })
    }

    fn value(&mut self, form: Form, field: &Field) -> Value {
        let link = field.kind.split_once("(#").and_then(|(_, rest)| rest.split_once(')'));
        let link = link.map(|(section, _)| section);
        let kind = field.kind.split([' ', ',']).next().unwrap_or_default();
        let mut value = match (kind, link) {
            ("list", Some(section)) => json!({"type": "array", "items": self.link(section)}),
            ("map", Some(section)) => {
                json!({"type": "object", "additionalProperties": self.link(section)})
            }
            (_, Some(section)) => self.link(section),
            ("list" | "map", None) => {
                let (_, of) = field.kind.split_once(" of ").unwrap_or_default();
                let name = if kind == "list" { "items" } else { "additionalProperties" };
                let outer = if kind == "list" { "array" } else { "object" };
                let of = scalar(form, of.split([' ', ',']).next().unwrap_or_default());
                json!({"type": outer, name: of})
            }
            (scalar_kind, None) => scalar(form, scalar_kind),
        };
        if field.kind.contains("or null") {
            value = json!({ "anyOf": [{"type": "null"}, value] });
        }
        // A description beside a reference belongs to this use of it.
        value["description"] = json!(field.meaning);
        value
    }
}

/// The schema of a value that contains no others; any value for a word that is none of them.
fn scalar(form: Form, kind: &str) -> Value {
    match kind {
        "text" => json!({"type": "string"}),
        "cursor" => json!({"type": "string", "pattern": "^[0-9]+-[0-9]+$"}),
        "integer" => json!({"type": "integer"}),
        "number" => json!({"type": "number"}),
        "boolean" => json!({"type": "boolean"}),
        "time" if form == Form::Image => json!({"type": "integer"}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "object" => json!({"type": "object"}),
        _ => json!({}),
    }
}

fn definition_name(form: Form, section: &str) -> String {
    match form {
        Form::Document => section.to_owned(),
        Form::Image => format!("{section}-image"),
    }
}

impl Field {
    fn is_of_images(&self) -> bool {
        self.meaning.starts_with("Only in images")
    }

    fn is_of(&self, form: Form) -> bool {
        let is_of_documents = self.meaning.starts_with("Only ") && !self.is_of_images();
        match form {
            Form::Document => !self.is_of_images(),
            Form::Image => !is_of_documents,
        }
    }

    fn is_optional(&self, form: Form) -> bool {
        self.meaning.starts_with("Only ") && (form == Form::Document || !self.is_of_images())
    }
}
