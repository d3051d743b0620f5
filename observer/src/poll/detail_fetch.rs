//! One reading of the lists of a pull request that a poll found to have changed: which pages are
//! still to be requested, and what was read so far.
//!
//! A fetch is stored when its last page was read, so that what is stored is one state of the lists
//! and not a mixture. A list that could not be read to its end, or that changed while it was read, is
//! reported as such and deletes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ao_store::Timestamp;
use ao_store::observation::{Comment, Review};

use crate::github::answer::Found;
use crate::github::fingerprint::Fingerprint;
use crate::github::node::{CommentNode, ContextNode, PartNode, PrNode, ReviewNode, ThreadState};
use crate::github::query::{Part, PartPage};
use crate::poll::discussion::FetchedThread;
use crate::poll::list::{Item, List, Shortfall};

/// How often a page is requested before its list counts as failed.
const TRIES: u32 = 3;

/// A page to be requested, and how often it was tried.
#[derive(Debug, Clone)]
pub(crate) struct PageRequest {
    pub(crate) ask: PartPage,
    /// The number of nodes that the page is expected to have.
    pub(crate) weight: i64,
    tries: u32,
}

/// What a poll saw of each list that can change by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListFingerprints {
    pub(crate) checks: Option<Fingerprint>,
    pub(crate) discussion: Option<Fingerprint>,
    /// `None` while the states of the threads do not fit on the page that a poll reads.
    pub(crate) threads: Option<Fingerprint>,
}

/// The reading.
#[derive(Debug)]
pub(crate) struct DetailFetch {
    /// The time of the poll that caused it.
    pub(crate) began_at: Timestamp,
    /// The provider's time of that poll.
    provider_at: Option<Timestamp>,
    /// What that poll saw.
    pub(crate) seen: ListFingerprints,
    /// The head that it saw.
    pub(crate) head: Option<String>,
    pub(crate) pages: VecDeque<PageRequest>,
    in_flight: usize,
    /// A later poll saw something else, so what was read may be outdated.
    pub(crate) is_superseded: bool,
    /// The checks of the head, when they are read.
    pub(crate) checks: Option<List<ContextNode>>,
    /// The reviews and the comments of the conversation, when they are read.
    pub(crate) conversation: Option<(List<Review>, List<Comment>)>,
    /// The states of all threads.
    pub(crate) states: List<ThreadState>,
    pub(crate) threads: BTreeMap<String, FetchedThread>,
    /// Whether the threads themselves were requested.
    has_requested_threads: bool,
}

impl DetailFetch {
    /// Begins to read those lists of `node` that changed, which are the ones that have a fingerprint
    /// in `changed`, and those review threads whose state is not the one in `known`.
    pub(crate) fn new(
        node: &PrNode,
        seen: ListFingerprints,
        changed: ListFingerprints,
        states: List<ThreadState>,
        known: &BTreeMap<String, ThreadState>,
        began_at: Timestamp,
    ) -> DetailFetch {
        let mut fetch = DetailFetch {
            began_at,
            provider_at: node.updated_at.map(Timestamp::from),
            seen,
            head: node.head_ref_oid.clone(),
            pages: VecDeque::new(),
            in_flight: 0,
            is_superseded: false,
            checks: None,
            conversation: None,
            states,
            threads: BTreeMap::new(),
            has_requested_threads: false,
        };
        if changed.checks.is_some() {
            let total = node.contexts_total().unwrap_or(0);
            let mut checks = fetch.request_list(Part::Checks, &node.id, total);
            checks.is_failed = node.has_suite_gaps();
            fetch.checks = Some(checks);
        }
        if changed.discussion.is_some() {
            let reviews = node.reviews_total().unwrap_or(1);
            let reviews = fetch.request_list(Part::Reviews, &node.id, reviews);
            let comments = node.total_comments_count.unwrap_or(1);
            let comments = fetch.request_list(Part::Comments, &node.id, comments);
            fetch.conversation = Some((reviews, comments));
        }
        let info = node.review_threads.as_ref().map(|page| &page.page_info);
        let info = info.filter(|info| info.has_next_page);
        match info.and_then(|info| info.end_cursor.clone()) {
            Some(cursor) => fetch.request(Part::Threads, &node.id, Some(cursor), 100),
            None => fetch.request_threads(known),
        }
        fetch
    }

