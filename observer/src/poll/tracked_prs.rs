//! The tracked pull requests of one host: which of them one request polls, and which of their pages
//! one request reads.
//!
//! A heartbeat query costs one point whether it polls one pull request or a hundred, so it includes
//! those that would be due soon anyway.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use ao_store::row::scm::{PrPoll, Problem, SubjectPr};
use ao_store::{PrId, Timestamp};

use crate::github::query::Level;
use crate::poll::batch_size::BatchSizes;
use crate::poll::detail_fetch::{DetailFetch, PageRequest};
use crate::poll::schedule::NEVER;
use crate::poll::tier::{self, Tier};
use crate::poll::tracked_pr::TrackedPr;

/// Maximum number of nodes that one detail request asks for: with more the host aborts it.
const DETAIL_NODES: i64 = 1_000;

/// Refresh requests come in bursts; a poll waits for the rest of one.
pub(crate) const DEBOUNCE_MS: i64 = 2_500;

/// The tracked pull requests of one host.
#[derive(Debug, Default)]
pub(crate) struct TrackedPrs {
    prs: BTreeMap<PrId, TrackedPr>,
    /// `None` when one of them may have changed since.
    summary: Cell<Option<Summary>>,
}

/// What most steps ask of all of them, read in one pass.
#[derive(Debug, Clone, Copy)]
struct Summary {
    /// The earliest poll of any level, and the earliest full query.
    due: Timestamp,
    full_due: Timestamp,
    /// Since when the oldest fetch waits that has pages to request.
    oldest_fetch: Option<Timestamp>,
    /// How many are polled in each tier: all of them, and of these those whose full queries are rare.
    polled: [(u32, u32); tier::COUNT],
}

impl TrackedPrs {
    /// Takes over which pull requests are tracked. What is known of one that stays is kept; for the
    /// others, `first_due` is given their position.
    pub(crate) fn update(
        &mut self,
        subjects: &[(SubjectPr, PrPoll)],
        first_due: impl Fn(usize) -> Timestamp,
        now: Timestamp,
    ) {
        self.summary.take();
        let mut known = std::mem::take(&mut self.prs);
        for (index, (subject, poll)) in subjects.iter().enumerate() {
            let id = &subject.pr.id;
            let tracked = match known.remove(id) {
                Some(mut tracked) => {
                    tracked.adopt(&subject.pr, subject.is_session_live);
                    tracked
                }
                None => TrackedPr::new(subject, poll.clone(), first_due(index), now),
            };
            self.prs.insert(id.clone(), tracked);
        }
    }

