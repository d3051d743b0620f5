//! What to send next: polls that are due, then details of what changed, then logs.
//!
//! A look costs one point whether it asks for one pull request or a hundred, so it takes along what
//! would be due soon anyway.

use std::time::Duration;

use ao_store::row::scm::{Access, Credential};
use ao_store::{PrId, Timestamp};

use super::{ANSWER_MAX, DEBOUNCE_MS, Engine, InFlight, Kind, LogJob, Step};
use crate::github::call::{Call, Request};
use crate::github::query::{self, Level, Listing, PollQuery};
use crate::poll::detail_fetch::PageRequest;
use crate::poll::rate_limiter::{Resource, Verdict};
use crate::poll::repo_listing::RepoListing;
use crate::poll::tier::{self, Tier};
use crate::poll::tracked_pr::{NEVER, TrackedPr};

/// The host gives a request up after ten seconds itself.
const DEADLINE: Duration = Duration::from_secs(15);

/// A log that is not over by then is not worth the wait.
const LOG_DEADLINE: Duration = Duration::from_secs(10);

/// How much of a log is read, and how much of its end is kept.
const LOG_MAX: usize = 256 << 20;
const LOG_TAIL: usize = 16 << 10;

/// Repositories that one look lists at most: half a point.
const LISTINGS_MAX: usize = 50;

/// Nodes that one detail request asks for at most: more than that, and the host gives up.
const DETAIL_NODES: i64 = 500;

/// What fails by itself is tried so often by a run that ends when all was read.
const TRIES: u32 = 3;

/// A detail that has waited so long goes before the polls.
const DETAIL_PATIENCE_MS: i64 = 5_000;

/// The first interval after a start sees no more requests than this.
const START_REQUESTS: u32 = 12;

/// A clock that stood still or jumped this far: the machine slept.
const SLEPT_MS: i64 = 10 * 60_000;

/// A pull request is record_polls at alone after so many polls that failed with it.
const APART: u32 = 2;

/// How far the clock of this machine may have been set back.
const AHEAD_MS: i64 = 23 * 3_600_000;

impl Engine {
    /// What to do now. Nothing is in flight when this is called.
    pub(crate) fn next(&mut self, now: Timestamp) -> Step {
        self.handle_clock_jump(now);
        if !self.credentials.has_token {
            return if now >= self.credentials.probe_at {
                Step::FindCredentials
            } else {
                Step::Wait(self.credentials.probe_at)
            };
        }
        if let Some(until) = self.starting(now) {
            return Step::Wait(until);
        }
        let is_detail_late = self
            .oldest_fetch()
            .is_some_and(|began| now.0.saturating_sub(began.0) >= DETAIL_PATIENCE_MS);
        let details_first = is_detail_late && !self.has_detailed;
        let order: [fn(&mut Engine, Timestamp) -> Option<Step>; 3] = if details_first {
            [Engine::next_detail, Engine::next_poll, Engine::next_log]
        } else {
            [Engine::next_poll, Engine::next_detail, Engine::next_log]
        };
        let mut earliest = self.next_due(now);
        for plan in order {
            match plan(self, now) {
                Some(Step::Wait(until)) => earliest = earliest.min(until),
                Some(step) => return step,
                None => {}
            }
        }
        Step::Wait(earliest.max(Timestamp(now.0 + 1)))
    }

    /// Whether there is something that could be done now if the limits allowed it, or that was lost
    /// and is tried again. What was lost several times by itself will be lost again.
    #[must_use]
    pub(crate) fn has_work(&self, now: Timestamp) -> bool {
        let is_lost = |lost: u32| (1..=TRIES).contains(&lost);
        let has_poll = |tracked: &TrackedPr| {
            tracked.due() <= now
                || tracked.fetch.is_some()
                || tracked.lost.iter().any(|it| is_lost(*it))
        };
        let has_listing = |listing: &RepoListing| {
            !listing.candidates.is_empty() && (listing.due <= now || is_lost(listing.lost))
        };
        self.credentials.state != Credential::Missing
            && (self.prs.values().any(has_poll)
                || self.repos.values().any(has_listing)
                || !self.logs.is_empty())
    }

    /// A clock that was set back must not put everything off; one that jumped on means that the
    /// machine slept, and all is due at once. Both are a start.
    fn handle_clock_jump(&mut self, now: Timestamp) {
        let Some(last) = self.last_step.replace(now) else { return };
        let back = last.0 - now.0;
        if back > 1_000 {
            self.limiter.clock_went_back(back);
            self.prs.values_mut().for_each(|tracked| tracked.clock_went_back(back));
            let repos = self.repos.values_mut().map(|listing| &mut listing.due);
            for at in repos.chain([&mut self.credentials.probe_at]) {
                at.0 = at.0.saturating_sub(back);
            }
        } else if -back <= SLEPT_MS {
            return;
        }
        self.began = Some(now);
        self.sent_since_start = 0;
    }

