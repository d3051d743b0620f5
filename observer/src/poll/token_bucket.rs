//! The observer's own limit of requests per minute: a token bucket whose capacity counts towards the
//! limit, so that no window of a minute contains more requests.

use ao_store::Timestamp;

/// Requests that may be sent without a pause between them.
const BURST: i64 = 4;

/// The bucket. Tokens are counted in thousandths.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    refill_per_minute: i64,
    capacity: i64,
    tokens: i64,
    filled_at: Timestamp,
}

impl TokenBucket {
    pub(crate) fn new(per_minute: u32) -> TokenBucket {
        let limit = i64::from(per_minute.max(2));
        let capacity = BURST.min(limit / 2);
        let (refill_per_minute, tokens) = (limit - capacity, capacity * 1_000);
        TokenBucket { refill_per_minute, capacity, tokens, filled_at: Timestamp(0) }
    }

    /// When the next request may be sent; `None` when it may be sent now.
    pub(crate) fn wait_until(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.fill(now);
        let missing = 1_000 - self.tokens;
        let wait =
            (missing.saturating_mul(60) + self.refill_per_minute - 1) / self.refill_per_minute;
        (missing > 0).then(|| Timestamp(now.0.saturating_add(wait.max(1))))
    }

    pub(crate) fn spend(&mut self, now: Timestamp) {
        self.fill(now);
        self.tokens -= 1_000;
    }

    /// Reduces the burst to one request.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        self.fill(now);
        self.tokens = self.tokens.min(1_000);
    }

    fn fill(&mut self, now: Timestamp) {
        // A clock that was set back adds no tokens, and the time is counted from its new value.
        let passed = now.0.saturating_sub(self.filled_at.0).clamp(0, 3_600_000);
        self.filled_at = now;
        self.tokens =
            (self.tokens + passed * self.refill_per_minute / 60).min(self.capacity * 1_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_contains_more_requests_than_the_limit() {
        for limit in [2, 3, 7, 60, 300] {
            let mut bucket = TokenBucket::new(limit);
            let (mut now, mut sent) = (Timestamp(1_000_000), Vec::new());
            while sent.len() < 1_000 {
                match bucket.wait_until(now) {
                    Some(at) => now = at,
                    None => {
                        bucket.spend(now);
                        sent.push(now.0);
                    }
                }
            }
            let within = |(at, start): (usize, &i64)| {
                sent[at..].iter().take_while(|time| **time < start + 60_000).count()
            };
            let most = sent.iter().enumerate().map(within).max().unwrap();
            assert!((limit as usize - 1..=limit as usize).contains(&most), "{most} of {limit}");
        }
    }
}
