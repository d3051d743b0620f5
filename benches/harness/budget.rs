//! What a figure may be, and what is said of one that was measured.

use std::borrow::Cow;
use std::fmt;

use super::clock::Sample;

/// How far beyond its budget a figure may be at most before it is missed, as a share: less if its rounds
/// differ less.
const NOISE_MAX: f64 = 0.1;

/// The bound of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// The maximum.
    AtMost(f64),
    /// The minimum.
    AtLeast(f64),
    /// None: the figure explains other figures.
    None,
}

/// The maximum of a figure; of a ratio: the cost of the subject as a multiple of that of the baseline.
#[must_use]
pub fn at_most(bound: f64) -> Budget {
    Budget::AtMost(bound)
}

/// The minimum of a figure; of a ratio: the rate of the subject as a multiple of that of the baseline.
#[must_use]
pub fn at_least(bound: f64) -> Budget {
    Budget::AtLeast(bound)
}

impl Budget {
    pub(super) fn ratio(self, baseline: Sample, subject: Sample) -> f64 {
        match self {
            Budget::AtLeast(_) => baseline.per_unit() / subject.per_unit(),
            Budget::AtMost(_) | Budget::None => subject.per_unit() / baseline.per_unit(),
        }
    }

    /// The verdict on a figure, of which `noise` is the relative deviation of its rounds.
    pub(super) fn verdict(self, value: f64, noise: f64) -> Verdict {
        let beyond = match self {
            Budget::AtMost(bound) => value / bound - 1.0,
            Budget::AtLeast(bound) => bound / value - 1.0,
            Budget::None => return Verdict::None,
        };
        // Without a bound above zero: 0 / 0 is within it.
        if beyond <= 0.0 || beyond.is_nan() {
            Verdict::Met
        } else if beyond <= noise.min(NOISE_MAX) {
            Verdict::WithinNoise
        } else {
            Verdict::Missed
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::AtMost(bound) => write!(f, "≤ {bound}"),
            Budget::AtLeast(bound) => write!(f, "≥ {bound}"),
            Budget::None => f.write_str("–"),
        }
    }
}

/// Whether a figure is what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    /// Beyond its budget by less than its rounds differ.
    WithinNoise,
    Missed,
    /// It has no budget.
    None,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Met => "met",
            Verdict::WithinNoise => "within noise",
            Verdict::Missed => "missed",
            Verdict::None => "–",
        })
    }
}

/// What is measured: a line of the table of budgets.
#[derive(Debug, Clone)]
pub struct Line {
    pub(super) number: &'static str,
    pub(super) work: Cow<'static, str>,
    pub(super) baseline: &'static str,
    pub(super) unit: &'static str,
    pub(super) budget: Budget,
}

impl Line {
    /// A ratio of work to a baseline. The number orders the table; lines of one budget share it.
    pub fn ratio(
        number: &'static str,
        work: impl Into<Cow<'static, str>>,
        baseline: &'static str,
        budget: Budget,
    ) -> Line {
        Line { number, work: work.into(), baseline, unit: "x", budget }
    }

    /// A figure in a unit.
    pub fn figure(
        number: &'static str,
        work: impl Into<Cow<'static, str>>,
        unit: &'static str,
        budget: Budget,
    ) -> Line {
        Line { number, work: work.into(), baseline: "–", unit, budget }
    }

    /// The same with a baseline, to which the caller has compared it.
    #[must_use]
    pub fn of(self, baseline: &'static str) -> Line {
        Line { baseline, ..self }
    }

    /// The budget in its unit.
    pub(super) fn bounds(&self) -> String {
        match self.budget {
            Budget::None => self.budget.to_string(),
            _ => InUnit(self.budget, self.unit).to_string(),
        }
    }
}

/// A value in the unit of a line.
pub(super) struct InUnit<T>(pub(super) T, pub(super) &'static str);

impl<T: fmt::Display> fmt::Display for InUnit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.1 == "x" { "" } else { " " };
        write!(f, "{}{space}{}", self.0, self.1)
    }
}
