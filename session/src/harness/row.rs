//! One row of the table of harnesses. docs/harnesses.md explains its keys.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::dialog::Dialog;
use super::hooks::Hooks;
use super::place::Place;
use super::screen::Screen;
use super::trust::Trust;

/// How a program gets its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompt {
    /// As the argument after `--`.
    Argument,
    /// As the last argument, which must not begin with a hyphen.
    Positional,
    /// Behind a flag, in one argument with it.
    Flag,
    /// Typed into the terminal.
    Typed,
    /// Only in the variable `AO_PROMPT`.
    Variable,
}

impl Prompt {
    /// Its name in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Prompt::Argument => "argument",
            Prompt::Positional => "positional",
            Prompt::Flag => "flag",
            Prompt::Typed => "typed",
            Prompt::Variable => "variable",
        }
    }
}

/// Where the id of a conversation comes from. The braces make serde refuse unknown keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase", deny_unknown_fields)]
pub enum NativeId {
    /// It is chosen here, and given with these arguments.
    Given {
        /// The arguments, with `{native_id}`.
        args: Vec<String>,
    },
    /// The program can create one without starting.
    Created {},
    /// The program reports it.
    Hook {},
}

impl NativeId {
    /// Its name in the table.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            NativeId::Given { .. } => "given",
            NativeId::Created {} => "created",
            NativeId::Hook {} => "hook",
        }
    }
}

/// A harness.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Harness {
    #[serde(skip)]
    name: String,
    label: String,
    pub(super) programs: Vec<String>,
    #[serde(default)]
    pub(super) places: Vec<String>,
    pub(super) start: Vec<String>,
    #[serde(default)]
    pub(super) resume: Vec<String>,
    pub(super) prompt: Prompt,
    #[serde(default)]
    pub(super) prompt_flag: String,
    #[serde(default)]
    pub(super) model: Vec<String>,
    #[serde(default)]
    permission: BTreeMap<String, Vec<String>>,
    pub(super) native_id: Option<NativeId>,
    pub(super) conversation: Option<Place>,
    #[serde(default)]
    refusals: Vec<String>,
    refusal_status: Option<i64>,
    hooks: Option<Hooks>,
    screen: Option<Screen>,
    trust: Option<Trust>,
    #[serde(default)]
    dialogs: Vec<Dialog>,
}

impl Harness {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Its name for people.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The names of its program; none for the command of the caller.
    #[must_use]
    pub fn programs(&self) -> &[String] {
        &self.programs
    }

    /// How it gets its prompt.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        self.prompt
    }

    /// Where the id of a conversation comes from.
    #[must_use]
    pub fn native_id(&self) -> Option<&NativeId> {
        self.native_id.as_ref()
    }

    /// Whether it can continue a conversation of which there is proof.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        !self.resume.is_empty() && self.conversation.is_some()
    }

    /// Whether it can be given a model.
    #[must_use]
    pub fn takes_model(&self) -> bool {
        !self.model.is_empty()
    }

    /// The arguments of each mode of permission.
    #[must_use]
    pub fn permission(&self) -> &BTreeMap<String, Vec<String>> {
        &self.permission
    }

    /// The mode that is used unless another one is named: the program asks, where it can be made to.
    #[must_use]
    pub fn default_permission(&self) -> &'static str {
        if self.permission.contains_key("ask") { "ask" } else { "" }
    }

    /// What its hooks mean, where it has any.
    #[must_use]
    pub fn hooks(&self) -> Option<&Hooks> {
        self.hooks.as_ref()
    }

    /// What its screens show, where they were seen.
    #[must_use]
    pub fn screen(&self) -> Option<&Screen> {
        self.screen.as_ref()
    }

    /// Where it records which directories it trusts, where it does.
    #[must_use]
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The dialogs that can be answered with keys.
    #[must_use]
    pub fn dialogs(&self) -> &[Dialog] {
        &self.dialogs
    }

    /// Whether one can tell that it refuses a conversation.
    #[must_use]
    pub fn can_refuse(&self) -> bool {
        !self.refusals.is_empty() || self.refusal_status.is_some()
    }

    /// Whether a resumed program that ended with this exit status refused its conversation. A program
    /// that says so may wipe its screen at the end, so an empty screen counts, too.
    #[must_use]
    pub fn has_refused(&self, exit_status: i64, screen: &str) -> bool {
        let is_printed = self.refusals.iter().any(|text| screen.contains(text));
        let is_wiped = !self.refusals.is_empty() && screen.trim().is_empty();
        exit_status != 0 && (is_printed || is_wiped || self.refusal_status == Some(exit_status))
    }

    /// The rules that the types of the keys cannot express.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_custom = self.prompt == Prompt::Variable;
        let has = |words: &[String], place: &str| words.iter().any(|word| word.contains(place));
        if self.programs.is_empty() != is_custom || self.programs.iter().any(String::is_empty) {
            return Err("programs names no program");
        }
        if has(&self.programs, "/") {
            return Err("programs has a path: put its directory into places");
        }
        if self.places.iter().any(|place| !place.starts_with(['/', '~'])) {
            return Err("places has a directory that begins with neither '/' nor '~/'");
        }
        if (self.prompt == Prompt::Flag) != self.prompt_flag.starts_with('-') {
            return Err("prompt_flag is needed for prompt = \"flag\", and begins with '-'");
        }
        if !self.resume.is_empty() && !has(&self.resume, "{native_id}") {
            return Err("resume has no {native_id}");
        }
        let takes_model = has(&self.start, "{model}");
        if self.model.is_empty() == takes_model || has(&self.model, "{model}") != takes_model {
            return Err("model and start go together: both have {model}, or neither has");
        }
        let is_given = match &self.native_id {
            Some(NativeId::Given { args }) => has(args, "{native_id}"),
            _ => false,
        };
        if is_given != has(&self.start, "{native_id}") {
            return Err("start and the args of a native_id that is given both have {native_id}");
        }
        if let Some(hooks) = &self.hooks {
            hooks.check()?;
        }
        if let Some(screen) = &self.screen {
            screen.check()?;
        }
        if self.trust.as_ref().is_some_and(|it| !it.names_worktree()) {
            return Err("the keys of trust have no {worktree}");
        }
        self.dialogs.iter().try_for_each(Dialog::check)?;
        if self.conversation.as_ref().is_some_and(|it| !it.pattern.contains("{native_id")) {
            return Err("the pattern of conversation has no {native_id}");
        }
        Ok(())
    }
}
