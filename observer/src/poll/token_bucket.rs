//! A bound on requests a minute that the observer sets itself: a token bucket. What it holds at once
//! counts into the bound, so that no minute sees more.

use ao_store::Timestamp;

/// Requests that may be sent without a pause between them.
const BURST: i64 = 4;

/// The bucket; tokens are counted in thousandths.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// How many come in a minute.
    per_minute: i64,
    /// How many it holds.
    burst: i64,
    tokens: i64,
    at: Timestamp,
}

impl TokenBucket {
    pub(crate) fn new(per_minute: u32) -> TokenBucket {
        let bound = i64::from(per_minute.max(2));
        let burst = BURST.min(bound / 2);
        TokenBucket { per_minute: bound - burst, burst, tokens: burst * 1_000, at: Timestamp(0) }
    }

    /// When the next request may be sent, if that is not now.
    pub(crate) fn ready(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.fill(now);
        let missing = 1_000 - self.tokens;
        let wait = (missing.saturating_mul(60) + self.per_minute - 1) / self.per_minute;
        (missing > 0).then(|| Timestamp(now.0.saturating_add(wait.max(1))))
    }

    pub(crate) fn spend(&mut self, now: Timestamp) {
        self.fill(now);
        self.tokens -= 1_000;
    }

    /// Leaves one request of the burst.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        self.fill(now);
        self.tokens = self.tokens.min(1_000);
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = now.0.saturating_sub(self.at.0).clamp(0, 3_600_000);
        // A clock that went back fills nothing, and counts from where it is.
        self.at = now;
        self.tokens = (self.tokens + passed * self.per_minute / 60).min(self.burst * 1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_sees_more_than_the_bound() {
        for bound in [2, 3, 7, 60, 300] {
            let mut pace = TokenBucket::new(bound);
            let (mut now, mut sent) = (Timestamp(1_000_000), Vec::new());
            while sent.len() < 1_000 {
                match pace.ready(now) {
                    Some(at) => now = at,
                    None => {
                        pace.spend(now);
                        sent.push(now.0);
                    }
                }
            }
            let within = |(at, start): (usize, &i64)| {
                sent[at..].iter().take_while(|time| **time < start + 60_000).count()
            };
            let most = sent.iter().enumerate().map(within).max().unwrap();
            assert!((bound as usize - 1..=bound as usize).contains(&most), "{most} of {bound}");
        }
    }
}
