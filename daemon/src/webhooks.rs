//! What the daemon needs to accept webhook deliveries: the secret that they are signed with, and how many may come and
//! wait at a time.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// How many bodies may be read at a time.
const BODIES: usize = 8;
/// How many deliveries may wait for the store: fewer than there are threads for work on it.
const QUEUE: usize = 16;

/// The secret and the places.
pub(crate) struct Webhooks {
    /// The secret of the webhook; `None` if none is configured, and none is accepted.
    pub(crate) secret: Option<Vec<u8>>,
    /// A place for each body that is read.
    pub(crate) bodies: Semaphore,
    /// A place for each delivery that waits for the store.
    pub(crate) queue: Arc<Semaphore>,
}

impl Webhooks {
    pub(crate) fn new(secret: Option<Vec<u8>>) -> Webhooks {
        let (bodies, queue) = (Semaphore::new(BODIES), Arc::new(Semaphore::new(QUEUE)));
        Webhooks { secret, bodies, queue }
    }
}

// Without the secret.
impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}
