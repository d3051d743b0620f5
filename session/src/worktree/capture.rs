//! Puts the uncommitted work of a worktree into a commit that a preserved ref keeps, and back.
//!
//! The worktree, its index and its `HEAD` stay as they are.

use std::fs;
use std::io;
use std::path::Path;

use ao_program::{GitCommand, GuardedGit};
use ao_store::SessionId;

use crate::error::{Error, Result};
use crate::worktree::branch::revisions;
use crate::worktree::inspect::{changes, hidden, tree_command};
use crate::worktree::list::is_missing;
use crate::worktree::repository::{
    Repository, TREE_TIMEOUT, argument, commit_of, failed, git_path, text,
};

/// Below here are the preserved refs.
const PRESERVED: &str = "refs/ao/preserved/";

/// The author of the commits; the user may have configured none.
const AUTHOR: &[(&str, &str)] = &[
    ("GIT_AUTHOR_NAME", "ao-store"),
    ("GIT_AUTHOR_EMAIL", "ao-store@localhost"),
    ("GIT_COMMITTER_NAME", "ao-store"),
    ("GIT_COMMITTER_EMAIL", "ao-store@localhost"),
];

const CAPTURE: &str = "capture the uncommitted work";

/// What became of preserved work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in the worktree, uncommitted.
    Done,
    /// It does not fit the worktree, which is as it was.
    Conflict,
}

/// The content of a worktree as objects of git.
struct Content {
    /// The commit of `HEAD`; `None` when its branch has no commit.
    head: Option<String>,
    /// All files, tracked and untracked, that are not ignored.
    tree: String,
    /// What is staged if neither `HEAD` nor the files have it.
    staged: Option<String>,
}

impl Repository {
    /// Puts the uncommitted work, and commits of a detached `HEAD` that no ref reaches, into a commit below
    /// `refs/ao/preserved/<session>/` and returns its ref. `None` when there is no such work. Work that was
    /// captured just so already is not captured again.
    ///
    /// # Errors
    /// The worktree cannot be read or contains a repository with work of its own; git fails.
    pub fn capture(&self, path: &Path, session: &SessionId) -> Result<Option<String>> {
        if is_missing(path) {
            return Ok(None);
        }
        let git = self.worktree(path)?;
        let content = read(&git)?;
        let refs = format!("{PRESERVED}{session}/");
        let names = git.run(&["for-each-ref", "--format=%(refname)", &refs]);
        let names = text(&names.map_err(|error| failed(CAPTURE, &error))?);
        let number = |name: &str| name.strip_prefix(&refs)?.parse::<u32>().ok();
        let newest = names.lines().filter_map(number).max().unwrap_or(0);
        let name = |number: u32| format!("{refs}{number}");
        if newest > 0 && content.is_in(&git, &name(newest))? {
            return Ok(Some(name(newest)));
        }
        if !content.is_work(&git)? {
            return Ok(None);
        }
        let commit = content.commit(&git, session)?;
        let name = name(newest + 1);
        git.run(&["update-ref", "--end-of-options", &name, &commit, ""])
            .map_err(|error| failed(CAPTURE, &error))?;
        Ok(Some(name))
    }

    /// Puts the changes of a preserved ref into a clean worktree, without a commit. The ref stays.
    ///
    /// # Errors
    /// The ref is none of ours or missing; the worktree cannot be read or restored.
    pub fn apply_preserved(&self, path: &Path, preserved: &str) -> Result<Applied> {
        let action = "apply the preserved work";
        let git = self.worktree(path)?;
        let commit = match preserved.strip_prefix(PRESERVED) {
            Some(_) => commit_of(&git, preserved)?,
            None => None,
        };
        let Some(commit) = commit else {
            let reason = format!("there is no preserved ref {preserved}");
            return Err(Error::Git { action, reason });
        };
        if !changes(&git)?.is_empty() || !hidden(&git)?.is_empty() {
            return Ok(Applied::Conflict);
        }
        let has_parent = commit_of(&git, &format!("{commit}^1"))?.is_some();
        let mainline: &[&str] = if has_parent { &["-m", "1"] } else { &[] };
        let args = [&["cherry-pick", "--no-commit"], mainline, &["--end-of-options", &commit]];
        let picked = tree_command(&git, &args.concat(), AUTHOR);
        // The mixed reset leaves the changes unstaged; both end the state that a pick leaves behind.
        let (mode, outcome) = match picked {
            Ok(_) => ("--mixed", Applied::Done),
            Err(error) => {
                tracing::debug!(%error, preserved, "preserved work does not fit");
                ("--hard", Applied::Conflict)
            }
        };
        tree_command(&git, &["reset", mode, "--quiet", "--no-recurse-submodules"], &[])
            .map_err(|error| failed(action, &error))?;
        Ok(outcome)
    }
}

