//! Learning from the answers to details and logs, and ending a fetch with what is to be stored.

use std::collections::{BTreeMap, BTreeSet};

use ao_store::observation::{
    CheckStatus, Ci, Comment, Completeness, Facet, Observation, PrFacts, Thread,
};
use ao_store::{PrId, Timestamp};

use super::{Engine, LogJob, observe};
use crate::github::answer::{Found, GraphqlAnswer};
use crate::github::call::Answer;
use crate::github::classify::{self, Signal};
use crate::github::fingerprint::Fingerprint;
use crate::github::node::{self, ContextNode, PartNode};
use crate::github::query::Part;
use crate::poll::detail_fetch::{DetailFetch, FetchedThread, List, PageRequest};
use crate::poll::rate_limiter::Resource;
use crate::poll::tracked_pr::TrackedPr;
use crate::poll::write_batch::{Discussion, PrWrite, Write, WriteBatch};

/// A log that cannot be read is given up after so many tries.
const LOG_TRIES: u32 = 3;

/// How many lines of the end of a log are kept.
const LOG_LINES: usize = 40;

impl Engine {
    pub(super) fn record_details(
        &mut self,
        asks: Vec<(PrId, PageRequest)>,
        answered: &GraphqlAnswer<'_>,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let mut touched = Vec::new();
        for (index, (id, pages)) in asks.into_iter().enumerate() {
            let Some(tracked) = self.prs.get_mut(&id) else { continue };
            let Some(mut fetch) = tracked.fetch.take() else { continue };
            fetch.in_flight -= 1;
            let alias = format!("d{index}");
            match answered.alias::<PartNode>(&alias) {
                Found::Node(node) => {
                    let at = node.provider_at().map(Timestamp::from);
                    if at.is_some() && at < fetch.provider_at {
                        // A replica that lags behind the one that answered the look.
                        self.totals.stale += 1;
                        fetch.failed(pages);
                    } else {
                        fetch.read(pages, node, answered.is_withheld(&alias));
                    }
                }
                // It was listed a moment ago. If it is gone, the next listing says so; if it may not
                // be seen any more, nothing is gone.
                Found::Missing if pages.ask.part == Part::Thread => fetch.give_up(&pages.ask),
                Found::Missing | Found::Forbidden | Found::Failed => fetch.failed(pages),
            }
            tracked.fetch = Some(fetch);
            touched.push(id);
        }
        touched.dedup();
        for id in touched {
            self.end_fetch(&id, as_of, now, batch);
        }
    }

    /// Nothing came of a request for details: each page of it is asked for again.
    pub(super) fn details_lost(
        &mut self,
        asks: Vec<(PrId, PageRequest)>,
        signal: Signal,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        // A refusal of everything, or an outage, is no word on a page.
        let is_about_size = signal == Signal::Heavy;
        let mut touched = Vec::new();
        for (id, pages) in asks {
            let Some(tracked) = self.prs.get_mut(&id) else { continue };
            let Some(fetch) = tracked.fetch.as_mut() else { continue };
            fetch.in_flight -= 1;
            if is_about_size && self.sizes.detail.get() == 1 {
                fetch.failed(pages);
            } else {
                fetch.pages.push_back(pages);
            }
            touched.push(id);
        }
        for id in touched {
            self.end_fetch(&id, now, now, batch);
        }
    }

    /// Writes a fetch whose last page has come.
    pub(super) fn end_fetch(
        &mut self,
        id: &PrId,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let Some(tracked) = self.prs.get_mut(id) else { return };
        let Some(mut fetch) = tracked.fetch.take() else { return };
        let is_list_read = fetch.listed.as_ref().is_some_and(|list| list.is_complete);
        if fetch.is_done() && is_list_read && !fetch.has_asked_bodies {
            tracked.want_bodies(&mut fetch);
        }
        if !fetch.is_done() {
            tracked.fetch = Some(fetch);
            return;
        }
        let jobs = tracked.finish(fetch, as_of, now, batch);
        for (external_id, job) in jobs {
            let log = LogJob {
                pr: id.clone(),
                repo: tracked.location.repo.clone(),
                external_id,
                job,
                tries: 0,
            };
            let is_known = |known: &LogJob| known.pr == log.pr && known.job == log.job;
            if !self.logs.iter().any(is_known) && self.logs.len() < LOGS_MAX {
                self.logs.push_back(log);
            }
        }
    }

