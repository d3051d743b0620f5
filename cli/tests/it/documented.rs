//! `docs/json.md` as a contract: every document, line of a stream and error that a test reads is valid by
//! the JSON Schema that the program makes of that page, and has no field that the page does not list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{LazyLock, Mutex};

use ao_store::attribution::Reason;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{TestEnv, parsed};

/// The validators that were made, by the name of the schema.
static VALIDATORS: LazyLock<Mutex<BTreeMap<String, &'static Validator>>> =
    LazyLock::new(Mutex::default);

/// The schema as the program prints it, but without permission for other fields.
fn strict(name: &str) -> &'static Validator {
    let mut validators = VALIDATORS.lock().unwrap();
    validators.entry(name.to_owned()).or_insert_with(|| {
        let mut schema: Value =
            serde_json::from_str(&TestEnv::empty().ok(&["schema", name])).unwrap();
        for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
            definition["additionalProperties"] = json!(false);
        }
        let options = jsonschema::options().should_validate_formats(true);
        Box::leak(Box::new(options.build(&schema).unwrap()))
    })
}

fn assert_valid(name: &str, value: &Value) {
    let errors: Vec<_> = strict(name)
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "docs/json.md, {name}: {errors:#?}\n{value}");
}

/// Checks the data of a document of this kind.
pub(crate) fn check(kind: &str, data: &Value) {
    assert_valid(kind, &json!({"schema_version": 1, "kind": kind, "data": data}));
}

/// Checks a line of a stream; any other line passes.
pub(crate) fn check_line(line: &Value) {
    if line.get("specversion").is_some() {
        assert_valid("cloudevent", line);
    } else if line["v"] == 1 && line.get("conversation_id").is_some() {
        assert_valid("conversation.event", line);
    } else if line["v"] == 1 && (line.get("seq").is_some() || line.get("control").is_some()) {
        assert_valid("event", line);
    }
}

/// Checks the line on standard error of a command that failed with `--json`.
pub(crate) fn check_error(line: &Value) {
    assert_valid("error", line);
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
    let launch =
        "INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
        VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1', 'b', 1);
        INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options, source,
            requested_at)
        VALUES ('l1.1', 'demo-1', 'demo', 'l1', 'permission', 'Bash', 'c', 'touch x', '[]', 'hook', 1);
        INSERT INTO delivery (id, session_id, project_id, key, sender, bytes, digest, stage, accepted_at)
        VALUES ('m1', 'demo-1', 'demo', 'k', '', 1, 'd', 'accepted', 1)";
    env.ok(&["turn", "send", "hello", "--no-wait"]);
    if env.sqlite(launch).is_none() {
        return;
    }
    let mut lines = parsed(&env.ok(&["tail", "--from", "beginning", "--no-follow"]));
    let found: BTreeSet<_> = lines.iter().map(|line| line["entity"].as_str().unwrap()).collect();
    let entities: BTreeSet<_> = ao_store::log::as_of::ENTITIES.iter().copied().collect();
    assert_eq!(found, entities);
    // The schema of the event has the fields of the image of its entity.
    let validator = strict("event");
    for line in &mut lines {
        assert!(validator.is_valid(line), "{line}");
        line["after"]["surprise"] = json!(1);
        assert!(!validator.is_valid(line), "{line}");
    }
    env.ok(&["tail", "--from", "beginning", "--no-follow", "--format", "cloudevents"])
        .lines()
        .for_each(|line| check_line(&serde_json::from_str(line).unwrap()));
}

#[test]
fn control_lines_and_rows_are_documented() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["session", "rename", "demo-1", "x"]);
    env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    let snapshot = ["tail", "--snapshot", "--no-follow", "--from", "1-1", "--format"];
    for format in ["ndjson", "cloudevents"] {
        let lines = parsed(&env.ok(&[&snapshot[..], &[format]].concat()));
        assert!(lines.len() > 6, "{lines:?}");
    }
    let pulled = parsed(&env.ok(&["consumer", "pull", "idx", "--lease", "1s"]));
    assert!(pulled[0]["lease"].is_i64(), "{pulled:?}");
    for images in ["after", "none"] {
        let tail = ["tail", "--from", "beginning", "--no-follow", "--images", images];
        assert_eq!(parsed(&env.ok(&tail)).len(), 3);
    }
}

#[test]
fn every_schema_is_valid_and_an_unknown_one_is_refused() {
    let env = TestEnv::empty();
    let schema =
        |name: &str| -> Value { serde_json::from_str(&env.ok(&["schema", name])).unwrap() };
    let all = schema("document");
    let kinds = all["anyOf"].as_array().unwrap().iter();
    let kinds: Vec<_> =
        kinds.map(|it| it["properties"]["kind"]["const"].as_str().unwrap()).collect();
    assert!(kinds.len() > 30 && kinds.contains(&"pr.get"), "{kinds:?}");
    for name in
        ["observation", "event", "cloudevent", "conversation.event", "error", "document", "pr.get"]
    {
        let schema = schema(name);
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        let definitions = schema["$defs"].as_object().unwrap();
        for (section, definition) in definitions {
            let is_empty = definition["properties"].as_object().is_some_and(|it| it.is_empty());
            assert!(!is_empty, "{name}: docs/json.md has no table {section}");
        }
    }
    // A field of tomorrow is valid.
    let validator = jsonschema::validator_for(&schema("error")).unwrap();
    let mut error = json!({"error": {"code": "X", "message": "", "hint": "", "details": {},
        "exit_code": 1, "new": true}});
    assert!(validator.is_valid(&error));
    error["error"]["exit_code"] = json!("1");
    assert!(!validator.is_valid(&error));
    let stderr = env.refused(&["schema", "pr.lists"], 2, "USAGE");
    assert!(stderr.contains("did you mean pr.list?"), "{stderr}");
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
