//! What a look means for one pull request: what is news, which lists must be read, and when it is
//! record_polls at next.

use ao_store::observation::{Ci, Observation};
use ao_store::row::scm::Problem;
use ao_store::{PrRef, Timestamp};

use crate::github::fingerprint::Fingerprint;
use crate::github::node::{Page, PrNode, ThreadState};
use crate::github::query::{Level, Part};
use crate::poll::detail_fetch::{DetailFetch, List};
use crate::poll::tier;
use crate::poll::tracked_pr::{Seen, TrackedPr};

/// After how long a mergeability that was unknown is asked for again, in milliseconds: GitHub
/// computes it when somebody asks, and has it a few seconds later.
const UNKNOWN_MS: [i64; 5] = [3_000, 6_000, 12_000, 24_000, 60_000];

impl TrackedPr {
    /// Takes in what a look saw; returns what is to be stored, when that is news.
    pub(super) fn see(
        &mut self,
        level: Level,
        node: &PrNode,
        as_of: Timestamp,
        now: Timestamp,
        totals: &mut crate::poll::totals::Totals,
    ) -> Option<Observation> {
        let provider_at = node.updated_at.map(Timestamp::from);
        self.clear_problem();
        self.polled_at = Some(as_of.min(now));
        let mark = node.heartbeat_fingerprint();
        let core = node.activity_fingerprint();
        let is_core_news = self.poll.metadata_fingerprint.as_deref() != Some(&core.to_bytes()[..]);
        let is_news = self.slim != Some(mark);
        if is_core_news {
            self.record_change(node, provider_at, now);
            self.poll.metadata_fingerprint = Some(core.to_bytes());
            if let Some(fetch) = &mut self.fetch {
                fetch.is_superseded = true;
            }
        }
        if is_core_news && level == Level::Heartbeat && self.slim.is_some() {
            self.full_due = now;
        }
        self.provider_at = provider_at;
        self.slim = Some(mark);
        let head = node.head_ref_oid.clone().unwrap_or_default();
        if head != self.head_sha {
            self.waiting.clear();
            self.ci = Ci::Unknown;
        }
        self.head_sha = head;
        self.state = node.pr_state();
        self.is_in_merge_queue = node.is_in_merge_queue.unwrap_or(false);
        self.unknown =
            if node.is_mergeable_unknown() && !self.is_terminal() { self.unknown + 1 } else { 0 };
        if !self.is_terminal() {
            self.poll.confirmed_at = None;
        }
        let was_waiting = !self.waiting.is_empty();
        if level == Level::Full {
            self.record_full_poll(node, as_of, now);
        }
        let facts = node.facts(level, !self.waiting.is_empty());
        self.ci = facts.ci.unwrap_or(self.ci);
        if let Ok(location) =
            PrRef::new(&self.location.host, &node.repository.name_with_owner, node.number)
        {
            self.location = location;
        }
        self.node_id.clone_from(&node.id);
        let is_wide_news = level == Level::Full
            && (self.is_meta_news(node) || was_waiting == self.waiting.is_empty());
        if !is_news && !is_wide_news {
            totals.unchanged += 1;
            return None;
        }
        totals.changed += 1;
        Some(Observation {
            node_id: node.id.clone(),
            provider_at,
            facts,
            ..Observation::new(self.location.clone(), as_of)
        })
    }

    /// The metadata that only a wide look reads may change without anything that a slim one reads.
    fn is_meta_news(&mut self, node: &PrNode) -> bool {
        let mark = node.metadata_fingerprint();
        self.meta.replace(mark) != Some(mark)
    }

    fn record_change(&mut self, node: &PrNode, provider_at: Option<Timestamp>, now: Timestamp) {
        let is_first = self.poll.metadata_fingerprint.is_none();
        let is_push = node.head_ref_oid.as_deref() != Some(&self.head_sha);
        let at = if is_first { provider_at.unwrap_or(now).min(now) } else { now };
        self.poll.changed_at = self.poll.changed_at.max(Some(at));
        if is_push && !self.head_sha.is_empty() {
            self.poll.pushed_at = Some(now);
        }
        if is_first {
            self.poll.full_read_at = Some(now);
        }
    }

    /// What a wide look tells beyond the metadata: which lists must be read.
    fn record_full_poll(&mut self, node: &PrNode, as_of: Timestamp, now: Timestamp) {
        if self.is_sweep_due(now) {
            let poll = &mut self.poll;
            (poll.checks_fingerprint, poll.discussion_fingerprint, poll.threads_fingerprint) =
                (None, None, None);
            poll.full_read_at = Some(now);
            self.known_threads.clear();
        }
        self.waiting =
            node.waiting_suites().map(|suite| suite.waiting_check(&self.head_sha)).collect();
        let before = self.seen;
        let page = node.review_threads.as_ref();
        self.listed =
            page.iter().flat_map(|page| page.nodes.iter().flatten()).flatten().cloned().collect();
        let info = page.map(|page| page.page_info.clone()).unwrap_or_default();
        self.is_list_complete = page.is_some_and(|page| !page.has_gaps()) && !info.has_next_page;
        self.seen = Seen {
            checks: Some(node.checks_fingerprint()),
            discussion: Some(node.discussion_fingerprint()),
            threads: self.is_list_complete.then(|| threads_mark(&self.listed)),
        };
        let more_threads = info.end_cursor.filter(|_| info.has_next_page);
        match &mut self.fetch {
            Some(fetch) => fetch.is_superseded |= before != self.seen,
            None => self.begin_fetch(node, as_of, more_threads),
        }
        if self.is_terminal() && self.fetch.is_none() {
            self.poll.confirmed_at.get_or_insert(now);
        }
    }

