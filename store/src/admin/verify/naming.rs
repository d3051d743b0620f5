//! The second pass: which row or change is at fault.
//!
//! Each change of a row must begin with what the one before it left, and the live row must be what
//! the last one left. Needs memory for 48 bytes a row that has changes in the log.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::base::Base;
use crate::log::capture;
use crate::log::digest::{Digest, Hasher};
use crate::log::info::LogInfo;
use crate::model::cursor::Seq;

use super::Findings;

/// What the last change of a row left: `None` when it deleted the row.
#[derive(Clone, Copy)]
struct Left {
    seq: Seq,
    image: Option<Digest>,
    is_seen: bool,
}

/// The rows that the log knows, by the hash of entity and key.
type Known = HashMap<Digest, Left>;

/// Adds a finding for each row and change at fault. `suspects` are the tables whose sum is not what
/// the log adds up to, `damaged` the blocks that are not as sealed.
pub(super) fn name(
    conn: &Connection,
    bases: &[Base],
    suspects: &[&'static str],
    damaged: &[(Seq, Seq)],
    findings: &mut Findings,
) -> Result<()> {
    let floor = LogInfo::read(&Snapshot::new(conn))?.floor;
    let mut known = Known::default();
    let broken = chain(conn, bases, floor, damaged, &mut known, findings)?;
    for entity in capture::tables() {
        let before = findings.found.len() + findings.more;
        let since =
            bases.iter().find(|base| base.entity == entity).map_or(Seq(0), |base| base.since);
        let comparable = Comparable { is_whole: floor == Seq(0) && since == Seq(0), since };
        rows(conn, entity, &comparable, damaged, &mut known, findings)?;
        missing(conn, entity, since, &known, findings)?;
        let is_named = broken.contains(entity) || findings.found.len() + findings.more > before;
        if suspects.contains(&entity) && !is_named {
            let what = if damaged.is_empty() {
                "the row at fault was changed last before the floor of the log"
            } else {
                "a change of a damaged block is at fault"
            };
            let message = format!("the rows of {entity} are not what the log adds up to: {what}");
            findings.add("rows", message);
        }
    }
    Ok(())
}

const SELECT: &str =
    "SELECT seq, entity, key, op, before, after FROM change_log WHERE seq > ?1 ORDER BY seq";

fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Vec<u8>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        value => Some(value.as_bytes().map_err(rusqlite::Error::from)?.to_vec()),
    })
}

/// Checks that changes follow on each other; returns the entities where one does not.
fn chain(
    conn: &Connection,
    bases: &[Base],
    floor: Seq,
    damaged: &[(Seq, Seq)],
    known: &mut Known,
    findings: &mut Findings,
) -> Result<HashSet<String>> {
    let step = "read the change log";
    let mut broken = HashSet::new();
    let mut hasher = Hasher::default();
    let mut statement = conn.prepare_cached(SELECT).context(step)?;
    let mut found = statement.query([floor.0]).context(step)?;
    while let Some(row) = found.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        let entity = text(row, 1).context(step)?.unwrap_or_default();
        let entity = String::from_utf8_lossy(&entity).into_owned();
        let key = text(row, 2).context(step)?.unwrap_or_default();
        let Some(base) = bases.iter().find(|base| base.entity == entity) else {
            findings.add("log.chain", format!("change {seq} is of an entity {entity:?}"));
            continue;
        };
        let op = text(row, 3).context(step)?.unwrap_or_default();
        let (before, after) = (text(row, 4).context(step)?, text(row, 5).context(step)?);
        let fits = matches!(
            (op.as_slice(), before.is_some(), after.is_some()),
            (b"insert", false, true) | (b"update", true, true) | (b"delete", true, false)
        );
        let mut image =
            |image: Option<Vec<u8>>| image.map(|image| hasher.row(entity.as_bytes(), &image));
        let (before, after) = (image(before), image(after));
        let id = hasher.row(entity.as_bytes(), &key);
        let earlier = known.insert(id, Left { seq, image: after, is_seen: false });
        let is_first = floor == Seq(0) && base.since == Seq(0);
        let follows = match earlier {
            // Before the images got another shape, or were pruned, nothing can be told.
            Some(earlier) if earlier.seq <= base.since => true,
            Some(earlier) => earlier.image == before,
            None => !is_first || before.is_none(),
        };
        if !fits || !follows {
            let key = String::from_utf8_lossy(&key).into_owned();
            findings.add("log.chain", blame(seq, earlier, &format!("{entity} {key}"), damaged));
            broken.insert(entity);
        }
    }
    Ok(broken)
}

