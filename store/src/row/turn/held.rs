//! The right to write a turn.

/// A turn that a claim gave to a worker. Nothing else makes one, and every write of a worker names it: once
/// the turn has ended, the write is refused as lost. A turn is claimed at most once, so its claim is its fence.
/// Outside the store, the number of the turn fences: it increases in a conversation.
///
/// ```compile_fail,E0624
/// ao_store::turn::Held::new("t1".to_owned(), "w1".to_owned());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    turn: String,
    owner: String,
}

impl Held {
    /// Only for a claim.
    pub(super) fn new(turn: String, owner: String) -> Held {
        Held { turn, owner }
    }

    /// The turn.
    #[must_use]
    pub fn turn(&self) -> &str {
        &self.turn
    }

    /// The instance that claimed it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }
}
