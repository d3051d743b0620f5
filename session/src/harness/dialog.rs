//! The dialogs of a program that can be answered with keys: data of its row. A dialog is recognised by the texts
//! on the last lines of the screen; keys are for a screen that was recognised, and for no other.

use ao_store::activity::DecisionKind;
use serde::Deserialize;

use super::screen;

/// The most lines that a dialog looks at.
const LINES_MAX: usize = 60;

/// The names of keys, as tmux has them. Any other key is one character.
const KEYS: [&str; 9] = ["Enter", "Escape", "Tab", "BTab", "Up", "Down", "Left", "Right", "Space"];

/// Stands for the number of a choice.
const NUMBER: &str = "{n}";
/// Stands for the text of an answer.
const TEXT: &str = "{text}";

/// How many letters and digits of what is asked must be on the screen.
const ASKED_MAX: usize = 24;

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It may be done.
    Allow,
    /// It may not be done.
    Deny,
    /// One of several choices, by its number from 1 to 9.
    Choice(u8),
    /// A text.
    Text(String),
}

impl Answer {
    /// Its name, or the text.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Answer::Allow => "allow".to_owned(),
            Answer::Deny => "deny".to_owned(),
            Answer::Choice(number) => number.to_string(),
            Answer::Text(text) => text.clone(),
        }
    }
}

/// What is typed for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Press {
    /// A key by its name, or a character.
    Key(String),
    /// A text.
    Text(String),
}

/// A dialog of a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// The kind of the decision.
    kind: String,
    /// How many of the last lines that are not blank count.
    lines: usize,
    /// Texts in this order, each on a line below that of the one before. One that begins with `=` is a whole
    /// line.
    has: Vec<String>,
    /// The keys that allow.
    #[serde(default)]
    allow: Vec<String>,
    /// The keys that deny.
    #[serde(default)]
    deny: Vec<String>,
    /// The keys of a choice, with `{n}`.
    #[serde(default)]
    choose: Vec<String>,
    /// The keys of a text, with `{text}`.
    #[serde(default)]
    text: Vec<String>,
}

impl Dialog {
    /// The rules that the types of the keys cannot express.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if DecisionKind::of(&self.kind).is_none() {
            return Err("kind of a dialog is no kind of decision");
        }
        if self.has.is_empty() || self.has.iter().any(|text| text.trim().is_empty()) {
            return Err("a dialog has no text");
        }
        if !(self.has.len()..=LINES_MAX).contains(&self.lines) {
            return Err("lines of a dialog are fewer than its texts, or more than 60");
        }
        let all = [&self.allow, &self.deny, &self.choose, &self.text];
        if all.iter().all(|keys| keys.is_empty()) {
            return Err("a dialog has no keys");
        }
        for (keys, wanted) in all.into_iter().zip(["", "", NUMBER, TEXT]) {
            let is_key = |key: &String| {
                key.chars().count() == 1 || key == wanted || KEYS.contains(&key.as_str())
            };
            let has_wanted = wanted.is_empty() || keys.iter().any(|key| key == wanted);
            if !(keys.is_empty() || has_wanted && keys.iter().all(is_key)) {
                return Err(
                    "keys of a dialog are characters or names such as Enter; choose has {n}, text {text}",
                );
            }
        }
        Ok(())
    }

    /// Whether it is about decisions of this kind.
    #[must_use]
    pub fn is_of(&self, kind: DecisionKind) -> bool {
        self.kind == kind.as_str()
    }

    /// What is typed for an answer; `None` where it is not known.
    #[must_use]
    pub fn keys(&self, answer: &Answer) -> Option<Vec<Press>> {
        let keys = match answer {
            Answer::Allow => &self.allow,
            Answer::Deny => &self.deny,
            Answer::Choice(_) => &self.choose,
            Answer::Text(_) => &self.text,
        };
        let press = |key: &String| match (key.as_str(), answer) {
            (NUMBER, _) => Press::Key(answer.shown()),
            (TEXT, _) => Press::Text(answer.shown()),
            _ => Press::Key(key.clone()),
        };
        (!keys.is_empty()).then(|| keys.iter().map(press).collect())
    }

    /// Whether a screen shows it.
    #[must_use]
    pub fn is_on(&self, shown: &str) -> bool {
        let lines = last_lines(shown, self.lines);
        let mut rest = lines.iter();
        self.has.iter().all(|text| rest.any(|line| screen::has(line, text)))
    }

    /// Whether a screen shows it about what is asked, as far as that is known in words that a person sees.
    #[must_use]
    pub fn asks(&self, screen: &str, asked: &str) -> bool {
        let shown = plain(&last_lines(screen, LINES_MAX).concat());
        self.is_on(screen) && shown.contains(&essence(asked))
    }
}

