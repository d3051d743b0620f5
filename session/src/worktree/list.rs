//! The records that a repository has of its worktrees.

use std::path::{Path, PathBuf};

use ao_program::GuardedGit;

use crate::error::Result;
use crate::worktree::repository::{failed, is_same};

/// What git recorded of one worktree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its directory, which may be gone.
    pub(crate) path: PathBuf,
    /// The branch that is checked out; `None` when the `HEAD` is detached.
    pub(crate) branch: Option<String>,
    /// Why it is locked; may be empty.
    pub(crate) lock: Option<String>,
}

impl Record {
    /// Whether its directory is gone.
    pub(crate) fn is_missing(&self) -> bool {
        is_missing(&self.path)
    }

    /// Whether its directory is gone and no lock says that it comes back.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_missing() && self.lock.is_none()
    }
}

/// Whether nothing is at a path. One that cannot be read is not missing.
pub(crate) fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Every worktree, the main one first.
pub(crate) fn records(git: &GuardedGit<'_>) -> Result<Vec<Record>> {
    let output = git.run(&["worktree", "list", "--porcelain", "-z"]);
    Ok(parse(&output.map_err(|error| failed("list the worktrees", &error))?))
}

/// The record of the worktree at this path.
pub(crate) fn record_at(git: &GuardedGit<'_>, path: &Path) -> Result<Option<Record>> {
    Ok(records(git)?.into_iter().find(|record| is_same(&record.path, path)))
}

/// Each attribute ends with NUL, and each record with an empty attribute.
fn parse(output: &[u8]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for line in output.split(|byte| *byte == 0) {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(' ').unwrap_or((&line, ""));
        if name == "worktree" {
            records.push(Record { path: PathBuf::from(value), ..Record::default() });
        }
        let Some(record) = records.last_mut() else { continue };
        match name {
            "branch" => {
                let branch = value.strip_prefix("refs/heads/").unwrap_or(value);
                record.branch = Some(branch.to_owned());
            }
            "locked" => record.lock = Some(value.to_owned()),
            _ => {}
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_an_empty_attribute() {
        let output = b"worktree /a\0HEAD 12\0branch refs/heads/x/y\0\0worktree /b c\nd\0HEAD 12\0\
            detached\0locked why not\0prunable gone\0\0";
        let main = Record { path: "/a".into(), branch: Some("x/y".to_owned()), lock: None };
        let lock = Some("why not".to_owned());
        let other = Record { path: "/b c\nd".into(), branch: None, lock };
        assert_eq!(parse(output), [main, other]);
    }
}
