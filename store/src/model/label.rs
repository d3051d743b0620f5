//! One-line texts that a user gives, and the characters that people cannot see.

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::error::{Error, Result};

/// The maximum length of an id or a label, in bytes.
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

/// Whether a character controls a terminal, reorders or hides text, or is shown as nothing, so that a text
/// with it looks like another text.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    use GeneralCategory as Category;
    let category = get_general_category(c);
    matches!(
        category,
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
    ) || is_invisible(c)
}

/// Fillers, joiners and reserved characters of other categories that are shown as nothing: the rest of
/// what Unicode calls default ignorable, and the blank Braille pattern.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2065}' | '\u{2800}'
        | '\u{3164}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{16fe4}' | '\u{e0000}'..='\u{e0fff}')
}
