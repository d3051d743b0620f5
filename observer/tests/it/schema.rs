//! The published schema: the file equals the schema of the types, and it accepts what the reader
//! accepts.

use std::path::Path;

use ao_observer::schema;
use serde_json::{Value, json};

#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/observation.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(published, expected, "run the test with AO_UPDATE_GOLDEN=1 and review the diff");
}

#[test]
fn the_schema_has_a_title_and_describes_every_field() {
    let schema = schema();
    assert!(schema["title"].is_string());
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    for object in objects {
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            assert!(field["description"].is_string(), "{name}: {field}");
        }
    }
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let valid = [
        json!({"pr": "o/r#1"}),
        json!({"pr": "o/r#1", "future": 1, "mode": null, "facts": {"state": "frozen"}}),
        json!({"pr": "o/r#1", "as_of": "2026-01-02T03:04:05Z", "checks": [
            {"head_sha": "s", "name": "build", "status": "passed", "log_tail": null}]}),
        json!({"pr": "o/r#1", "mode": "merge", "threads": {"completeness": "partial",
            "items": [{"id": "T", "line": 3}], "removed": ["U"]}}),
        json!({"pr": "o/r#1", "reviews": {"completeness": "failed"}, "comments": null}),
    ];
    let invalid = [
        json!([]),
        json!({}),
        json!({"pr": 1}),
        json!({"pr": "o/r#1", "mode": "upsert"}),
        json!({"pr": "o/r#1", "threads": [{}]}),
        json!({"pr": "o/r#1", "threads": [["T"]]}),
        json!({"pr": "o/r#1", "checks": [{"head_sha": "s"}]}),
        json!({"pr": "o/r#1", "facts": {"additions": "1"}}),
    ];
    let is_read = |document: &Value| {
        ao_observer::documents(document.to_string().as_bytes()).all(|document| document.is_ok())
    };
    for document in &valid {
        let errors: Vec<_> = validator.iter_errors(document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty() && is_read(document), "{document}: {errors:?}");
    }
    for document in &invalid {
        assert!(!validator.is_valid(document) && !is_read(document), "{document}");
    }
}
