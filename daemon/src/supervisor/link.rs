//! When the daemon is to stop because its supervisors are gone, as a state machine without a clock or a socket.

use std::time::Duration;

use tokio::time::Instant;

/// The clients that keep a daemon alive. It never ends before the first one was there, and at most once.
#[derive(Debug)]
pub(super) struct Link {
    grace: Duration,
    clients: usize,
    ends_at: Option<Instant>,
}

impl Link {
    /// A link without clients that ends this long after the last one has left.
    pub(super) fn new(grace: Duration) -> Link {
        Link { grace, clients: 0, ends_at: None }
    }

    /// A client has greeted.
    pub(super) fn join(&mut self) {
        self.clients += 1;
        self.ends_at = None;
    }

    /// A client that had greeted is gone.
    pub(super) fn leave(&mut self, now: Instant) {
        self.clients = self.clients.saturating_sub(1);
        if self.clients == 0 {
            self.ends_at = Some(now + self.grace);
        }
    }

    /// When it ends unless a client greets before; `None` while it does not.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[test]
    fn it_never_ends_before_a_client_greeted() {
        assert_eq!(Link::new(GRACE).ends_at(), None);
    }

    #[test]
    fn it_ends_a_grace_after_the_last_of_its_clients() {
        let (mut link, now) = (Link::new(GRACE), Instant::now());
        link.join();
        link.join();
        link.leave(now);
        assert_eq!(link.ends_at(), None);
        let later = now + Duration::from_secs(60);
        link.leave(later);
        assert_eq!(link.ends_at(), Some(later + GRACE));
    }

    #[test]
    fn a_client_within_the_grace_cancels_it_and_its_leave_begins_it_again() {
        let (mut link, now) = (Link::new(GRACE), Instant::now());
        link.join();
        link.leave(now);
        link.join();
        assert_eq!(link.ends_at(), None);
        let later = now + GRACE * 10;
        link.leave(later);
        assert_eq!(link.ends_at(), Some(later + GRACE));
    }
}