    /// The pull requests of which logs wait to be read.
    pub(crate) fn prs_with_pending_logs(&self) -> BTreeSet<PrId> {
        self.logs.iter().map(|log| log.pr.clone()).collect()
    }

    /// Logs that need not be read: those that are stored, or are known to be gone.
    pub(crate) fn drop_stored_logs(&mut self, pr: &PrId, stored: &[String]) {
        self.logs.retain(|log| log.pr != *pr || !stored.contains(&log.external_id));
    }

    pub(super) fn log_answered(
        &mut self,
        log: LogJob,
        answer: &Answer,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let signal = classify::rest(answer);
        self.limiter.record_response(Resource::Rest, signal, now);
        let tail = match signal {
            Signal::Fine => last_lines(&String::from_utf8_lossy(&answer.body)),
            // It is gone, or not ours to read: that is recorded once, as an empty log.
            Signal::Missing | Signal::Forbidden => String::new(),
            Signal::Unauthorized => {
                self.refused(now);
                return self.logs.push_back(log);
            }
            // A word to wait is no word on this log.
            Signal::RetryAfter(_) | Signal::Exhausted | Signal::Secondary => {
                return self.logs.push_back(log);
            }
            _ => {
                self.totals.failures += 1;
                return self.log_lost(log);
            }
        };
        let LogJob { pr, external_id, .. } = log;
        batch.writes.push(Write::Log { pr, external_id, tail });
    }

    pub(super) fn log_lost(&mut self, log: LogJob) {
        if log.tries + 1 < LOG_TRIES {
            self.logs.push_back(LogJob { tries: log.tries + 1, ..log });
        }
    }
}

/// Logs that wait to be read at most.
const LOGS_MAX: usize = 1_000;

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

impl DetailFetch {
    /// Takes in one page.
    fn read(&mut self, pages: PageRequest, node: PartNode, is_withheld: bool) {
        let after = pages.ask.after.clone();
        let after = after.as_deref();
        let next = match pages.ask.part {
            Part::Checks => self.read_checks(node, is_withheld, after),
            Part::Reviews => node.reviews.and_then(|page| {
                let list = self.reviews.get_or_insert_default();
                list.page(page, is_withheld, after, node::ReviewNode::review)
            }),
            Part::Comments => node.comments.and_then(|page| {
                let list = self.comments.get_or_insert_default();
                list.page(page, is_withheld, after, |node| node.comment(None))
            }),
            Part::Threads => node.review_threads.and_then(|page| {
                self.listed.get_or_insert_default().page(page, is_withheld, after, Some)
            }),
            Part::Thread => self.read_thread(&pages.ask.id, node, is_withheld, after),
        };
        if let Some(cursor) = next {
            let PageRequest { ask, weight, .. } = pages;
            self.want(ask.part, &ask.id, Some(cursor), weight);
        }
    }

    fn read_checks(
        &mut self,
        node: PartNode,
        is_withheld: bool,
        after: Option<&str>,
    ) -> Option<String> {
        let head = node.head_ref_oid.clone();
        let Some(checks) = node.checks_of_head() else {
            // There is no roll-up any more: a commit without checks was pushed in between.
            self.checks = None;
            return None;
        };
        let commit = checks.commit.as_ref().map(|commit| commit.value.clone());
        if commit != self.checks_head || head != self.checks_head {
            // It is of another commit than the look: the next look begins anew.
            self.checks = None;
            return None;
        }
        self.checks.as_mut()?.page(checks.contexts, is_withheld, after, Some)
    }

