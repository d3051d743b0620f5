//! Backups with rotation: a folder gets one more backup under a name with its time, and then keeps the
//! newest ones.
//!
//! Only files with a name of this store are counted or deleted, and only after the new backup is verified
//! and has its name durably; that one is never deleted. One process at a time makes a backup of a store in
//! a folder, and the next one takes over what a killed one left.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::admin::backup::Receipt;
use crate::admin::new_file::NewFile;
use crate::db::tx::Cause;
use crate::engine::store::Store;
use crate::error::{Error, Result};
use crate::log::info::LogInfo;
use crate::model::time::Timestamp;

/// The result of a backup with rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The new backup.
    pub receipt: Receipt,
    /// The older backups that were deleted.
    pub deleted: Vec<PathBuf>,
}

impl Store {
    /// Makes a backup in `folder` and then deletes the oldest ones of this store there, so that the newest
    /// `keep` stay.
    ///
    /// # Errors
    /// Those of [`Store::backup`]; `TARGET_EXISTS` while another process makes one there. Nothing is deleted
    /// then. `IO_ERROR` when an old one cannot be deleted; the new one stays.
    pub fn backup_into(&self, folder: &Path, keep: NonZeroU32, cause: &Cause) -> Result<Rotated> {
        let series = Series::of(&self.read(LogInfo::read)?);
        let out = folder.join(series.name(cause.reading().at));
        self.refuse_target(&out)?;
        let new = NewFile::claim_for(&folder.join(series.prefix()), &out)?;
        let receipt = self.backup_as(&new, &out, cause)?;
        let mut others = series.list(folder)?;
        others.retain(|other| *other != out);
        let kept = usize::try_from(keep.get()).unwrap_or(usize::MAX) - 1;
        others.truncate(others.len().saturating_sub(kept));
        for old in &others {
            fs::remove_file(old).map_err(|error| Error::file("delete", old, error))?;
        }
        Ok(Rotated { receipt, deleted: others })
    }
}

/// The newest backup of each store in a folder that [`Store::backup_into`] fills.
///
/// # Errors
/// `IO_ERROR` when the folder cannot be read.
pub fn newest_backups(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut newest: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
    for (series, time, path) in entries(folder)? {
        let known = newest.entry(series.log).or_default();
        *known = std::mem::take(known).max((time, path));
    }
    Ok(newest.into_values().map(|(_, path)| path).collect())
}

/// The backups in a folder, each with its series and its time. A link is not one.
fn entries(folder: &Path) -> Result<Vec<(Series, String, PathBuf)>> {
    let failed = |source| Error::file("list", folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let named = entry.file_name().to_str().and_then(Series::of_name);
        if let Some((series, time)) = named
            && entry.file_type().map_err(failed)?.is_file()
        {
            found.push((series, time, entry.path()));
        }
    }
    Ok(found)
}

/// How many digits of the log's id a name has.
const ID: usize = 8;

/// The names of the backups of one store: `ao-LOG-EPOCH-TIME.db`, whose order is that of their times. A
/// restore begins an epoch: a copy that was restored elsewhere has the same log, and never deletes the
/// backups of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Series {
    /// The first digits of the log's id, so that stores can share a folder.
    log: String,
    epoch: i64,
}

/// The form of the time in a name, in which `0` stands for any digit.
const FORM: &str = "00000000T000000.000Z";

impl Series {
    fn of(log: &LogInfo) -> Series {
        let id: String = log.log_id.chars().take(ID).collect();
        Series { log: id, epoch: log.epoch.0 }
    }

    fn prefix(&self) -> String {
        format!("ao-{}-{}", self.log, self.epoch)
    }

    fn name(&self, at: Timestamp) -> String {
        let nanos = i128::from(at.0) * 1_000_000;
        let at =
            OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let date = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
        let time = format!("{:02}{:02}{:02}", at.hour(), at.minute(), at.second());
        format!("{}-{date}T{time}.{:03}Z.db", self.prefix(), at.millisecond())
    }

    /// The series and the time of a name; `None` if it is not the name of such a backup.
    fn of_name(name: &str) -> Option<(Series, String)> {
        let (prefix, time) = name.strip_suffix(".db")?.rsplit_once('-')?;
        let fits = |(c, form): (u8, u8)| c == form || (form == b'0' && c.is_ascii_digit());
        let is_time = time.len() == FORM.len() && time.bytes().zip(FORM.bytes()).all(fits);
        let (log, epoch) = prefix.strip_prefix("ao-")?.split_once('-')?;
        let is_log = log.len() == ID && log.bytes().all(|c| c.is_ascii_hexdigit());
        let series = Series { log: log.to_owned(), epoch: epoch.parse().ok()? };
        // An epoch can be written in several ways.
        (is_time && is_log && series.prefix() == prefix).then(|| (series, time.to_owned()))
    }

    /// Its backups in a folder, the oldest first.
    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut found = entries(folder)?;
        found.retain(|(series, ..)| series == self);
        let mut found: Vec<_> = found.into_iter().map(|(.., path)| path).collect();
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_recognised_and_others_are_not() {
        let series = Series { log: "0123abcd".to_owned(), epoch: 12 };
        let name = series.name(Timestamp(1_795_916_639_042));
        assert_eq!(name, "ao-0123abcd-12-20261129T014359.042Z.db");
        let time = "20261129T014359.042Z".to_owned();
        assert_eq!(Series::of_name(&name), Some((series, time)));
        for other in [
            "ao-0123abcd-12-20261129T014359.042Z.db-wal",
            "ao-0123abcd-12-20261129T014359.042Z.db.gz",
            "ao-0123abcd-12-20261129T014359042Z.db",
            "ao-0123abcd-12-2026112xT014359.042Z.db",
            "ao-0123abcx-12-20261129T014359.042Z.db",
            "ao-0123abcd-20261129T014359.042Z.db",
            "ao-0123abcd-012-20261129T014359.042Z.db",
            "ao-0123abcd-x-20261129T014359.042Z.db",
            "ao-0123abcd.db",
            "my-ao-0123abcd-12-20261129T014359.042Z.db",
            "ao.db",
        ] {
            assert_eq!(Series::of_name(other), None, "{other}");
        }
    }
}
