//! Enums of the store as text in a document: known values are listed in the schema, others are read
//! as `unknown`.

use std::borrow::Cow;

use ao_store::observation::{
    CheckKind, CheckStatus, Ci, CommentKind, Completeness, Mergeable, PrState, ReviewDecision,
    ReviewState,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};

/// An enum of the store that is text in JSON.
pub trait TextEnum: Copy + Default + 'static {
    /// The name of the enum.
    const NAME: &'static str;

    /// The text of every value.
    #[must_use]
    fn texts() -> Vec<&'static str>;

    /// The value of a text; an unknown text gives the default.
    #[must_use]
    fn from_text(text: &str) -> Self;
}

macro_rules! text_enums {
    ($($name:ident)*) => {$(
        impl TextEnum for $name {
            const NAME: &'static str = stringify!($name);

            fn texts() -> Vec<&'static str> {
                $name::ALL.iter().map(|value| value.as_str()).collect()
            }

            fn from_text(text: &str) -> Self {
                $name::parse(text)
            }
        }
    )*};
}

text_enums! {
    CheckKind CheckStatus Ci CommentKind Completeness Mergeable PrState ReviewDecision ReviewState
}

/// A value that is text in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Text<E>(
    /// The value.
    pub E,
);

impl<'de, E: TextEnum> Deserialize<'de> for Text<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Text(E::from_text(&text)))
    }
}

impl<E: TextEnum> JsonSchema for Text<E> {
    fn schema_name() -> Cow<'static, str> {
        E::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One of the listed values; any other counts as `unknown`.",
            "anyOf": [{"enum": E::texts()}, {"type": "string"}]
        })
    }
}
