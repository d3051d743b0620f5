//! A worktree is compared with its base as it is, whatever it contains and is configured to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ao_program::Environment;
use ao_session::worktree::{Changed, Diff, Repository};

use super::fixture::{Home, code};

/// A worktree with its base.
fn prepared(home: &Home) -> (PathBuf, String) {
    home.write("moved", &"a line of the file that moves\n".repeat(20));
    home.write("gone", "1\n2\n");
    home.git(&["add", "."]);
    let base = home.commit("base");
    let path = home.path("tree");
    home.git(&["worktree", "add", "-q", "-b", "work", path.to_str().unwrap()]);
    (path, base)
}

fn diff(home: &Home, (path, base): &(PathBuf, String)) -> Diff {
    home.repository().diff(path, base).unwrap()
}

fn file<'a>(diff: &'a Diff, path: &str) -> &'a Changed {
    diff.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path}: {diff:?}"))
}

fn of(file: &Changed) -> (&str, Option<(u64, u64)>, Option<bool>) {
    (file.status, file.lines, file.is_binary)
}

#[test]
fn it_has_what_is_committed_staged_uncommitted_and_untracked() {
    let home = Home::new();
    let tree = prepared(&home);
    let path = &tree.0;
    assert_eq!(
        diff(&home, &tree),
        Diff { base: tree.1.clone(), head: Some(tree.1.clone()), ..Diff::default() }
    );
    fs::write(path.join("committed"), "x\ny\nz\n").unwrap();
    home.git_in(path, &["mv", "moved", "there"]);
    home.git_in(path, &["add", "."]);
    home.git_in(path, &["commit", "-q", "-m", "work"]);
    fs::write(path.join("tracked"), "two\n").unwrap();
    fs::write(path.join("staged"), "s\n").unwrap();
    home.git_in(path, &["add", "staged"]);
    fs::remove_file(path.join("gone")).unwrap();
    fs::write(path.join("binary"), b"\0\x01\xff").unwrap();
    home.git_in(path, &["add", "binary"]);
    fs::write(path.join("new"), "untracked\n").unwrap();
    fs::write(path.join("an.ignored"), "").unwrap();
    let before = fs::read(home.repo().join(".git/worktrees/tree/index")).unwrap();
    let found = diff(&home, &tree);
    assert_eq!(of(file(&found, "committed")), ("added", Some((3, 0)), Some(false)));
    assert_eq!(of(file(&found, "there")), ("renamed", Some((0, 0)), Some(false)));
    assert_eq!(file(&found, "there").old_path.as_deref(), Some("moved"));
    assert_eq!(of(file(&found, "tracked")), ("modified", Some((1, 1)), Some(false)));
    assert_eq!(of(file(&found, "staged")), ("added", Some((1, 0)), Some(false)));
    assert_eq!(of(file(&found, "gone")), ("deleted", Some((0, 2)), Some(false)));
    assert_eq!(of(file(&found, "binary")), ("added", None, Some(true)));
    assert_eq!(of(file(&found, "new")), ("untracked", None, None));
    assert_eq!((found.file_count, found.files.len()), (7, 7));
    assert_eq!((found.added, found.removed, found.is_cut), (5, 3, false));
    assert_eq!(found.head.as_deref(), Some(home.git_in(path, &["rev-parse", "HEAD"]).as_str()));
    for part in ["diff --git a/tracked b/tracked\n", "\n-one\n+two\n"] {
        assert!(found.patch.contains(part), "{}", found.patch);
    }
    assert!(!found.patch.contains("untracked"), "{}", found.patch);
    assert_eq!(fs::read(home.repo().join(".git/worktrees/tree/index")).unwrap(), before);
}

#[test]
fn names_of_any_bytes_are_names_and_no_options() {
    let home = Home::new();
    let tree = prepared(&home);
    let names: [&[u8]; 6] =
        [b"--output=x", b":1 2 3 M", b"a\tb\nc", b"1\t2\tx", b" \"q\" ", b"\xff\xfe"];
    for name in names {
        fs::write(tree.0.join(OsStr::from_bytes(name)), "x\n").unwrap();
    }
    let untracked = diff(&home, &tree);
    home.git_in(&tree.0, &["add", "."]);
    let added = diff(&home, &tree);
    for name in names {
        let name = String::from_utf8_lossy(name);
        assert_eq!(of(file(&untracked, &name)), ("untracked", None, None));
        assert_eq!(of(file(&added, &name)), ("added", Some((1, 0)), Some(false)));
    }
    assert_eq!((untracked.file_count, added.file_count), (6, 6));
    assert_eq!(added.patch.matches("diff --git").count(), 6);
}

#[test]
fn a_conflict_is_one_file_with_its_markers() {
    let home = Home::new();
    let tree = prepared(&home);
    home.write("tracked", "theirs\n");
    home.git(&["commit", "-q", "-am", "theirs"]);
    fs::write(tree.0.join("tracked"), "ours\n").unwrap();
    home.git_in(&tree.0, &["commit", "-q", "-am", "ours"]);
    let (is_merged, _) = home.try_git(&tree.0, &["merge", "trunk"]);
    assert!(!is_merged);
    let found = diff(&home, &tree);
    assert_eq!(
        (found.file_count, of(&found.files[0])),
        (1, ("modified", Some((5, 1)), Some(false)))
    );
    assert!(found.patch.contains("\n+=======\n"), "{}", found.patch);
}

