//! Snapshot, then follow: the rows as they were at one cursor, in chunks, and the stream from there.
//!
//! Every chunk is a short read of its own, and all show the same point in time: a row that changed
//! since is restored from the log (`ao_store::log::as_of`). So there is no gap and no duplicate, the
//! receiver merges nothing, and an interrupted reader resumes after its last chunk. Meanwhile a
//! reservation keeps the changes after the cursor from being pruned.

use std::time::{Duration, Instant};

use ao_store::log::as_of::{self, RowAt};
use ao_store::log::reservation::{self, ReservationId};
use ao_store::{Cause, Cursor, Store};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::tail::{Start, Tail};

/// Rows in a chunk.
const CHUNK: usize = 500;
/// How long a reservation lasts without renewal, and therefore the guaranteed time to resume an interrupted snapshot.
pub const RESERVATION: Duration = Duration::from_secs(600);

/// Keeps the changes after a cursor from being pruned until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    store: Store,
    id: ReservationId,
    cursor: Cursor,
    holder: String,
    renewed: Instant,
    /// Whether it stays until it expires.
    is_left: bool,
}

impl Reservation {
    fn new(store: &Store, cursor: Cursor, holder: &str) -> Result<Reservation> {
        let (store, holder) = (store.clone(), holder.to_owned());
        let id = reserve(&store, cursor, &holder)?;
        Ok(Reservation { store, id, cursor, holder, renewed: Instant::now(), is_left: false })
    }

    /// Extends it by [`RESERVATION`]; call it every minute or so. If it expired, such as while the
    /// process was stopped, it is made again.
    ///
    /// # Errors
    /// `CURSOR_EXPIRED` when the log was pruned meanwhile.
    pub fn keep(&mut self) -> Result<()> {
        if self.renewed.elapsed() < RESERVATION / 4 {
            return Ok(());
        }
        let id = self.id;
        let renewed = self.store.write(now(), move |tx| reservation::renew(tx, id, RESERVATION))?;
        if !renewed.value {
            self.id = reserve(&self.store, self.cursor, &self.holder)?;
        }
        self.renewed = Instant::now();
        Ok(())
    }
}

fn reserve(store: &Store, cursor: Cursor, holder: &str) -> Result<ReservationId> {
    let holder = holder.to_owned();
    let reserve =
        move |tx: &ao_store::Tx<'_>| reservation::reserve(tx, cursor, &holder, RESERVATION);
    Ok(store.write(now(), reserve)?.value)
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let id = self.id;
        if let Err(error) = self.store.write(now(), move |tx| reservation::release(tx, id)) {
            tracing::debug!(%error, "a reservation was not released");
        }
    }
}

fn now() -> Cause {
    Cause::now("snapshot")
}

/// Rows of one entity in key order, as they were at the cursor of their snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The captured table.
    pub entity: &'static str,
    /// The rows that pass the filter; may be none.
    pub rows: Vec<RowAt>,
    /// Where to resume after them: for [`SnapshotReader::resume`].
    pub position: String,
}

/// Reads the rows of a snapshot chunk by chunk.
#[derive(Debug)]
pub struct SnapshotReader {
    store: Store,
    cursor: Cursor,
    filter: Filter,
    entities: Vec<&'static str>,
    after: Option<String>,
    chunk: usize,
    reservation: Reservation,
}

impl SnapshotReader {
    /// Begins a snapshot as of a start position. `holder` is the name of the reader, reported while
    /// the snapshot delays pruning.
    ///
    /// # Errors
    /// The cursor errors; those of a write.
    pub fn open(
        store: &Store,
        start: Start,
        filter: Filter,
        holder: &str,
    ) -> Result<SnapshotReader> {
        loop {
            let cursor = Tail::open(store, start, filter.clone())?.cursor();
            match SnapshotReader::at(store, cursor, filter.clone(), holder) {
                // The log was pruned before the reservation; without an explicit cursor, it starts again at the new floor.
                Err(Error::Store(ao_store::Error::CursorExpired { .. }))
                    if !matches!(start, Start::Cursor(_)) => {}
                other => return other,
            }
        }
    }

