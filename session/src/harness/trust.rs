//! The record by which a program trusts a directory: a value in a JSON file of the user.
//!
//! The file is changed additively, by one process of ours at a time, and replaced as a whole. One that is
//! missing, empty or no JSON object is never written: such a file may be half-written by the program, and a
//! login may be in it. What the program writes at the same time is not lost: the change is made again. What
//! was changed here is not lost either, where the row names the lock that the program takes for its own changes:
//! a program that had read the file before would otherwise write it back without the change.

use std::fs::{self, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::Environment;
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use super::place::Place;
use crate::error::{Error, Result};
use crate::exclusive::Exclusive;

/// How often a change is made again, because the program has changed the file.
const ATTEMPTS: usize = 20;
/// How long the lock of the program is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The age of a lock that a dead process left: one that is held is renewed more often.
const LOCK_STALE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Where a program records which directories it trusts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The file.
    place: Place,
    /// The keys that lead to the value, which is `true`; `{worktree}` is the path of the worktree.
    keys: Vec<String>,
    /// What follows the name of the file in that of the directory which the program makes while it changes
    /// the file; empty where it makes none.
    #[serde(default)]
    lock: String,
}

impl Trust {
    /// Whether the record is about one worktree.
    pub(super) fn names_worktree(&self) -> bool {
        self.keys.iter().any(|key| key == "{worktree}")
    }

    fn keys(&self, worktree: &Path) -> Vec<String> {
        let path = worktree.to_string_lossy();
        self.keys.iter().map(|key| key.replace("{worktree}", &path)).collect()
    }

    /// The path of the file.
    fn path(&self, environment: &Environment) -> Option<PathBuf> {
        Some(self.place.dir(environment)?.join(&self.place.pattern))
    }

    /// Takes the lock that the program itself takes, where it has one.
    fn lock(&self, path: &Path) -> Result<Option<Lock>> {
        if self.lock.is_empty() {
            return Ok(None);
        }
        let mut lock = path.to_owned().into_os_string();
        lock.push(&self.lock);
        Lock::take(lock.into()).map(Some)
    }

    /// Records that the program trusts a worktree, where the file exists.
    ///
    /// # Errors
    /// The file cannot be read or replaced, or is no JSON object.
    pub fn record(&self, worktree: &Path, environment: &Environment) -> Result<()> {
        self.change(environment, worktree, insert)
    }

    /// Removes that record. What the program itself recorded of the worktree stays.
    ///
    /// # Errors
    /// The file cannot be read or replaced, or is no JSON object.
    pub fn forget(&self, worktree: &Path, environment: &Environment) -> Result<()> {
        self.change(environment, worktree, remove)
    }

    fn change(
        &self,
        environment: &Environment,
        worktree: &Path,
        change: impl Fn(&mut Map<String, Value>, &[String]) -> bool,
    ) -> Result<()> {
        let Some(path) = self.path(environment) else { return Ok(()) };
        // A symbolic link stays one. The lock is beside the link.
        let Ok(file) = path.canonicalize() else { return Ok(()) };
        let dir = file.parent().unwrap_or(Path::new("/"));
        let keys = self.keys(worktree);
        let _exclusive = Exclusive::wait(dir)?;
        let _lock = self.lock(&path)?;
        for _ in 0..ATTEMPTS {
            if try_change(&file, dir, |document| change(document, &keys))? {
                return Ok(());
            }
        }
        Err(failed("change", &file)(std::io::ErrorKind::ResourceBusy.into()))
    }
}

/// A directory that exists while one process changes a file; held until it is dropped.
#[derive(Debug)]
struct Lock(PathBuf);

impl Lock {
    /// Makes the directory. One that nobody has renewed for a while is removed.
    fn take(path: PathBuf) -> Result<Lock> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Lock(path)),
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed("lock", &path)(error));
                }
                Err(error) if Instant::now() >= deadline => {
                    return Err(failed("lock", &path)(error));
                }
                Err(_) if is_stale(&path) => drop(fs::remove_dir(&path)),
                Err(_) => sleep(LOCK_POLL),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that cannot be removed gets stale.
        let _ = fs::remove_dir(&self.0);
    }
}

fn is_stale(lock: &Path) -> bool {
    let renewed = fs::metadata(lock).and_then(|lock| lock.modified()).ok();
    renewed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > LOCK_STALE)
}

/// Returns whether the file is as it shall be; `false` if it was changed meanwhile.
fn try_change(
    file: &Path,
    dir: &Path,
    change: impl Fn(&mut Map<String, Value>) -> bool,
) -> Result<bool> {
    let before = fs::metadata(file).map_err(failed("read", file))?;
    let text = fs::read(file).map_err(failed("read", file))?;
    let parsed = serde_json::from_slice(&text);
    let mut document: Map<String, Value> =
        parsed.map_err(|error| failed("read", file)(error.into()))?;
    if !change(&mut document) {
        return Ok(true);
    }
    let mut new = NamedTempFile::new_in(dir).map_err(failed("replace", file))?;
    let text = serde_json::to_vec_pretty(&document).unwrap_or(text);
    new.write_all(&text).map_err(failed("replace", file))?;
    new.as_file().set_permissions(before.permissions()).map_err(failed("replace", file))?;
    new.as_file().sync_all().map_err(failed("replace", file))?;
    let now = fs::metadata(file).map_err(failed("read", file))?;
    if !is_same(&before, &now) {
        return Ok(false);
    }
    new.persist(file).map_err(|error| failed("replace", file)(error.error))?;
    Ok(true)
}

fn is_same(before: &Metadata, now: &Metadata) -> bool {
    before.len() == now.len() && before.modified().ok() == now.modified().ok()
}

