//! What one way of asking cost over a number of cycles, and its line in the table.

use std::fmt;

use ao_benches::percentile;
use ao_fake_github::Counters;

use crate::observe::scene::{CYCLE_MS, Pending};

/// The figures of one measured time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) cycles: f64,
    pub(crate) requests: f64,
    /// Of these, heartbeat queries.
    pub(crate) heartbeats: f64,
    pub(crate) rest_paid: f64,
    pub(crate) points: f64,
    /// Points of the secondary limit in the worst minute.
    pub(crate) minute_max: u64,
    /// Time spent waiting for answers.
    pub(crate) waited_ms: f64,
    /// CPU time of the observer; `None` where only calls are made.
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) same: u64,
    /// Seconds from a change to its commit: of what time and roll-up tell, and of what they do not.
    pub(crate) seen: Vec<f64>,
    pub(crate) hidden: Vec<f64>,
    /// Changes that were never observed.
    pub(crate) unseen: usize,
    pub(crate) made: u64,
}

impl Figures {
    /// Takes over what the host counted.
    pub(crate) fn count(&mut self, counters: &Counters, time_ms: i64) {
        self.cycles = time_ms as f64 / CYCLE_MS as f64;
        self.requests = counters.total() as f64;
        self.heartbeats = counters.of("Heartbeat") as f64;
        self.rest_paid = counters.core_points as f64;
        self.points = counters.graphql_points as f64;
        self.minute_max = counters.secondary_minute_max;
    }

    /// A change was committed at this time.
    pub(crate) fn learned(&mut self, it: &Pending, at: i64) {
        let values = if it.is_hidden { &mut self.hidden } else { &mut self.seen };
        values.push((at - it.at) as f64 / 1e3);
    }

    pub(crate) fn requests_a_cycle(&self) -> f64 {
        self.requests / self.cycles
    }

    pub(crate) fn points_a_cycle(&self) -> f64 {
        self.points / self.cycles
    }

    pub(crate) fn wait_a_cycle(&self) -> f64 {
        self.waited_ms / 1e3 / self.cycles
    }
}

/// The heads of the columns of [`Figures`].
pub(crate) const HEADS: &str = "req/cyc  rest paid  pts/cyc  req/min max  wait/cyc  cpu/cyc     \
     rows    same   seen p50    p99  hidden p50    p99  unseen";

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = match self.cpu_ns {
            Some(nanos) => format!("{:.2}ms", nanos as f64 / 1e6 / self.cycles),
            None => "-".to_owned(),
        };
        write!(
            f,
            "{:7.2} {:10} {:8.2} {:12} {:8.1}s {:>8} {:8} {:7}   {:>8} {:>6}  {:>10} {:>6}  {:>6}",
            self.requests_a_cycle(),
            self.rest_paid,
            self.points_a_cycle(),
            self.minute_max,
            self.wait_a_cycle(),
            cpu,
            self.rows,
            self.same,
            seconds(&self.seen, 0.5),
            seconds(&self.seen, 0.99),
            seconds(&self.hidden, 0.5),
            seconds(&self.hidden, 0.99),
            format!("{}/{}", self.unseen, self.made),
        )
    }
}

fn seconds(values: &[f64], share: f64) -> String {
    let value = percentile(&mut values.to_vec(), share);
    if value.is_nan() { "-".to_owned() } else { format!("{value:.0}s") }
}
