//! The command of a harness for a start and for a continued conversation: pure functions of the row and of
//! what is given.

use std::path::PathBuf;
use std::time::Duration;

use ao_program::Environment;
use ao_store::row::launch::LaunchKind;
use serde_json::Value;

use super::find::Found;
use super::hooks::Installed;
use super::row::{Harness, NativeId, Prompt};
use crate::error::{Error, Result};

/// A longer prompt is typed: one argument may have 128 KiB, and others need room, too.
const ARGUMENT_MAX: usize = 100 << 10;

/// A longer prompt is in no variable.
const VARIABLE_MAX: usize = 100 << 10;

/// Variables by which agents know that they run inside of another one.
const NESTED: [&str; 3] = ["CLAUDECODE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_MESSAGING_TOKEN"];
const NESTED_PREFIXES: [&str; 2] = ["QWEN_CODE_", "GEMINI_CLI_"];

/// Of the tmux session, of the session of ao-store and of the turn in which the caller runs.
const OUTER: [&str; 13] = [
    "TMUX",
    "TMUX_PANE",
    "AO_SESSION_ID",
    "AO_PROJECT_ID",
    "AO_LAUNCH_ID",
    "AO_ISSUE",
    "AO_PROMPT",
    "AO_INSTANCE_ID",
    "AO_TURN_ID",
    "AO_WORKER_ID",
    "AO_CONVERSATION_ID",
    "AO_ORG_ID",
    "AO_AGENT_ID",
];

/// What a program is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The prompt; may be empty.
    pub prompt: String,
    /// The model; may be empty.
    pub model: String,
    /// The permission mode; empty for that of the harness.
    pub permission: String,
    /// The worktree.
    pub worktree: PathBuf,
    /// The command of a shell to which the name of the harness and of an event are added; empty for no
    /// hooks.
    pub hook: String,
    /// How long a hook waits for an answer.
    pub hook_answers: Duration,
}

/// A command that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The prompt, where it is to be typed.
    pub typed: Option<String>,
    /// The id of the conversation, where it is known.
    pub native_id: Option<String>,
    /// What the program is started from.
    pub kind: LaunchKind,
    /// What makes it run its hooks; `None` where it runs none.
    pub hooks: Option<Installed>,
    prompt: String,
}

