//! Bases: the baseline digests of the pruned part of the log, so that the log still explains the tables.
//!
//! For every entity: base + the images that the changes after the floor add - those that they remove
//! = the sum of the live rows' images. Pruning adds the deleted changes to the base.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::digest::{Digest, Hasher};

const SELECT: &str = "SELECT entity, digest FROM log_base";

/// The baseline digest of each entity that has one; of the others it is zero.
pub(crate) fn all(conn: &Connection) -> Result<BTreeMap<String, Digest>> {
    let read = |row: &Row<'_>| Ok((text(row, 0)?, row.get(1)?));
    let all = Snapshot::new(conn).list("read the baseline digests", SELECT, [], read)?;
    Ok(all.into_iter().collect())
}

const STORE: &str = "INSERT INTO log_base (entity, digest) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET digest = excluded.digest";

/// Stores the baseline digest of an entity.
pub(crate) fn store(conn: &Connection, entity: &str, digest: Digest) -> Result<()> {
    let step = "store a baseline digest";
    let mut statement = conn.prepare_cached(STORE).context(step)?;
    statement.execute((entity, digest)).map(|_| ()).context(step)
}

/// Adds what deleted changes moved to the baseline digests.
pub(crate) fn add(conn: &Connection, moves: &Moves) -> Result<()> {
    let all = all(conn)?;
    for (entity, moved) in moves.sums.iter().filter(|(_, moved)| **moved != Digest::default()) {
        let mut digest = all.get(entity).copied().unwrap_or_default();
        digest += *moved;
        store(conn, entity, digest)?;
    }
    Ok(())
}

/// The live rows of an entity.
pub(crate) struct Rows {
    /// The sum of their images.
    pub(crate) digest: Digest,
    /// Their number.
    pub(crate) count: u64,
    /// Whether an image is not UTF-8: then a text of its row is not either.
    pub(crate) has_invalid_text: bool,
}

/// Reads all live rows of an entity.
pub(crate) fn of_rows(conn: &Connection, entity: &str) -> Result<Rows> {
    let step = "read the rows of a table";
    let sql = format!("SELECT image FROM capture_{entity}");
    let mut statement = conn.prepare(&sql).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    let mut found = Rows { digest: Digest::default(), count: 0, has_invalid_text: false };
    let mut hasher = Hasher::default();
    while let Some(row) = rows.next().context(step)? {
        let image = row.get_ref(0).context(step)?;
        let image = image.as_bytes_or_null().map_err(rusqlite::Error::from).context(step)?;
        let image = image.unwrap_or_default();
        found.digest += hasher.row(entity.as_bytes(), image);
        found.count += 1;
        found.has_invalid_text |= str::from_utf8(image).is_err();
    }
    Ok(found)
}

/// The amounts by which changes alter the sums of their entities.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    sums: BTreeMap<String, Digest>,
    hasher: Hasher,
}

impl Moves {
    /// Adds a change, given the columns of its entity and its images.
    pub(crate) fn add(
        &mut self,
        row: &Row<'_>,
        [entity, before, after]: [usize; 3],
    ) -> rusqlite::Result<()> {
        let bytes = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes_or_null()?);
        let entity = String::from_utf8_lossy(bytes(entity)?.unwrap_or_default());
        let sum = match self.sums.get_mut(&*entity) {
            Some(sum) => sum,
            None => self.sums.entry(entity.clone().into_owned()).or_default(),
        };
        if let Some(before) = bytes(before)? {
            *sum -= self.hasher.row(entity.as_bytes(), before);
        }
        if let Some(after) = bytes(after)? {
            *sum += self.hasher.row(entity.as_bytes(), after);
        }
        Ok(())
    }

    pub(crate) fn of(&self, entity: &str) -> Digest {
        self.sums.get(entity).copied().unwrap_or_default()
    }
}
