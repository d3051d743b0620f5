//! What the hooks of a program mean: data of its row, applied to a payload.
//!
//! A payload is JSON of the program. A field is named by a path of keys, such as `tool_input.command`. What a
//! row does not name is ignored.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use ao_store::activity::{DecisionKind, Signal};
use ao_store::row::decision::Question;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::limit::is_pattern;

/// The seconds that a hook may take: more than the usual busy timeout, by which it ends itself.
const HOOK_TIMEOUT: u64 = 10;

/// The hooks of a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// The field with the id of the conversation.
    #[serde(default)]
    native_id: String,
    /// The fields that together tell one tool call from another, in every event that is about one.
    #[serde(default)]
    call: Vec<String>,
    /// What each event means. Of an event with several rules the first one whose condition holds is used.
    events: Vec<EventRule>,
    install: Option<Install>,
    answers: Option<Answers>,
}

/// What the hook of an event prints when the permission that it reports was answered from here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    /// The event.
    on: String,
    allow: String,
    deny: String,
}

/// How the hooks get into the program. In all texts `{event}` is the name of an event, `{shell}` the command
/// that it runs, `{command}` that command as a JSON string, and `{timeout}` the seconds that it may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Install {
    /// Arguments, with `{text}`.
    #[serde(default)]
    args: Vec<String>,
    /// Arguments for each event.
    #[serde(default)]
    event_args: Vec<String>,
    /// A file in the worktree, which has the text; with `{event}` in its name a file for each event.
    #[serde(default)]
    file: String,
    /// The text, in which `{events}` is that of all events, separated by commas.
    #[serde(default)]
    text: String,
    /// The text of an event.
    #[serde(default)]
    event: String,
    /// Variables without which the program does not run its hooks.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// What a hook must print.
    #[serde(default)]
    reply: String,
}

/// What makes a program run its hooks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Files in its worktree, by their relative paths.
    pub files: Vec<(String, String)>,
    /// Variables of the program.
    pub environment: Vec<(String, String)>,
}

/// What an event means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventRule {
    /// The name of the event.
    on: String,
    /// Values that fields must have.
    #[serde(default)]
    when: BTreeMap<String, String>,
    /// What it says.
    says: Says,
    /// The fields of the call, where they differ from those of the other events.
    call: Option<Vec<String>>,
    /// The field with the prompt that the program took; empty if it says only that it took one.
    prompt: Option<String>,
    /// The field with the name of the tool.
    #[serde(default)]
    tool: String,
    /// The fields with what is asked, or with the failure: the first that is there.
    #[serde(default)]
    text: Vec<String>,
    /// Of a limit the words in that text in front of its end, with `{in}` or `{at}`.
    #[serde(default)]
    until: String,
}

/// What an event says, as it is named in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Says {
    Ready,
    TurnStarted,
    ToolStarted,
    ToolEnded,
    Permission,
    Question,
    Plan,
    Decided,
    Notified,
    TurnEnded,
    TurnFailed,
    Limited,
    /// Nothing about the activity: only its fields count.
    Nothing,
}

/// What a payload says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// About the activity.
    pub signal: Option<Signal>,
    /// The id of the conversation; may be empty.
    pub native_id: String,
    /// The prompt that the program took.
    pub prompt: Option<String>,
    /// What is asked.
    pub question: Question,
    /// The failure or the limit, in the words of the program; may be empty.
    pub message: String,
    /// The words in the message in front of the end of a limit; may be empty.
    pub until: String,
}

