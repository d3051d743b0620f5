//! Files of ours in a worktree, which git does not see: they are in the private list of ignored files of
//! the repository.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::worktree::exclusive::Exclusive;
use crate::worktree::list::is_missing;
use crate::worktree::repository::{Repository, common_path};

/// By this line a list of ignored files says whose the next lines are.
const HEADING: &str = "# Files of ao-store in the worktrees of sessions";

impl Repository {
    /// Writes files into a worktree, by their relative paths. What the repository or a person put there
    /// stays; what this wrote before is replaced. A file that begins with `#!` is executable.
    ///
    /// # Errors
    /// A directory cannot be made, or a file written.
    pub fn add_private_files(&self, worktree: &Path, files: &[(String, String)]) -> Result<()> {
        let git = self.git()?;
        let _exclusive = Exclusive::wait(&git)?;
        let list = common_path(&git, "info/exclude")?;
        let ignored = fs::read_to_string(&list).unwrap_or_default();
        let mut added = String::new();
        for (name, text) in files {
            let line = format!("/{name}");
            let is_ours = ignored.lines().any(|it| it == line);
            if has_symlink(worktree, Path::new(name))
                || !is_ours && !is_missing(&worktree.join(name))
            {
                tracing::warn!(file = name, "it exists, so the hooks are not installed");
                continue;
            }
            if !is_ours {
                added.push_str(&format!("{line}\n"));
            }
            write(&worktree.join(name), text)?;
        }
        if added.is_empty() {
            return Ok(());
        }
        let end = if ignored.is_empty() || ignored.ends_with('\n') { "" } else { "\n" };
        append(&list, &format!("{end}{HEADING}\n{added}"))
    }
}

/// Whether a directory on the way, or the file, is a symbolic link, which could lead out of the worktree.
fn has_symlink(worktree: &Path, name: &Path) -> bool {
    let mut path = worktree.to_owned();
    name.components().filter(|part| matches!(part, Component::Normal(_))).any(|part| {
        path.push(part);
        path.is_symlink()
    })
}

fn failed(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path: path.clone(), source }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }
    fs::write(path, text).map_err(failed("write", path))?;
    let mode = if text.starts_with("#!") { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("write", path))
}

fn append(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }
    let file = fs::File::options().create(true).append(true).open(path);
    let mut file = file.map_err(failed("open", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))
}
