//! The primary rate limits: one hourly window for REST, one for GraphQL.

const HOUR_MS: i64 = 3_600_000;

/// One of the two pools that GitHub keeps per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// REST.
    Core,
    /// GraphQL, in points.
    Graphql,
}

impl Resource {
    /// The name in `x-ratelimit-resource`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Graphql => "graphql",
        }
    }
}

/// The state of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Points of one window.
    pub limit: u64,
    /// Points spent in this window; other tools may spend beyond the limit.
    pub used: u64,
    /// End of this window, in milliseconds.
    pub reset_ms: i64,
}

impl Bucket {
    const fn new(limit: u64) -> Self {
        Self { limit, used: 0, reset_ms: 0 }
    }

    /// Points left.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// Both pools.
#[derive(Debug, Clone)]
pub struct Budget {
    core: Bucket,
    graphql: Bucket,
}

impl Default for Budget {
    fn default() -> Self {
        Self { core: Bucket::new(5000), graphql: Bucket::new(5000) }
    }
}

impl Budget {
    /// The pool as it is at `now`: a window that ended is replaced by a new one.
    pub fn at(&mut self, resource: Resource, now: i64) -> &mut Bucket {
        let bucket = match resource {
            Resource::Core => &mut self.core,
            Resource::Graphql => &mut self.graphql,
        };
        if now >= bucket.reset_ms {
            bucket.used = 0;
            bucket.reset_ms = now + HOUR_MS;
        }
        bucket
    }

    /// Takes `points`; false, and nothing taken, where the pool is empty.
    pub(crate) fn charge(&mut self, resource: Resource, points: u64, now: i64) -> bool {
        let bucket = self.at(resource, now);
        let has_any = bucket.remaining() > 0;
        bucket.used += if has_any { points } else { 0 };
        has_any
    }
}
