//! The file that a path named when it was opened. If the file is replaced under an open store, as by a
//! restore or a rename, the next operation fails, and nothing is committed into the old file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A path, and the file behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    /// The identity of the file that the path names now.
    pub(crate) fn of(path: &Path) -> Result<Identity> {
        match fs::metadata(path) {
            Ok(file) if !file.is_file() => Err(Error::NotAStore(path.to_owned())),
            Ok(file) => {
                Ok(Identity { path: path.to_owned(), device: file.dev(), inode: file.ino() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::StoreNotFound(path.to_owned()))
            }
            Err(source) => Err(Error::file("read the metadata of", path, source)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another path names the same file.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode))
    }

    /// Refuses when the path now names another file or none. A file whose metadata cannot be read at the
    /// moment may still be the same.
    pub(crate) fn check(&self) -> Result<()> {
        let is_other = match fs::metadata(&self.path) {
            Ok(file) => (file.dev(), file.ino()) != (self.device, self.inode),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if is_other { Err(Error::StoreReplaced(self.path.clone())) } else { Ok(()) }
    }

    /// The same for a writer, which also refuses a file with a second name: SQLite names its journals after
    /// the name that it opened, so a process that uses the other name would not see them.
    pub(crate) fn check_for_write(&self) -> Result<()> {
        self.check()?;
        let has_links = fs::metadata(&self.path).is_ok_and(|file| file.nlink() > 1);
        if has_links { Err(Error::StoreHardLinked(self.path.clone())) } else { Ok(()) }
    }
}
