//! Digests: sums of hashes that identify a set of rows or changes, whatever their order.
//!
//! Hashes (128-bit XXH3, mod 2^128) can be added to a sum and subtracted from it, so the digest of a
//! table follows its changes, and the digest of a block follows pruning. It detects damage, not
//! tampering: a process that can write the file can also write the digests.

use std::fmt;
use std::ops::{AddAssign, SubAssign};

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use xxhash_rust::xxh3::xxh3_128;

/// A sum of hashes; zero identifies the empty set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(u128);

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl SubAssign for Digest {
    fn sub_assign(&mut self, other: Digest) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_le_bytes().to_vec().into())
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Digest> {
        let bytes = value.as_blob()?.try_into().map_err(|_| FromSqlError::InvalidType)?;
        Ok(Digest(u128::from_le_bytes(bytes)))
    }
}

/// Hashes rows and changes with a reused buffer.
#[derive(Debug, Default)]
pub(crate) struct Hasher {
    buffer: Vec<u8>,
}

impl Hasher {
    /// The hash of one row of an entity, by its image.
    pub(crate) fn row(&mut self, entity: &[u8], image: &[u8]) -> Digest {
        self.buffer.clear();
        self.part(entity);
        self.part(image);
        Digest(xxh3_128(&self.buffer))
    }

    /// The hash of one change over all of its columns, in the order of `select_changes`, and their size
    /// in bytes.
    pub(crate) fn change(&mut self, row: &Row<'_>) -> rusqlite::Result<(Digest, i64)> {
        self.buffer.clear();
        for column in 0..row.as_ref().column_count() {
            match row.get_ref(column)? {
                ValueRef::Null => self.buffer.push(0),
                ValueRef::Integer(number) => {
                    self.buffer.push(1);
                    self.buffer.extend_from_slice(&number.to_le_bytes());
                }
                ValueRef::Text(bytes) => self.part(bytes),
                // The table is STRICT and contains neither.
                ValueRef::Real(number) => self.part(&number.to_le_bytes()),
                ValueRef::Blob(bytes) => self.part(bytes),
            }
        }
        let bytes = i64::try_from(self.buffer.len()).unwrap_or(i64::MAX);
        Ok((Digest(xxh3_128(&self.buffer)), bytes))
    }

    /// Prefixed with its length, so that no two sequences of parts have the same encoding.
    fn part(&mut self, bytes: &[u8]) {
        self.buffer.push(2);
        self.buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_follows_what_comes_and_goes() {
        let mut hasher = Hasher::default();
        let (a, b) = (hasher.row(b"pr", b"{1}"), hasher.row(b"pr", b"{2}"));
        let mut sum = Digest::default();
        sum += a;
        sum += b;
        sum -= a;
        assert_eq!(sum, b);
        sum -= b;
        assert_eq!(sum, Digest::default());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let mut hasher = Hasher::default();
        assert_ne!(hasher.row(b"pr", b"x"), hasher.row(b"prx", b""));
    }

    /// Every store keeps seals: a change of these figures calls all of them damaged.
    #[test]
    fn what_stores_hold_already_stays_what_it_is() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE change_log (after, before, session, project, key, op, entity, type,
                actor, at, tx, seq);
            INSERT INTO change_log VALUES ('{\"a\":2}', '{\"a\":1}', NULL, 'demo', '[\"demo\"]',
                'update', 'project', 'project_updated', 'cli', 1700000000000, 7, 7);";
        conn.execute_batch(one).unwrap();
        let mut hasher = Hasher::default();
        let (digest, bytes) = conn
            .query_row(crate::log::change::select_changes!(""), [], |row| hasher.change(row))
            .unwrap();
        assert_eq!(
            (format!("{:032x}", digest.0), bytes),
            ("2562e23c04d84c75bc5a047a8d9e3474".to_owned(), 157)
        );
        assert_eq!(
            format!("{:032x}", hasher.row(b"project", b"{}").0),
            "be41d239e8b0c9b5e86be1cb6f32b9ce"
        );
    }
}
