//! Files of ours in a worktree, which git does not see: they are in the private list of ignored files of
//! the repository.

use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::worktree::list::is_missing;
use crate::worktree::repository::{Repository, common_path, exclusive, failed as git_failed};

/// By this line a list of ignored files says whose the next lines are.
const HEADING: &str = "# Files of ao-store in the worktrees of sessions";

impl Repository {
    /// Writes files into a worktree, by their relative paths, and returns whether all were written. What the
    /// repository or a person put there stays; what this wrote before is replaced. A file that begins with
    /// `#!` is executable.
    ///
    /// # Errors
    /// git cannot read the worktree, a directory cannot be made, or a file written.
    pub fn add_private_files(&self, worktree: &Path, files: &[(String, String)]) -> Result<bool> {
        let git = self.git()?;
        let _exclusive = exclusive(&git)?;
        let list = common_path(&git, "info/exclude")?;
        let ignored = fs::read_to_string(&list).unwrap_or_default();
        let tracked = self.tracked(worktree, files)?;
        let mut added = String::new();
        let mut is_complete = true;
        for (name, text) in files {
            let line = format!("/{name}");
            let is_ours = ignored.lines().any(|it| it == line) && !tracked.contains(name);
            if !is_writable(worktree, Path::new(name))
                || !is_ours && !is_missing(&worktree.join(name))
            {
                tracing::warn!(file = name, "it exists, so the hooks are not installed");
                is_complete = false;
                continue;
            }
            if !is_ours {
                added.push_str(&format!("{line}\n"));
            }
            write(&worktree.join(name), text)?;
        }
        if !added.is_empty() {
            let end = if ignored.is_empty() || ignored.ends_with('\n') { "" } else { "\n" };
            append(&list, &format!("{end}{HEADING}\n{added}"))?;
        }
        Ok(is_complete)
    }

    /// Those of these files that the repository has: a file that was ours in one worktree may be committed
    /// in another.
    fn tracked(&self, worktree: &Path, files: &[(String, String)]) -> Result<Vec<String>> {
        let names = files.iter().map(|(name, _)| name.as_str());
        let args: Vec<_> = ["ls-files", "-z", "--"].into_iter().chain(names).collect();
        let listed = self.git_in(worktree)?.run(&args);
        let listed =
            listed.map_err(|error| git_failed("list the files of the worktree", &error))?;
        Ok(String::from_utf8_lossy(&listed).split('\0').map(str::to_owned).collect())
    }
}

/// Whether only directories are on the way, and a file or nothing at the end. A symbolic link could lead out
/// of the worktree.
fn is_writable(worktree: &Path, name: &Path) -> bool {
    let is = |path: &Path, wanted: fn(&Metadata) -> bool| {
        path.symlink_metadata().map_or_else(|_| is_missing(path), |found| wanted(&found))
    };
    let on_the_way = name.ancestors().skip(1).map(|parent| worktree.join(parent));
    is(&worktree.join(name), Metadata::is_file)
        && on_the_way.into_iter().all(|parent| is(&parent, Metadata::is_dir))
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