fn failed(action: &'static str, file: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = file.to_owned();
    move |source| Error::File { action, path: path.clone(), source }
}

/// Sets the value to `true`; returns whether it was not. A value in the way stays.
fn insert(document: &mut Map<String, Value>, keys: &[String]) -> bool {
    match keys {
        [] => false,
        [last] => document.insert(last.clone(), Value::Bool(true)) != Some(Value::Bool(true)),
        [first, rest @ ..] => {
            let inner = document.entry(first).or_insert_with(|| Value::Object(Map::new()));
            inner.as_object_mut().is_some_and(|inner| insert(inner, rest))
        }
    }
}

/// Removes the value and the object that it was alone in; returns whether it was there.
fn remove(document: &mut Map<String, Value>, keys: &[String]) -> bool {
    match keys {
        [] => false,
        [last] => document.shift_remove(last).is_some(),
        [first, rest @ ..] => {
            let Some(inner) = document.get_mut(first).and_then(Value::as_object_mut) else {
                return false;
            };
            let is_removed = remove(inner, rest);
            if is_removed && rest.len() == 1 && inner.is_empty() {
                document.shift_remove(first);
            }
            is_removed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::super::Harnesses;
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn with(text: &str) -> Home {
            let home = Home(tempfile::tempdir().unwrap());
            fs::write(home.file(), text).unwrap();
            fs::set_permissions(home.file(), PermissionsExt::from_mode(0o600)).unwrap();
            home
        }

        fn file(&self) -> PathBuf {
            self.0.path().join(".claude.json")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.file()).unwrap()
        }

        fn json(&self) -> Value {
            serde_json::from_str(&self.text()).unwrap()
        }

        fn environment(&self) -> Environment {
            [("HOME", self.0.path().to_str().unwrap())].into_iter().collect()
        }

        fn trust(&self, path: &str) -> Result<()> {
            claude().record(Path::new(path), &self.environment())
        }

        fn forget(&self, path: &str) -> Result<()> {
            claude().forget(Path::new(path), &self.environment())
        }
    }

    fn claude() -> Trust {
        Harnesses::load(None).unwrap().get("claude-code").unwrap().trust().unwrap().clone()
    }

    #[test]
    fn a_worktree_is_added_to_what_is_there_and_removed_again() {
        let before =
            json!({"oauthAccount": {"a": 1.5}, "projects": {"/mine": {"x": []}}, "last": 1});
        let home = Home::with(&before.to_string());
        home.trust("/w/demo.1").unwrap();
        let trusted = home.text();
        assert_eq!(home.json()["projects"]["/w/demo.1"]["hasTrustDialogAccepted"], true);
        assert!(trusted.find("oauthAccount") < trusted.find("last"), "its order stays: {trusted}");
        assert_eq!(fs::metadata(home.file()).unwrap().permissions().mode() & 0o777, 0o600);
        home.trust("/w/demo.1").unwrap();
        assert_eq!(home.text(), trusted);
        home.forget("/w/demo.1").unwrap();
        assert_eq!(home.json(), before);
        assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_the_program_recorded_of_a_worktree_stays() {
        let home = Home::with("{}");
        home.trust("/w").unwrap();
        let mut document = home.json();
        document["projects"]["/w"]["cost"] = 1.into();
        fs::write(home.file(), document.to_string()).unwrap();
        home.forget("/w").unwrap();
        assert_eq!(home.json(), json!({"projects": {"/w": {"cost": 1}}}));
    }

    #[test]
    fn a_file_that_may_be_half_written_is_never_replaced() {
        for text in ["", "{\"projects\": {", "[]", "null"] {
            let home = Home::with(text);
            assert!(home.trust("/w").is_err() && home.forget("/w").is_err(), "{text}");
            assert_eq!(home.text(), text);
        }
        let home = Home::with(r#"{"projects": 1}"#);
        home.trust("/w").unwrap();
        assert_eq!(home.text(), r#"{"projects": 1}"#);
        fs::remove_file(home.file()).unwrap();
        home.trust("/w").unwrap();
        assert!(!home.file().exists(), "the program asks, and makes it");
    }

    #[test]
    fn the_lock_of_the_program_is_respected_and_a_stale_one_is_removed() {
        let home = Home::with("{}");
        let lock = home.0.path().join(".claude.json.lock");
        fs::create_dir(&lock).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| home.trust("/w").unwrap());
            // The program had read the file before, and writes it while it holds the lock.
            sleep(LOCK_POLL * 3);
            assert_eq!(home.text(), "{}");
            fs::write(home.file(), r#"{"mine": 1}"#).unwrap();
            fs::remove_dir(&lock).unwrap();
            waiting.join().unwrap();
        });
        assert_eq!(home.json()["mine"], 1);
        assert_eq!(home.json()["projects"]["/w"]["hasTrustDialogAccepted"], true);
        assert!(!lock.exists());

        fs::create_dir(&lock).unwrap();
        let old = std::time::SystemTime::now() - LOCK_STALE * 2;
        File::open(&lock).unwrap().set_modified(old).unwrap();
        home.forget("/w").unwrap();
        assert_eq!(home.json(), json!({"mine": 1, "projects": {}}));
        assert!(!lock.exists());
    }

    #[test]
    fn a_linked_file_stays_linked_and_concurrent_changes_are_all_made() {
        let home = Home::with("{}");
        let target = home.0.path().join("target.json");
        fs::rename(home.file(), &target).unwrap();
        std::os::unix::fs::symlink("target.json", home.file()).unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let home = &home;
                scope.spawn(move || home.trust(&format!("/w{number}")).unwrap());
            }
        });
        assert!(home.file().is_symlink());
        assert_eq!(home.json()["projects"].as_object().unwrap().len(), 16);
    }
}
