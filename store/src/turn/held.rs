//! The right to write a turn.

/// A turn that a claim gave to a worker. Nothing else makes one, and every write of a worker names it: under
/// any other fence than that of the newest claim, the write is refused as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    turn: String,
    fence: i64,
}

impl Held {
    /// Only for a claim.
    pub(super) fn new(turn: String, fence: i64) -> Held {
        Held { turn, fence }
    }

    /// The turn.
    #[must_use]
    pub fn turn(&self) -> &str {
        &self.turn
    }

    /// The fence of the claim. It increases with every claim in a conversation.
    #[must_use]
    pub fn fence(&self) -> i64 {
        self.fence
    }
}