    /// The start is slow, so that many observers and stale rows do not come down on the host at
    /// once.
    fn starting(&self, now: Timestamp) -> Option<Timestamp> {
        let end = Timestamp(self.began?.0 + self.config.interval_ms());
        let is_over = self.skips_slow_start || now >= end || self.sent_since_start < START_REQUESTS;
        (!is_over).then_some(end)
    }

    /// When something more will be due. What is due already waits for the limits.
    fn next_due(&self, now: Timestamp) -> Timestamp {
        let prs = self.prs.values().flat_map(|tracked| [tracked.heartbeat_due, tracked.full_due]);
        let repos = self.repos.values().filter(|listing| !listing.candidates.is_empty());
        let dues = prs.chain(repos.map(|listing| listing.due));
        dues.filter(|due| *due > now).min().unwrap_or(NEVER)
    }

    fn oldest_fetch(&self) -> Option<Timestamp> {
        let fetches = self.prs.values().filter_map(|tracked| tracked.fetch.as_ref());
        fetches.filter(|fetch| !fetch.pages.is_empty()).map(|fetch| fetch.began).min()
    }

    fn next_poll(&mut self, now: Timestamp) -> Option<Step> {
        let is_wide = self.prs.values().any(|tracked| tracked.full_due <= now);
        let is_slim = self.prs.values().any(|tracked| tracked.heartbeat_due <= now);
        let is_listing =
            self.repos.values().any(|listing| listing.due <= now && !listing.candidates.is_empty());
        let level = if is_wide { Level::Full } else { Level::Heartbeat };
        if !is_wide && !is_slim && !is_listing {
            return None;
        }
        let chosen = self.choose(level, now);
        let listings = self.choose_listings(now);
        let cost = points(level, chosen.len(), listings.len());
        if let Verdict::Wait(until) = self.limiter.may_send(Resource::Graphql, cost, now) {
            return Some(Step::Wait(until));
        }
        Some(self.send_poll(level, &chosen, listings, now))
    }

    /// The pull requests of a look: those that are due, the most urgent first, then those that
    /// would be within half of their interval. One with which polls fail again and again is record_polls
    /// at alone.
    fn choose(&self, level: Level, now: Timestamp) -> Vec<PrId> {
        let size = match level {
            Level::Heartbeat => self.sizes.slim.get(),
            Level::Full => self.sizes.wide.get(),
        };
        let interval = self.config.interval_ms();
        let mut due: Vec<_> = self
            .prs
            .values()
            .filter_map(|tracked| {
                let (slim, wide) = tier::intervals(tracked.tier(now), interval);
                let (at, every) = match level {
                    Level::Heartbeat => (tracked.due(), slim),
                    Level::Full => (tracked.full_due, wide),
                };
                let is_apart = tracked.lost[level as usize] >= APART;
                // What has ended, or was record_polls at a moment ago, is no company.
                let is_company = tracked.tier(now) != Tier::Done
                    && tracked.polled_at.is_none_or(|at| now.0 - at.0 >= DEBOUNCE_MS);
                let is_soon = is_company && at.0 <= now.0.saturating_add(every / 2);
                (at <= now || is_soon).then_some((at, &tracked.id, is_apart))
            })
            .collect();
        due.sort();
        if let Some((at, id, true)) = due.first()
            && *at <= now
        {
            return vec![(*id).clone()];
        }
        due.retain(|(_, _, is_apart)| !is_apart);
        // What comes along must not cost a point of its own.
        let needed = due.iter().filter(|(at, ..)| *at <= now).count().min(size);
        let cost = points(level, needed, 0);
        let free = (needed..=size).rev().find(|count| points(level, *count, 0) == cost);
        due.into_iter().take(free.unwrap_or(needed)).map(|(_, id, _)| id.clone()).collect()
    }

    fn choose_listings(&self, now: Timestamp) -> Vec<(String, Listing)> {
        let soon = now.0 + self.config.interval_ms() / 2;
        let mut due: Vec<_> = self
            .repos
            .iter()
            .filter(|(_, listing)| !listing.candidates.is_empty())
            .filter(|(_, listing)| {
                // One that may not be seen is not asked for before its time.
                let until = if listing.state.access == Access::Ok { soon } else { now.0 };
                listing.due.0 <= until
            })
            .collect();
        due.sort_by_key(|(_, listing)| listing.due);
        let listing = |(key, listing): (&String, &RepoListing)| {
            let listing = Listing {
                repo: listing.name().to_owned(),
                first: listing.page_size(),
                after: listing.progress.after.clone(),
            };
            (key.clone(), listing)
        };
        due.into_iter().take(LISTINGS_MAX).map(listing).collect()
    }

    fn send_poll(
        &mut self,
        level: Level,
        chosen: &[PrId],
        listings: Vec<(String, Listing)>,
        now: Timestamp,
    ) -> Step {
        let mut look = PollQuery::default();
        let (mut ids, mut locations) = (Vec::new(), Vec::new());
        for id in chosen {
            let Some(tracked) = self.prs.get(id) else { continue };
            if tracked.node_id.is_empty() {
                locations.push(id.clone());
                look.places.push((tracked.location.repo.clone(), tracked.location.number));
            } else {
                ids.push(id.clone());
                look.ids.push(tracked.node_id.clone());
            }
        }
        look.listings = listings.iter().map(|(_, listing)| listing.clone()).collect();
        match level {
            Level::Heartbeat => self.totals.heartbeat_polls += 1,
            Level::Full => self.totals.full_polls += 1,
        }
        self.has_detailed = false;
        let body = query::poll(level, self.dialect, &look);
        self.send(
            Kind::Poll { level, ids, locations, listings },
            graphql(body),
            Resource::Graphql,
            now,
        )
    }