fn last_lines(screen: &str, count: usize) -> Vec<&str> {
    let lines: Vec<&str> = screen.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

/// Letters and digits only: frames and the ends of lines do not matter.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The beginning of what a dialog shows of a question: of a path its last part, without the words in front of a
/// command, and nothing of a structure.
fn essence(asked: &str) -> String {
    let line = asked.lines().next().unwrap_or_default().trim();
    let line = line.split_once(": ").map_or(line, |(_, rest)| rest);
    let line = match line.contains(char::is_whitespace) {
        false => line.rsplit('/').next().unwrap_or_default(),
        true => line,
    };
    if line.starts_with(['{', '[']) {
        return String::new();
    }
    plain(line).chars().take(ASKED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(text: &str) -> Dialog {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn it_is_recognised_by_its_texts_in_their_order_near_the_end() {
        let it = dialog(
            "kind = 'permission'\nlines = 4\nhas = ['Allow?', '> 1. Yes']\nallow = ['Enter']",
        );
        it.check().unwrap();
        assert!(it.is_on("Allow?\n\n > 1. Yes\n 2. No\n\n"));
        for other in ["", "Allow?", "> 1. Yes\nAllow?", "Allow?\n1. Yes", "Allow? > 1. Yes"] {
            assert!(!it.is_on(other), "{other:?}");
        }
        assert!(!it.is_on("Allow?\n> 1. Yes\n\na\nb\nc\n"), "it has scrolled away");
    }

    #[test]
    fn the_screen_is_about_what_is_asked() {
        let it = dialog("kind = 'permission'\nlines = 9\nhas = ['Allow?']\nallow = ['y']");
        let screen = "│ touch │\n│ made.txt │\n│ note.txt │\nAllow?";
        for (asked, is_shown) in [
            ("", true),
            ("touch made.txt", true),
            ("Running: touch made.txt", true),
            ("touch made.txt\nand more", true),
            ("/repo/demo/note.txt", true),
            (r#"{"command":"rm"}"#, true),
            ("rm -rf", false),
            ("/repo/demo/other.txt", false),
        ] {
            assert_eq!(it.asks(screen, asked), is_shown, "{asked}");
        }
        assert!(!it.asks("touch made.txt", "touch made.txt"), "no dialog is on the screen");
    }

    #[test]
    fn the_keys_of_an_answer_are_those_of_the_row() {
        let it = dialog(
            "kind = 'question'\nlines = 1\nhas = ['?']\nchoose = ['{n}', 'Enter']\ntext = ['{text}', 'Enter']",
        );
        it.check().unwrap();
        let key = |name: &str| Press::Key(name.to_owned());
        assert_eq!(it.keys(&Answer::Choice(2)), Some(vec![key("2"), key("Enter")]));
        let text = vec![Press::Text("Enter".to_owned()), key("Enter")];
        assert_eq!(it.keys(&Answer::Text("Enter".to_owned())), Some(text));
        assert_eq!((it.keys(&Answer::Allow), it.keys(&Answer::Deny)), (None, None));
    }

    #[test]
    fn a_dialog_that_contradicts_itself_is_refused() {
        for text in [
            "kind = 'x'\nlines = 1\nhas = ['?']\nallow = ['y']",
            "kind = 'trust'\nlines = 1\nhas = []\nallow = ['y']",
            "kind = 'trust'\nlines = 1\nhas = [' ']\nallow = ['y']",
            "kind = 'trust'\nlines = 0\nhas = ['?']\nallow = ['y']",
            "kind = 'trust'\nlines = 61\nhas = ['?']\nallow = ['y']",
            "kind = 'trust'\nlines = 1\nhas = ['?']",
            "kind = 'trust'\nlines = 1\nhas = ['?']\nallow = ['yes']",
            "kind = 'trust'\nlines = 1\nhas = ['?']\nallow = ['{n}']",
            "kind = 'trust'\nlines = 1\nhas = ['?']\nchoose = ['Enter']",
            "kind = 'trust'\nlines = 1\nhas = ['?']\ntext = ['{n}']",
        ] {
            assert!(dialog(text).check().is_err(), "{text}");
        }
    }
}
