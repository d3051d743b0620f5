//! What a worktree has that a commit has not: committed, uncommitted and untracked. Nothing is written.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use ao_program::GitCommand;

use crate::error::{Error, Result};
use crate::worktree::repository::{Repository, commit_of, failed};

/// The most bytes of a patch.
const PATCH_MAX: usize = 1 << 20;
/// The most files that are listed.
const FILES_MAX: usize = 5_000;
/// How long all of git may take for it.
pub(crate) const DIFF_TIMEOUT: Duration = Duration::from_secs(25);

/// git compares no file of more bytes: it would be in memory twice. It does not refresh the index, whose lock the agent
/// may need.
const NO_LARGE_FILES: [&str; 4] =
    ["-c", "core.bigFileThreshold=16m", "-c", "diff.autoRefreshIndex=false"];

/// Whatever is configured: no program is run, no repository of a submodule is entered, and the form is the same.
const PLAIN: [&str; 12] = [
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--no-color",
    "--no-relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--unified=3",
    "--find-renames",
    "-l400",
];

/// The difference of a worktree to a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The commit.
    pub base: String,
    /// The commit of `HEAD`; `None` when its branch has no commit.
    pub head: Option<String>,
    /// The files that differ, and then the untracked ones: at most 5,000.
    pub files: Vec<Changed>,
    /// How many there are.
    pub file_count: usize,
    /// The lines that all of them have more.
    pub added: u64,
    /// The lines that they have no more.
    pub removed: u64,
    /// The patch as git prints it, without the content of untracked files: whole lines of its first MiB. Bytes that
    /// are not UTF-8 are replaced.
    pub patch: String,
    /// Whether the patch goes on.
    pub is_cut: bool,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its path in the worktree, or that of a file that is deleted. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The path that it had.
    pub old_path: Option<String>,
    /// `added`, `modified`, `deleted`, `renamed`, `type_changed` or `untracked`. A binary or very large file whose
    /// times alone have changed is `modified`, too.
    pub status: &'static str,
    /// Lines added and removed; `None` for a binary, a very large or an untracked file.
    pub lines: Option<(u64, u64)>,
    /// Whether git compares it as binary, or it is larger than 16 MiB; not known of an untracked file.
    pub is_binary: Option<bool>,
}

impl Repository {
    /// The difference of the worktree at this path to a commit.
    ///
    /// # Errors
    /// `BRANCH_NOT_FETCHED`: the commit is not here; `GIT_FAILED`: the worktree cannot be read, or not in time.
    pub fn diff(&self, path: &Path, base: &str) -> Result<Diff> {
        let git = self.worktree(path)?;
        let Some(base) = commit_of(&git, base)? else {
            return Err(Error::BranchNotFetched { reference: base.to_owned() });
        };
        let mut diff = Diff { head: commit_of(&git, "HEAD")?, ..Diff::default() };
        let listed = arguments(&["--raw", "--numstat", "-z"], &base);
        diff.add_tracked(&git.run_command(&command(&listed)).map_err(unread)?);
        let others = ["ls-files", "--others", "--exclude-standard", "-z"];
        diff.add_untracked(&git.run_command(&command(&others)).map_err(unread)?);
        let patch = arguments(&["--patch"], &base);
        let (patch, is_cut) = git.beginning(&command(&patch), PATCH_MAX).map_err(unread)?;
        let whole = patch.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        diff.patch = text(if is_cut { &patch[..whole] } else { &patch });
        Ok(Diff { base, is_cut, ..diff })
    }
}

fn unread(error: ao_program::Error) -> Error {
    failed("compare the worktree with its base", &error)
}

fn command<'a>(args: &'a [&'a str]) -> GitCommand<'a> {
    GitCommand { args, input: "", variables: &[], timeout: DIFF_TIMEOUT }
}

fn arguments<'a>(form: &[&'a str], base: &'a str) -> Vec<&'a str> {
    [&NO_LARGE_FILES, &PLAIN[..], form, &["--end-of-options", base, "--"]].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Diff {
    fn push(&mut self, file: Changed) {
        self.file_count += 1;
        if self.files.len() < FILES_MAX {
            self.files.push(file);
        }
    }

    /// Reads `:<modes> <ids> <status>` NUL `<path>` NUL and, if renamed, `<path>` NUL; then of each file
    /// `<added>` TAB `<removed>` TAB `<path>` NUL, where a renamed one has an empty path, and NUL `<old>` NUL `<new>`
    /// NUL.
    /// A file that was only touched is in the first list, because git does not refresh the index, and not in the other:
    /// a binary or very large one is there too, for git does not compare it, and is kept as modified.
    fn add_tracked(&mut self, listed: &[u8]) {
        let mut parts = listed.split(|byte| *byte == 0);
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut touched: HashSet<usize> = HashSet::new();
        while let Some(part) = parts.next() {
            let mut next = || parts.next().unwrap_or_default();
            if part.starts_with(b":") {
                let letter = part.rsplit(|byte| *byte == b' ').next().and_then(<[u8]>::first);
                let letter = letter.copied().unwrap_or_default();
                let old = (letter == b'R').then(&mut next);
                let path = next();
                places.insert(path, self.file_count);
                let mut modes = part[1..].split(|byte| *byte == b' ');
                if letter == b'M' && modes.next() == modes.next() {
                    touched.insert(self.file_count);
                }
                let (path, old_path) = (text(path), old.map(text));
                let status = status(letter);
                self.push(Changed { path, old_path, status, lines: None, is_binary: Some(false) });
            } else if !part.is_empty() {
                let mut fields = part.splitn(3, |byte| *byte == b'\t');
                let mut number = || str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
                let lines = number().zip(number());
                let path = match fields.next().unwrap_or_default() {
                    b"" => (next(), next()).1,
                    path => path,
                };
                let (added, removed) = lines.unwrap_or_default();
                (self.added, self.removed) = (self.added + added, self.removed + removed);
                let Some(place) = places.get(path) else { continue };
                if lines != Some((0, 0)) {
                    touched.remove(place);
                }
                if let Some(file) = self.files.get_mut(*place) {
                    (file.lines, file.is_binary) = (lines, Some(lines.is_none()));
                }
            }
        }
        let mut places = 0..;
        self.files.retain(|_| places.next().is_none_or(|place| !touched.contains(&place)));
        self.file_count -= touched.len();
    }

    fn add_untracked(&mut self, listed: &[u8]) {
        for path in listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
            let (path, status) = (text(path), "untracked");
            self.push(Changed { path, old_path: None, status, lines: None, is_binary: None });
        }
    }
}

fn status(letter: u8) -> &'static str {
    match letter {
        b'A' => "added",
        b'D' => "deleted",
        b'R' => "renamed",
        b'T' => "type_changed",
        _ => "modified",
    }
}