    fn next_detail(&mut self, now: Timestamp) -> Option<Step> {
        let mut fetches: Vec<_> = self
            .prs
            .values()
            .filter_map(|tracked| {
                let fetch = tracked.fetch.as_ref().filter(|fetch| !fetch.pages.is_empty())?;
                Some((tracked.tier(now), fetch.began, tracked.id.clone()))
            })
            .collect();
        if fetches.is_empty() {
            return None;
        }
        fetches.sort();
        if let Verdict::Wait(until) = self.limiter.may_send(Resource::Graphql, 1, now) {
            return Some(Step::Wait(until));
        }
        let mut asks: Vec<(PrId, PageRequest)> = Vec::new();
        let mut nodes = 0;
        for (_, _, id) in fetches {
            let Some(tracked) = self.prs.get_mut(&id) else { continue };
            let Some(fetch) = tracked.fetch.as_mut() else { continue };
            while let Some(pages) = fetch.pages.front() {
                let weight = pages.weight;
                let is_full =
                    asks.len() >= self.sizes.detail.get() || nodes + weight > DETAIL_NODES;
                if is_full && !asks.is_empty() {
                    break;
                }
                nodes += weight;
                fetch.in_flight += 1;
                if let Some(pages) = fetch.pages.pop_front() {
                    asks.push((id.clone(), pages));
                }
            }
        }
        let body = query::detail(
            self.dialect,
            &asks.iter().map(|(_, pages)| pages.ask.clone()).collect::<Vec<_>>(),
        );
        self.totals.detail_requests += 1;
        self.has_detailed = true;
        Some(self.send(Kind::Detail { asks }, graphql(body), Resource::Graphql, now))
    }

    fn next_log(&mut self, now: Timestamp) -> Option<Step> {
        self.logs.front()?;
        if let Verdict::Wait(until) = self.limiter.may_send(Resource::Rest, 1, now) {
            return Some(Step::Wait(until));
        }
        let log: LogJob = self.logs.pop_front()?;
        let request =
            Request::JobLog { repo: log.repo.clone(), job: log.job, tail_bytes: LOG_TAIL };
        let call = Call { request, deadline: LOG_DEADLINE, max_bytes: LOG_MAX };
        self.totals.rest_requests += 1;
        Some(self.send(Kind::Log(log), call, Resource::Rest, now))
    }

    fn send(&mut self, kind: Kind, call: Call, resource: Resource, now: Timestamp) -> Step {
        self.limiter.sent(resource, now);
        self.totals.requests += 1;
        self.sent_since_start += 1;
        // The store takes what has an older time for what was known before, and refuses what is a
        // day ahead.
        let is_near = self.newest.0.saturating_sub(now.0) < AHEAD_MS;
        self.newest = if is_near { self.newest.max(now) } else { now };
        self.in_flight = Some(InFlight { as_of: self.newest, kind });
        Step::Send(call)
    }

    /// How much longer than planned the intervals are, so that the budget lasts.
    pub(super) fn stretch(&self, now: Timestamp) -> f64 {
        self.limiter.stretch(self.points_an_hour(now), now)
    }

    /// What the polls that are planned cost an hour.
    #[expect(clippy::cast_precision_loss, reason = "a number of pull requests")]
    fn points_an_hour(&self, now: Timestamp) -> f64 {
        let (heartbeat_size, full_size) =
            (self.sizes.slim.usual() as f64, self.sizes.wide.usual() as f64);
        let interval = self.config.interval_ms();
        let mut points = 0.0;
        let (mut polls_an_hour, hour) = (0.0_f64, 3_600_000.0);
        for tracked in self.prs.values().filter(|tracked| tracked.due() < NEVER) {
            let (slim, wide) = tier::intervals(tracked.tier(now), interval);
            polls_an_hour = polls_an_hour.max(hour / slim as f64);
            points += hour / slim as f64 / heartbeat_size + 2.0 * hour / wide as f64 / full_size;
        }
        // However few they are, a look costs a point.
        points.max(polls_an_hour)
    }
}

fn graphql(body: String) -> Call {
    Call { request: Request::Graphql { body }, deadline: DEADLINE, max_bytes: ANSWER_MAX }
}

/// The points of a look by the published formula: connections by a hundred, at least one.
fn points(level: Level, prs: usize, listings: usize) -> i64 {
    let each = match level {
        Level::Heartbeat => 0,
        Level::Full => 4,
    };
    let connections = i64::try_from(each * prs + listings).unwrap_or(i64::MAX);
    ((connections + 50) / 100).max(1)
}
