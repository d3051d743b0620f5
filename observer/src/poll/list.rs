//! A list of a pull request that is read page by page, and how completely it was read.

use ao_store::observation::{Completeness, Facet};

use crate::github::node::Page;

/// Maximum pages of one list: a host that never ends a list must not be followed for ever.
const PAGES_MAX: u32 = 20;

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
    pages: u32,
}

impl<T> List<T> {
    /// A list that begins with these items; `is_complete` when there are no others.
    pub(crate) fn new(items: Vec<T>, is_complete: bool) -> List<T> {
        List { items, is_complete, is_failed: false, is_withheld: false, pages: 0 }
    }

    /// Adds a page; returns the cursor of the next one. A cursor that is missing or does not move
    /// ends the list as incomplete. Items that are missing on the page are withheld from these
    /// credentials, or could not be answered.
    pub(crate) fn add_page<N>(
        &mut self,
        page: Page<N>,
        is_withheld: bool,
        after: Option<&str>,
        read: impl FnMut(N) -> Option<T>,
    ) -> Option<String> {
        self.is_withheld |= page.has_gaps() && is_withheld;
        self.is_failed |= page.has_gaps() && !is_withheld;
        let info = page.page_info.clone();
        self.items.extend(page.items().filter_map(read));
        self.pages += 1;
        if !info.has_next_page {
            self.is_complete = true;
            return None;
        }
        let next = info.end_cursor.filter(|next| Some(next.as_str()) != after);
        next.filter(|_| self.pages < PAGES_MAX)
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