/// Which of two changes that do not fit is at fault, where a seal tells.
fn blame(seq: Seq, earlier: Option<Left>, row: &str, damaged: &[(Seq, Seq)]) -> String {
    let is_damaged = |seq: Seq| damaged.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    match earlier {
        Some(earlier) if is_damaged(earlier.seq) && !is_damaged(seq) => {
            format!(
                "change {} of {row} is damaged: the next, {seq}, begins with another row",
                earlier.seq
            )
        }
        Some(earlier) if is_damaged(seq) && !is_damaged(earlier.seq) => {
            format!("change {seq} of {row} is damaged: change {} left another row", earlier.seq)
        }
        Some(earlier) => {
            format!("change {seq} of {row} does not begin with what change {} left", earlier.seq)
        }
        None => format!("change {seq} of {row} begins with a row that no change made"),
    }
}

/// What of a table can be told by the log.
struct Comparable {
    /// Whether every row must have a change.
    is_whole: bool,
    /// The images of changes up to here have another shape.
    since: Seq,
}

/// The live rows against what the log left.
fn rows(
    conn: &Connection,
    entity: &str,
    comparable: &Comparable,
    damaged: &[(Seq, Seq)],
    known: &mut Known,
    findings: &mut Findings,
) -> Result<()> {
    let step = "read the rows of a table";
    let mut hasher = Hasher::default();
    let sql = format!("SELECT change_key, image FROM capture_{entity}");
    let mut statement = conn.prepare(&sql).context(step)?;
    let mut found = statement.query([]).context(step)?;
    while let Some(row) = found.next().context(step)? {
        let (key, image) = (text(row, 0).context(step)?, text(row, 1).context(step)?);
        let (key, image) = (key.unwrap_or_default(), image.unwrap_or_default());
        let id = hasher.row(entity.as_bytes(), &key);
        let image = hasher.row(entity.as_bytes(), &image);
        let key = || String::from_utf8_lossy(&key).into_owned();
        match known.get_mut(&id) {
            None if comparable.is_whole => {
                findings.add("rows", format!("no change made the row {} of {entity}", key()));
            }
            None => {}
            Some(left) => {
                left.is_seen = true;
                let is_damaged = |(first, last): &(Seq, Seq)| (*first..=*last).contains(&left.seq);
                // A row is there after its last change, but looks otherwise than before a migration.
                let is_same = left
                    .image
                    .is_some_and(|left_image| left_image == image || left.seq <= comparable.since);
                if is_same {
                    continue;
                }
                if damaged.iter().any(is_damaged) {
                    let message = format!("change {} of {entity} {} is damaged", left.seq, key());
                    findings.add("log.chain", message);
                } else {
                    let message = format!(
                        "the row {} of {entity} is not what change {} left",
                        key(),
                        left.seq
                    );
                    findings.add("rows", message);
                }
            }
        }
    }
    Ok(())
}

const SELECT_LAST: &str = "SELECT seq, key FROM change_log WHERE seq > ?1 AND entity = ?2";

/// The rows that should be there and are not.
fn missing(
    conn: &Connection,
    entity: &str,
    since: Seq,
    known: &Known,
    findings: &mut Findings,
) -> Result<()> {
    let step = "read the change log";
    let mut hasher = Hasher::default();
    let mut statement = conn.prepare_cached(SELECT_LAST).context(step)?;
    let mut found = statement.query((since.0, entity)).context(step)?;
    while let Some(row) = found.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        let key = text(row, 1).context(step)?.unwrap_or_default();
        let left = known.get(&hasher.row(entity.as_bytes(), &key));
        if left.is_some_and(|left| left.seq == seq && left.image.is_some() && !left.is_seen) {
            let key = String::from_utf8_lossy(&key);
            let message = format!("the row {key} of {entity}, which change {seq} left, is missing");
            findings.add("rows", message);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::admin::verify::{Depth, verify};
    use crate::db::connection::{self, Role};
    use crate::log::base::{self, History};
    use crate::log::seal;
    use crate::{Durability, Options, Seq, Store};

    #[test]
    fn images_of_an_older_shape_are_no_fault_of_their_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        Store::create(&path, Options::default()).unwrap();
        let open = || connection::open(&path, Role::Writer, Durability::Full, Default::default());
        let conn = open().unwrap();
        // What a migration finds that gives a table another column.
        let older = "INSERT INTO project (id, path, name, created_at, updated_at)
            VALUES ('a', 'a', '', 0, 0), ('b', 'b', '', 0, 0);
            UPDATE change_log SET after = '{}'; UPDATE log_base SET columns = 'older';";
        conn.execute_batch(older).unwrap();
        base::settle(&conn, Seq(2), History::Whole).unwrap();
        conn.execute_batch("UPDATE project SET name = 'newer' WHERE id = 'b'").unwrap();
        seal::seal_all(&conn).unwrap();
        for depth in [Depth::Sums, Depth::Deep] {
            assert_eq!(verify(&conn, depth).unwrap().findings, []);
        }
    }
}