    /// Requests the first page of a list, unless the list is known to be empty.
    fn request_list<T: Item>(&mut self, part: Part, id: &str, total: i64) -> List<T> {
        if total > 0 {
            self.request(part, id, None, total);
        }
        List::new(total == 0)
    }

    fn request(&mut self, part: Part, id: &str, after: Option<String>, weight: i64) {
        let ask = PartPage { part, id: id.to_owned(), after };
        self.pages.push_back(PageRequest { ask, weight: weight.clamp(1, 100), tries: 0 });
    }

    /// Requests the threads themselves, once it is known which exist: all of them when the
    /// discussion changed, because a reply changes no state; else those whose state changed.
    fn request_threads(&mut self, known: &BTreeMap<String, ThreadState>) {
        self.has_requested_threads = true;
        let mut requested = BTreeSet::new();
        for state in self.states.items.clone() {
            let is_unread = self.conversation.is_some() || known.get(&state.id) != Some(&state);
            if is_unread && requested.insert(state.id.clone()) {
                self.request(Part::Thread, &state.id, None, 10);
            }
        }
    }

    /// Whether everything was read. After the last page of the states this requests the threads.
    pub(crate) fn is_done(&mut self, known: &BTreeMap<String, ThreadState>) -> bool {
        let is_idle = |fetch: &DetailFetch| fetch.pages.is_empty() && fetch.in_flight == 0;
        if is_idle(self) && self.states.is_complete && !self.has_requested_threads {
            self.request_threads(known);
        }
        is_idle(self)
    }

    /// Takes the next page, which is now in flight.
    pub(crate) fn take_page(&mut self) -> Option<PageRequest> {
        let page = self.pages.pop_front()?;
        self.in_flight += 1;
        Some(page)
    }

    /// No page arrived for this request, which is repeated; `is_own` when the failure counts for it.
    pub(crate) fn record_lost(&mut self, page: PageRequest, is_own: bool) {
        self.in_flight -= 1;
        if is_own {
            self.retry(page);
        } else {
            self.pages.push_back(page);
        }
    }

    /// Records what a request found. Returns whether the answer was older than the poll: GitHub
    /// answers from several replicas, and this one had not caught up.
    pub(crate) fn record_page(
        &mut self,
        page: PageRequest,
        found: Found<PartNode>,
        is_withheld: bool,
    ) -> bool {
        self.in_flight -= 1;
        match found {
            Found::Node(node) => {
                let at = node.provider_at().map(Timestamp::from);
                if at.is_some() && at < self.provider_at {
                    self.retry(page);
                    return true;
                }
                self.read(&page, node, is_withheld);
            }
            // The thread was listed a moment ago. If it is gone, the next listing leaves it out; if
            // the credentials may no longer see it, it still exists.
            Found::Missing if page.ask.part == Part::Thread => self.give_up(&page.ask),
            Found::Missing | Found::Forbidden | Found::Failed => self.retry(page),
        }
        false
    }

    fn retry(&mut self, page: PageRequest) {
        if page.tries + 1 < TRIES {
            self.pages.push_back(PageRequest { tries: page.tries + 1, ..page });
        } else {
            self.give_up(&page.ask);
        }
    }

    /// A page will not be read, so its list is incomplete.
    fn give_up(&mut self, ask: &PartPage) {
        let conversation = self.conversation.as_mut();
        let is_failed = match ask.part {
            Part::Checks => self.checks.as_mut().map(|list| &mut list.is_failed),
            Part::Reviews => conversation.map(|(reviews, _)| &mut reviews.is_failed),
            Part::Comments => conversation.map(|(_, comments)| &mut comments.is_failed),
            Part::Threads => Some(&mut self.states.is_failed),
            Part::Thread => match self.threads.get_mut(&ask.id) {
                Some(thread) => Some(&mut thread.comments.is_failed),
                // Without this thread the set of threads is incomplete.
                None => Some(&mut self.states.is_failed),
            },
        };
        if let Some(is_failed) = is_failed {
            *is_failed = true;
        }
    }

