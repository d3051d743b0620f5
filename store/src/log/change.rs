//! Reading the change log: in seq order, in bounded chunks, without copying unused columns.

use std::borrow::Cow;
use std::fmt;

use rusqlite::Row;

use crate::db::text::decode;
use crate::db::tx::Snapshot;
use crate::error::{Context, Error, Result};
use crate::log::changed::{ChangedFields, changed_fields};
use crate::model::cursor::Seq;
use crate::model::time::Timestamp;

/// One change, borrowed from the current row of a read or from a copy; each column is read on request.
pub struct ChangeRef<'r> {
    source: Source<'r>,
    seq: Seq,
}

enum Source<'r> {
    Row(&'r Row<'r>),
    Copy(&'r Change),
}

/// The columns of `select_changes`, by position.
mod column {
    pub(super) const TX: usize = 1;
    pub(super) const AT: usize = 2;
    pub(super) const ACTOR: usize = 3;
    pub(super) const TYPE: usize = 4;
    pub(super) const ENTITY: usize = 5;
    pub(super) const OP: usize = 6;
    pub(super) const KEY: usize = 7;
    pub(super) const PROJECT: usize = 8;
    pub(super) const SESSION: usize = 9;
    pub(super) const BEFORE: usize = 10;
    pub(super) const AFTER: usize = 11;
}

/// The columns of the entity, the before image and the after image.
pub(crate) const IMAGES: [usize; 3] = [column::ENTITY, column::BEFORE, column::AFTER];

/// Selects changes with all of their columns, in the order of [`column`]. Seals cover the columns in
/// this order: another order would invalidate every seal of every store.
macro_rules! select_changes {
    ($tail:literal) => {
        concat!(
            "SELECT seq, tx, at, actor, type, entity, op, key, project, session, before, after
    FROM change_log ",
            $tail
        )
    };
}
pub(crate) use select_changes;

const SELECT_AFTER: &str = select_changes!("WHERE seq > ?1 ORDER BY seq LIMIT ?2");

impl<'r> ChangeRef<'r> {
    /// The change in a row of [`select_changes`].
    pub(super) fn of(row: &'r Row<'r>) -> Result<ChangeRef<'r>> {
        let seq = Seq(row.get(0).context("read a change")?);
        Ok(ChangeRef { source: Source::Row(row), seq })
    }

    /// Its position.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The seq of the first change of its transaction; `None` for a foreign writer.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn tx(&self) -> Result<Option<Seq>> {
        match self.source {
            Source::Row(row) => {
                let tx: Option<i64> = row.get(column::TX).context("read a change")?;
                Ok(tx.map(Seq))
            }
            Source::Copy(change) => Ok(change.tx),
        }
    }

    /// The time of its transaction.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn at(&self) -> Result<Timestamp> {
        match self.source {
            Source::Row(row) => row.get(column::AT).map(Timestamp).context("read a change"),
            Source::Copy(change) => Ok(change.at),
        }
    }

    /// Who made it; `None` for a foreign writer.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn actor(&self) -> Result<Option<Cow<'r, str>>> {
        self.text(column::ACTOR)
    }

    /// The type of the change, such as `pr_review_thread_resolved`.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn kind(&self) -> Result<Cow<'r, str>> {
        self.required(column::TYPE)
    }

    /// The captured table.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn entity(&self) -> Result<Cow<'r, str>> {
        self.required(column::ENTITY)
    }

    /// `insert`, `update` or `delete`.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn op(&self) -> Result<Cow<'r, str>> {
        self.required(column::OP)
    }

    /// The primary key as a JSON array.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn key(&self) -> Result<Cow<'r, str>> {
        self.required(column::KEY)
    }

    /// The project it belongs to.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn project(&self) -> Result<Option<Cow<'r, str>>> {
        self.text(column::PROJECT)
    }

    /// The session it belongs to.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn session(&self) -> Result<Option<Cow<'r, str>>> {
        self.text(column::SESSION)
    }

    /// The full row before, as a JSON object; `None` for an insert.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn before(&self) -> Result<Option<Cow<'r, str>>> {
        self.text(column::BEFORE)
    }

    /// The full row after, as a JSON object; `None` for a delete.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn after(&self) -> Result<Option<Cow<'r, str>>> {
        self.text(column::AFTER)
    }

    /// A copy that outlives the read.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn to_owned(&self) -> Result<Change> {
        let mut texts: [Option<Cow<'r, str>>; TEXTS] = Default::default();
        for (text, column) in texts.iter_mut().zip(column::ACTOR..) {
            *text = self.text(column)?;
        }
        let texts = texts.each_ref().map(Option::as_deref);
        Ok(Change::new(self.seq, self.tx()?, self.at()?, texts))
    }

    fn text(&self, column: usize) -> Result<Option<Cow<'r, str>>> {
        let row = match self.source {
            Source::Row(row) => row,
            Source::Copy(change) => return Ok(change.text(column).map(Cow::Borrowed)),
        };
        let step = "read a change";
        let value = row.get_ref(column).context(step)?;
        let bytes = value.as_bytes_or_null().map_err(rusqlite::Error::from).context(step)?;
        Ok(bytes.map(decode))
    }

    fn required(&self, column: usize) -> Result<Cow<'r, str>> {
        Ok(self.text(column)?.unwrap_or_default())
    }
}