    fn read_thread(
        &mut self,
        id: &str,
        node: PartNode,
        is_withheld: bool,
        after: Option<&str>,
    ) -> Option<String> {
        let Some(page) = node.comments.clone() else {
            self.listed.get_or_insert_default().is_failed = true;
            return None;
        };
        let total = page.total_count;
        let body = self.bodies.entry(id.to_owned()).or_insert_with(|| FetchedThread {
            thread: node.thread(id, total),
            comments: List::default(),
        });
        let comment = |node: node::CommentNode| node.comment(Some(id));
        let next = body.comments.page(page, is_withheld, after, comment);
        body.thread.is_bot = !body.comments.items.is_empty()
            && body.comments.items.iter().all(|comment| comment.is_bot);
        next
    }
}

/// How complete a list is that was read so far.
fn completeness<T>(list: &List<T>) -> Completeness {
    if list.is_failed && list.items.is_empty() {
        Completeness::Failed
    } else if list.is_failed || list.is_withheld || !list.is_complete {
        Completeness::Partial
    } else {
        Completeness::Complete
    }
}

/// A list as a facet: only a complete one may delete.
pub(crate) fn facet<T>(items: Vec<T>, completeness: Completeness) -> Facet<T> {
    match completeness {
        Completeness::Complete => Facet::replace(items),
        Completeness::Failed => {
            Facet { completeness: Some(Completeness::Failed), ..Facet::default() }
        }
        other => Facet { completeness: Some(other), ..Facet::merge(items) },
    }
}

impl TrackedPr {
    /// Turns what a fetch read into what is to be stored; returns the jobs whose logs are pages.
    fn finish(
        &mut self,
        fetch: DetailFetch,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) -> BTreeMap<String, i64> {
        let is_failed = fetch.is_failed();
        let mut observation = Observation {
            node_id: self.node_id.clone(),
            // What a delivery said since the look is newer than what the look listed.
            sets_as_of: Some(fetch.began),
            ..Observation::new(self.location.clone(), as_of)
        };
        let mut jobs = BTreeMap::new();
        // Those of a head that was pushed over while they were read say nothing any more.
        let is_of_head = fetch.checks_head.as_ref() == Some(&self.head_sha);
        if let Some(list) = fetch.checks.filter(|_| is_of_head) {
            jobs = self.take_checks(list, fetch.checks_mark, &mut observation);
        }
        let is_talk_read = fetch.reviews.as_ref().is_none_or(List::is_read)
            && fetch.comments.as_ref().is_none_or(List::is_read);
        let are_threads_read = fetch.listed.as_ref().is_some_and(List::is_read)
            && fetch.bodies.values().all(|body| body.comments.is_read());
        if let Some(list) = fetch.reviews {
            let completeness = completeness(&list);
            observation.reviews = facet(list.items, completeness);
        }
        let discussion = fetch.listed.map(|listed| Discussion {
            states: listed.items.clone(),
            threads: completeness(&listed),
            bodies: fetch.bodies,
            comments: fetch.comments.map(|list| (completeness(&list), list.items)),
        });
        if let Some(discussion) = &discussion {
            if are_threads_read {
                self.poll.threads_fingerprint =
                    Some(observe::threads_mark(&discussion.states).to_bytes());
                let known = |it: &crate::github::node::ThreadState| {
                    (it.id.clone(), (it.is_resolved, it.is_outdated))
                };
                self.known_threads = discussion.states.iter().map(known).collect();
            }
            if fetch.talk_mark.is_some() && is_talk_read && are_threads_read {
                self.poll.discussion_fingerprint = fetch.talk_mark.map(|mark| mark.to_bytes());
            }
        }
        // What a look saw meanwhile is newer than what was read.
        if fetch.is_superseded {
            self.full_due = now;
        } else if self.is_terminal() && !is_failed {
            self.poll.confirmed_at.get_or_insert(now);
            self.heartbeat_due = self.recheck_after(now);
            self.full_due = self.heartbeat_due;
        }
        batch.writes.push(Write::Pr(Box::new(PrWrite {
            pr: Some(self.id.clone()),
            observation: Some(observation),
            discussion,
            poll: self.poll.clone(),
        })));
        jobs
    }

