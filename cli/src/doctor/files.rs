//! Checks of the store's files: their owner, their permissions, and that the database has no hard
//! links.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::doctor::{Finding, Level};
use crate::invocation::quoted;

const PERMISSIONS: &str = "db.permissions";
const HARDLINKS: &str = "db.hardlinks";

/// The paths of the files of a store.
pub(super) struct Files {
    /// The database as the user named it.
    pub(super) named: PathBuf,
    /// The file itself: SQLite keeps its other files beside the target of a symbolic link.
    pub(super) database: PathBuf,
    pub(super) wal: PathBuf,
    pub(super) shm: PathBuf,
    /// The locks of the queue of writers.
    queue: [PathBuf; 2],
    pub(super) dir: PathBuf,
}

impl Files {
    pub(super) fn of(named: &Path) -> Files {
        let database = named.canonicalize().unwrap_or_else(|_| named.to_owned());
        let beside = |ending| {
            let mut name = database.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        let dir = database.parent().unwrap_or(Path::new("/")).to_owned();
        let (wal, shm) = (beside("-wal"), beside("-shm"));
        let queue = [".queue", ".turn"].map(beside);
        Files { named: named.to_owned(), database, wal, shm, queue, dir }
    }
}

/// The metadata of a file; `None` when it does not exist.
pub(super) fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The finding about a file whose metadata cannot be read.
pub(super) fn unreadable(id: &'static str, path: &Path, error: &io::Error) -> Finding {
    let fix = format!("find the directory that denies access: `namei -l {}`", quoted(path));
    Finding::fail(id, format!("cannot examine {}: {error}", path.display()), fix)
}

/// The finding about a file that does not exist: only `db.open` fails for it.
pub(super) fn absent(id: &'static str, path: &Path) -> Finding {
    Finding::ok(id, format!("{} does not exist yet", path.display()))
}

/// One file with the mode that it must have, and its mode and owner.
struct FileMode {
    path: PathBuf,
    wanted: u32,
    mode: u32,
    owner: u32,
}

/// Checks that this user owns the store, and that no other user has access.
pub(super) fn permissions(files: &Files) -> Finding {
    let mut seen = Vec::new();
    let private = [&files.database, &files.wal, &files.shm].into_iter().chain(&files.queue);
    let private = private.map(|path| (path, 0o600));
    for (path, wanted) in [(&files.dir, 0o700)].into_iter().chain(private) {
        match metadata(path) {
            Ok(None) => {}
            Ok(Some(file)) => seen.push(FileMode {
                path: path.clone(),
                wanted,
                mode: file.mode() & 0o777,
                owner: file.uid(),
            }),
            Err(error) => return unreadable(PERMISSIONS, path, &error),
        }
    }
    if !seen.iter().any(|seen| seen.path == files.database) {
        return absent(PERMISSIONS, &files.database);
    }
    let mut finding = assess(&seen, rustix::process::geteuid().as_raw());
    if fs::symlink_metadata(&files.named).is_ok_and(|file| file.is_symlink()) {
        let target = files.database.display();
        finding.message += &format!("; the database is a symbolic link to {target}");
    }
    finding
}

fn assess(files: &[FileMode], user: u32) -> Finding {
    let (mut level, mut message, mut fix) = (Level::Ok, Vec::new(), Vec::new());
    let mut raise = |new: Level| {
        if level != Level::Fail {
            level = new;
        }
    };
    for FileMode { path, wanted, mode, owner } in files {
        let shown = path.display();
        if *owner != user {
            // Files that root adds belong to root: the owner could no longer write.
            raise(Level::Fail);
            message.push(format!("{shown} is owned by user {owner}, not {user}"));
            fix.push(match user {
                0 => format!("sudo -u '#{owner}' ao-store doctor"),
                _ => format!("sudo chown {user} {}", quoted(path)),
            });
        }
        if mode != wanted {
            let is_lacking = mode & wanted != *wanted;
            let is_writable = mode & 0o022 != 0;
            raise(if is_lacking || is_writable { Level::Fail } else { Level::Warn });
            message.push(format!("{shown} has mode {mode:04o}, not {wanted:04o}"));
            fix.push(format!("chmod {wanted:o} {}", quoted(path)));
        }
    }
    if level == Level::Ok {
        return Finding::ok(PERMISSIONS, format!("modes 0700 and 0600, owned by user {user}"));
    }
    fix.dedup();
    let (message, fix) = (message.join("; "), fix.join(" && "));
    Finding { id: PERMISSIONS, level, message, fix: format!("`{fix}`") }
}

/// Checks that the database has no hard links: through another name, SQLite would use another log,
/// and would see neither the changes in this one nor the locks on it.
pub(super) fn hardlinks(files: &Files) -> Finding {
    let file = match metadata(&files.database) {
        Ok(Some(file)) => file,
        Ok(None) => return absent(HARDLINKS, &files.database),
        Err(error) => return unreadable(HARDLINKS, &files.database, &error),
    };
    match file.nlink() {
        1 => Finding::ok(HARDLINKS, "the database has no hard links"),
        0 => Finding::fail(
            HARDLINKS,
            "the database was removed during the check",
            "run `ao-store doctor` again",
        ),
        names => {
            let (root, path) =
                (quoted(mount_point(&files.dir, file.dev())), quoted(&files.database));
            Finding::fail(
                HARDLINKS,
                format!("the database has {names} names, and SQLite uses another log for each"),
                format!(
                    "stop every process that uses it, then remove the other names that \
                     `find {root} -xdev -samefile {path}` lists"
                ),
            )
        }
    }
}

/// The topmost directory on the same file system: no other name can be outside it.
fn mount_point(dir: &Path, device: u64) -> &Path {
    let is_same = |dir: &&Path| fs::metadata(dir).is_ok_and(|file| file.dev() == device);
    dir.ancestors().take_while(is_same).last().unwrap_or(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn store() -> (TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().canonicalize().unwrap().join("ao.db");
        for ending in ["", "-wal", "-shm"] {
            let path = PathBuf::from(format!("{}{ending}", database.display()));
            fs::write(&path, "x").unwrap();
            set_mode(&path, 0o600);
        }
        set_mode(dir.path(), 0o700);
        (dir, Files::of(&database))
    }

    #[test]
    fn a_private_store_passes() {
        let (_dir, files) = store();
        let finding = permissions(&files);
        assert_eq!((finding.level, finding.fix.as_str()), (Level::Ok, ""), "{finding:?}");
    }

    #[test]
    fn each_file_with_a_wrong_mode_is_reported_with_the_command() {
        let (_dir, files) = store();
        for (path, mode, level, command) in [
            (&files.database, 0o644, Level::Warn, "chmod 600 "),
            (&files.wal, 0o640, Level::Warn, "chmod 600 "),
            (&files.shm, 0o604, Level::Warn, "chmod 600 "),
            (&files.dir, 0o755, Level::Warn, "chmod 700 "),
            (&files.database, 0o620, Level::Fail, "chmod 600 "),
            (&files.database, 0o400, Level::Fail, "chmod 600 "),
            (&files.dir, 0o702, Level::Fail, "chmod 700 "),
        ] {
            let before = fs::metadata(path).unwrap().mode();
            set_mode(path, mode);
            let finding = permissions(&files);
            assert_eq!(finding.level, level, "{mode:o}: {finding:?}");
            assert!(finding.message.contains(&format!("{mode:04o}")), "{finding:?}");
            assert_eq!(finding.fix, format!("`{command}{}`", path.display()));
            set_mode(path, before);
        }
        assert_eq!(permissions(&files).level, Level::Ok);
    }

    #[test]
    fn the_worst_file_decides() {
        let (_dir, files) = store();
        set_mode(&files.dir, 0o777);
        set_mode(&files.shm, 0o644);
        let finding = permissions(&files);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.fix.contains("chmod 700 ") && finding.fix.contains(" && chmod 600 "));
    }

    #[test]
    fn a_file_of_another_user_fails() {
        let seen = [FileMode {
            path: PathBuf::from("/d/ao.db-wal"),
            wanted: 0o600,
            mode: 0o600,
            owner: 0,
        }];
        let finding = assess(&seen, 1000);
        assert_eq!(
            (finding.level, finding.fix.as_str()),
            (Level::Fail, "`sudo chown 1000 /d/ao.db-wal`")
        );
        assert!(finding.message.contains("is owned by user 0, not 1000"), "{finding:?}");
        assert_eq!(assess(&seen, 0).level, Level::Ok);
        let other =
            [FileMode { owner: 1000, path: PathBuf::from("/d"), wanted: 0o700, mode: 0o700 }];
        assert_eq!(assess(&other, 0).fix, "`sudo -u '#1000' ao-store doctor`");
    }

    #[test]
    fn a_symbolic_link_is_reported_and_its_target_is_checked() {
        let (dir, files) = store();
        let link = dir.path().join("link.db");
        symlink(&files.database, &link).unwrap();
        set_mode(&files.wal, 0o644);
        let finding = permissions(&Files::of(&link));
        assert_eq!(finding.level, Level::Warn);
        let note = format!("symbolic link to {}", files.database.display());
        assert!(finding.message.contains(&note), "{finding:?}");
    }

    #[test]
    fn a_second_name_fails_until_it_is_removed() {
        let (dir, files) = store();
        assert_eq!(hardlinks(&files).level, Level::Ok);
        let other = dir.path().join("copy.db");
        fs::hard_link(&files.database, &other).unwrap();
        let finding = hardlinks(&files);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.message.contains("2 names"), "{finding:?}");
        assert!(finding.fix.contains("-samefile"), "{finding:?}");
        fs::remove_file(&other).unwrap();
        assert_eq!(hardlinks(&files).level, Level::Ok);
    }

    #[test]
    fn a_store_that_does_not_exist_passes() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("ao.db"));
        for finding in [permissions(&files), hardlinks(&files)] {
            assert_eq!(finding.level, Level::Ok);
            assert!(finding.message.contains(" does not exist yet"), "{finding:?}");
        }
    }

    #[test]
    fn a_path_through_a_file_fails() {
        let (_dir, files) = store();
        let files = Files::of(&files.database.join("ao.db"));
        assert_eq!(permissions(&files).level, Level::Fail);
        assert_eq!(hardlinks(&files).level, Level::Fail);
    }
}
