//! The provider's words: known ones are named in the schema, others are read as `unknown`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use ao_store::observation::{
    CheckKind, CheckStatus, Ci, CommentKind, Completeness, Mergeable, PrState, ReviewDecision,
    ReviewState,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};

/// An enum of the store that is a word in JSON.
pub trait Vocabulary: Copy + Default + 'static {
    /// The name of the enum.
    const NAME: &'static str;

    /// Every word that has a meaning.
    #[must_use]
    fn words() -> Vec<&'static str>;

    /// The value of a word; one without a meaning gives the default.
    #[must_use]
    fn read(word: &str) -> Self;
}

macro_rules! vocabulary {
    ($($name:ident)*) => {$(
        impl Vocabulary for $name {
            const NAME: &'static str = stringify!($name);

            fn words() -> Vec<&'static str> {
                $name::ALL.iter().map(|value| value.as_str()).collect()
            }

            fn read(word: &str) -> Self {
                $name::parse(word)
            }
        }
    )*};
}

vocabulary! {
    CheckKind CheckStatus Ci CommentKind Completeness Mergeable PrState ReviewDecision ReviewState
}

/// A value that is a word in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Word<E>(
    /// What the word means.
    pub E,
);

impl<'de, E: Vocabulary> Deserialize<'de> for Word<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor(PhantomData))
    }
}

struct WordVisitor<E>(PhantomData<E>);

impl<E: Vocabulary> Visitor<'_> for WordVisitor<E> {
    type Value = Word<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<X: serde::de::Error>(self, word: &str) -> Result<Word<E>, X> {
        Ok(Word(E::read(word)))
    }
}

impl<E: Vocabulary> JsonSchema for Word<E> {
    fn schema_name() -> Cow<'static, str> {
        E::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One of the listed words; any other counts as `unknown`.",
            "anyOf": [{"enum": E::words()}, {"type": "string"}]
        })
    }
}
