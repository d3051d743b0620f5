//! What a client that is slow may cost: how long it is waited for, and how much is kept for it.

use std::time::Duration;

/// Bounds for each client of a daemon.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// How long it may take to send the head of a request.
    pub head: Duration,
    /// How long it may read nothing of an answer; then its connection is ended.
    pub write: Duration,
    /// How long a follower of the changes that fell behind may read the log; then it is told, and closed.
    pub slow: Duration,
    /// How long requests may take to end once the daemon stops.
    pub drain: Duration,
    /// The longest silence of a stream.
    pub heartbeat: Duration,
    /// The changes that are kept in memory for all followers, in bytes. Who is further behind reads the log.
    pub ring: usize,
    /// The buffer of a connection in the kernel for what is sent, in bytes, of which the kernel takes the double.
    /// Left alone, the kernel would let the buffer of a local connection grow to megabytes.
    pub send_buffer: usize,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            head: Duration::from_secs(10),
            write: Duration::from_secs(30),
            slow: Duration::from_secs(60),
            drain: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
            ring: 16 << 20,
            send_buffer: 128 << 10,
        }
    }
}
