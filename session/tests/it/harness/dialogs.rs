//! The dialogs of the built-in rows on recorded screens of real programs: each is recognised where it was shown,
//! and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ao_session::harness::{Dialog, Harness};
use ao_store::activity::DecisionKind;
use walkdir::WalkDir;

use super::{built_in, recorded};

/// The recorded screens of a harness, with what they show, such as `permission-shell`.
fn frames(folder: &Path) -> Vec<(String, String)> {
    let files = WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let is_frame = |name: &str| name.ends_with(".txt") && !name.ends_with(".esc.txt");
    let frames = files.filter(|path| is_frame(&name(path)));
    frames.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// The kind of the decision that a screen waits for.
fn kind(row: &str, name: &str) -> Option<DecisionKind> {
    let what = name.split('.').next().unwrap();
    match (row, what) {
        // What it asks first with a fresh home, and without the mark after a key.
        (_, "first" | "first-with-provider") => Some(DecisionKind::Trust),
        _ if what.starts_with("permission-") => Some(DecisionKind::Permission),
        _ if what.starts_with("trust") => Some(DecisionKind::Trust),
        _ => None,
    }
}

fn dialogs(row: &Harness) -> impl Iterator<Item = (usize, &Dialog)> {
    row.dialogs().iter().enumerate()
}

#[test]
fn each_dialog_is_recognised_where_it_was_recorded_and_nowhere_else() {
    let Some(root) = recorded() else { return };
    for row in built_in().iter().filter(|row| !row.dialogs().is_empty()) {
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for (name, text) in frames(&root.join(row.name())) {
            let kind = kind(row.name(), &name);
            for (number, dialog) in dialogs(row).filter(|(_, dialog)| dialog.is_on(&text)) {
                let is_expected = kind.is_some_and(|kind| dialog.is_of(kind));
                assert!(is_expected, "{}: dialog {number} on {name}:\n{text}", row.name());
                *seen.entry(number).or_default() += 1;
            }
        }
        let all: Vec<_> = dialogs(row).map(|(number, _)| number).collect();
        let found: Vec<_> = seen.into_keys().collect();
        assert_eq!(found, all, "{}: a dialog was not recorded", row.name());
    }
}

/// The command of the recorded dialogs is `touch made.txt`.
#[test]
fn a_recorded_dialog_is_about_what_it_shows() {
    let Some(root) = recorded() else { return };
    for row in built_in().iter().filter(|row| !row.dialogs().is_empty()) {
        let shell = |(name, _): &(String, String)| name.starts_with("permission-shell");
        for (name, text) in frames(&root.join(row.name())).iter().filter(|it| shell(it)) {
            let asks = |asked: &str| dialogs(row).any(|(_, dialog)| dialog.asks(text, asked));
            for asked in ["touch made.txt", "Running: touch made.txt", ""] {
                assert!(asks(asked), "{}: {name}: {asked}\n{text}", row.name());
            }
            assert!(!asks("rm made.txt other"), "{}: {name}", row.name());
        }
    }
}