    fn read(&mut self, page: &PageRequest, node: PartNode, is_withheld: bool) {
        let PartPage { part, id, after } = &page.ask;
        let after = after.as_deref();
        let conversation = self.conversation.as_mut();
        let next = match part {
            Part::Checks => self.read_checks(node, is_withheld, after),
            Part::Reviews => conversation.and_then(|(reviews, _)| {
                reviews.add_page(node.reviews, is_withheld, after, ReviewNode::review)
            }),
            Part::Comments => conversation.and_then(|(_, comments)| {
                comments.add_page(node.comments, is_withheld, after, |node| node.comment(None))
            }),
            Part::Threads => self.states.add_page(node.review_threads, is_withheld, after, Some),
            Part::Thread => self.read_thread(id, node, is_withheld, after),
        };
        if let Some(cursor) = next {
            self.request(*part, id, Some(cursor), page.weight);
        }
    }

    fn read_checks(
        &mut self,
        node: PartNode,
        is_withheld: bool,
        after: Option<&str>,
    ) -> Option<String> {
        let is_of_head = node.head_ref_oid == self.head;
        let checks = node.checks_of_head().filter(|checks| {
            is_of_head && checks.commit.as_ref().map(|it| &it.value) == self.head.as_ref()
        });
        let Some(checks) = checks else {
            match &mut self.checks {
                Some(checks) if is_of_head => checks.is_failed = true,
                // A commit was pushed since the poll, with other checks or without any. The next poll
                // sees it and starts over.
                checks => *checks = None,
            }
            return None;
        };
        let read = |node: ContextNode| node.is_check().then_some(node);
        self.checks.as_mut()?.add_page(Some(checks.contexts), is_withheld, after, read)
    }

    fn read_thread(
        &mut self,
        id: &str,
        node: PartNode,
        is_withheld: bool,
        after: Option<&str>,
    ) -> Option<String> {
        let Some(page) = node.comments.clone() else {
            self.states.is_failed = true;
            return None;
        };
        let total = page.total_count;
        let fetched = self.threads.entry(id.to_owned()).or_insert_with(|| FetchedThread {
            thread: node.thread(id, total),
            comments: List::new(false),
        });
        let comment = |node: CommentNode| node.comment(Some(id));
        let next = fetched.comments.add_page(Some(page), is_withheld, after, comment);
        let comments = &fetched.comments.items;
        fetched.thread.is_bot = !comments.is_empty() && comments.iter().all(|it| it.is_bot);
        next
    }

    /// Decides which lists changed while they were read; returns what is to be `known` next time.
    pub(crate) fn settle(&mut self, known: &BTreeSet<Shortfall>) -> BTreeSet<Shortfall> {
        let mut found = BTreeSet::new();
        if let Some(checks) = &mut self.checks {
            checks.settle("checks", known, &mut found);
        }
        if let Some((reviews, comments)) = &mut self.conversation {
            reviews.settle("reviews", known, &mut found);
            comments.settle("comments", known, &mut found);
        }
        self.states.settle("threads", known, &mut found);
        for (id, thread) in &mut self.threads {
            thread.comments.settle(id, known, &mut found);
        }
        found
    }

    /// Whether a list could not be read, or changed while it was read.
    pub(crate) fn is_failed(&self) -> bool {
        let conversation = self.conversation.as_ref();
        self.states.is_failed
            || self.checks.as_ref().is_some_and(|list| list.is_failed)
            || self.threads.values().any(|thread| thread.comments.is_failed)
            || conversation
                .is_some_and(|(reviews, comments)| reviews.is_failed || comments.is_failed)
    }
}

/// The states of the review threads, as far as a poll lists them.
pub(crate) fn thread_states(node: &PrNode) -> List<ThreadState> {
    let mut states = List::new(false);
    // A detail query reads the pages that follow.
    states.add_page(node.review_threads.clone(), false, None, Some);
    states
}
