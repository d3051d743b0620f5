//! Rules of the project that the compiler cannot check.

mod boundaries;
mod generated;
mod imports;
mod size;

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: &[&str] = &[
    "store",
    "program",
    "cdc",
    "observer",
    "observer/fake-github",
    "session",
    "daemon",
    "cli",
    "benches",
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file of these crates, as path from the root and text. A crate inside of one is not a
/// part of it.
fn sources(crates: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = crates.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                if !path.join("Cargo.toml").exists() {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// Source that ships: no tests, no benches, and of each file what is before its unit tests.
fn shipped(crates: &[&str]) -> Vec<(String, String)> {
    let is_shipped = |name: &str| !name.contains("/tests/") && !name.starts_with("benches/");
    let without_tests =
        |text: &str| text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    sources(crates)
        .into_iter()
        .filter(|(name, _)| is_shipped(name))
        .map(|(name, text)| (name, without_tests(&text)))
        .collect()
}
