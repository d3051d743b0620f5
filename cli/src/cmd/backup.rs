//! Copies the store to a file, or with rotation into a directory.

use std::num::NonZeroU32;
use std::path::Path;

use ao_store::{Receipt, Rotated};
use bytesize::ByteSize;
use serde_json::json;

use crate::cmd::admin::absolute;
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output;

/// Copies the store to `out`; with `keep`, into the directory `out`.
pub(crate) fn run(context: &Context, out: &Path, keep: Option<NonZeroU32>) -> Result<()> {
    let place = absolute(out)?;
    let Rotated { receipt, deleted } = match keep {
        Some(keep) => {
            require_directory(out)?;
            context.open()?.backup_into(&place, keep, &cause())?
        }
        None => {
            let receipt = context.open()?.backup(&place, &cause())?;
            Rotated { receipt, deleted: Vec::new() }
        }
    };
    let Receipt { path, log_id, cursor, pages, bytes, sha256 } = &receipt;
    if context.is_json {
        let deleted: Vec<_> = deleted.iter().map(|path| path.to_string_lossy()).collect();
        return output::document(
            "backup",
            &json!({
                "path": path.to_string_lossy(),
                "log_id": log_id,
                "cursor": cursor.to_string(),
                "pages": pages,
                "bytes": bytes,
                "sha256": sha256,
                "deleted": deleted,
            }),
        );
    }
    let (shown, size) = (output::path(path), ByteSize(*bytes));
    output::say(&format!("{shown} written and verified: cursor {cursor}, {pages} pages, {size}"));
    for old in &deleted {
        output::say(&format!("deleted the older backup {}", output::path(old)));
    }
    let named = if keep.is_some() { path.as_path() } else { out };
    output::line(&format!("{sha256}  {}", output::path(named)))
}

/// A directory that is not there may be a disk that is not mounted, so it is not created.
fn require_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let reason = "with --keep it must be a directory that exists".to_owned();
    Err(Error::InvalidPath { path: path.to_owned(), reason })
}
