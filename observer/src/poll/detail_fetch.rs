//! One reading of the lists of a pull request that a look has shown to have changed: which pages
//! are still to be read, and what was read so far.
//!
//! A fetch is written when its last page has come, so that what is stored is one state of the lists
//! and not a mix. A list that could not be read to its end is told as such and deletes nothing.

use std::collections::{BTreeMap, VecDeque};

use ao_store::Timestamp;
use ao_store::observation::{Comment, Review, Thread};

use crate::github::fingerprint::Fingerprint;
use crate::github::node::{ContextNode, Page, ThreadState};
use crate::github::query::{Part, PartPage};

/// Pages of one list that are read at most: a host that never ends a list must not be followed for
/// ever.
const PAGES_MAX: u32 = 20;

/// How often a page is asked for before its list counts as failed.
const TRIES: u32 = 3;

/// A list as far as it was read.
#[derive(Debug, Clone)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) is_complete: bool,
    /// It could not be read this time.
    pub(crate) is_failed: bool,
    /// The credentials may not see all of it: reading it again would be in vain.
    pub(crate) is_withheld: bool,
    pages: u32,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List {
            items: Vec::new(),
            is_complete: false,
            is_failed: false,
            is_withheld: false,
            pages: 0,
        }
    }
}

impl<T> List<T> {
    /// A list whose first page is known.
    pub(crate) fn begun(items: Vec<T>, is_complete: bool) -> List<T> {
        List { items, is_complete, ..List::default() }
    }

    /// A list that is known to be empty.
    pub(crate) fn empty() -> List<T> {
        List { is_complete: true, ..List::default() }
    }

    /// Adds a page; returns the cursor of the next one. A cursor that is missing or does not move
    /// ends the list as incomplete. Nodes that are missing on the page are withheld from these
    /// credentials, or could not be answered.
    pub(crate) fn page<N>(
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

    /// Whether all of it was read that can be.
    pub(crate) fn is_read(&self) -> bool {
        self.is_complete && !self.is_failed
    }
}

/// A thread with its comments, as far as they were read.
#[derive(Debug, Clone)]
pub(crate) struct FetchedThread {
    pub(crate) thread: Thread,
    pub(crate) comments: List<Comment>,
}

/// A page to be read, and how often it was tried.
#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    pub(crate) ask: PartPage,
    /// How many nodes it is expected to bring.
    pub(crate) weight: i64,
    pub(crate) tries: u32,
}

/// The reading.
#[derive(Debug)]
pub(crate) struct DetailFetch {
    /// When it began: the look that caused it.
    pub(crate) began: Timestamp,
    /// The provider's time of that look.
    pub(crate) provider_at: Option<Timestamp>,
    pub(crate) pages: VecDeque<PageRequest>,
    pub(crate) in_flight: usize,
    /// A look saw something else since, so what was read may be older than that.
    pub(crate) is_superseded: bool,
    /// Marks that hold once it has ended well; `None`: not part of it.
    pub(crate) checks_mark: Option<Fingerprint>,
    pub(crate) talk_mark: Option<Fingerprint>,
    pub(crate) checks: Option<List<ContextNode>>,
    /// The commit that the checks are of.
    pub(crate) checks_head: Option<String>,
    pub(crate) reviews: Option<List<Review>>,
    pub(crate) comments: Option<List<Comment>>,
    /// The states of the threads; `None`: threads are not part of it.
    pub(crate) listed: Option<List<ThreadState>>,
    pub(crate) bodies: BTreeMap<String, FetchedThread>,
    /// Whether the bodies of the listed threads were asked for.
    pub(crate) has_asked_bodies: bool,
}

impl DetailFetch {
    pub(crate) fn new(began: Timestamp) -> DetailFetch {
        DetailFetch {
            began,
            provider_at: None,
            pages: VecDeque::new(),
            in_flight: 0,
            is_superseded: false,
            checks_mark: None,
            talk_mark: None,
            checks: None,
            checks_head: None,
            reviews: None,
            comments: None,
            listed: None,
            bodies: BTreeMap::new(),
            has_asked_bodies: false,
        }
    }

    pub(crate) fn want(&mut self, part: Part, id: &str, after: Option<String>, weight: i64) {
        let ask = PartPage { part, id: id.to_owned(), after };
        self.pages.push_back(PageRequest { ask, weight: weight.clamp(1, 100), tries: 0 });
    }

    /// Whether a list could not be read.
    pub(crate) fn is_failed(&self) -> bool {
        self.checks.as_ref().is_some_and(|list| list.is_failed)
            || self.reviews.as_ref().is_some_and(|list| list.is_failed)
            || self.comments.as_ref().is_some_and(|list| list.is_failed)
            || self.listed.as_ref().is_some_and(|list| list.is_failed)
    }

    /// Whether nothing is left to be read.
    pub(crate) fn is_done(&self) -> bool {
        self.pages.is_empty() && self.in_flight == 0
    }

    /// A page could not be read: it is asked for again, or its list is given up.
    pub(crate) fn failed(&mut self, pages: PageRequest) {
        if pages.tries + 1 < TRIES {
            self.pages.push_back(PageRequest { tries: pages.tries + 1, ..pages });
        } else {
            self.give_up(&pages.ask);
        }
    }

    /// A page will not be read: its list is not complete.
    pub(crate) fn give_up(&mut self, ask: &PartPage) {
        fn fail<T>(list: Option<&mut List<T>>) {
            if let Some(list) = list {
                list.is_failed = true;
            }
        }
        match ask.part {
            Part::Checks => fail(self.checks.as_mut()),
            Part::Reviews => fail(self.reviews.as_mut()),
            Part::Comments => fail(self.comments.as_mut()),
            Part::Threads => fail(self.listed.as_mut()),
            Part::Thread => match self.bodies.get_mut(&ask.id) {
                Some(body) => body.comments.is_failed = true,
                // What is not among the bodies makes the list of threads incomplete.
                None => fail(self.listed.as_mut()),
            },
        }
    }
}