impl Content {
    /// Whether something of it would be lost with the worktree.
    fn is_work(&self, git: &GuardedGit<'_>) -> Result<bool> {
        let Some(head) = &self.head else { return Ok(!self.is_empty(git)?) };
        let committed = tree_of(git, head)?;
        Ok(committed.as_ref() != Some(&self.tree)
            || self.staged.is_some()
            || has_unreached_head(git, head)?)
    }

    fn is_empty(&self, git: &GuardedGit<'_>) -> Result<bool> {
        let listing = git.run(&["ls-tree", "--name-only", "-z", "--end-of-options", &self.tree]);
        Ok(listing.map_err(|error| failed(CAPTURE, &error))?.is_empty())
    }

    /// Whether a preserved ref has just this content.
    fn is_in(&self, git: &GuardedGit<'_>, name: &str) -> Result<bool> {
        Ok(tree_of(git, name)?.as_ref() == Some(&self.tree)
            && commit_of(git, &format!("{name}^1"))? == self.head
            && tree_of(git, &format!("{name}^2"))? == self.staged)
    }

    /// A commit of the files, whose second parent is one of what is staged.
    fn commit(&self, git: &GuardedGit<'_>, session: &SessionId) -> Result<String> {
        let commit = |tree: &str, parents: &[&str], message: &str| {
            let mut args = vec!["commit-tree", "-m", message];
            parents.iter().for_each(|parent| args.extend(["-p", parent]));
            args.extend(["--end-of-options", tree]);
            let output = tree_command(git, &args, AUTHOR).map_err(|e| failed(CAPTURE, &e))?;
            Ok::<String, Error>(text(&output))
        };
        let mut parents: Vec<&str> = self.head.as_deref().into_iter().collect();
        let staged = match &self.staged {
            Some(tree) => Some(commit(tree, &parents, &format!("Staged work of {session}"))?),
            None => None,
        };
        parents.extend(staged.as_deref());
        commit(&self.tree, &parents, &format!("Uncommitted work of {session}"))
    }
}

/// The refs that keep a commit.
const REFS: [&str; 4] = ["--branches", "--tags", "--remotes", "--glob=refs/ao/preserved/*"];

/// Whether `HEAD` is detached at a commit that no ref reaches.
pub(crate) fn has_unreached_head(git: &GuardedGit<'_>, head: &str) -> Result<bool> {
    let found = revisions(git, "--max-count=1", head, &REFS, None)?;
    Ok(!found.is_empty())
}

fn tree_of(git: &GuardedGit<'_>, commit: &str) -> Result<Option<String>> {
    let revision = format!("{commit}^{{tree}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision];
    let output = git.query(&args).map_err(|error| failed(CAPTURE, &error))?;
    Ok(output.map(|bytes| text(&bytes)))
}

/// Writes the content of the worktree into the object database, through a copy of its index.
fn read(git: &GuardedGit<'_>) -> Result<Content> {
    check_submodules(&changes(git)?)?;
    let index = git_path(git, "index")?;
    // In the directory of git of this worktree. What a killed process left there goes first.
    let temporary = git_path(git, "ao-capture")?;
    let remove = || match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", &temporary, error))
        }
        _ => Ok(()),
    };
    remove()?;
    fs::create_dir(&temporary).map_err(|error| file_error("create", &temporary, error))?;
    let content = read_through(git, &index, &temporary.join("index"));
    remove()?;
    content
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

