//! What a screen of a program shows: data of its row, applied to the last lines of the pane.
//!
//! Only a positive match counts: a screen that no rule describes says nothing. The rules are those of the
//! versions that were seen; of another version the screen is not used.

use ao_store::Timestamp;
use ao_store::activity::Activity;
use serde::Deserialize;

use super::limit;
use super::version::Version;

/// The most lines that a rule looks at.
const LINES_MAX: usize = 60;

/// Stands for a character of the animation that programs show while they work.
const SPINNER: &str = "{spinner}";

/// What the screens of a program show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    /// The oldest and the newest version whose screens were seen.
    versions: [String; 2],
    /// The first rule that matches is used.
    rules: Vec<Rule>,
}

/// What a screen must have to show something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// What it shows.
    shows: Shows,
    /// How many of the last lines that are not blank count.
    lines: usize,
    /// Texts in this order, each on a line below that of the one before. One that begins with `=` is a whole
    /// line, without the spaces around it; `{spinner}` is a character of the usual animation.
    has: Vec<String>,
    /// Where a limit is reported: the words in front of its end, with `{in}` or `{at}`.
    #[serde(default)]
    until: String,
}

/// What a screen shows, as it is named in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shows {
    Active,
    Idle,
    Permission,
    Question,
    Plan,
    Trust,
    Login,
    Limited,
}

impl Shows {
    fn activity(self) -> Activity {
        match self {
            Shows::Active => Activity::Active,
            Shows::Idle => Activity::Idle,
            Shows::Permission | Shows::Question | Shows::Plan => Activity::Waiting,
            Shows::Trust | Shows::Login => Activity::Blocked,
            Shows::Limited => Activity::Limited,
        }
    }

    /// The name of the decision that a person must take; empty if none is needed.
    fn cause(self) -> &'static str {
        match self {
            Shows::Active | Shows::Idle | Shows::Limited => "",
            Shows::Permission => "permission",
            Shows::Question => "question",
            Shows::Plan => "plan",
            Shows::Trust => "trust",
            Shows::Login => "login",
        }
    }
}

/// What was seen on a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the program does.
    pub activity: Activity,
    /// What a person must decide; empty if nothing.
    pub cause: &'static str,
    /// The line by which it was recognised.
    pub text: String,
    /// When a limit ends, if that is told.
    pub until: Option<Timestamp>,
}

impl Screen {
    /// The rules that the types of the keys cannot express.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let [from, to] = &self.versions;
        match (Version::parse(from), Version::parse(to)) {
            (Some(from), Some(to)) if from <= to => {}
            _ => return Err("versions of screen are not the oldest and the newest one"),
        }
        for rule in &self.rules {
            if rule.has.is_empty() || rule.has.iter().any(|text| text.trim_matches('=').is_empty())
            {
                return Err("a rule of screen has no text");
            }
            if !(rule.has.len()..=LINES_MAX).contains(&rule.lines) {
                return Err("lines of a rule of screen are fewer than its texts, or more than 60");
            }
            let is_limit = rule.shows == Shows::Limited;
            if !(rule.until.is_empty() || is_limit && limit::is_pattern(&rule.until)) {
                return Err("until of a rule of screen belongs to limited, and has {in} or {at}");
            }
        }
        Ok(())
    }

    /// The oldest and the newest version whose screens were seen.
    #[must_use]
    pub fn versions(&self) -> &[String; 2] {
        &self.versions
    }

    /// Whether the screens of this version are known.
    #[must_use]
    pub fn covers(&self, version: &str) -> bool {
        let [from, to] = &self.versions;
        let all = (Version::parse(from), Version::parse(version), Version::parse(to));
        matches!(all, (Some(from), Some(it), Some(to)) if from <= it && it <= to)
    }

    /// What the text of a screen shows; `None` if no rule says so. A limit whose end has come is looked
    /// through: the old message is still there.
    #[must_use]
    pub fn read(&self, text: &str, now: Timestamp, is_limit_over: bool) -> Option<Seen> {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut rules =
            self.rules.iter().filter(|rule| !is_limit_over || rule.shows != Shows::Limited);
        rules.find_map(|rule| rule.read(&lines, now))
    }
}

