//! What a turn used, as far as it is known. Nothing is added to what is not known.

use serde_json::{Map, Value, json};

/// A number of tokens, with where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// The program of the agent reported it.
    Reported(u64),
    /// It was computed from what was reported.
    Derived(u64),
    /// The program never reports it.
    Unsupported,
    /// It was not reported.
    #[default]
    Unknown,
}

impl Count {
    /// The number, where it is known.
    #[must_use]
    pub const fn tokens(self) -> Option<u64> {
        match self {
            Count::Reported(tokens) | Count::Derived(tokens) => Some(tokens),
            Count::Unsupported | Count::Unknown => None,
        }
    }

    /// Where it comes from: `reported`, `derived`, `unsupported` or `unknown`.
    #[must_use]
    pub const fn provenance(self) -> &'static str {
        match self {
            Count::Reported(_) => "reported",
            Count::Derived(_) => "derived",
            Count::Unsupported => "unsupported",
            Count::Unknown => "unknown",
        }
    }

    /// The sum of two, known only where both are.
    #[must_use]
    pub fn plus(self, other: Count) -> Count {
        match (self, other) {
            (Count::Reported(a), Count::Reported(b)) => Count::Reported(a.saturating_add(b)),
            (Count::Unsupported, Count::Unsupported) => Count::Unsupported,
            _ => match self.tokens().zip(other.tokens()) {
                Some((a, b)) => Count::Derived(a.saturating_add(b)),
                None => Count::Unknown,
            },
        }
    }

    fn parse(found: Option<&Value>) -> Count {
        let Some(found) = found else { return Count::Unknown };
        let tokens = found.get("tokens").and_then(Value::as_u64);
        match (found.get("provenance").and_then(Value::as_str), tokens) {
            (Some("reported"), Some(tokens)) => Count::Reported(tokens),
            (Some("derived"), Some(tokens)) => Count::Derived(tokens),
            (Some("unsupported"), None) => Count::Unsupported,
            _ => Count::Unknown,
        }
    }
}

/// What a turn used, in tokens. The parts do not overlap: the whole input is the sum of the first three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Input that was in no cache.
    pub input: Count,
    /// Input that was read from a cache.
    pub cached_input: Count,
    /// Input that was written to a cache.
    pub cache_write: Count,
    /// Output without reasoning.
    pub output: Count,
    /// Reasoning.
    pub reasoning: Count,
}

impl Usage {
    /// Its parts by name.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, Count); 5] {
        [
            ("input", self.input),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("output", self.output),
            ("reasoning", self.reasoning),
        ]
    }

    /// The sum, part by part.
    #[must_use]
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input: self.input.plus(other.input),
            cached_input: self.cached_input.plus(other.cached_input),
            cache_write: self.cache_write.plus(other.cache_write),
            output: self.output.plus(other.output),
            reasoning: self.reasoning.plus(other.reasoning),
        }
    }

    /// As the JSON object of the column; nothing for what is wholly unknown.
    pub(super) fn stored(&self) -> String {
        if *self == Usage::default() { String::new() } else { self.json().to_string() }
    }

    /// As a JSON object: each part with `tokens`, where known, and `provenance`.
    #[must_use]
    pub fn json(&self) -> Value {
        let part = |count: Count| match count.tokens() {
            Some(tokens) => json!({"tokens": tokens, "provenance": count.provenance()}),
            None => json!({"provenance": count.provenance()}),
        };
        let parts = self.parts().map(|(name, count)| (name.to_owned(), part(count)));
        Value::Object(Map::from_iter(parts))
    }

    /// From the text of the column; what is not there or not understood is unknown.
    #[must_use]
    pub fn parse(text: &str) -> Usage {
        Usage::from_json(&serde_json::from_str(text).unwrap_or_default())
    }

    /// From a JSON object of the same form.
    #[must_use]
    pub fn from_json(found: &Value) -> Usage {
        let part = |name| Count::parse(found.get(name));
        Usage {
            input: part("input"),
            cached_input: part("cached_input"),
            cache_write: part("cache_write"),
            output: part("output"),
            reasoning: part("reasoning"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_known_only_where_both_parts_are() {
        let (one, two) = (Count::Reported(1), Count::Derived(2));
        assert_eq!(one.plus(one), Count::Reported(2));
        assert_eq!(one.plus(two), Count::Derived(3));
        assert_eq!(one.plus(Count::Unknown), Count::Unknown);
        assert_eq!(Count::Unsupported.plus(one), Count::Unknown);
        assert_eq!(Count::Unsupported.plus(Count::Unsupported), Count::Unsupported);
        assert_eq!(Count::Reported(u64::MAX).plus(one), Count::Reported(u64::MAX));
    }

    #[test]
    fn a_usage_survives_its_column() {
        let usage = Usage {
            input: Count::Reported(7),
            cached_input: Count::Derived(0),
            cache_write: Count::Unsupported,
            ..Usage::default()
        };
        assert_eq!(Usage::parse(&usage.stored()), usage);
        assert_eq!(Usage::parse(""), Usage::default());
        assert_eq!(Usage::default().stored(), "");
        let odd = r#"{"input":{"tokens":-1,"provenance":"reported"},"output":7}"#;
        assert_eq!(Usage::parse(odd), Usage::default());
    }
}
