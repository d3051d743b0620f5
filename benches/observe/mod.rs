//! Claim: observing many pull requests costs about as much as the smallest possible number of requests.
//!
//! * *Receive*: the CPU time of `Poller::receive` for an answer of a heartbeat query about 100 pull
//!   requests with the listing of ten repositories and nothing new, against parsing the same body into a
//!   `serde_json::Value`. Budget: at most 0.7 times.
//! * *Fleets* of P pull requests in P/10 repositories, which are first read completely. Then in each cycle
//!   of 30 s a share of them changes at random times (40 % a check starts or ends, 15 % a thread is
//!   resolved or reopened, 20 % a reply, 15 % a push, 10 % a title; every fourth has changes requested).
//!   The virtual clock runs for ten minutes against the fake GitHub, where a call takes 150 ms plus 1 ms
//!   per object of its answer. Each line shows, per cycle: requests, counted REST requests, points and
//!   waiting time; the worst minute, which the secondary rate limit counts; CPU time of the observer with
//!   its store; rows written and rows found equal; seconds from a change to the commit of the row that
//!   shows it. *Seen* are changes that move the time or the roll-up of a pull request. *Hidden* are changes
//!   that only its lists show (a resolved thread, one check of many). *Unseen* is what was not observed ten
//!   minutes after the end. The baseline is the minimum of P/100 requests per cycle. The second line shows
//!   the calls of the Go tool `ao` for an equal fleet (`go_pattern.rs`), one tick per cycle.
//! * *Without threads*: the points of an idle cycle of a fleet in which no pull request has a review
//!   thread. Budget: P/100 + 1.
//! * *Reaction*: the CPU time of `refresh` and `next` after another program renamed a session, with 2,000
//!   pull requests. Budget: 0.1 ms.
//! * *Lateness*: from change to commit with 1 % changing per cycle and the limits of an app's token (12,500
//!   points per hour, of which a tenth is left to others), minus the interval of 30 s (full queries: 120 s)
//!   and its jitter of 10 %. *All change*: the same without the interval when all change in each cycle.
//!
//! *Points, idle* where pull requests have threads: of the 7.6 points of P=400, the full queries
//! cost 4.5: two per 50 pull requests every two minutes. Heartbeat queries stay below the minimum, because a
//! full query replaces one. A user's token has 5,000 points, of which 40 % are left to others; with it, 2,000
//! pull requests are polled about every 48 s. Missed: *P=2,000, p99* and *all change, p50*: of each 30 s, 29.9 s are
//! waiting for one call after the other (30 of the 45 that the observer allows itself), so calls, not limits,
//! are the bound; 1,000 pull requests fit. GitHub asks for serial calls, so there is no second one in flight.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

mod figures;
mod go_pattern;
pub(crate) mod observer;
mod receive;
pub(crate) mod scene;

use ao_benches::{Budget, Line, Run, at_most, percentile};
use ao_observer::poll::Config;

use crate::observe::figures::{Figures, HEADS};
use crate::observe::go_pattern::GoPattern;
use crate::observe::observer::{Observer, Token};
use crate::observe::scene::Scene;

/// Cycles that are measured: ten minutes.
const CYCLES: usize = 20;

/// The maximum wait for changes that are not observed yet.
const PATIENCE_MS: i64 = 600_000;

const SIZES: [usize; 4] = [10, 100, 400, 2_000];
const SHARES: [f64; 4] = [0.0, 0.01, 0.1, 1.0];

/// Sizes at which the time from a change to its commit has a budget.
const LATENESS: [usize; 2] = [1_000, MANY];
const MANY: usize = 2_000;

/// Sizes of fleets without threads.
const QUIET: [usize; 2] = [100, 400];

/// After this, a pull request that did not change may be quiet.
const QUIET_AFTER_MS: i64 = 600_000;

/// Commits of others whose cost is measured.
const REACTIONS: usize = 101;

/// The polling intervals of an active pull request in seconds, and their maximum random extension.
const HEARTBEAT_S: f64 = 30.0;
const FULL_S: f64 = 120.0;
const JITTER: f64 = 1.1;

/// With more pull requests, a tick of the Go tool is far longer than a cycle, and only an idle cycle is measured here.
const GO_MAX: usize = 400;

fn line(run: &mut Run, what: &str, share: f64, figures: &Figures) {
    let share = share * 100.0;
    run.note(format_args!("       {share:4.0} %  {what:<10} {figures}"));
}

/// One size: its table, and the figures that have a budget.
fn fleet(run: &mut Run, prs: usize) {
    let cycles = run.rounds(CYCLES);
    let least = prs.div_ceil(100) as f64;
    run.note(format_args!(
        "table  {prs} pull requests in {} repositories: minimum {least} requests and points per cycle",
        scene::repos(prs)
    ));
    run.note(format_args!("       change  of          {HEADS}"));
    let mut ours = Observer::tracking(Scene::new(prs), Token::User, Config::default());
    let mut theirs = (prs <= GO_MAX).then(|| GoPattern::tracking(Scene::new(prs)));
    let shares = if prs <= GO_MAX { &SHARES[..] } else { &SHARES[..1] };
    for &share in shares {
        let ours = ours.measure(cycles, share, PATIENCE_MS);
        line(run, "ao-store", share, &ours);
        if let Some(theirs) = &mut theirs {
            let theirs = theirs.measure(cycles, share, PATIENCE_MS);
            line(run, "Go", share, &theirs);
        }
        if share == 0.0 {
            idle(run, prs, least, &ours);
        }
    }
    let guards_s = (scene::repos(prs) + prs) as f64 * scene::LATENCY_MS as f64 / 1e3;
    if guards_s > scene::CYCLE_MS as f64 / 1e3 {
        run.note(format_args!(
            "       Go: a cycle of {guards_s:.0} s for its guards alone is longer than the tick of 30 s"
        ));
    }
}