/// The columns with a text, which are the last ones.
const TEXTS: usize = column::AFTER + 1 - column::ACTOR;
/// Their names.
const NAMES: [&str; TEXTS] =
    ["actor", "type", "entity", "op", "key", "project", "session", "before", "after"];

/// One change, owned: every text is in one allocation, since a reader of the log makes a copy of each change.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Its position.
    pub seq: Seq,
    /// The seq of the first change of its transaction; `None` for a foreign writer.
    pub tx: Option<Seq>,
    /// The time of its transaction.
    pub at: Timestamp,
    /// The texts, one after another.
    texts: Box<str>,
    /// Where each of them ends; `None` for NULL.
    ends: [Option<usize>; TEXTS],
}

impl Change {
    /// A change with the texts of its columns from `actor` to `after`, in the order of the change log.
    #[must_use]
    pub fn new(seq: Seq, tx: Option<Seq>, at: Timestamp, columns: [Option<&str>; TEXTS]) -> Change {
        let length = columns.iter().flatten().map(|text| text.len()).sum();
        let mut texts = String::with_capacity(length);
        let ends = columns.map(|text| {
            texts.push_str(text?);
            Some(texts.len())
        });
        Change { seq, tx, at, texts: texts.into_boxed_str(), ends }
    }

    /// The change as every renderer reads it.
    #[must_use]
    pub fn borrowed(&self) -> ChangeRef<'_> {
        ChangeRef { source: Source::Copy(self), seq: self.seq }
    }

    /// Who made it; `None` for a foreign writer.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.text(column::ACTOR)
    }

    /// The type of the change, such as `pr_review_thread_resolved`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.required(column::TYPE)
    }

    /// The captured table.
    #[must_use]
    pub fn entity(&self) -> &str {
        self.required(column::ENTITY)
    }

    /// `insert`, `update` or `delete`.
    #[must_use]
    pub fn op(&self) -> &str {
        self.required(column::OP)
    }

    /// The primary key as a JSON array.
    #[must_use]
    pub fn key(&self) -> &str {
        self.required(column::KEY)
    }

    /// The project it belongs to.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.text(column::PROJECT)
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.text(column::SESSION)
    }

    /// The full row before, as a JSON object; `None` for an insert.
    #[must_use]
    pub fn before(&self) -> Option<&str> {
        self.text(column::BEFORE)
    }

    /// The full row after, as a JSON object; `None` for a delete.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.text(column::AFTER)
    }

    /// The bytes of its texts.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.texts.len()
    }

    /// The fields that an update changed, in the order of the columns and without `updated_at`; none for
    /// an insert and a delete.
    #[must_use]
    pub fn changed(&self) -> ChangedFields<'_> {
        let (before, after) = self.before().zip(self.after()).unwrap_or_default();
        changed_fields(before, after)
    }

    fn text(&self, column: usize) -> Option<&str> {
        let (before, rest) = self.ends.split_at(column - column::ACTOR);
        let start = before.iter().rev().find_map(|end| *end).unwrap_or_default();
        rest[0].map(|end| &self.texts[start..end])
    }

    fn required(&self, column: usize) -> &str {
        self.text(column).unwrap_or_default()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { seq, tx, at, .. } = self;
        let mut change = f.debug_struct("Change");
        change.field("seq", seq).field("tx", tx).field("at", at);
        for (name, column) in NAMES.iter().zip(column::ACTOR..) {
            change.field(name, &self.text(column));
        }
        change.finish()
    }
}

