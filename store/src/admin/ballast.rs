//! Ballast: a file that reserves disk space, so that pruning is still possible on a full disk.
//!
//! On a full disk a DELETE and a checkpoint fail like any write. Deleting the ballast frees the few
//! pages that pruning needs.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

use crate::admin::new_file::NewFile;
use crate::error::{Error, Result};

/// Its size in bytes: several times what some batches of pruning and their checkpoint need.
pub const BALLAST_BYTES: u64 = 8 << 20;
/// It is created only if the disk has this many times its size free.
const SHARE: u64 = 32;

/// The ballast of a database.
#[must_use]
pub fn ballast_path(database: &Path) -> PathBuf {
    database.with_file_name("ballast")
}

/// Creates it if it is missing and there is room; returns whether it exists. A failure is not an error:
/// `doctor` reports it.
pub(crate) fn ensure(database: &Path) -> bool {
    let path = ballast_path(database);
    let is_there = |file: &fs::Metadata| file.blocks() * 512 >= BALLAST_BYTES;
    if fs::metadata(&path).is_ok_and(|file| is_there(&file)) {
        return true;
    }
    if !is_ours(&path, database) {
        return false;
    }
    make(&path).unwrap_or_else(|error| {
        tracing::debug!(%error, path = %path.display(), "no ballast");
        false
    })
}

/// Another file of that name is neither replaced nor removed: a ballast has its full length.
fn is_ours(path: &Path, database: &Path) -> bool {
    let is_one = |file: fs::Metadata| file.is_file() && file.len() == BALLAST_BYTES;
    path != database && fs::symlink_metadata(path).map_or(true, is_one)
}

fn make(path: &Path) -> Result<bool> {
    let failed = |source| Error::file("create", path, source);
    let new = NewFile::claim(path)?;
    let file = OpenOptions::new().write(true).open(new.path()).map_err(failed)?;
    let disk = fstatvfs(&file).map_err(|error| failed(error.into()))?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < BALLAST_BYTES * SHARE {
        return Ok(false);
    }
    // Allocated: a sparse file would reserve no space.
    let allocated = fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES);
    allocated.map_err(|error| failed(error.into()))?;
    if path.exists() {
        // One with holes, as a copy of it may have.
        fs::remove_file(path).map_err(failed)?;
    }
    new.place().map(|()| true)
}

/// Deletes it; returns whether there was one.
pub(crate) fn release(database: &Path) -> Result<bool> {
    let path = ballast_path(database);
    if !is_ours(&path, database) {
        return Ok(false);
    }
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { action: "delete", path, source }),
    }
}
