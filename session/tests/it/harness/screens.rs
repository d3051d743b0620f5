//! What recorded screens of real programs show: each gives the state that its name says, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ao_store::Timestamp;
use walkdir::WalkDir;

use super::{built_in, recorded};

/// The frames that are a part of the project.
fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens")
}

/// A recorded frame.
struct Frame {
    harness: String,
    /// What it shows, such as `permission-shell`.
    what: String,
    /// Columns and rows.
    size: String,
    text: String,
}

/// The frames below a folder that has one for each harness.
fn frames(root: &Path) -> Vec<Frame> {
    let files = WalkDir::new(root).into_iter().map(|entry| entry.unwrap().into_path());
    let is_frame = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".txt") && !name.ends_with(".esc.txt")
    };
    let frame = |path: PathBuf| {
        let below = path.strip_prefix(root).unwrap();
        let harness = below.iter().next().unwrap().to_str().unwrap().to_owned();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut parts = name.split('.').map(str::to_owned);
        let (what, size) = (parts.next().unwrap(), parts.next().unwrap());
        Frame { harness, what, size, text: fs::read_to_string(&path).unwrap() }
    };
    files.filter(is_frame).map(frame).collect()
}

/// The state that the name of a frame says; `none` where it says nothing about one.
fn named(what: &str) -> &str {
    match what {
        "limited" => "limited",
        "ready"
        | "ready-untrusted"
        | "resumed"
        | "interrupted-twice"
        | "write-without-question"
        | "api-error" => "idle",
        "second-screen" | "first-with-provider" => "blocked trust",
        "login" => "blocked login",
        _ if what.starts_with("working") => "active",
        _ if what.starts_with("ready") => "idle",
        _ if what.starts_with("trust") => "blocked trust",
        _ if what.starts_with("permission-") => "waiting permission",
        _ if what.starts_with("idle-") || what.starts_with("interrupted") => "idle",
        _ if what.starts_with("after-permission-") => "idle",
        _ => "none",
    }
}

/// The state that a frame shows where its name does not say it, or says another one.
fn expected<'a>(harness: &str, what: &'a str, size: &str) -> &'a str {
    match (harness, what) {
        // Its tip has two lines, the second of which could be a prompt.
        ("codex", "ready") if size == "80x24" => "none",
        // With a fresh home the first screen is that of a login, of a trust dialog, or an empty prompt.
        ("amp" | "auggie" | "cline" | "codex" | "continue" | "droid" | "pi" | "qwen", "first") => {
            "blocked login"
        }
        ("copilot" | "gemini" | "kimi", "first") => "blocked trust",
        ("opencode" | "kilocode", "first") => "idle",
        ("aider", "first") => "waiting question",
        // They try the request again.
        ("opencode" | "kilocode" | "continue", "api-error") => "active",
        // Their first Escape only asks for a second one.
        ("opencode" | "kilocode" | "copilot", "interrupted") => "active",
        // Its Escape opens a field for the reason.
        ("kilocode", "after-permission-denied") => "waiting permission",
        // It was recorded before the question, and the other one while a request was tried again.
        ("kilocode", "permission-write") => "idle",
        ("kilocode", "ctrl-c-once") => "active",
        // The prompt is still there.
        ("aider" | "gemini" | "kimi" | "pi" | "vibe", "ctrl-c-once") => "idle",
        ("codex", "after-sigterm") => "idle",
        // It asks nothing, and leaves the hooks out.
        ("vibe", "trust") => "idle",
        // Nothing on them tells work from an empty prompt.
        ("aider" | "codex", "working") => "none",
        ("cline", what) if ["active", "idle"].contains(&named(what)) => "none",
        // Text in the prompt.
        ("claude-code", "pasted-multiline") => "none",
        (_, what) => named(what),
    }
}

/// Checks the frames of the rows that have rules; how many each has.
fn check(root: &Path) -> BTreeMap<String, usize> {
    let all = built_in();
    let mut seen = BTreeMap::new();
    for Frame { harness, what, size, text } in frames(root) {
        let Some(screen) = all.get(&harness).unwrap().screen() else { continue };
        let shown = screen.read(&text, Timestamp(0), false);
        let shown = shown.map_or("none".to_owned(), |seen| {
            format!("{} {}", seen.activity, seen.cause).trim().to_owned()
        });
        assert_eq!(shown, expected(&harness, &what, &size), "{harness}: {what}\n{text}");
        *seen.entry(harness).or_default() += 1;
    }
    seen
}

#[test]
fn each_recorded_screen_gives_the_state_that_its_name_says() {
    let seen = check(&own());
    assert_eq!(seen.values().sum::<usize>(), 15, "{seen:?}");
    let Some(root) = recorded() else { return };
    let seen = check(&root);
    let with_rules = built_in().iter().filter(|row| row.screen().is_some()).count();
    assert_eq!(seen.len(), with_rules, "a row has rules without a frame: {seen:?}");
}

/// A rule that no frame needs was not seen.
#[test]
fn every_rule_has_a_frame_and_every_version_was_recorded() {
    let Some(root) = recorded() else { return };
    let all = built_in();
    let table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/harness/table.toml"));
    let table: toml::Table = toml::from_str(&table.unwrap()).unwrap();
    let mut frames = frames(&root);
    frames.extend(self::frames(&own()));
    for row in all.iter() {
        let Some(screen) = row.screen() else { continue };
        for version in screen.versions() {
            let folders = fs::read_dir(root.join(row.name())).unwrap();
            let mut names = folders.map(|it| it.unwrap().file_name().into_string().unwrap());
            assert!(names.any(|name| name.starts_with(version.as_str())), "{}", row.name());
        }
        let rules = table[row.name()]["screen"]["rules"].as_array().unwrap();
        for (number, rule) in rules.iter().enumerate() {
            // The row with this rule alone.
            let mut alone = table[row.name()]["screen"].clone();
            alone["rules"] = toml::Value::Array(vec![rule.clone()]);
            let alone: ao_session::harness::Screen = alone.try_into().unwrap();
            let is_needed = frames.iter().any(|frame| {
                frame.harness == row.name()
                    && alone.read(&frame.text, Timestamp(0), false).is_some()
            });
            assert!(is_needed, "{}: no frame has rule {number}: {rule}", row.name());
        }
    }
}
