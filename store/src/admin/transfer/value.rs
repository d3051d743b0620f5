//! Database values as JSON and back, exactly: bytes become `{"$hex":"…"}`, and a text that is not UTF-8,
//! which a foreign writer may have stored, becomes `{"$text":"…"}`.

use std::fmt::Write;

use rusqlite::types::{Value, ValueRef};
use serde_json::Value as Json;

/// Appends a value.
pub(super) fn write(value: ValueRef<'_>, out: &mut String) {
    match value {
        ValueRef::Null => out.push_str("null"),
        ValueRef::Integer(number) => push(out, format_args!("{number}")),
        // No table contains any: all are STRICT.
        ValueRef::Real(number) => push(out, format_args!("{}", Json::from(number))),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => push(out, format_args!("{}", Json::from(text))),
            Err(_) => write_hex("$text", bytes, out),
        },
        ValueRef::Blob(bytes) => write_hex("$hex", bytes, out),
    }
}

/// Appends a JSON text unchanged, so that an import restores it byte for byte.
pub(super) fn write_json(value: ValueRef<'_>, out: &mut String) {
    let text = value.as_bytes().ok().and_then(|bytes| str::from_utf8(bytes).ok());
    let is_one_line = |text: &&str| !text.contains(['\n', '\r']);
    match text
        .filter(is_one_line)
        .filter(|text| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok())
    {
        // Surrounding spaces would be lost.
        Some(text) if text.trim() == text => out.push_str(text),
        _ => match value.as_bytes() {
            Ok(bytes) => write_hex("$text", bytes, out),
            Err(_) => out.push_str("null"),
        },
    }
}

fn write_hex(kind: &str, bytes: &[u8], out: &mut String) {
    push(out, format_args!("{{\"{kind}\":\"{}\"}}", hex::encode(bytes)));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// A value of an export, and how it is bound to a statement.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// Bound unchanged.
    Plain(Value),
    /// The bytes of a text that is not UTF-8: they are bound as bytes and cast to a text.
    Text(Vec<u8>),
}

impl Read {
    /// Its expression in a statement.
    pub(super) fn place(&self, number: usize) -> String {
        match self {
            Read::Plain(_) => format!("?{number}"),
            Read::Text(_) => format!("CAST(?{number} AS TEXT)"),
        }
    }

    pub(super) fn bind(self) -> Value {
        match self {
            Read::Plain(value) => value,
            Read::Text(bytes) => Value::Blob(bytes),
        }
    }
}

/// Reads a value; `None` if [`write`] cannot have written it.
pub(super) fn read(json: &Json) -> Option<Read> {
    Some(Read::Plain(match json {
        Json::Null => Value::Null,
        Json::Number(number) => Value::Integer(number.as_i64()?),
        Json::String(text) => Value::Text(text.clone()),
        Json::Object(object) => return read_hex(object),
        Json::Bool(_) | Json::Array(_) => return None,
    }))
}

/// Reads the representation of bytes.
pub(super) fn read_hex(object: &serde_json::Map<String, Json>) -> Option<Read> {
    let (kind, digits) = object.iter().next().filter(|_| object.len() == 1)?;
    let bytes = hex::decode(digits.as_str()?).ok()?;
    match kind.as_str() {
        "$hex" => Some(Read::Plain(Value::Blob(bytes))),
        "$text" => Some(Read::Text(bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_values_are_read_unchanged() {
        for value in [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Text("a\n\"é\u{1F600}\0".to_owned()),
            Value::Blob(vec![0, 255]),
        ] {
            let mut text = String::new();
            write(ValueRef::from(&value), &mut text);
            assert!(!text.contains('\n'));
            assert_eq!(read(&serde_json::from_str(&text).unwrap()), Some(Read::Plain(value)));
        }
        let mut text = String::new();
        write(ValueRef::Text(&[b'a', 255]), &mut text);
        let again = read(&serde_json::from_str(&text).unwrap());
        assert_eq!(again, Some(Read::Text(vec![b'a', 255])));
        for bad in ["true", "1.5", "[]", "{}", "{\"$hex\":\"0\"}", "{\"$hex\":\"+1\"}", "{\"a\":1}"]
        {
            assert_eq!(read(&serde_json::from_str(bad).unwrap()), None, "{bad}");
        }
    }
}