/// Copies an index with its time. git reads a file again that changed no earlier than its index did; with a
/// later time it would miss a change of equal size.
fn copy_index(index: &Path, copy: &Path) -> io::Result<()> {
    let time = fs::metadata(index)?.modified()?;
    fs::copy(index, copy)?;
    fs::OpenOptions::new().write(true).open(copy)?.set_modified(time)
}

fn read_through(git: &GuardedGit<'_>, index: &Path, copy: &Path) -> Result<Content> {
    match copy_index(index, copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(file_error("copy", index, error));
        }
        _ => {}
    }
    let variables = [("GIT_INDEX_FILE", argument(copy)?)];
    let run = |args: &[&str]| {
        let output = tree_command(git, args, &variables);
        output.map(|output| text(&output)).map_err(|error| failed(CAPTURE, &error))
    };
    // An index with conflicts has no tree; its files are in the worktree.
    let staged = run(&["write-tree"]).ok();
    show_hidden(git, &variables)?;
    run(&["add", "--all", "--no-warn-embedded-repo"])?;
    let tree = run(&["write-tree"])?;
    let head = commit_of(git, "HEAD")?;
    let committed = match &head {
        Some(head) => tree_of(git, head)?,
        None => None,
    };
    check_links(git, committed.as_deref(), &tree)?;
    let staged = staged.filter(|staged| *staged != tree && Some(staged) != committed.as_ref());
    Ok(Content { head, tree, staged })
}

/// Makes git see the changes of the files that it was asked to take as unchanged.
fn show_hidden(git: &GuardedGit<'_>, variables: &[(&str, &str)]) -> Result<()> {
    let files = hidden(git)?;
    if files.is_empty() {
        return Ok(());
    }
    let input = files.join("\0");
    for flag in ["--no-assume-unchanged", "--no-skip-worktree"] {
        let args = ["update-index", flag, "-z", "--stdin"];
        let command = GitCommand { args: &args, input: &input, variables, timeout: TREE_TIMEOUT };
        git.run_command(&command).map_err(|error| failed(CAPTURE, &error))?;
    }
    Ok(())
}

fn not_captured(name: &str) -> Error {
    let reason = format!("{name} is a repository of its own, with work that this one cannot keep");
    Error::Git { action: CAPTURE, reason }
}

/// Refuses a submodule with changes: `1 XY S<commit><modified><untracked> …` in the output of `git status`.
fn check_submodules(changes: &[u8]) -> Result<()> {
    for line in changes.split(|byte| *byte == 0) {
        let mut fields = line.splitn(3, |byte| *byte == b' ').skip(2);
        let is_entry = line.starts_with(b"1 ") || line.starts_with(b"u ");
        let is_changed = fields.next().is_some_and(|rest| {
            rest.first() == Some(&b'S') && rest.get(1..4).is_some_and(|flags| flags != b"...")
        });
        if is_entry && is_changed {
            let name = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            return Err(not_captured(&String::from_utf8_lossy(name)));
        }
    }
    Ok(())
}

/// Refuses repositories that were added in the worktree: a tree has only the id of their commit.
fn check_links(git: &GuardedGit<'_>, committed: Option<&str>, tree: &str) -> Result<()> {
    let args = match committed {
        Some(committed) => vec!["diff-tree", "-r", "-z", "--no-renames", committed, tree],
        None => vec!["ls-tree", "-r", "-z", tree],
    };
    let output = tree_command(git, &args, &[]).map_err(|error| failed(CAPTURE, &error))?;
    let mut parts = output.split(|byte| *byte == 0);
    while let Some(part) = parts.next() {
        let line = String::from_utf8_lossy(part);
        // `:<old mode> <new mode> … <status>` NUL `<path>`, or `<mode> <type> <id>` TAB `<path>`.
        if line.starts_with(':') && line.split(' ').nth(1) == Some("160000") {
            return Err(not_captured(&String::from_utf8_lossy(parts.next().unwrap_or_default())));
        }
        if line.starts_with("160000 ") {
            return Err(not_captured(line.split_once('\t').map_or("", |(_, path)| path)));
        }
    }
    Ok(())
}
