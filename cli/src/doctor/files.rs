//! The files of the store: whose they are, who else may use them, and whether the database has one
//! name only.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::doctor::{Finding, Level, word};

const PERMISSIONS: &str = "db.permissions";
const HARDLINKS: &str = "db.hardlinks";

/// Where the files of a store are.
pub(super) struct Files {
    /// As it was named.
    pub(super) named: PathBuf,
    /// The file itself: where the name is a symbolic link, SQLite keeps its files beside the target.
    pub(super) database: PathBuf,
    pub(super) wal: PathBuf,
    pub(super) shm: PathBuf,
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
        Files { named: named.to_owned(), database, wal, shm, dir }
    }
}

/// What a file is like; `None` when it is not there.
pub(super) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The finding about a file that cannot be looked at.
pub(super) fn hidden(id: &'static str, path: &Path, error: &io::Error) -> Finding {
    let fix = format!("see which directory keeps you out: `namei -l {}`", word(path));
    Finding::fail(id, format!("cannot look at {}: {error}", path.display()), fix)
}

/// The finding about what is not there yet: `db.open` is the one that fails.
pub(super) fn absent(id: &'static str, path: &Path) -> Finding {
    Finding::ok(id, format!("there is no {} yet", path.display()))
}

/// One file, the mode it must have, and those it has.
struct Seen {
    path: PathBuf,
    wanted: u32,
    mode: u32,
    owner: u32,
}

/// Whether the store is this user's and nobody else's.
pub(super) fn permissions(files: &Files) -> Finding {
    let mut seen = Vec::new();
    for (path, wanted) in
        [(&files.dir, 0o700), (&files.database, 0o600), (&files.wal, 0o600), (&files.shm, 0o600)]
    {
        match look(path) {
            Ok(None) => {}
            Ok(Some(file)) => seen.push(Seen {
                path: path.clone(),
                wanted,
                mode: file.mode() & 0o777,
                owner: file.uid(),
            }),
            Err(error) => return hidden(PERMISSIONS, path, &error),
        }
    }
    if !seen.iter().any(|seen| seen.path == files.database) {
        return absent(PERMISSIONS, &files.database);
    }
    let mut finding = judge(&seen, rustix::process::geteuid().as_raw());
    if fs::symlink_metadata(&files.named).is_ok_and(|file| file.is_symlink()) {
        let target = files.database.display();
        finding.message += &format!("; the database is a symbolic link to {target}");
    }
    finding
}

fn judge(seen: &[Seen], user: u32) -> Finding {
    let (mut level, mut message, mut fix) = (Level::Ok, Vec::new(), Vec::new());
    let mut raise = |new: Level| {
        if level != Level::Fail {
            level = new;
        }
    };
    for Seen { path, wanted, mode, owner } in seen {
        let shown = path.display();
        if *owner != user {
            // What root adds is root's: the owner could no longer write.
            raise(Level::Fail);
            message.push(format!("{shown} belongs to user {owner}, not {user}"));
            fix.push(match user {
                0 => format!("sudo -u '#{owner}' ao-store doctor"),
                _ => format!("sudo chown {user} {}", word(path)),
            });
        }
        if mode != wanted {
            let is_lacking = mode & wanted != *wanted;
            let is_writable = mode & 0o022 != 0;
            raise(if is_lacking || is_writable { Level::Fail } else { Level::Warn });
            message.push(format!("{shown} has mode {mode:04o}, not {wanted:04o}"));
            fix.push(format!("chmod {wanted:o} {}", word(path)));
        }
    }
    if level == Level::Ok {
        return Finding::ok(PERMISSIONS, format!("0700 and 0600, of user {user}"));
    }
    fix.dedup();
    let (message, fix) = (message.join("; "), fix.join(" && "));
    Finding { id: PERMISSIONS, level, message, fix: format!("`{fix}`") }
}

/// Whether the database has one name: under another SQLite would look for another log, and would
/// neither see what this one holds nor keep its locks on it.
pub(super) fn hardlinks(files: &Files) -> Finding {
    let file = match look(&files.database) {
        Ok(Some(file)) => file,
        Ok(None) => return absent(HARDLINKS, &files.database),
        Err(error) => return hidden(HARDLINKS, &files.database, &error),
    };
    match file.nlink() {
        1 => Finding::ok(HARDLINKS, "the database has one name"),
        0 => Finding::fail(HARDLINKS, "the database was removed just now", "run this again"),
        names => {
            let (root, path) = (word(mount_point(&files.dir, file.dev())), word(&files.database));
            Finding::fail(
                HARDLINKS,
                format!("the database has {names} names, and each has a log of its own"),
                format!(
                    "stop what uses it, then remove the others that `find {root} -xdev -samefile {path}` lists"
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
    fn a_private_store_is_fine() {
        let (_dir, files) = store();
        let finding = permissions(&files);
        assert_eq!((finding.level, finding.fix.as_str()), (Level::Ok, ""), "{finding:?}");
    }

    #[test]
    fn each_file_that_others_may_use_is_named_with_the_command() {
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
        let seen =
            [Seen { path: PathBuf::from("/d/ao.db-wal"), wanted: 0o600, mode: 0o600, owner: 0 }];
        let finding = judge(&seen, 1000);
        assert_eq!(
            (finding.level, finding.fix.as_str()),
            (Level::Fail, "`sudo chown 1000 /d/ao.db-wal`")
        );
        assert!(finding.message.contains("belongs to user 0, not 1000"), "{finding:?}");
        assert_eq!(judge(&seen, 0).level, Level::Ok);
        let other = [Seen { owner: 1000, path: PathBuf::from("/d"), wanted: 0o700, mode: 0o700 }];
        assert_eq!(judge(&other, 0).fix, "`sudo -u '#1000' ao-store doctor`");
    }

    #[test]
    fn a_symbolic_link_is_noted_and_what_it_names_is_looked_at() {
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
    fn a_store_that_is_not_there_is_not_at_fault_here() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("ao.db"));
        for finding in [permissions(&files), hardlinks(&files)] {
            assert_eq!(finding.level, Level::Ok);
            assert!(finding.message.starts_with("there is no "), "{finding:?}");
        }
    }

    #[test]
    fn a_path_through_a_file_cannot_be_looked_at() {
        let (_dir, files) = store();
        let files = Files::of(&files.database.join("ao.db"));
        assert_eq!(permissions(&files).level, Level::Fail);
        assert_eq!(hardlinks(&files).level, Level::Fail);
    }
}
