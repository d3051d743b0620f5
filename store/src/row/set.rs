//! The set-diff upsert: makes the stored set of a pull request's facet equal to the observed one,
//! and writes only the differences.
//!
//! An unchanged row is not written, so it fires no trigger and changes no page. The stored rows are
//! read in key order and merged with the sorted observed ones, column by column: a stored hash
//! would become invalid under a foreign writer. Each update is guarded again by its values.
//! [`digest`] identifies a whole set by 16 bytes, so that an unchanged set need not be read.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use rusqlite::Row;
use rusqlite::types::ValueRef;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::db::tx::Tx;
use crate::error::{Context, Result};
use crate::model::id::PrId;
use crate::row::columns::{Column, Columns, params, text};

/// The number of rows that a set-diff upsert changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    /// Rows that were not stored.
    pub inserted: u64,
    /// Rows that were stored with other values.
    pub updated: u64,
    /// Stored rows that were deleted.
    pub deleted: u64,
    /// Stored rows that stayed as they are.
    pub unchanged: u64,
}

impl Delta {
    /// Whether a row was written.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.inserted + self.updated + self.deleted > 0
    }
}

/// A row that is an element of a facet's set. The fixed columns are its key, after `pr_id`.
pub(crate) trait SetRow: Columns {
    /// The statements on the table of this row.
    fn sql() -> &'static SetSql;
}

/// The four statements on one table; parameter 1 is always `pr_id`.
pub(crate) struct SetSql {
    /// The columns that `select` reads, separated by commas.
    pub(crate) columns: String,
    pub(crate) select: String,
    insert: String,
    update: String,
    delete: String,
}

impl SetSql {
    pub(crate) fn new<R: Columns>(table: &str) -> SetSql {
        let (key, values) = R::NAMES.split_at(R::FIXED);
        let numbered = |columns: &[&str], first: usize| -> Vec<String> {
            columns.iter().enumerate().map(|(i, c)| format!("{c} = ?{}", first + i)).collect()
        };
        let places = |count: usize, first: usize| -> String {
            (first..first + count).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ")
        };
        let all = [key, values].concat().join(", ");
        let found = format!("pr_id = ?1 AND {}", numbered(key, 2).join(" AND "));
        let first_value = 2 + key.len();
        SetSql {
            columns: all.clone(),
            select: format!(
                "SELECT {all} FROM {table} WHERE pr_id = ?1 ORDER BY {}",
                key.join(", ")
            ),
            insert: format!(
                "INSERT INTO {table} (pr_id, {all}) VALUES ({})",
                places(1 + key.len() + values.len(), 1)
            ),
            update: format!(
                "UPDATE {table} SET {} WHERE {found} AND ({}) IS NOT ({})",
                numbered(values, first_value).join(", "),
                values.join(", "),
                places(values.len(), first_value)
            ),
            delete: format!("DELETE FROM {table} WHERE {found}"),
        }
    }
}

/// The digest of a set of rows, independent of their order: the sum of the seeded 128-bit XXH3 of
/// each.
pub(crate) fn digest<R: Hash>(rows: &[R], seed: u64) -> [u8; 16] {
    let mut buffer = Buffer(Vec::with_capacity(512));
    let mut sum = rows.len() as u128;
    for row in rows {
        buffer.0.clear();
        row.hash(&mut buffer);
        sum = sum.wrapping_add(xxh3_128_with_seed(&buffer.0, seed));
    }
    sum.to_le_bytes()
}

/// The digest of a value with all of its fields.
pub(crate) fn digest_of(value: &impl Hash, seed: u64) -> [u8; 16] {
    let mut buffer = Buffer(Vec::with_capacity(4096));
    value.hash(&mut buffer);
    xxh3_128_with_seed(&buffer.0, seed).to_le_bytes()
}

/// Collects the bytes that a value hashes. Derived `Hash` is complete and prefix-free by
/// construction, and one pass over a buffer is several times faster than a streaming hash of many
/// small fields.
struct Buffer(Vec<u8>);

impl Hasher for Buffer {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Never called: the buffer is hashed as a whole.
    fn finish(&self) -> u64 {
        0
    }
}

/// Makes the stored set equal to `rows`.
pub(crate) fn make_equal<R: SetRow>(tx: &Tx<'_>, pr: &PrId, rows: &[R]) -> Result<Delta> {
    let observed = distinct(rows);
    let plan = diff(tx, pr, &observed, Unobserved::Delete)?;
    plan.execute(tx, pr, &observed)
}

/// Inserts or updates `rows`, deletes the stored rows whose key begins with one of `gone`, and keeps the
/// others.
pub(crate) fn merge<R: SetRow>(
    tx: &Tx<'_>,
    pr: &PrId,
    rows: &[R],
    gone: &[Vec<&str>],
) -> Result<Delta> {
    let observed = distinct(rows);
    let plan = diff(tx, pr, &observed, Unobserved::DeleteOnly(gone))?;
    plan.execute(tx, pr, &observed)
}

/// What happens to stored rows that were not observed.
#[derive(Clone, Copy)]
enum Unobserved<'a> {
    Delete,
    DeleteOnly(&'a [Vec<&'a str>]),
}

