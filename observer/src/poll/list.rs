//! A list of a pull request that is read page by page, and how completely it was read.
//!
//! A list that changed between two of its pages is not complete: an item may be on neither page. This
//! shows in an item that comes twice, in a total that differs between pages, or in a number of items
//! that is not the total. Such a list, and one with an item that cannot be read, deletes nothing.

use std::collections::BTreeSet;

use ao_store::observation::{Comment, Completeness, Facet, Review};

use crate::github::node::{ContextNode, Page, ThreadState};

/// Maximum pages of one list: a host that never ends a list must not be followed for ever.
const PAGES_MAX: u32 = 20;

/// An item of a list.
pub(crate) trait Item {
    /// Its node id, or empty.
    fn id(&self) -> &str;
}

impl Item for ContextNode {
    fn id(&self) -> &str {
        ContextNode::id(self)
    }
}

impl Item for ThreadState {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Item for Review {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Item for Comment {
    fn id(&self) -> &str {
        &self.id
    }
}

/// A list whose number of items was not its total: its name, the total, and the number.
pub(crate) type Shortfall = (String, i64, i64);

/// A list as far as it was read.
#[derive(Debug, Clone)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Whether its last page was read.
    pub(crate) is_complete: bool,
    /// Whether a part of it could not be read this time.
    pub(crate) is_failed: bool,
    /// Whether the credentials may not see all of it: reading it again would change nothing.
    is_withheld: bool,
    /// Whether it changed while it was read, as its items and totals show.
    has_moved: bool,
    pages: u32,
    /// The number of items on the pages, those included that cannot be read.
    count: i64,
    /// The number of items that the first page reports.
    total: i64,
    ids: BTreeSet<String>,
}

impl<T: Item> List<T> {
    /// A list of which nothing was read; `is_complete` when it is known to be empty.
    pub(crate) fn new(is_complete: bool) -> List<T> {
        List {
            items: Vec::new(),
            is_complete,
            is_failed: false,
            is_withheld: false,
            has_moved: false,
            pages: 0,
            count: 0,
            total: 0,
            ids: BTreeSet::new(),
        }
    }

    /// Adds a page; returns the cursor of the next one. A cursor that is missing or does not move
    /// ends the list as incomplete, and so does a page that is missing. Items that are missing on the
    /// page are withheld from these credentials, or could not be answered.
    pub(crate) fn add_page<N>(
        &mut self,
        page: Option<Page<N>>,
        is_withheld: bool,
        after: Option<&str>,
        read: impl Fn(N) -> Option<T>,
    ) -> Option<String> {
        let Some(page) = page else {
            self.is_failed = true;
            return None;
        };
        self.is_withheld |= page.has_gaps() && is_withheld;
        self.is_failed |= page.has_gaps() && !is_withheld;
        self.has_moved |= self.pages > 0 && page.total_count != self.total;
        self.total = page.total_count;
        self.count += i64::try_from(page.nodes.as_ref().map_or(0, Vec::len)).unwrap_or(i64::MAX);
        self.pages += 1;
        let info = page.page_info.clone();
        for item in page.items().map(read) {
            match item {
                Some(item) => self.add_item(item),
                None => self.is_failed = true,
            }
        }
        if !info.has_next_page {
            self.is_complete = true;
            return None;
        }
        let next = info.end_cursor.filter(|next| Some(next.as_str()) != after);
        next.filter(|_| self.pages < PAGES_MAX)
    }

    fn add_item(&mut self, item: T) {
        if !item.id().is_empty() && !self.ids.insert(item.id().to_owned()) {
            self.has_moved = true;
            return;
        }
        self.items.push(item);
    }

    /// Decides, when no other page will be read, whether the list changed while it was read. A number
    /// of items that differs from the total in the same way as the last time, which is in `known`, is
    /// no change: the host counts items that it does not show. `found` is what is known next time.
    pub(crate) fn settle(
        &mut self,
        name: &str,
        known: &BTreeSet<Shortfall>,
        found: &mut BTreeSet<Shortfall>,
    ) {
        if self.is_complete && self.pages > 0 && !self.is_withheld && self.count != self.total {
            let shortfall = (name.to_owned(), self.total, self.count);
            match known.contains(&shortfall) {
                true => self.is_withheld = true,
                false => self.has_moved = true,
            }
            found.insert(shortfall);
        }
        self.is_failed |= self.has_moved;
    }

    /// Whether all of it was read that these credentials can read.
    pub(crate) fn is_read(&self) -> bool {
        self.is_complete && !self.is_failed
    }

    /// How complete the items are.
    pub(crate) fn completeness(&self) -> Completeness {
        if self.is_failed && self.items.is_empty() {
            Completeness::Failed
        } else if self.is_failed || self.is_withheld || !self.is_complete {
            Completeness::Partial
        } else {
            Completeness::Complete
        }
    }

    /// The list as a facet.
    pub(crate) fn into_facet(self) -> Facet<T> {
        let completeness = self.completeness();
        facet(self.items, completeness)
    }
}

/// Items as a facet: only a complete set may delete.
pub(crate) fn facet<T>(items: Vec<T>, completeness: Completeness) -> Facet<T> {
    match completeness {
        Completeness::Complete => Facet::replace(items),
        Completeness::Failed => Facet { completeness: Some(completeness), ..Facet::default() },
        other => Facet { completeness: Some(other), ..Facet::merge(items) },
    }
}