    /// The same for some of them: those of `touched` that are not in `subjects` are no longer tracked.
    pub(crate) fn update_some(
        &mut self,
        touched: &BTreeSet<PrId>,
        subjects: &[(SubjectPr, PrPoll)],
        now: Timestamp,
    ) {
        self.summary.take();
        let is_there = |id: &PrId| subjects.iter().any(|(subject, _)| subject.pr.id == *id);
        touched.iter().filter(|id| !is_there(id)).for_each(|id| {
            self.prs.remove(id);
        });
        for (subject, poll) in subjects {
            let new = || TrackedPr::new(subject, poll.clone(), now, now);
            let tracked = self.prs.entry(subject.pr.id.clone()).or_insert_with(new);
            tracked.adopt(&subject.pr, subject.is_session_live);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TrackedPr> {
        self.prs.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut TrackedPr> {
        self.summary.take();
        self.prs.values_mut()
    }

    pub(crate) fn get(&self, id: &PrId) -> Option<&TrackedPr> {
        self.prs.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &PrId) -> Option<&mut TrackedPr> {
        self.summary.take();
        self.prs.get_mut(id)
    }

    /// The open pull requests, and those that ended and were not read to their end since.
    pub(crate) fn open(&self) -> impl Iterator<Item = &TrackedPr> {
        self.iter().filter(|pr| !pr.is_done())
    }

    /// The pull requests of one poll: those that are due, the most overdue first, then those that
    /// would be due within half of their interval, as far as they do not make the poll dearer. One
    /// whose polls fail again and again is polled alone.
    pub(crate) fn due(
        &self,
        level: Level,
        size: usize,
        interval_ms: i64,
        now: Timestamp,
    ) -> Vec<PrId> {
        let candidate = |pr: &'_ TrackedPr| {
            let (heartbeat, full) = pr.intervals(interval_ms, now);
            let every = if level == Level::Full { full } else { heartbeat };
            let at = pr.schedule.due_at(level);
            // One that ended, or was polled a moment ago, is not polled early.
            let may_be_early = pr.tier(now) != Tier::Done
                && pr.schedule.polled_at.is_none_or(|at| now.0 - at.0 >= DEBOUNCE_MS);
            let is_soon = may_be_early && at.0 <= now.0.saturating_add(every / 2);
            (at <= now || is_soon).then(|| (at, pr.id.clone(), pr.schedule.is_isolated(level)))
        };
        let mut due: Vec<_> = self.iter().filter_map(candidate).collect();
        due.sort();
        if let Some((at, id, true)) = due.first()
            && *at <= now
        {
            return vec![id.clone()];
        }
        due.retain(|(_, _, is_isolated)| !is_isolated);
        let needed = due.iter().filter(|(at, ..)| *at <= now).count().min(size);
        let cost = poll_points(level, needed, 0);
        let free = (needed..=size).rev().find(|count| poll_points(level, *count, 0) == cost);
        due.into_iter().take(free.unwrap_or(needed)).map(|(_, id, _)| id).collect()
    }

    /// Since when the oldest fetch waits that has pages to request.
    pub(crate) fn oldest_fetch(&self, now: Timestamp) -> Option<Timestamp> {
        self.summary(now).oldest_fetch
    }

    /// Whether a poll of this level is due.
    pub(crate) fn is_due(&self, level: Level, now: Timestamp) -> bool {
        let Summary { due, full_due, .. } = self.summary(now);
        now >= if level == Level::Full { full_due } else { due }
    }

    /// When the next poll is due after now.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.summary(now).due;
        if due > now {
            return Some(due);
        }
        let dues = self.iter().map(|pr| &pr.schedule);
        let dues = dues.flat_map(|schedule| [schedule.heartbeat_due, schedule.full_due]);
        dues.filter(|due| *due > now).min()
    }

    /// The tiers in it are those of the time when it was made: time alone moves a pull request to
    /// another one, and nothing is decided by that before its next poll.
    fn summary(&self, now: Timestamp) -> Summary {
        if let Some(summary) = self.summary.get() {
            return summary;
        }
        let (due, full_due, polled) = (NEVER, NEVER, [(0, 0); tier::COUNT]);
        let mut summary = Summary { due, full_due, oldest_fetch: None, polled };
        for pr in self.iter() {
            let fetch = pr.fetch.as_ref().filter(|fetch| !fetch.pages.is_empty());
            let began_at = fetch.map(|fetch| fetch.began_at);
            summary.oldest_fetch = [summary.oldest_fetch, began_at].into_iter().flatten().min();
            let due = pr.schedule.due();
            summary.due = summary.due.min(due);
            summary.full_due = summary.full_due.min(pr.schedule.full_due);
            if due < NEVER {
                let (all, quiet) = &mut summary.polled[pr.tier(now) as usize];
                *all += 1;
                *quiet += u32::from(pr.is_quiet(now));
            }
        }
        self.summary.set(Some(summary));
        summary
    }

    fn waiting_fetches(&self) -> impl Iterator<Item = (&TrackedPr, &DetailFetch)> {
        let fetches = self.iter().filter_map(|pr| Some((pr, pr.fetch.as_ref()?)));
        fetches.filter(|(_, fetch)| !fetch.pages.is_empty())
    }

    /// Takes up to `max` pages for one detail request, those of the most urgent pull requests first.
    pub(crate) fn take_pages(&mut self, max: usize, now: Timestamp) -> Vec<(PrId, PageRequest)> {
        let mut waiting: Vec<_> = self
            .waiting_fetches()
            .map(|(pr, fetch)| (pr.tier(now), fetch.began_at, pr.id.clone()))
            .collect();
        waiting.sort();
        let (mut pages, mut nodes) = (Vec::new(), 0);
        for (_, _, id) in waiting {
            let Some(fetch) = self.get_mut(&id).and_then(|pr| pr.fetch.as_mut()) else { continue };
            while let Some(weight) = fetch.pages.front().map(|page| page.weight) {
                let is_full = pages.len() >= max || nodes + weight > DETAIL_NODES;
                if is_full && !pages.is_empty() {
                    break;
                }
                nodes += weight;
                pages.extend(fetch.take_page().map(|page| (id.clone(), page)));
            }
        }
        pages
    }

    /// The points per hour that the planned polls cost.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds and a number of pull requests")]
    pub(crate) fn points_per_hour(
        &self,
        sizes: &BatchSizes,
        interval_ms: i64,
        now: Timestamp,
    ) -> f64 {
        let per_hour = |every: i64| 3_600_000.0 / every as f64;
        let (mut points, mut polls) = (0.0, 0.0_f64);
        for (tier, (all, quiet)) in Tier::ALL.into_iter().zip(self.summary(now).polled) {
            for (count, is_quiet) in [(all - quiet, false), (quiet, true)] {
                if count == 0 {
                    continue;
                }
                let (heartbeat, full) = tier::intervals(tier, is_quiet, interval_ms);
                polls = polls.max(per_hour(heartbeat));
                points += f64::from(count) * per_hour(heartbeat) / sizes.heartbeat.usual() as f64
                    + f64::from(count) * 2.0 * per_hour(full) / sizes.full.usual() as f64;
            }
        }
        // However few pull requests there are, a poll costs a point.
        points.max(polls)
    }

    /// The oldest of the last polls of all open pull requests of which everything was read; `None`
    /// without any that can be read, zero when one was never read.
    pub(crate) fn oldest_read(&self) -> Option<Timestamp> {
        let readable = self.open().filter(|pr| pr.poll.problem == Problem::None || pr.is_unread());
        readable.map(|pr| pr.schedule.read_at.unwrap_or(Timestamp(0))).min()
    }
}

/// The points of a poll by GitHub's published formula: its connections divided by a hundred, at least
/// one.
pub(crate) fn poll_points(level: Level, prs: usize, listings: usize) -> i64 {
    let each = match level {
        Level::Heartbeat => 0,
        Level::Full => 4,
    };
    let connections = i64::try_from(each * prs + listings).unwrap_or(i64::MAX);
    ((connections + 50) / 100).max(1)
}
