//! Harnesses through the public interface: files of users, programs on a disk, and golden command lines.

mod commands;
mod conversations;
mod dialogs;
mod documented;
mod hooks;
mod programs;
mod screens;
mod user_file;

use std::path::{Path, PathBuf};

use ao_program::Environment;
use ao_session::harness::Harnesses;

/// An environment with these variables.
fn environment(variables: &[(&str, &Path)]) -> Environment {
    variables.iter().copied().collect()
}

/// The recorded material, where it is.
#[expect(clippy::print_stdout, reason = "prints why a test was skipped")]
fn recorded() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/harness");
    let is_there = root.is_dir();
    if !is_there {
        println!("skipped: there is no {}", root.display());
    }
    is_there.then_some(root)
}

fn built_in() -> Harnesses {
    Harnesses::load(None).unwrap()
}

/// Compares with a file below the root of the project; `AO_UPDATE_GOLDEN=1` writes it.
fn assert_golden(file: &Path, text: &str) {
    if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let wanted = std::fs::read_to_string(file).unwrap();
    assert_eq!(wanted, text, "{}: run with AO_UPDATE_GOLDEN=1", file.display());
}
