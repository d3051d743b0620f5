//! Bases: the baseline digests of the pruned part of the log, so that the log still explains the tables.
//!
//! For every entity: base + the images that the changes after the floor add - those that they remove
//! = the sum of the live rows' images. Pruning adds the deleted changes to the base; a migration that
//! changes the columns of an image computes it again.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::capture;
use crate::log::digest::{Digest, Hasher};
use crate::model::cursor::Seq;

/// The baseline digest of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) entity: String,
    pub(crate) digest: Digest,
    /// The columns of an image, in their order.
    pub(crate) columns: String,
    /// The images of changes up to here have other columns.
    pub(crate) since: Seq,
}

const SELECT: &str = "SELECT entity, digest, columns, since FROM log_base ORDER BY entity";

pub(crate) fn all(conn: &Connection) -> Result<Vec<Base>> {
    Snapshot::new(conn).list("read the base of the log", SELECT, [], |row| {
        Ok(Base {
            entity: row.get(0)?,
            digest: row.get(1)?,
            columns: row.get(2)?,
            since: Seq(row.get(3)?),
        })
    })
}

const STORE: &str = "INSERT INTO log_base (entity, digest, columns, since) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (entity) DO UPDATE
    SET digest = excluded.digest, columns = excluded.columns, since = excluded.since";

pub(crate) fn store(conn: &Connection, base: &Base) -> Result<()> {
    let step = "store the base of the log";
    let Base { entity, digest, columns, since } = base;
    let mut statement = conn.prepare_cached(STORE).context(step)?;
    statement.execute((entity, digest, columns, since.0)).map(|_| ()).context(step)
}

/// The sum of the images of an entity's live rows, and their number.
pub(crate) fn of_rows(conn: &Connection, entity: &str) -> Result<(Digest, u64)> {
    let step = "read the rows of a table";
    let sql = format!("SELECT image FROM capture_{entity}");
    let mut statement = conn.prepare(&sql).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    let (mut sum, mut count, mut hasher) = (Digest::default(), 0, Hasher::default());
    while let Some(row) = rows.next().context(step)? {
        let image = row.get_ref(0).context(step)?;
        let image = image.as_bytes_or_null().map_err(rusqlite::Error::from).context(step)?;
        sum += hasher.row(entity.as_bytes(), image.unwrap_or_default());
        count += 1;
    }
    Ok((sum, count))
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

const SELECT_IMAGES: &str = "SELECT entity, before, after FROM change_log WHERE seq > ?1";

/// The amounts of the changes after a seq.
pub(crate) fn of_changes(conn: &Connection, after: Seq) -> Result<Moves> {
    let step = "read the images of the log";
    let mut statement = conn.prepare_cached(SELECT_IMAGES).context(step)?;
    let mut rows = statement.query([after.0]).context(step)?;
    let mut moves = Moves::default();
    while let Some(row) = rows.next().context(step)? {
        moves.add(row, [0, 1, 2]).context(step)?;
    }
    Ok(moves)
}

/// Whether the log explains the tables from an empty store on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// The log contains every change since the first.
    Whole,
    /// The log was pruned before bases existed.
    Pruned,
}

/// After a migration: gives every captured table a base that fits the columns of its images. A table
/// with unchanged columns keeps its base.
pub(crate) fn settle(conn: &Connection, head: Seq, history: History) -> Result<()> {
    let known: BTreeMap<_, _> =
        all(conn)?.into_iter().map(|base| (base.entity.clone(), base)).collect();
    let mut moves = None;
    for entity in capture::tables() {
        let columns = capture::columns(conn, entity)?.join(",");
        let (has_new_columns, since) = match known.get(entity) {
            Some(base) if base.columns == columns => continue,
            Some(_) => (true, head),
            None => (history == History::Pruned, Seq(0)),
        };
        let mut digest = Digest::default();
        if has_new_columns {
            if moves.is_none() {
                moves = Some(of_changes(conn, Seq(0))?);
            }
            digest = of_rows(conn, entity)?.0;
            digest -= moves.as_ref().map(|moves| moves.of(entity)).unwrap_or_default();
        }
        store(conn, &Base { entity: entity.to_owned(), digest, columns, since })?;
    }
    Ok(())
}
