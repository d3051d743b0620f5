//! Applies faults that change a finished GraphQL answer.

use serde_json::{Map, Value, json};

use crate::fault::Kind;

/// Applies one fault to a whole answer.
pub(crate) fn corrupt(answer: &mut Value, kind: &Kind) {
    match kind {
        Kind::NodeNull(index, error) => {
            lose(
                answer,
                &format!("/data/nodes/{index}"),
                json!(["nodes", index]),
                error.as_deref(),
            );
        }
        Kind::NodeGone(id) => {
            let nodes = answer.pointer_mut("/data/nodes").and_then(Value::as_array_mut);
            let is_it = |node: &&mut Value| node["id"] == id.as_str();
            nodes.into_iter().flatten().filter(is_it).for_each(|node| *node = Value::Null);
        }
        Kind::AliasNull(alias, error) => {
            let step = |step: &str| step.parse::<usize>().map_or(json!(step), |at| json!(at));
            let path = alias.split('/').map(step).collect();
            lose(answer, &format!("/data/{alias}"), path, error.as_deref());
        }
        Kind::ResourceLimits(percent) => resource_limits(answer, *percent),
        _ => each_object(&mut answer["data"], &mut |object| change(object, kind)),
    }
}

/// Makes the value at `pointer` null, with an error entry if requested.
fn lose(answer: &mut Value, pointer: &str, path: Value, error: Option<&str>) {
    let Some(lost) = answer.pointer_mut(pointer) else { return };
    *lost = Value::Null;
    if let Some(error) = error {
        let entry = json!({"type": error, "path": path, "message": "Could not resolve to a node."});
        push_error(answer, entry);
    }
}

fn push_error(answer: &mut Value, entry: Value) {
    match answer["errors"].as_array_mut() {
        Some(errors) => errors.push(entry),
        None => answer["errors"] = json!([entry]),
    }
}

fn resource_limits(answer: &mut Value, percent: usize) {
    let keep = |len: usize| len * percent.min(100) / 100;
    if let Some(nodes) = answer.pointer_mut("/data/nodes").and_then(Value::as_array_mut) {
        let kept = keep(nodes.len());
        nodes.iter_mut().skip(kept).for_each(|node| *node = Value::Null);
    }
    if let Some(data) = answer["data"].as_object_mut() {
        let is_batch = |name: &String| !matches!(name.as_str(), "nodes" | "rateLimit" | "viewer");
        let names: Vec<_> = data.keys().filter(|name| is_batch(name)).cloned().collect();
        for name in names.iter().skip(keep(names.len())) {
            data[name] = Value::Null;
        }
    }
    let message = "Resource limits for this query exceeded.";
    push_error(answer, json!({"type": "RESOURCE_LIMITS_EXCEEDED", "message": message}));
}

fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each_object(value, change)),
        _ => {}
    }
}

fn change(object: &mut Map<String, Value>, kind: &Kind) {
    let page = |object: &mut Map<String, Value>, cursor: Value| {
        if let Some(Value::Object(page)) = object.get_mut("pageInfo") {
            page.insert("hasNextPage".to_owned(), true.into());
            page.insert("endCursor".to_owned(), cursor);
        }
    };
    match kind {
        Kind::NextPageWithoutCursor => page(object, Value::Null),
        Kind::CursorLoop => page(object, crate::graphql::START_CURSOR.into()),
        Kind::DuplicateNodes if object.contains_key("pageInfo") => {
            if let Some(Value::Array(nodes)) = object.get_mut("nodes") {
                nodes.extend(nodes.first().cloned());
            }
        }
        Kind::UnknownEnum(key) => {
            if let Some(word @ Value::String(_)) = object.get_mut(key) {
                *word = "FROM_THE_FUTURE".into();
            }
        }
        Kind::NullField(key) => {
            if let Some(value) = object.get_mut(key) {
                *value = Value::Null;
            }
        }
        _ => {}
    }
}
