//! Harnesses: which there are, where their programs are, and what they can do.

use std::path::PathBuf;
use std::thread;

use ao_program::Environment;
use ao_session::harness::{self, Harness, Harnesses, NativeId};
use serde_json::{Value, json};

/// A harness with the path of its program, where that is installed, and its version, if that was asked for.
#[derive(Debug)]
pub struct Installed<'a> {
    /// The harness.
    pub harness: &'a Harness,
    /// The path of its program.
    pub path: Option<PathBuf>,
    /// The version of its program.
    pub version: Option<String>,
}

impl Installed<'_> {
    /// Whether the screens of the installed version were seen, as far as that is known.
    #[must_use]
    pub fn is_seen(&self) -> Option<bool> {
        Some(self.harness.screen()?.covers(self.version.as_deref()?))
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let Installed { harness, path, version } = self;
        json!({
            "name": harness.name(),
            "label": harness.label(),
            "programs": harness.programs(),
            "path": path.as_ref().map(|path| path.to_string_lossy()),
            "version": version,
            "screen_versions": harness.screen().map_or(&[][..], |screen| &screen.versions()[..]),
            "is_version_seen": self.is_seen(),
            "prompt": harness.prompt().as_str(),
            "native_id": harness.native_id().map(NativeId::as_str),
            "can_resume": harness.can_resume(),
            "takes_model": harness.takes_model(),
            "permission": harness.permission(),
        })
    }
}

/// Every harness. With `versions`, each program is asked for its own, all at the same time: some take seconds.
#[must_use]
pub fn all(harnesses: &Harnesses, versions: bool) -> Vec<Installed<'_>> {
    let environment = Environment::of_process();
    let rows = harnesses.iter().map(|harness| {
        let found = harness::find(harness, &[], &environment);
        Installed { harness, path: found.ok().map(|found| found.path), version: None }
    });
    let mut rows: Vec<_> = rows.collect();
    if versions {
        find_versions(&mut rows, &environment);
    }
    rows
}

fn find_versions(rows: &mut [Installed<'_>], environment: &Environment) {
    thread::scope(|scope| {
        for row in rows {
            let Some(path) = row.path.clone() else { continue };
            scope.spawn(move || row.version = harness::version(&path, environment));
        }
    });
}