    /// The checks of the head; returns the jobs of those that failed.
    fn take_checks(
        &mut self,
        list: List<ContextNode>,
        mark: Option<Fingerprint>,
        observation: &mut Observation,
    ) -> BTreeMap<String, i64> {
        let completeness = completeness(&list);
        if list.is_read() {
            self.poll.checks_fingerprint = mark.map(|mark| mark.to_bytes());
        }
        let (mut items, mut jobs) = node::newest_checks(list.items, &self.head_sha);
        let is_failed = |id: &str| {
            items.iter().any(|it| it.external_id == id && it.status == CheckStatus::Failed)
        };
        jobs.retain(|id, _| is_failed(id));
        items.extend(self.waiting.iter().cloned());
        observation.checks = facet(items, completeness);
        // The host's own roll-up counts, which the store would else compute from the checks.
        if self.ci != Ci::Unknown {
            observation.facts = PrFacts { ci: Some(self.ci), ..PrFacts::default() };
        }
        jobs
    }
}

impl Discussion {
    /// The threads and comments of a pull request after what was read, given those that are stored.
    pub(crate) fn compose(
        &self,
        threads: Vec<Thread>,
        comments: Vec<Comment>,
    ) -> (Facet<Thread>, Facet<Comment>) {
        (self.compose_threads(threads), self.compose_comments(comments))
    }

    fn compose_threads(&self, stored: Vec<Thread>) -> Facet<Thread> {
        let mut stored: BTreeMap<_, _> =
            stored.into_iter().map(|thread| (thread.id.clone(), thread)).collect();
        let mut items = Vec::new();
        let mut completeness = self.threads;
        for state in &self.states {
            match (self.bodies.get(&state.id), stored.remove(&state.id)) {
                (Some(body), _) => items.push(body.thread.clone()),
                (None, Some(thread)) => items.push(Thread {
                    is_resolved: state.is_resolved,
                    is_outdated: state.is_outdated,
                    ..thread
                }),
                // It is there, but nothing of it could be read.
                (None, None) => completeness = Completeness::Partial,
            }
        }
        items.sort_by(|one, other| one.id.cmp(&other.id));
        items.dedup_by(|one, other| one.id == other.id);
        facet(items, completeness)
    }

    fn compose_comments(&self, stored: Vec<Comment>) -> Facet<Comment> {
        let are_threads_known = self.threads == Completeness::Complete;
        let is_listed = |id: &str| self.states.iter().any(|state| state.id == id);
        let of_conversation = self.comments.as_ref();
        let mut all: BTreeMap<String, Comment> = BTreeMap::new();
        let mut completeness = Completeness::Complete;
        if !are_threads_known || of_conversation.is_some_and(|(it, _)| *it != completeness) {
            completeness = Completeness::Partial;
        }
        for body in self.bodies.values() {
            if self::completeness(&body.comments) != Completeness::Complete {
                completeness = Completeness::Partial;
            }
        }
        // What was not read again stays, unless its thread is gone.
        for comment in stored {
            let thread = comment.thread_id.as_str();
            let stays = if thread.is_empty() {
                of_conversation.is_none()
                    || comment.kind != ao_store::observation::CommentKind::Issue
            } else {
                !self.bodies.contains_key(thread) && is_listed(thread)
            };
            if stays {
                all.insert(comment.id.clone(), comment);
            }
        }
        let read = self.bodies.values().flat_map(|body| &body.comments.items);
        let read = read.chain(of_conversation.into_iter().flat_map(|(_, items)| items));
        for comment in read {
            all.insert(comment.id.clone(), comment.clone());
        }
        facet(all.into_values().collect(), completeness)
    }
}