impl Hooks {
    /// The events that have a meaning, each once.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        let is_first = |at: usize, name: &str| !self.events[..at].iter().any(|it| it.on == name);
        self.events
            .iter()
            .enumerate()
            .filter(move |(at, rule)| is_first(*at, &rule.on))
            .map(|(_, rule)| rule.on.as_str())
    }

    /// What must be given to the program so that it runs `program HARNESS EVENT` for each event. `program` is
    /// a command of a shell. A hook that can answer may take this much longer than the others. `None` where
    /// it is not known how.
    #[must_use]
    pub fn install(&self, harness: &str, program: &str, longer: Duration) -> Option<Installed> {
        let install = self.install.as_ref()?;
        let fill = |text: &str, event: &str| {
            let shell = format!("{program} {harness} {event}");
            let command = Value::from(shell.as_str()).to_string();
            let longer = if self.takes_answers(event) { longer.as_secs() } else { 0 };
            let timeout = HOOK_TIMEOUT.saturating_add(longer).to_string();
            let text = text.replace("{event}", event).replace("{timeout}", &timeout);
            text.replace("{shell}", &shell).replace("{command}", &command)
        };
        let events: Vec<_> = self.events().map(|event| fill(&install.event, event)).collect();
        let text = install.text.replace("{events}", &events.join(","));
        let mut args: Vec<_> = install.args.iter().map(|it| it.replace("{text}", &text)).collect();
        for event in self.events() {
            args.extend(install.event_args.iter().map(|it| fill(it, event)));
        }
        let files = match install.file.as_str() {
            "" => Vec::new(),
            file if file.contains("{event}") => {
                self.events().map(|event| (fill(file, event), fill(&text, event))).collect()
            }
            file => vec![(file.to_owned(), text)],
        };
        let environment = install.environment.clone().into_iter().collect();
        Some(Installed { args, files, environment })
    }

    /// Whether an event says that the program took a prompt.
    #[must_use]
    pub fn reports_prompts(&self) -> bool {
        self.events.iter().any(|rule| rule.prompt.is_some())
    }

    /// Whether the event that says that a turn has ended has what the agent said last.
    #[must_use]
    pub fn reports_answers(&self) -> bool {
        self.events.iter().any(|rule| rule.says == Says::TurnEnded && !rule.text.is_empty())
    }

    /// Whether the hook of this event can wait for an answer.
    #[must_use]
    pub fn takes_answers(&self, event: &str) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.on == event)
    }

    /// What a hook prints for this answer; `None` where it can carry none.
    #[must_use]
    pub fn printed(&self, answer: &str) -> Option<&str> {
        let answers = self.answers.as_ref()?;
        match answer {
            "allow" => Some(&answers.allow),
            "deny" => Some(&answers.deny),
            _ => None,
        }
    }

    /// What a hook must print; may be empty.
    #[must_use]
    pub fn reply(&self) -> &str {
        self.install.as_ref().map_or("", |install| &install.reply)
    }

    /// The rules that the types of the keys cannot express.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_wrong = |rule: &EventRule| {
            !(rule.until.is_empty() || rule.says == Says::Limited && is_pattern(&rule.until))
        };
        if self.events.iter().any(is_wrong) {
            return Err("until of a rule of hooks belongs to limited, and has {in} or {at}");
        }
        let asks = |on: &str| {
            self.events.iter().any(|rule| rule.on == on && rule.says == Says::Permission)
        };
        if self.answers.as_ref().is_some_and(|answers| !asks(&answers.on)) {
            return Err("on of hooks.answers is no event that says permission");
        }
        if self.answers.is_some() && !self.reply().is_empty() {
            return Err("hooks.answers and the reply of hooks.install exclude each other");
        }
        let Some(install) = &self.install else { return Ok(()) };
        let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !Path::new(&install.file).components().all(is_inside) {
            return Err("the file of hooks.install leaves the worktree");
        }
        Ok(())
    }

    /// What the payload of an event says; nothing for one that no rule is about.
    #[must_use]
    pub fn read(&self, event: &str, payload: &Value) -> Heard {
        let holds = |(path, wanted): (&String, &String)| field(payload, path) == *wanted;
        let is_it = |rule: &&EventRule| rule.on == event && rule.when.iter().all(holds);
        let mut heard = Heard { native_id: field(payload, &self.native_id), ..Heard::default() };
        let Some(rule) = self.events.iter().find(is_it) else { return heard };
        let text = rule.text.iter().map(|path| field(payload, path)).find(|it| !it.is_empty());
        let text = text.unwrap_or_default();
        let call = call(payload, rule.call.as_ref().unwrap_or(&self.call));
        let asked = |kind| Some(Signal::Asked { kind, call: call.clone() });
        heard.signal = match rule.says {
            Says::Ready => Some(Signal::Ready),
            Says::TurnStarted => Some(Signal::TurnStarted),
            Says::ToolStarted => Some(Signal::ToolStarted(call)),
            Says::ToolEnded => Some(Signal::ToolEnded(call)),
            Says::Permission => asked(DecisionKind::Permission),
            Says::Question => asked(DecisionKind::Question),
            Says::Plan => asked(DecisionKind::Plan),
            Says::Decided => Some(Signal::Decided(call)),
            Says::Notified => Some(Signal::Notified),
            Says::TurnEnded => Some(Signal::TurnEnded),
            Says::TurnFailed => Some(Signal::TurnFailed("failed_request".to_owned())),
            Says::Limited => Some(Signal::Limited(None)),
            Says::Nothing => None,
        };
        heard.prompt = rule.prompt.as_ref().map(|path| field(payload, path));
        heard.message.clone_from(&text);
        heard.until.clone_from(&rule.until);
        heard.question = Question { tool: field(payload, &rule.tool), text, options: Vec::new() };
        heard
    }
}

/// The text of a field; of a list the texts of its elements. What is missing is empty, and a structure its
/// JSON.
fn field(payload: &Value, path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    match path.split('.').try_fold(payload, |value, key| value.get(key)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) if parts.iter().all(|part| part.get("text").is_some()) => {
            parts.iter().map(|part| field(part, "text")).collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
    }
}

/// The identity of a tool call: the value of one field, or the digest of several. Empty when one is missing.
fn call(payload: &Value, paths: &[String]) -> String {
    let values: Vec<_> = paths.iter().map(|path| field(payload, path)).collect();
    match values.as_slice() {
        all if all.iter().any(String::is_empty) => String::new(),
        [one] => one.clone(),
        all => hex::encode(&Sha256::digest(all.join("\0"))[..8]),
    }
}