/// The idle cycle. In every fourth cycle full queries replace heartbeat queries; they count.
fn idle(run: &mut Run, prs: usize, least: f64, ours: &Figures) {
    let figure = |what: &str, unit, budget| {
        let work = format!("idle cycle, {prs} pull requests, {what}");
        Line::figure("15", work, unit, budget)
    };
    let to_least = |what, budget| figure(what, "x", budget).of("one request per 100");
    let heartbeats = ours.heartbeats / ours.cycles;
    run.limit(to_least("heartbeat queries", at_most(1.0)), vec![heartbeats / least]);
    let all = ours.requests_a_cycle() / least;
    run.limit(to_least("all requests", Budget::None), vec![all]);
    run.limit(figure("REST", "requests", at_most(0.0)), vec![ours.rest_paid]);
    let points = figure("points", "points", at_most(1.75 * prs as f64 / 100.0 + 1.0));
    run.limit(points, vec![ours.points_a_cycle()]);
}

/// The points of an idle cycle where no pull request has a review thread.
fn quiet(run: &mut Run, prs: usize) {
    let mut ours = Observer::tracking(Scene::with_threads(prs, 0), Token::User, Config::default());
    ours.run(QUIET_AFTER_MS);
    let figures = ours.measure(run.rounds(4 * CYCLES), 0.0, 0);
    let most = at_most(prs.div_ceil(100) as f64 + 1.0);
    let work = format!("idle cycle, {prs} pull requests without threads, points");
    run.limit(Line::figure("15", work, "points", most), vec![figures.points_a_cycle()]);
}

/// The CPU time of the reaction to a commit of others that touches no subject: what is read of the store
/// and the decision what to do.
fn reaction(run: &mut Run, prs: usize) {
    if !run.is_selected("17c") || run.rounds(CYCLES) == 1 {
        return;
    }
    let mut ours = Observer::tracking(Scene::new(prs), Token::App, Config::default());
    let times = (0..REACTIONS).map(|_| ours.react() as f64 / 1e6).collect();
    let work = format!("reaction to a commit of others, {prs} pull requests, CPU");
    run.limit(Line::figure("17c", work, "ms", at_most(0.1)), times);
}

fn app_table(run: &mut Run, prs: usize, share: f64, figures: &Figures) {
    run.note(format_args!("table  {prs} pull requests, the token of an app"));
    run.note(format_args!("       change  of          {HEADS}"));
    line(run, "ao-store", share, figures);
}

/// Lateness, with a token whose limits allow the planned intervals.
fn lateness(run: &mut Run, prs: usize) {
    // A single round only tests the bench, for which the smallest fleet is enough.
    if !run.is_selected("17") || run.rounds(CYCLES) == 1 {
        return;
    }
    let mut ours = Observer::tracking(Scene::new(prs), Token::App, Config::default());
    let figures = ours.measure(run.rounds(CYCLES), 0.01, PATIENCE_MS);
    app_table(run, prs, 0.01, &figures);
    let late =
        |values: &[f64], interval: f64| percentile(&mut values.to_vec(), 0.99) - interval * JITTER;
    let [seen, hidden] = [late(&figures.seen, HEARTBEAT_S), late(&figures.hidden, FULL_S)];
    let most = at_most(if prs > 1_000 { 12.0 } else { 1.0 });
    for (what, value) in [("a change", seen), ("a hidden change", hidden)] {
        let work = format!("{what} to its commit, 1 % change, {prs} pull requests, p99");
        run.limit(Line::figure("17", work, "s", most).of("the interval"), vec![value]);
    }
}

/// Lateness when all change in each cycle, which is more than can be read.
fn overload(run: &mut Run, prs: usize) {
    if !run.is_selected("17b") || run.rounds(CYCLES) == 1 {
        return;
    }
    let mut ours = Observer::tracking(Scene::new(prs), Token::App, Config::default());
    let figures = ours.measure(run.rounds(CYCLES), 1.0, PATIENCE_MS);
    app_table(run, prs, 1.0, &figures);
    let mut all = [&figures.seen[..], &figures.hidden].concat();
    let unseen = 100.0 * figures.unseen as f64 / figures.made.max(1) as f64;
    let figure = |what: &str, unit, most: f64| {
        let work = format!("a change to its commit, all change, {prs} pull requests, {what}");
        Line::figure("17b", work, unit, at_most(most))
    };
    run.limit(figure("p50", "s", 90.0), vec![percentile(&mut all, 0.5)]);
    run.limit(figure("never seen", "%", 0.1), vec![unseen]);
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    receive::compare(run);
    if run.is_selected("15") {
        for prs in SIZES.into_iter().take(run.rounds(SIZES.len())) {
            fleet(run, prs);
        }
        for prs in QUIET {
            quiet(run, prs);
        }
    }
    reaction(run, MANY);
    for prs in LATENESS {
        lateness(run, prs);
    }
    overload(run, MANY);
}