impl Unobserved<'_> {
    fn has<'s>(self, stored: impl Fn(usize) -> Result<ValueRef<'s>>) -> Result<bool> {
        let Unobserved::DeleteOnly(gone) = self else { return Ok(true) };
        for key in gone {
            let key: Vec<_> = key.iter().map(|part| text(part)).collect();
            if compare_key(&key, key.len(), &stored)?.is_eq() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The differences, which are computed before the first write.
#[derive(Default)]
struct Plan {
    inserts: Vec<usize>,
    updates: Vec<usize>,
    /// The bytes of the key columns, which are text, also where they are not UTF-8.
    deletes: Vec<Vec<Vec<u8>>>,
    unchanged: u64,
}

/// The rows in key order; the last one of several with equal keys.
pub(crate) fn distinct<R: SetRow>(rows: &[R]) -> Vec<&R> {
    let mut sorted: Vec<&R> = rows.iter().collect();
    let key = |row: &R, other: &R| compare(row.fixed().as_ref(), other.fixed().as_ref());
    // A set that was read in order needs neither.
    if rows.is_sorted_by(|a, b| key(a, b).is_lt()) {
        return sorted;
    }
    // Stable, so the last of equal keys stays last; deduplicating the reverse keeps it.
    sorted.sort_by(|a, b| key(a, b));
    sorted.reverse();
    sorted.dedup_by(|a, b| key(a, b) == Ordering::Equal);
    sorted.reverse();
    sorted
}

fn compare(left: &[ValueRef<'_>], right: &[ValueRef<'_>]) -> Ordering {
    let fields = left.iter().zip(right);
    fields.map(|(a, b)| compare_field(*a, *b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// The order of SQLite for the key columns, which are text.
fn compare_field(left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
    match (left, right) {
        (ValueRef::Text(a), ValueRef::Text(b)) => a.cmp(b),
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}

fn diff<R: SetRow>(tx: &Tx<'_>, pr: &PrId, observed: &[&R], rest: Unobserved<'_>) -> Result<Plan> {
    let step = "read a stored set";
    let mut statement = tx.conn().prepare_cached(&R::sql().select).context(step)?;
    let mut stored = statement.query([pr.as_str()]).context(step)?;
    let mut plan = Plan::default();
    let mut each = observed.iter().map(|row| row.values()).enumerate();
    let mut next = each.next();
    while let Some(row) = stored.next().context(step)? {
        let field = |i: usize| row.get_ref(i).context(step);
        loop {
            let order = match &next {
                Some((_, values)) => compare_key(values.as_ref(), R::FIXED, field)?,
                None => Ordering::Greater,
            };
            match (order, &next) {
                (Ordering::Less, Some((at, _))) => plan.inserts.push(*at),
                (Ordering::Equal, Some((_, values)))
                    if equals(values.as_ref(), R::FIXED, field)? =>
                {
                    plan.unchanged += 1;
                }
                (Ordering::Equal, Some((at, _))) => plan.updates.push(*at),
                _ => plan.not_observed(row, R::FIXED, rest)?,
            }
            if order != Ordering::Greater {
                next = each.next();
            }
            if order != Ordering::Less {
                break;
            }
        }
    }
    plan.inserts.extend(next.into_iter().chain(each).map(|(at, _)| at));
    Ok(plan)
}

fn compare_key<'s>(
    observed: &[ValueRef<'_>],
    key: usize,
    stored: impl Fn(usize) -> Result<ValueRef<'s>>,
) -> Result<Ordering> {
    for (i, field) in observed[..key].iter().enumerate() {
        let order = compare_field(*field, stored(i)?);
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

fn equals<'s>(
    observed: &[ValueRef<'_>],
    key: usize,
    stored: impl Fn(usize) -> Result<ValueRef<'s>>,
) -> Result<bool> {
    for (i, field) in observed.iter().enumerate().skip(key) {
        if *field != stored(i)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Plan {
    /// A stored row of `key` columns that was not observed.
    fn not_observed(&mut self, row: &Row<'_>, key: usize, rest: Unobserved<'_>) -> Result<()> {
        let step = "read a stored set";
        if rest.has(|i| row.get_ref(i).context(step))? {
            let part = |i| Ok(row.get_ref(i)?.as_bytes()?.to_vec());
            let key = (0..key).map(part).collect::<rusqlite::Result<_>>();
            self.deletes.push(key.context(step)?);
        } else {
            self.unchanged += 1;
        }
        Ok(())
    }

    fn execute<R: SetRow>(self, tx: &Tx<'_>, pr: &PrId, observed: &[&R]) -> Result<Delta> {
        let sql = R::sql();
        let mut delta = Delta { unchanged: self.unchanged, ..Delta::default() };
        // Deletions come first: an observed item may have the key of a deleted one.
        for key in &self.deletes {
            let key: Vec<_> = key.iter().map(|part| ValueRef::Text(part)).collect();
            delta.deleted += change(tx, "delete from a set", &sql.delete, pr, &key)?;
        }
        for i in self.updates {
            let fields = observed[i].values();
            delta.updated += change(tx, "update in a set", &sql.update, pr, fields.as_ref())?;
        }
        for i in self.inserts {
            let fields = observed[i].values();
            delta.inserted += change(tx, "insert into a set", &sql.insert, pr, fields.as_ref())?;
        }
        Ok(delta)
    }
}

fn change(
    tx: &Tx<'_>,
    step: &'static str,
    sql: &str,
    pr: &PrId,
    fields: &[ValueRef<'_>],
) -> Result<u64> {
    Ok(tx.execute_captured(step, sql, params([&pr.value()].into_iter().chain(fields)))? as u64)
}
