//! Whether something was removed, and why.

/// Whether something was removed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Whether it is gone.
    pub is_removed: bool,
    /// Why it was removed, or why it was kept.
    pub reason: String,
}

impl Removed {
    /// It was kept for this reason.
    #[must_use]
    pub fn kept(reason: &str) -> Removed {
        Removed { is_removed: false, reason: reason.to_owned() }
    }

    /// It was removed for this reason.
    #[must_use]
    pub fn gone(reason: &str) -> Removed {
        Removed { is_removed: true, reason: reason.to_owned() }
    }
}
