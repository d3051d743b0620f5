//! Pages of connections. A cursor names the last node it followed, so that a page stays right
//! when older nodes come or go; where that node is gone, its position then counts.

use crate::entity::{Obj, State};

use super::Args;

/// The cursor before the first node.
pub(crate) const START_CURSOR: &str = "cursor:v2:0:";

/// The requested part of a connection.
pub(super) struct Page {
    pub(super) items: Vec<Obj>,
    pub(super) has_next: bool,
    pub(super) has_previous: bool,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
}

fn cursor(state: &State, items: &[Obj], position: usize) -> Option<String> {
    let item = *items.get(position.checked_sub(1)?)?;
    Some(format!("cursor:v2:{position}:{}", state.id_of(item)))
}

/// How many of `items` come up to and with the node of a cursor.
fn position(state: &State, items: &[Obj], cursor: &str) -> Option<usize> {
    let (position, id) = cursor.strip_prefix("cursor:v2:")?.split_once(':')?;
    let position: usize = position.parse().ok()?;
    let stands = |at: usize| items.get(at).is_some_and(|item| state.id_of(*item) == id);
    if position > 0 && stands(position - 1) {
        return Some(position);
    }
    let found = items.iter().position(|item| !id.is_empty() && state.id_of(*item) == id);
    Some(found.map_or_else(|| position_of_gone(state, items, id, position), |at| at + 1))
}

/// Where a node would stand that is gone: by age where the list is in order of age, else one
/// before its former position, so that nothing is left out.
fn position_of_gone(state: &State, items: &[Obj], id: &str, position: usize) -> usize {
    let serial = |id: &str| {
        let digits = id.get(id.len().saturating_sub(8)..).unwrap_or("");
        u64::from_str_radix(digits, 16).unwrap_or(0)
    };
    let (of, gone) = (|item: &Obj| serial(state.id_of(*item)), serial(id));
    match () {
        () if id.is_empty() => 0,
        () if items.is_sorted_by_key(of) => items.partition_point(|item| of(item) <= gone),
        () if items.iter().rev().is_sorted_by_key(of) => {
            items.partition_point(|item| of(item) >= gone)
        }
        () => position.saturating_sub(1).min(items.len()),
    }
}

/// Cuts a page, or returns the invalid cursor.
pub(super) fn cut(state: &State, items: &[Obj], args: Args<'_>) -> Result<Page, String> {
    let at = |name: &str, absent: usize| match args.text(name) {
        Some(text) => position(state, items, &text)
            .ok_or_else(|| format!("`{text}` does not appear to be a valid cursor.")),
        None => Ok(absent),
    };
    let count = |name: &str| args.count(name).and_then(|count| usize::try_from(count).ok());
    let mut from = at("after", 0)?;
    let mut to = at("before", items.len() + 1)?.saturating_sub(1).max(from);
    match (count("first"), count("last")) {
        (Some(first), _) => to = to.min(from + first),
        (None, Some(last)) => from = from.max(to.saturating_sub(last)),
        (None, None) => {}
    }
    Ok(Page {
        items: items[from..to].to_vec(),
        has_next: to < items.len(),
        has_previous: from > 0,
        start: if from < to { cursor(state, items, from + 1) } else { None },
        end: if from < to { cursor(state, items, to) } else { None },
    })
}
