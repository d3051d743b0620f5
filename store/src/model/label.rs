//! One-line texts that a user gives.

use crate::error::{Error, Result};

/// The maximum length of an id, a label or a branch, in bytes.
pub(crate) const TEXT_MAX: usize = 200;

/// Checks a one-line text that a user gives: a display name, an issue, a harness.
///
/// # Errors
/// [`Error::InvalidId`] when it is empty, longer than 200 bytes, or has control characters.
pub(crate) fn check_label(what: &'static str, text: &str) -> Result<()> {
    let reason = if text.trim().is_empty() {
        "it is empty"
    } else if text.len() > TEXT_MAX {
        "it is longer than 200 bytes"
    } else if text.chars().any(char::is_control) {
        "it may not contain control characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid_id(what, text, reason))
}