/// Visits at most `limit` changes after `after`, in order, and returns the seq of the last one
/// (`after` itself when there was none). A seq that is missing is an error, never skipped.
///
/// # Errors
/// [`Error::LogHole`]; what `visit` returns; when the database cannot be read.
pub fn scan(
    snapshot: &Snapshot<'_>,
    after: Seq,
    limit: usize,
    mut visit: impl FnMut(&ChangeRef<'_>) -> Result<()>,
) -> Result<Seq> {
    let step = "read the change log";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = snapshot.conn().prepare_cached(SELECT_AFTER).context(step)?;
    let mut rows = statement.query((after.0, limit)).context(step)?;
    let mut last = after;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        if seq != last.next() {
            return Err(Error::LogHole { missing: last.next() });
        }
        visit(&ChangeRef { source: Source::Row(row), seq })?;
        last = seq;
    }
    Ok(last)
}

const SELECT_BACK: &str = select_changes!("WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2");

/// Visits at most `limit` changes from `from` backwards, until `visit` returns false. Returns the
/// position before the last visited change, from which a later call continues.
///
/// # Errors
/// What `visit` returns; when the database cannot be read.
pub fn scan_back(
    snapshot: &Snapshot<'_>,
    from: Seq,
    limit: usize,
    mut visit: impl FnMut(&ChangeRef<'_>) -> Result<bool>,
) -> Result<Seq> {
    let step = "read the change log backwards";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = snapshot.conn().prepare_cached(SELECT_BACK).context(step)?;
    let mut rows = statement.query((from.0, limit)).context(step)?;
    let mut position = from;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        position = Seq(seq.0 - 1);
        if !visit(&ChangeRef { source: Source::Row(row), seq })? {
            break;
        }
    }
    Ok(position)
}

const SELECT_AT: &str = "SELECT at FROM change_log WHERE seq = ?1";

/// The time of a change; `None` when it is not in the log.
///
/// # Errors
/// When the database cannot be read.
pub fn time_of(snapshot: &Snapshot<'_>, seq: Seq) -> Result<Option<Timestamp>> {
    snapshot.one("read the time of a change", SELECT_AT, [seq.0], |row| row.get(0).map(Timestamp))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_change_is_printed_with_the_names_of_its_columns() {
        let texts = super::NAMES.map(Some);
        let change = super::Change::new(crate::Seq(1), None, crate::Timestamp(2), texts);
        let printed = format!("{change:?}");
        for name in super::NAMES {
            assert!(printed.contains(&format!(" {name}: Some({name:?})")), "{printed}");
        }
        assert_eq!((change.kind(), change.after()), ("type", Some("after")));
    }

    /// Preparing a statement again at every run costs twice as much as the read itself.
    #[test]
    fn the_read_statement_is_prepared_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            crate::Store::create(&dir.path().join("ao.db"), crate::Options::default()).unwrap();
        let reprepared = store
            .read(|snapshot| {
                for _ in 0..10 {
                    super::scan(snapshot, crate::Seq(0), 512, |_| Ok(()))?;
                }
                let statement = snapshot.conn().prepare_cached(super::SELECT_AFTER).unwrap();
                Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
            })
            .unwrap();
        assert_eq!(reprepared, 0);
    }
}
