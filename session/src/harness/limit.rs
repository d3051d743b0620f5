//! When a limit ends, in the words of a program.

use std::time::{Duration, UNIX_EPOCH};

use ao_store::Timestamp;

/// How long something takes, such as `2h 5m` or `3 hours`.
const IN: &str = "{in}";
/// A time: RFC 3339, or the seconds since 1970.
const AT: &str = "{at}";

/// A limit that lasts longer was misread.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// The most words of how long something takes.
const WORDS_MAX: usize = 8;

/// Whether it says where the end is.
pub(super) fn is_pattern(pattern: &str) -> bool {
    pattern.ends_with(IN) != pattern.ends_with(AT)
}

/// The end of a limit: what follows the words of the pattern. `None` where it is not told.
pub(crate) fn end(pattern: &str, text: &str, now: Timestamp) -> Option<Timestamp> {
    let read = |words: &str| match pattern.strip_suffix(IN) {
        Some(_) => duration(words).map(|span| now.after(span)),
        None => time(words),
    };
    let before = pattern.strip_suffix(IN).or_else(|| pattern.strip_suffix(AT))?;
    let end = text.match_indices(before).find_map(|(at, _)| read(&text[at + before.len()..]))?;
    (end <= now.after(LONGEST)).then_some(end)
}

/// The longest beginning that says how long something takes.
fn duration(text: &str) -> Option<Duration> {
    let words: Vec<&str> = text.split_whitespace().take(WORDS_MAX).collect();
    let all = (1..=words.len()).rev().map(|count| words[..count].join(" "));
    let trimmed = |text: String| text.trim_end_matches(is_mark).to_owned();
    all.map(trimmed).find_map(|text| humantime::parse_duration(&text).ok())
}

fn time(text: &str) -> Option<Timestamp> {
    let word = text.split_whitespace().next()?.trim_end_matches(is_mark);
    if let Ok(seconds) = word.parse::<u32>() {
        return Some(Timestamp(i64::from(seconds) * 1_000));
    }
    let time = humantime::parse_rfc3339_weak(word).ok()?;
    Some(Timestamp(0).after(time.duration_since(UNIX_EPOCH).ok()?))
}

fn is_mark(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ')' | '!')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_read_from_the_words_of_a_message() {
        let now = Timestamp(1_000);
        let minutes = |count: i64| Some(Timestamp(1_000 + count * 60_000));
        for (pattern, text, wanted) in [
            ("in {in}", "Try again in 2h 5m.", minutes(125)),
            ("in {in}", "in time: try again in 3 hours 20 minutes, or upgrade", minutes(200)),
            ("in {in}", "try again in 45m", minutes(45)),
            ("in {in}", "try again in a while", None),
            ("in {in}", "try again in", None),
            ("in {in}", "try again in 900000 days", None),
            ("in {in}", "", None),
            ("at {at}", "it resets at 1970-01-01T00:02:01Z)", minutes(2)),
            ("reached|{at}", "limit reached|121", minutes(2)),
            ("reached|{at}", "limit reached|99999999999999999999", None),
            ("at {at}", "it resets at noon", None),
        ] {
            assert_eq!(end(pattern, text, now), wanted, "{text}");
        }
    }
}
