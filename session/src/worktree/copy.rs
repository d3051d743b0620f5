//! Copies files that git ignores, such as `.env`, from the main work tree into a new worktree.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// The files, relative to the worktree.
    pub files: Vec<PathBuf>,
    /// Files that match and were not copied, with the reason. A file that the checkout has is no such file.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Patterns that were stored; one that is invalid matches nothing.
struct Patterns(Vec<Pattern>);

impl Patterns {
    fn new(patterns: &[String]) -> Patterns {
        let plain = |text: &String| text.trim_start_matches("./").trim_end_matches('/').to_owned();
        let valid = patterns.iter().filter_map(|text| Pattern::new(&plain(text)).ok());
        Patterns(valid.collect())
    }

    /// Whether the path or a directory above it matches.
    fn is_match(&self, name: &Path) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let is_match = |part: &Path| self.0.iter().any(|p| p.matches_path_with(part, options));
        name.ancestors().any(|part| !part.as_os_str().is_empty() && is_match(part))
    }

    /// How deep they reach, so that no more is read: a dependency directory can have a million files.
    fn depth(&self) -> usize {
        let depth = |pattern: &Pattern| match pattern.as_str() {
            text if text.contains("**") => usize::MAX,
            text => Path::new(text).components().count(),
        };
        self.0.iter().map(depth).max().unwrap_or(0)
    }
}

/// Checks a pattern of files before it is stored: it is relative, stays in the project, and is a glob.
///
/// # Errors
/// `INVALID_ID`.
pub fn check_glob(text: &str) -> Result<()> {
    let leads_out = Path::new(text).components().any(|part| !matches!(part, Component::Normal(_)));
    let reason = if text.len() > 200 || text.contains(char::is_control) {
        "it is longer than 200 bytes, or contains a control character"
    } else if leads_out {
        "it must be relative, without . and .."
    } else if Pattern::new(text).is_err() {
        "it is no glob"
    } else {
        return Ok(());
    };
    let value = text.chars().take(200).collect();
    Err(ao_store::Error::InvalidId { what: "pattern", value, reason }.into())
}

/// Copies the files of the project that match a pattern, or are in a directory that does. A file that the
/// worktree has is never overwritten, and a symlink that leads out of the project is not followed.
///
/// # Errors
/// One of the directories cannot be read; a file cannot be written.
pub fn copy_files(project: &Path, worktree: &Path, patterns: &[String]) -> Result<Copied> {
    let mut copied = Copied::default();
    let patterns = Patterns::new(patterns);
    let roots = [real(project)?, real(worktree)?];
    for entry in walk(&roots[0], &patterns) {
        let name = entry.path().strip_prefix(&roots[0]).unwrap_or(entry.path());
        if entry.file_type().is_dir() || !patterns.is_match(name) {
            continue;
        }
        match copy_file(&roots, name)? {
            Outcome::Copied => copied.files.push(name.to_owned()),
            Outcome::Present => {}
            Outcome::Skipped(reason) => copied.skipped.push((name.to_owned(), reason)),
        }
    }
    Ok(copied)
}

/// The entries of the project without those of git, sorted, as deep as the patterns reach.
fn walk(project: &Path, patterns: &Patterns) -> impl Iterator<Item = DirEntry> {
    let depth = patterns.depth();
    let is_wanted = move |entry: &DirEntry| {
        let name = entry.path().strip_prefix(project).unwrap_or(entry.path());
        entry.file_name() != ".git" && (entry.depth() <= depth || patterns.is_match(name))
    };
    // A directory that cannot be read has nothing to copy.
    WalkDir::new(project).sort_by_file_name().into_iter().filter_entry(is_wanted).flatten()
}

enum Outcome {
    Copied,
    Present,
    Skipped(String),
}

/// Copies one file from the first root to the second.
fn copy_file(roots: &[PathBuf; 2], name: &Path) -> Result<Outcome> {
    let skipped = |reason: &str| Ok(Outcome::Skipped(reason.to_owned()));
    let (from, to) = (roots[0].join(name), roots[1].join(name));
    match from.canonicalize() {
        Ok(target) if !target.starts_with(&roots[0]) => {
            return skipped("it leads out of the project");
        }
        Ok(target) if !target.is_file() => return skipped("it is no regular file"),
        Ok(_) => {}
        Err(error) => return skipped(&error.to_string()),
    }
    if to.symlink_metadata().is_ok() {
        return Ok(Outcome::Present);
    }
    let mut source = match File::open(&from) {
        Ok(source) => source,
        Err(error) => return skipped(&error.to_string()),
    };
    if let Some(parent) = to.parent() {
        // Checked before anything is created: the checkout can contain symlinks.
        if !crate::worktree::root::resolve(parent).starts_with(&roots[1]) {
            return skipped("it would be written outside the worktree");
        }
        if fs::create_dir_all(parent).is_err() {
            return skipped("a file of the checkout is where its directory would be");
        }
    }
    let mut write = || {
        let mut target = File::create_new(&to)?;
        target.set_permissions(source.metadata()?.permissions())?;
        io::copy(&mut source, &mut target)
    };
    write().map_err(|error| file_error(&to, error))?;
    Ok(Outcome::Copied)
}

fn real(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| file_error(path, error))
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::File { action: "copy", path: path.to_owned(), source }
}