    fn at(store: &Store, cursor: Cursor, filter: Filter, holder: &str) -> Result<SnapshotReader> {
        let reservation = Reservation::new(store, cursor, holder)?;
        let entities = filter.entities();
        let store = store.clone();
        let (after, chunk) = (None, CHUNK);
        Ok(SnapshotReader { store, cursor, filter, entities, after, chunk, reservation })
    }

    /// Moves to an entity, after a row of it if one is given; to the end without an entity.
    fn go_to(&mut self, entity: Option<String>, after: Option<String>) -> Result<()> {
        let Some(entity) = entity else {
            self.entities.clear();
            return Ok(());
        };
        let left = self.entities.iter().position(|name| *name == entity);
        self.entities.drain(..left.ok_or(Error::InvalidPosition)?);
        if let Some(after) = &after {
            let is_key = self.store.read(|snapshot| as_of::is_key(snapshot, &entity, after))?;
            if !is_key {
                return Err(Error::InvalidPosition);
            }
        }
        self.after = after;
        Ok(())
    }

    /// Reads about `rows` rows per chunk instead of 500: smaller chunks are shorter reads.
    #[must_use]
    pub fn with_chunk(self, rows: usize) -> SnapshotReader {
        SnapshotReader { chunk: rows.max(1), ..self }
    }

    /// Resumes after the chunk that came with `position`, with the same filter.
    ///
    /// # Errors
    /// [`Error::InvalidPosition`]; `CURSOR_EXPIRED` when the log was pruned meanwhile.
    pub fn resume(
        store: &Store,
        position: &str,
        filter: Filter,
        holder: &str,
    ) -> Result<SnapshotReader> {
        let read = hex::decode(position).map_err(|_| Error::InvalidPosition)?;
        let read: Value = serde_json::from_slice(&read).map_err(|_| Error::InvalidPosition)?;
        let text = |name: &str| match &read[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(Error::InvalidPosition),
        };
        let cursor = text("cursor")?.ok_or(Error::InvalidPosition)?;
        let cursor = cursor.parse().map_err(|_| Error::InvalidPosition)?;
        if text("filter")?.as_deref() != Some(&filter.to_json()) {
            return Err(Error::InvalidPosition);
        }
        let mut reader = SnapshotReader::at(store, cursor, filter, holder)?;
        reader.go_to(text("entity")?, text("after")?)?;
        Ok(reader)
    }

    /// Extends the reservation while the stream catches up; call it every minute or so.
    ///
    /// # Errors
    /// Those of [`Reservation::keep`].
    pub fn keep(&mut self) -> Result<()> {
        self.reservation.keep()
    }

    /// Stops reading and leaves the reservation until it expires, so that [`SnapshotReader::resume`]
    /// can read the rest.
    pub fn leave(mut self) {
        self.reservation.is_left = true;
    }

    /// The cursor as of which the rows are read.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next rows; `None` when there are no more.
    ///
    /// # Errors
    /// The cursor errors when the reservation expired and the log was pruned.
    pub fn next_rows(&mut self) -> Result<Option<Rows>> {
        let Some(entity) = self.entities.first().copied() else { return Ok(None) };
        self.reservation.keep()?;
        let (cursor, after, limit) = (self.cursor, self.after.as_deref(), self.chunk);
        let chunk =
            self.store.read(|snapshot| as_of::chunk(snapshot, entity, cursor, after, limit))?;
        let mut rows = chunk.rows;
        rows.retain(|row| self.filter.matches_row(entity, row));
        if chunk.next.is_none() {
            self.entities.remove(0);
        }
        self.after = chunk.next;
        Ok(Some(Rows { entity, rows, position: self.position() }))
    }

    fn position(&self) -> String {
        let position = json!({
            "cursor": self.cursor.to_string(),
            "entity": self.entities.first(),
            "after": self.after,
            "filter": self.filter.to_json(),
        });
        // One opaque word that needs no quoting in a shell.
        hex::encode(position.to_string())
    }

    /// The stream from the cursor of the snapshot on. Keep the reservation until the tail has caught
    /// up with the head.
    ///
    /// # Errors
    /// Those of [`Tail::open`].
    pub fn follow(self) -> Result<(Tail, Reservation)> {
        let tail = Tail::open(&self.store, Start::Cursor(self.cursor), self.filter)?;
        Ok((tail, self.reservation))
    }
}