    /// Begins to read the lists that changed since they were read last.
    fn begin_fetch(&mut self, node: &PrNode, as_of: Timestamp, more_threads: Option<String>) {
        let differs = |seen: Option<Fingerprint>, stored: &Option<Vec<u8>>| {
            seen.is_some_and(|mark| stored.as_deref() != Some(&mark.to_bytes()[..]))
        };
        let contexts = node.contexts_total();
        let is_checks =
            contexts.is_some() && differs(self.seen.checks, &self.poll.checks_fingerprint);
        let is_talk = differs(self.seen.discussion, &self.poll.discussion_fingerprint);
        let is_threads =
            !self.is_list_complete || differs(self.seen.threads, &self.poll.threads_fingerprint);
        if !is_checks && !is_talk && !is_threads {
            return;
        }
        let mut fetch = DetailFetch::new(as_of);
        fetch.provider_at = self.provider_at;
        if is_checks {
            fetch.checks_mark = self.seen.checks;
            let total = contexts.unwrap_or(0);
            fetch.checks_head.clone_from(&node.head_ref_oid);
            fetch.checks = Some(if total == 0 { List::empty() } else { List::default() });
            if total > 0 {
                fetch.want(Part::Checks, &node.id, None, total);
            }
        }
        if is_talk {
            fetch.talk_mark = self.seen.discussion;
            let reviews = node.reviews_total().unwrap_or(1);
            fetch.reviews = Some(if reviews == 0 { List::empty() } else { List::default() });
            if reviews > 0 {
                fetch.want(Part::Reviews, &node.id, None, reviews);
            }
            let comments = node.total_comments_count.unwrap_or(1);
            fetch.comments = Some(if comments == 0 { List::empty() } else { List::default() });
            if comments > 0 {
                fetch.want(Part::Comments, &node.id, None, comments);
            }
        }
        let mut listed = List::begun(self.listed.clone(), self.is_list_complete);
        listed.is_failed = node.review_threads.as_ref().is_none_or(Page::has_gaps);
        fetch.listed = Some(listed);
        match more_threads {
            Some(cursor) => fetch.want(Part::Threads, &node.id, Some(cursor), 100),
            None => self.want_bodies(&mut fetch),
        }
        self.fetch = Some(fetch);
    }

    /// Asks for the threads themselves, once it is known which there are: all of them when somebody
    /// wrote, else those whose state changed.
    pub(super) fn want_bodies(&self, fetch: &mut DetailFetch) {
        fetch.has_asked_bodies = true;
        let is_sweep = fetch.talk_mark.is_some();
        let listed = fetch.listed.as_ref().map(|list| list.items.clone()).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        for ThreadState { id, is_resolved, is_outdated } in listed {
            let is_known = self.known_threads.get(&id) == Some(&(is_resolved, is_outdated));
            if (is_sweep || !is_known) && seen.insert(id.clone()) {
                fetch.want(Part::Thread, &id, None, 10);
            }
        }
    }

    pub(super) fn forbidden(&mut self, is_listed: bool, now: Timestamp) {
        if self.poll.problem != Problem::Forbidden && !is_listed {
            tracing::warn!(pr = %self.location, "the credentials may not see this pull request");
        }
        self.set_problem(Problem::Forbidden, now);
    }

    /// When it is record_polls at next. A wide look that came to nothing is repeated when a slim one would
    /// be due.
    pub(super) fn schedule(
        &mut self,
        level: Level,
        is_read: bool,
        interval_ms: i64,
        stretch: f64,
        now: Timestamp,
    ) {
        let tier = self.tier(now);
        let (slim, wide) = tier::intervals(tier, interval_ms);
        let after = |every: i64| Timestamp(now.0 + tier::stretched(every, stretch));
        if self.is_terminal() && self.poll.confirmed_at.is_some() {
            let due = self.recheck_after(now);
            (self.heartbeat_due, self.full_due) = (due, due);
            return;
        }
        let is_wide_due_now = self.full_due <= now && level == Level::Heartbeat;
        self.heartbeat_due = after(slim);
        if level == Level::Full {
            self.full_due = after(if is_read { wide } else { slim });
        } else if !is_wide_due_now {
            self.full_due = self.full_due.min(after(wide));
        }
        // A wide look is a slim one as well: of two that are due at about the same time one does.
        if self.full_due > self.heartbeat_due && self.full_due.0 - self.heartbeat_due.0 <= slim / 2
        {
            self.full_due = self.heartbeat_due;
        }
        if self.unknown > 0
            && let Some(wait) = UNKNOWN_MS.get(self.unknown - 1)
        {
            self.heartbeat_due = self.heartbeat_due.min(Timestamp(now.0 + wait));
        }
    }
}

/// The mark of all threads of a pull request, whatever their order.
pub(super) fn threads_mark(listed: &[ThreadState]) -> Fingerprint {
    let mut sorted: Vec<_> = listed.iter().collect();
    sorted.sort();
    Fingerprint::of(&sorted)
}