#[test]
fn a_huge_difference_is_cut_and_a_huge_file_is_not_compared() {
    let home = Home::new();
    let tree = prepared(&home);
    fs::write(tree.0.join("long"), "a line of a long file\n".repeat(100_000)).unwrap();
    fs::write(tree.0.join("huge"), "a line of a huge file\n".repeat(800_000)).unwrap();
    home.git_in(&tree.0, &["add", "."]);
    let found = diff(&home, &tree);
    assert_eq!(of(file(&found, "long")), ("added", Some((100_000, 0)), Some(false)));
    assert_eq!(of(file(&found, "huge")), ("added", None, Some(true)));
    assert!(found.is_cut && found.patch.len() <= 1 << 20, "{}", found.patch.len());
    assert!(found.patch.ends_with("+a line of a long file\n"));
    for number in 0..5_010 {
        fs::write(tree.0.join(format!("u{number}")), "").unwrap();
    }
    let found = diff(&home, &tree);
    assert_eq!((found.files.len(), found.file_count), (5_000, 5_012));
}

#[test]
fn nothing_that_the_repository_configures_is_run_or_changes_the_form() {
    let home = Home::new();
    let tree = prepared(&home);
    let evil = home.path("evil");
    let command = format!("touch '{}'; false", evil.display());
    fs::write(tree.0.join(".gitattributes"), "* diff=evil filter=evil\n").unwrap();
    for (key, value) in [
        ("diff.external", command.as_str()),
        ("diff.evil.command", &command),
        ("diff.evil.textconv", &command),
        ("filter.evil.clean", &command),
        ("core.fsmonitor", &command),
        ("core.pager", &command),
        ("color.ui", "always"),
        ("diff.noprefix", "true"),
        ("diff.context", "0"),
        ("diff.renames", "false"),
    ] {
        home.git(&["config", key, value]);
    }
    fs::write(tree.0.join("tracked"), "two\n").unwrap();
    let found = diff(&home, &tree);
    assert!(found.patch.contains("diff --git a/tracked b/tracked\n"), "{}", found.patch);
    assert!(!found.patch.contains('\u{1b}') && !evil.exists(), "{}", found.patch);
}

/// An agent that adds a file then fails if the lock is there.
#[test]
fn the_index_is_left_alone_also_while_the_agent_locks_it() {
    let home = Home::new();
    let tree = prepared(&home);
    // git would refresh what it has noted of the file.
    let touched = fs::File::options().write(true).open(tree.0.join("tracked")).unwrap();
    touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let index = home.repo().join(".git/worktrees/tree/index");
    let before = fs::read(&index).unwrap();
    let plain = diff(&home, &tree);
    assert!(fs::read(&index).unwrap() == before, "git has written the index");
    let lock = index.with_extension("lock");
    fs::write(&lock, "of the agent").unwrap();
    fs::write(tree.0.join("tracked"), "two\n").unwrap();
    let found = diff(&home, &tree);
    assert_eq!((plain.file_count, found.file_count), (0, 1));
    assert!(fs::read(&index).unwrap() == before, "git has written the index");
    assert_eq!(fs::read_to_string(&lock).unwrap(), "of the agent");
}

/// git lists both, and counts no lines of a binary one whether it differs or not.
#[test]
fn of_files_that_were_only_touched_a_binary_one_alone_is_listed() {
    let home = Home::new();
    home.write("binary", "\0");
    home.write("text", "1\n");
    let tree = prepared(&home);
    assert_eq!(diff(&home, &tree).file_count, 0);
    for name in ["binary", "text"] {
        let touched = fs::File::options().write(true).open(tree.0.join(name)).unwrap();
        touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let found = diff(&home, &tree);
    assert_eq!((found.file_count, found.patch.as_str()), (1, ""));
    assert_eq!(of(file(&found, "binary")), ("modified", None, Some(true)));
}

#[test]
fn a_base_that_is_not_here_is_refused() {
    let home = Home::new();
    let (path, _) = prepared(&home);
    let missing = "0123456789012345678901234567890123456789";
    for base in [missing, "--output=x", "no-such"] {
        let refused = home.repository().diff(&path, base);
        assert_eq!(code(refused), "BranchNotFetched", "{base}");
    }
    assert_eq!(code(home.repository().diff(Path::new("/nothing"), missing)), "GitFailed");
}

/// A `git` that never ends when it lists what differs; where it notes each run.
fn hanging(home: &Home) -> (Environment, PathBuf) {
    let (programs, runs) = (home.path("programs"), home.path("runs"));
    fs::create_dir(&programs).unwrap();
    let file = programs.join("git");
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\nPATH='{path}'\n\
         case \"$*\" in *--numstat*) exec sleep 100000;; esac\nexec git \"$@\"\n",
        runs.display()
    );
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let own = |(name, value): (&OsStr, &OsStr)| {
        let value = if name == "PATH" { programs.as_os_str() } else { value };
        (name.to_owned(), value.to_owned())
    };
    (home.environment.iter().map(own).collect(), runs)
}

#[test]
fn all_of_git_ends_in_one_time_and_nothing_begins_after_it() {
    let home = Home::new();
    let (path, base) = prepared(&home);
    let (environment, runs) = hanging(&home);
    let until =
        |until| Repository::open_until(&home.project, home.repo(), &environment, Some(until));
    let end = Instant::now() + Duration::from_secs(4);
    let repository = until(end).unwrap();
    assert_eq!(code(repository.diff(&path, &base)), "GitFailed");
    // Less than one run may take by itself.
    assert!(Instant::now() < end + Duration::from_secs(15));
    let noted = fs::read_to_string(&runs).unwrap();
    assert!(!noted.contains("ls-files"), "{noted}");
    assert_eq!(code(repository.diff(&path, &base)), "GitFailed");
    assert_eq!(code(until(end)), "ProjectNotResolvable");
    assert_eq!(fs::read_to_string(&runs).unwrap(), noted, "git was not run again");
}
