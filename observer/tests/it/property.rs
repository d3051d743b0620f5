//! Every input is read or refused: nothing panics.

use ao_observer::{documents, webhook};
use ao_store::observation::Mode;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{NOW, recorded};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2026-01-02T03:04:05Z")),
        Just(json!("-009999-01-01T00:00:00Z")),
        Just(json!("o/r#1")),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![
            any::<String>(),
            proptest::sample::select(vec![
                "pr",
                "threads",
                "checks",
                "items",
                "removed",
                "mode",
                "completeness",
                "facts",
                "repository",
                "pull_request",
                "comment",
                "thread",
                "review",
                "number",
                "node_id",
                "id",
            ])
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts `new` at the place that `path` leads to.
fn mutate(value: &mut Value, path: &[prop::sample::Index], new: Value) {
    let child = match (value, path) {
        (value, []) => {
            *value = new;
            return;
        }
        (Value::Object(fields), [index, ..]) if !fields.is_empty() => {
            let at = index.index(fields.len());
            fields.values_mut().nth(at)
        }
        (Value::Array(items), [index, ..]) if !items.is_empty() => {
            let at = index.index(items.len());
            items.get_mut(at)
        }
        (value, _) => Some(value),
    };
    if let Some(child) = child {
        let rest = if child.is_object() || child.is_array() { &path[1..] } else { &[] };
        mutate(child, rest, new);
    }
}

fn accept_any(event: &str, payload: &[u8]) {
    if let Err(error) = webhook::read(event, payload, None, NOW) {
        assert!(!error.to_string().is_empty());
    }
}

proptest! {
    #[test]
    fn random_json_never_panics(payload in any_json()) {
        for event in webhook::events() {
            accept_any(event, payload.to_string().as_bytes());
        }
    }

    #[test]
    fn random_bytes_never_panic(payload in any::<Vec<u8>>()) {
        for event in webhook::events() {
            accept_any(event, &payload);
        }
        let _ = documents(&payload[..]).count();
    }

    #[test]
    fn random_documents_never_panic(document in any_json()) {
        for document in documents(document.to_string().as_bytes()).flatten() {
            let _ = document.value.into_observation(NOW);
        }
    }

    /// A partial listing is never read as the complete set.
    #[test]
    fn only_complete_listings_replace(
        facet in any_json(),
        mode in proptest::sample::select(vec![None, Some("replace"), Some("merge")]),
    ) {
        let document = json!({"pr": "o/r#1", "mode": mode, "threads": facet});
        for document in documents(document.to_string().as_bytes()).flatten() {
            let Ok(observation) = document.value.into_observation(NOW) else { continue };
            if observation.threads.mode == Mode::Replace {
                prop_assert!(facet.is_array() || facet["items"].is_array());
                prop_assert!(facet["completeness"].is_null() || facet["completeness"] == "complete");
            }
        }
    }
}

#[test]
fn mutated_recordings_never_panic() {
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    let path = proptest::collection::vec(any::<prop::sample::Index>(), 1..5);
    for event in webhook::events() {
        let examples = recorded(event);
        if examples.is_empty() {
            return;
        }
        let example = proptest::sample::select(examples);
        let mut runner = proptest::test_runner::TestRunner::new(config.clone());
        let strategy = (example, path.clone(), any_json());
        let ran = runner.run(&strategy, |(mut payload, path, new)| {
            mutate(&mut payload, &path, new);
            accept_any(event, payload.to_string().as_bytes());
            Ok(())
        });
        ran.unwrap();
    }
}
