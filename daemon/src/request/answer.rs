//! The answer to what an agent waits for, as far as it can be typed.

use super::{Error, Result};

/// The most bytes of a text that is typed as an answer.
const TEXT_MAX: usize = 1 << 10;

/// A text that is typed ends with its line, and has no keys in it.
///
/// # Errors
/// It is empty, too long, or not one line.
pub fn answer_text(text: String) -> Result<String> {
    let reason = match () {
        () if text.trim().is_empty() => "the answer is empty",
        () if text.len() > TEXT_MAX => "the answer is longer than 1 KiB",
        () if text.chars().any(char::is_control) => "the answer is not one line of text",
        () => return Ok(text),
    };
    Err(Error::Invalid(reason.to_owned()))
}

/// The number of an option, which is one key.
///
/// # Errors
/// It is not from 1 to 9.
pub fn choice(number: u8) -> Result<u8> {
    match number {
        1..=9 => Ok(number),
        _ => Err(Error::Invalid("the number of an option is from 1 to 9".to_owned())),
    }
}
