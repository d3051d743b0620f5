//! What each harness is started with: golden lines, and prompts that try to be something else.

use std::fmt::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ao_program::Environment;
use ao_session::harness::{self, Built, Found, Given, Harness, Prompt};

use super::{assert_golden, built_in, environment};

/// Every program of the built-in rows, in one directory.
struct Installed {
    dir: tempfile::TempDir,
    environment: Environment,
}

impl Installed {
    fn new() -> Installed {
        let dir = tempfile::tempdir().unwrap();
        let all = built_in();
        let rows = all.iter().map(Harness::programs);
        for name in rows.flatten().map(String::as_str).chain(["mine"]) {
            let mut options = std::fs::OpenOptions::new();
            let path = dir.path().join(name);
            options.create(true).truncate(true).write(true).mode(0o755).open(path).unwrap();
        }
        let environment = environment(&[("PATH", dir.path())]);
        Installed { dir, environment }
    }

    /// The program of a harness; for `custom`, a command of the caller.
    fn find(&self, harness: &Harness) -> Found {
        let argv = match harness.programs().is_empty() {
            true => ["mine", "--say={prompt}"].map(str::to_owned).to_vec(),
            false => Vec::new(),
        };
        harness::find(harness, &argv, &self.environment).unwrap()
    }

    /// A line of the golden file: without the directory and the random id.
    fn line(&self, what: &str, built: &Built) -> String {
        let words = built.argv.iter().map(|word| {
            let word = word.replace(&format!("{}/", self.dir.path().display()), "");
            match built.native_id.as_deref() {
                Some(id) if what != "resume" => word.replace(id, "<id>"),
                _ => word,
            }
        });
        let typed = built.typed.as_ref().map(|text| format!(" | typed {text:?}"));
        format!("{what}: {:?}{}", words.collect::<Vec<_>>(), typed.unwrap_or_default())
    }
}

fn given(prompt: &str, model: &str) -> Given {
    Given { prompt: prompt.to_owned(), model: model.to_owned(), ..Given::default() }
}

#[test]
fn each_row_gives_the_expected_command_lines() {
    let installed = Installed::new();
    let mut text = String::new();
    for harness in built_in().iter() {
        let found = installed.find(harness);
        let permission = harness.default_permission().to_owned();
        let given = |prompt: &str, model: &str| Given {
            permission: permission.clone(),
            ..given(prompt, model)
        };
        let start = |given: Given| harness::start(harness, &found, &given).unwrap();
        writeln!(text, "[{}]", harness.name()).unwrap();
        for (what, given) in [
            ("empty", given("", "")),
            ("prompt", given("fix it", "m1")),
            ("hyphen", given("- fix it", "")),
            ("word", given("update", "")),
        ] {
            writeln!(text, "{}", installed.line(what, &start(given))).unwrap();
        }
        if harness.can_resume() {
            let built = harness::resume(harness, &found, &given("fix it", "m1"), "ID").unwrap();
            writeln!(text, "{}", installed.line("resume", &built)).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness/commands.txt");
    assert_golden(&file, &text);
}

#[test]
fn a_hostile_prompt_is_only_ever_one_value() {
    let installed = Installed::new();
    let long = format!("{}\n", "long ".repeat(25_000));
    let prompts = [
        "--dangerously-skip-permissions",
        "-- --yolo x",
        "a\nb\r\n'\"`$(touch x)`;#(touch y)",
        "{model} {native_id} {prompt}",
        "#{pane_id} \u{1b}]0;title\u{7} \u{202e}",
        "resume",
        &long,
    ];
    for harness in built_in().iter() {
        let found = installed.find(harness);
        let plain = harness::start(harness, &found, &given("", "m1")).unwrap();
        for prompt in prompts {
            let Ok(built) = harness::start(harness, &found, &given(prompt, "m1")) else {
                assert!(harness.prompt() == Prompt::Variable && prompt == long);
                continue;
            };
            let name = harness.name();
            let holds: Vec<_> = built.argv.iter().filter(|word| word.contains(prompt)).collect();
            let typed = built.typed.iter().filter(|text| *text == prompt).count();
            assert_eq!(holds.len() + typed, 1, "{name}: {:?}", built.argv);
            if let Some(word) = holds.first() {
                assert!(word.len() < 128 << 10, "{name}");
                let at = built.argv.iter().position(|it| it == *word).unwrap();
                let is_value = word.ends_with(&format!("={prompt}"));
                let is_behind = built.argv[at - 1] == "--";
                assert!(is_value || is_behind || is_plain(prompt), "{name}: {:?}", built.argv);
            }
            // Nothing else than the prompt differs.
            let added = built.argv.len() - plain.argv.len();
            assert!(added <= 2, "{name}: {:?}", built.argv);
        }
    }
}

/// Whether a prompt as a bare last argument is taken for a prompt.
fn is_plain(prompt: &str) -> bool {
    !prompt.starts_with('-') && prompt.contains(' ')
}

#[test]
fn an_agent_inside_of_an_agent_does_not_notice() {
    let installed = Installed::new();
    let all = built_in();
    let found = installed.find(all.get("claude-code").unwrap());
    let built = harness::start(all.get("claude-code").unwrap(), &found, &given("fix it", ""));
    let caller: Environment = [
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_SESSION_ID", "x"),
        ("CLAUDE_CODE_MESSAGING_TOKEN", "x"),
        ("CLAUDE_CONFIG_DIR", "/kept"),
        ("QWEN_CODE_X", "x"),
        ("GEMINI_CLI_X", "x"),
        ("AO_LAUNCH_ID", "l1"),
        ("TMUX", "x"),
    ]
    .into_iter()
    .collect();
    let mut variables = built.unwrap().environment(&caller, &[("AO_LAUNCH_ID", "l2".to_owned())]);
    variables.sort();
    let wanted = [("AO_LAUNCH_ID", "l2"), ("AO_PROMPT", "fix it"), ("CLAUDE_CONFIG_DIR", "/kept")];
    assert_eq!(variables, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn each_start_has_a_new_id_and_a_refusal_is_recognised() {
    let installed = Installed::new();
    let all = built_in();
    let claude = all.get("claude-code").unwrap();
    let found = installed.find(claude);
    let start = || harness::start(claude, &found, &given("", "")).unwrap().native_id.unwrap();
    assert_ne!(start(), start());
    assert!(claude.has_refused(1, "No conversation found with session ID: 1"));
    assert!(claude.has_refused(1, "Error: Session ID 1 is already in use."));
    assert!(claude.has_refused(1, " \n"), "the program wipes its screen");
    assert!(!claude.has_refused(1, "Invalid API key"));
    assert!(!claude.has_refused(0, "is already in use"));
    let gemini = all.get("gemini").unwrap();
    assert!(gemini.has_refused(42, "x") && !gemini.has_refused(1, "") && gemini.can_refuse());
    assert!(!all.get("aider").unwrap().can_refuse());
}
