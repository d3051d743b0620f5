//! A facet of a document, and its conversion to one of an observation: a listing that is not complete
//! never replaces the stored set.

use std::fmt;
use std::marker::PhantomData;

use ao_store::observation::{self, Completeness};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::document::text_enum::Text;
use crate::error::{Error, Result};
use crate::json;

/// How the items of a facet relate to the stored set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing is changed.
    Preserve,
    /// The items are the complete set: stored items that are not among them are removed.
    Replace,
    /// The items are a part of the set: the others are kept.
    Merge,
}

impl From<Mode> for observation::Mode {
    fn from(mode: Mode) -> observation::Mode {
        match mode {
            Mode::Preserve => observation::Mode::Preserve,
            Mode::Replace => observation::Mode::Replace,
            Mode::Merge => observation::Mode::Merge,
        }
    }
}

/// The items of one facet: an array of them, or an object that also states how complete it is.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged, rename = "{T}Facet")]
pub enum Facet<T> {
    /// The items, in the mode of the document.
    Items(Vec<T>),
    /// The items and how they relate to the stored set.
    Listing(Listing<T>),
}

/// The items of one facet and how they relate to the stored set.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(bound(deserialize = "T: serde::Deserialize<'de>"))]
#[schemars(rename = "{T}Listing")]
pub struct Listing<T> {
    /// The relation. Without it a complete listing has the mode of the document, a partial one
    /// merges, and a failed one preserves; one that is not complete cannot replace.
    pub mode: Option<Mode>,
    /// How complete the items are.
    pub completeness: Option<Text<Completeness>>,
    /// The items.
    #[serde(default, deserialize_with = "json::objects")]
    pub items: Option<Vec<T>>,
    /// The ids of items that are known to be deleted; only in the mode merge.
    pub removed: Option<Vec<String>>,
}

impl<T> Default for Facet<T> {
    /// The facet that is absent.
    fn default() -> Self {
        Facet::Listing(Listing {
            mode: Some(Mode::Preserve),
            completeness: None,
            items: None,
            removed: None,
        })
    }
}

impl<T> Facet<T> {
    pub(super) fn names_removed(&self) -> bool {
        matches!(self, Facet::Listing(Listing { removed: Some(ids), .. }) if !ids.is_empty())
    }

    /// The facet of an observation; `mode` is that of the document.
    pub(super) fn resolve<R: From<T>>(
        self,
        name: &str,
        mode: Option<Mode>,
    ) -> Result<observation::Facet<R>> {
        let listing = match self {
            Facet::Listing(listing) => listing,
            Facet::Items(items) => {
                Listing { mode: None, completeness: None, items: Some(items), removed: None }
            }
        };
        let mode = listing.mode(mode);
        if mode == Mode::Replace {
            listing.check_complete(name)?;
        }
        Ok(observation::Facet {
            mode: mode.into(),
            completeness: listing.completeness.map(|Text(completeness)| completeness),
            items: listing.items.into_iter().flatten().map(R::from).collect(),
            removed: listing.removed.unwrap_or_default(),
        })
    }
}

impl<T> Listing<T> {
    /// The mode of this facet in a document of the given mode.
    fn mode(&self, of_document: Option<Mode>) -> Mode {
        let default = of_document.unwrap_or(Mode::Replace);
        let implied = match self.completeness {
            None | Some(Text(Completeness::Complete)) => default,
            Some(Text(Completeness::Failed)) => Mode::Preserve,
            Some(Text(Completeness::Partial | Completeness::Unknown)) => match default {
                Mode::Replace | Mode::Merge => Mode::Merge,
                Mode::Preserve => Mode::Preserve,
            },
        };
        self.mode.unwrap_or(implied)
    }

    /// Refuses to replace a set by a listing that does not have every element.
    fn check_complete(&self, name: &str) -> Result<()> {
        let reason = match self.completeness {
            Some(Text(completeness)) if completeness != Completeness::Complete => {
                format!("{name} are {completeness} and cannot replace the stored ones")
            }
            _ if self.items.is_none() => {
                format!("{name} replace the stored ones but have no items")
            }
            _ if self.removed.as_ref().is_some_and(|removed| !removed.is_empty()) => {
                format!("{name} name removed ones, which has a meaning in the mode merge only")
            }
            _ => return Ok(()),
        };
        Err(Error::InvalidObservation(reason))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Facet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FacetVisitor(PhantomData))
    }
}

struct FacetVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FacetVisitor<T> {
    type Value = Facet<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items, or an object with items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(json::Object(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Facet::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Listing::deserialize(MapAccessDeserializer::new(map)).map(Facet::Listing)
    }
}