impl Built {
    /// The variables of the program: those of the caller without what belongs to its own session, and
    /// those of the launch. A variable that is not UTF-8 is left out.
    #[must_use]
    pub fn environment(
        &self,
        caller: &Environment,
        own: &[(&str, String)],
    ) -> Vec<(String, String)> {
        let is_kept = |name: &str| {
            !NESTED.contains(&name)
                && !OUTER.contains(&name)
                && (name == "GEMINI_CLI_TRUST_WORKSPACE"
                    || !NESTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        };
        let kept =
            caller.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let mut all: Vec<(String, String)> = kept
            .filter(|(name, _)| is_kept(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        all.extend(self.hooks.iter().flat_map(|hooks| hooks.environment.clone()));
        all.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        if !self.prompt.is_empty() && self.prompt.len() <= VARIABLE_MAX {
            all.push(("AO_PROMPT".to_owned(), self.prompt.clone()));
        }
        all
    }
}

/// The command that starts a new conversation.
///
/// # Errors
/// `AGENT_BINARY_NOT_FOUND` when the harness needs a command of the caller.
pub fn start(harness: &Harness, found: &Found, given: &Given) -> Result<Built> {
    let native_id = match (&harness.native_id, found.argv.is_empty()) {
        (Some(NativeId::Given { .. }), true) => Some(uuid()),
        _ => None,
    };
    let kind = if given.prompt.is_empty() { LaunchKind::Fresh } else { LaunchKind::Prompt };
    let mut argv = command(found, &harness.start, harness, given, native_id.as_deref())?;
    let hooks = add_hooks(&mut argv, found, harness, given);
    let is_placed = put_prompt(&mut argv, found, &given.prompt)?;
    let mut typed = None;
    if !is_placed && !given.prompt.is_empty() {
        typed = add_prompt(&mut argv, harness, &given.prompt)?;
    }
    Ok(Built { argv, typed, native_id, kind, hooks, prompt: given.prompt.clone() })
}

/// Adds the arguments that make the program run its hooks. A command of the caller is taken as it is.
fn add_hooks(
    argv: &mut Vec<String>,
    found: &Found,
    harness: &Harness,
    given: &Given,
) -> Option<Installed> {
    let hooks = harness.hooks().filter(|_| found.argv.is_empty() && !given.hook.is_empty())?;
    let installed = hooks.install(harness.name(), &given.hook, given.hook_answers)?;
    argv.extend(installed.args.iter().cloned());
    Some(installed)
}

/// The command that continues a conversation. The prompt is not given again.
///
/// # Errors
/// `AGENT_BINARY_NOT_FOUND` when the harness needs a command of the caller.
pub fn resume(harness: &Harness, found: &Found, given: &Given, native_id: &str) -> Result<Built> {
    let mut argv = command(found, &harness.resume, harness, given, Some(native_id))?;
    let hooks = add_hooks(&mut argv, found, harness, given);
    let native_id = Some(native_id.to_owned());
    Ok(Built {
        argv,
        typed: None,
        native_id,
        kind: LaunchKind::Resume,
        hooks,
        prompt: String::new(),
    })
}

/// Program and arguments of a template. A command of the caller is taken as it is.
fn command(
    found: &Found,
    template: &[String],
    harness: &Harness,
    given: &Given,
    native_id: Option<&str>,
) -> Result<Vec<String>> {
    if !found.argv.is_empty() {
        return Ok(found.argv.clone());
    }
    let worktree = Value::from(given.worktree.to_string_lossy()).to_string();
    let mut argv = vec![found.path.to_string_lossy().into_owned()];
    for word in template {
        match word.as_str() {
            "{model}" if given.model.is_empty() => {}
            "{model}" => {
                argv.extend(harness.model.iter().map(|it| it.replace("{model}", &given.model)));
            }
            "{native_id}" => match (&harness.native_id, native_id, template == harness.start) {
                (Some(NativeId::Given { args }), Some(id), true) => {
                    argv.extend(args.iter().map(|it| it.replace("{native_id}", id)));
                }
                (_, Some(id), false) => argv.push(id.to_owned()),
                _ => {}
            },
            word => {
                let word = word.replace("{native_id}", native_id.unwrap_or_default());
                argv.push(word.replace("{worktree}", &worktree));
            }
        }
    }
    argv.extend(harness.permission().get(&given.permission).into_iter().flatten().cloned());
    Ok(argv)
}

/// Replaces `{prompt}` in a command of the caller.
fn put_prompt(argv: &mut [String], found: &Found, prompt: &str) -> Result<bool> {
    let mut is_placed = false;
    for word in argv.iter_mut().filter(|_| !found.argv.is_empty()) {
        if word.contains("{prompt}") {
            *word = word.replace("{prompt}", prompt);
            is_placed = true;
        }
    }
    if is_placed && prompt.len() > ARGUMENT_MAX {
        return Err(Error::InvalidPrompt("it is longer than 100 KiB, too long for an argument"));
    }
    Ok(is_placed)
}

/// Adds the prompt in the way of the harness; returns it where it is to be typed.
fn add_prompt(argv: &mut Vec<String>, harness: &Harness, prompt: &str) -> Result<Option<String>> {
    let is_long = prompt.len() > ARGUMENT_MAX;
    match harness.prompt {
        Prompt::Argument if !is_long => argv.extend(["--".to_owned(), prompt.to_owned()]),
        Prompt::Positional if !is_long && is_positional(prompt) => argv.push(prompt.to_owned()),
        Prompt::Flag if !is_long => argv.push(format!("{}{prompt}", harness.prompt_flag)),
        Prompt::Variable if !is_long => {}
        Prompt::Variable => {
            return Err(Error::InvalidPrompt("it is longer than 100 KiB, too long for a variable"));
        }
        _ => return Ok(Some(prompt.to_owned())),
    }
    Ok(None)
}

/// Whether a prompt without a flag is taken as one: a hyphen begins a flag, and one word can be the name of
/// a subcommand.
fn is_positional(prompt: &str) -> bool {
    !prompt.starts_with('-') && prompt.trim().contains(char::is_whitespace)
}

/// A random UUID, version 4 (RFC 9562, section 5.4).
fn uuid() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// Checks what a program is to be started with: after it, [`start`] succeeds.
///
/// # Errors
/// `INVALID_ID` for a model that would be taken for a flag, `USAGE` for one that would be given to nobody and
/// for a permission mode that the harness does not have, `INVALID_PROMPT` for a prompt that is too long,
/// `AGENT_BINARY_NOT_FOUND` when the harness needs a command of the caller.
pub(crate) fn check(harness: &Harness, found: &Found, given: &Given) -> Result<()> {
    if given.model.starts_with('-') {
        return Err(ao_store::Error::InvalidId {
            what: "model",
            value: given.model.chars().take(80).collect(),
            reason: "it begins with a hyphen",
        }
        .into());
    }
    let refused = match given.model.is_empty() {
        false if !found.argv.is_empty() => Some("the command after -- is run as it is".to_owned()),
        false if !harness.takes_model() => Some(format!("{} takes none", harness.name())),
        _ => None,
    };
    if let Some(reason) = refused {
        return Err(Error::ModelRefused(reason));
    }
    check_permission(harness, found, &given.permission)?;
    start(harness, found, given).map(drop)
}

/// Checks that the harness has a permission mode.
fn check_permission(harness: &Harness, found: &Found, mode: &str) -> Result<()> {
    let modes = harness.permission();
    let reason = match () {
        () if mode.is_empty() => return Ok(()),
        () if !found.argv.is_empty() => "the command after -- is run as it is".to_owned(),
        () if modes.contains_key(mode) => return Ok(()),
        () if modes.is_empty() => format!("{} has no modes", harness.name()),
        () => {
            let known: Vec<_> = modes.keys().map(String::as_str).collect();
            let mode: String = mode.chars().take(80).collect();
            format!("{} has no mode {mode:?}; it has {}", harness.name(), known.join(", "))
        }
    };
    Err(Error::PermissionRefused(reason))
}

#[cfg(test)]
mod tests {
    use super::super::Harnesses;
    use super::*;

    fn built(name: &str, prompt: &str, model: &str) -> Built {
        let all = Harnesses::load(None).unwrap();
        let found = Found { path: "/bin/agent".into(), argv: Vec::new() };
        let given =
            Given { prompt: prompt.to_owned(), model: model.to_owned(), ..Given::default() };
        start(all.get(name).unwrap(), &found, &given).unwrap()
    }

    #[test]
    fn a_prompt_is_never_a_flag_of_any_harness() {
        let all = Harnesses::load(None).unwrap();
        for harness in all.iter() {
            for prompt in ["-x", "--dangerously-allow-all", "a\n;#(touch x)'\"$(y)", "\u{1b}[31m"] {
                let built = built(harness.name(), prompt, "");
                for (at, word) in
                    built.argv.iter().enumerate().filter(|(_, it)| it.contains(prompt))
                {
                    let is_behind = built.argv[..at].iter().any(|word| word == "--");
                    let is_value =
                        word.starts_with(&harness.prompt_flag) && !harness.prompt_flag.is_empty();
                    assert!(is_behind || is_value || !prompt.starts_with('-'), "{:?}", built.argv);
                }
                let is_given =
                    built.typed.is_some() || built.argv.iter().any(|it| it.contains(prompt));
                assert!(is_given || harness.prompt == Prompt::Variable, "{}", harness.name());
            }
        }
    }

    #[test]
    fn arguments_are_those_of_the_row() {
        let claude = built("claude-code", "do it", "opus");
        let id = claude.native_id.clone().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        let wanted = ["/bin/agent", "--session-id", &id, "--model", "opus", "--", "do it"];
        assert_eq!(claude.argv, wanted);
        assert_eq!(built("opencode", "-x", "").argv, ["/bin/agent", "--prompt=-x"]);
        assert_eq!(built("pi", "-x", "").typed.as_deref(), Some("-x"));
        assert_eq!(built("pi", "fix it", "").argv, ["/bin/agent", "fix it"]);
        assert_eq!(built("pi", "update", "").typed.as_deref(), Some("update"));
        assert_eq!(built("aider", "x", "").typed.as_deref(), Some("x"));
        assert!(built("claude-code", &"x".repeat(200_000), "").typed.is_some());
    }

    #[test]
    fn a_conversation_is_continued_without_its_prompt() {
        let all = Harnesses::load(None).unwrap();
        let found = Found { path: "/bin/agent".into(), argv: Vec::new() };
        let given =
            Given { prompt: "again?".to_owned(), model: "m".to_owned(), ..Given::default() };
        let resumed =
            |name: &str| resume(all.get(name).unwrap(), &found, &given, "ID").unwrap().argv;
        assert_eq!(resumed("claude-code"), ["/bin/agent", "--resume", "ID", "--model", "m"]);
        assert_eq!(resumed("copilot"), ["/bin/agent", "--resume=ID", "--model", "m"]);
        assert_eq!(resumed("codex")[..3], ["/bin/agent", "resume", "ID"]);
    }

    #[test]
    fn what_cannot_be_given_is_refused_before_anything_is_made() {
        let all = Harnesses::load(None).unwrap();
        let refused = |name: &str, argv: &[&str], prompt: &str, model: &str| {
            let argv = argv.iter().map(|&word| word.to_owned()).collect();
            let found = Found { path: "/bin/agent".into(), argv };
            let given =
                Given { prompt: prompt.to_owned(), model: model.to_owned(), ..Given::default() };
            check(all.get(name).unwrap(), &found, &given).unwrap_err().code().name()
        };
        let long = "x".repeat(200_000);
        assert_eq!(refused("codex", &[], "", "--yolo"), "INVALID_ID");
        assert_eq!(refused("codex", &["/bin/agent"], "", "opus"), "USAGE");
        let silent = all.iter().find(|it| !it.takes_model()).unwrap().name();
        assert_eq!(refused(silent, &[], "", "opus"), "USAGE");
        assert_eq!(refused("custom", &["/bin/agent"], &long, ""), "INVALID_PROMPT");
        assert_eq!(refused("codex", &["/bin/agent", "{prompt}"], &long, ""), "INVALID_PROMPT");
    }

    #[test]
    fn a_command_of_the_caller_gets_the_prompt_where_it_asks_for_it() {
        let all = Harnesses::load(None).unwrap();
        let argv = ["/bin/agent", "--say={prompt}", "x"].map(str::to_owned).to_vec();
        let found = Found { path: "/bin/agent".into(), argv };
        let given = Given { prompt: "-hi".to_owned(), ..Given::default() };
        let built = start(all.get("custom").unwrap(), &found, &given).unwrap();
        assert_eq!(built.argv, ["/bin/agent", "--say=-hi", "x"]);
        let variables = built.environment(
            &[("CLAUDECODE", "1"), ("AO_SESSION_ID", "x-1"), ("HOME", "/h"), ("TMUX", "t")]
                .into_iter()
                .collect(),
            &[("AO_SESSION_ID", "demo-1".to_owned())],
        );
        let of = |name: &str| variables.iter().filter(|(it, _)| it == name).collect::<Vec<_>>();
        assert_eq!(of("AO_PROMPT")[0].1, "-hi");
        assert_eq!(of("AO_SESSION_ID").len(), 1);
        assert!(of("CLAUDECODE").is_empty() && of("TMUX").is_empty());
        assert_eq!(of("HOME")[0].1, "/h");
    }
}