impl Rule {
    /// What the lines show, if they have all texts.
    fn read(&self, lines: &[&str], now: Timestamp) -> Option<Seen> {
        let lines = &lines[lines.len().saturating_sub(self.lines)..];
        let mut rest = lines.iter();
        let mut first = None;
        for text in &self.has {
            let found = *rest.find(|line| has(line, text))?;
            first.get_or_insert(found);
        }
        let until = (!self.until.is_empty())
            .then(|| limit::end(&self.until, &lines.join(" "), now))
            .flatten();
        Some(Seen {
            activity: self.shows.activity(),
            cause: self.shows.cause(),
            text: plain(first.unwrap_or_default()),
            until,
        })
    }
}

/// Whether a line has a text of a row.
pub(super) fn has(line: &str, text: &str) -> bool {
    if text == SPINNER {
        return line.contains(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
    }
    match text.strip_prefix('=') {
        Some(whole) => line.trim() == whole,
        None => line.contains(text),
    }
}

/// A line without the frame of a dialog.
fn plain(line: &str) -> String {
    let is_frame = |c: char| c.is_whitespace() || ('\u{2500}'..='\u{259f}').contains(&c);
    line.trim_matches(is_frame).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rules: &str) -> Screen {
        let text = format!("versions = [\"1.2\", \"1.10\"]\nrules = [{rules}]");
        let screen: Screen = toml::from_str(&text).unwrap();
        screen.check().unwrap();
        screen
    }

    fn shown(screen: &Screen, text: &str) -> Option<Activity> {
        screen.read(text, Timestamp(0), false).map(|seen| seen.activity)
    }

    #[test]
    fn all_texts_must_be_there_in_their_order_on_the_last_lines() {
        let rules = screen(r#"{ shows = "permission", lines = 3, has = ["Allow?", "1. Yes"] }"#);
        let waiting = Some(Activity::Waiting);
        assert_eq!(shown(&rules, "│ Allow?  │\n\n  1. Yes\n  2. No\n\n\n"), waiting);
        assert_eq!(rules.read("│ Allow?  │\n1. Yes", Timestamp(0), false).unwrap().text, "Allow?");
        for other in ["", "Allow?", "1. Yes\nAllow?", "Allow? 1. Yes", "Allow?\n1. Yes\na\nb"] {
            assert_eq!(shown(&rules, other), None, "{other:?}");
        }
    }

    #[test]
    fn a_whole_line_is_more_than_a_part_of_one() {
        let rules = screen(r#"{ shows = "idle", lines = 2, has = ["=>"] }"#);
        assert_eq!(shown(&rules, "a\n  > \n"), Some(Activity::Idle));
        assert_eq!(shown(&rules, "a\n> b"), None);
        let rules = screen(r#"{ shows = "active", lines = 2, has = ["{spinner}"] }"#);
        assert_eq!(shown(&rules, "⠧ Whatever it says\n>"), Some(Activity::Active));
        assert_eq!(shown(&rules, "Whatever it says\n>"), None);
    }

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        let rules = screen(r#"{ shows = "idle", lines = 1, has = [">"] }"#);
        for (version, is_known) in [
            ("1.2", true),
            ("1.2.0", true),
            ("1.9.7", true),
            ("1.10.0", true),
            ("1.10.1", false),
            ("1.1.9", false),
            ("2", false),
            ("", false),
            ("latest", false),
        ] {
            assert_eq!(rules.covers(version), is_known, "{version}");
        }
    }

    #[test]
    fn the_message_of_a_limit_that_is_over_is_no_limit() {
        let rules = screen(
            r#"{ shows = "limited", lines = 9, has = ["limit reached"], until = "again in {in}" },
               { shows = "idle", lines = 1, has = ["=>"] }"#,
        );
        let text = "usage limit reached, try again in 2h 5m.\n>";
        let seen = rules.read(text, Timestamp(1_000), false).unwrap();
        let end = 1_000 + (2 * 60 + 5) * 60_000;
        assert_eq!((seen.activity, seen.until), (Activity::Limited, Some(Timestamp(end))));
        let seen = rules.read(text, Timestamp(1_000), true).unwrap();
        assert_eq!(seen.activity, Activity::Idle);
    }
}
