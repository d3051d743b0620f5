//! The second pass: finds the damaged row or change.
//!
//! The before image of each change of a row must equal the after image of the previous one, and the live
//! row must equal the last after image. It needs 48 bytes of memory per row with changes in the log.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::capture;
use crate::log::digest::{Digest, Hasher};
use crate::log::info::LogInfo;
use crate::model::cursor::Seq;

use super::Findings;

/// The last change of a row; `image` is `None` if it deleted the row.
#[derive(Clone, Copy)]
struct LastChange {
    seq: Seq,
    image: Option<Digest>,
    is_seen: bool,
}

/// The rows with changes in the log, by the hash of entity and key.
type Known = HashMap<Digest, LastChange>;

/// Adds a finding for each damaged row and change. `suspects` are the tables whose digest differs from
/// the sum of the log, `damaged` the blocks that do not match their seal.
pub(super) fn locate(
    conn: &Connection,
    suspects: &[&'static str],
    damaged: &[(Seq, Seq)],
    findings: &mut Findings,
) -> Result<()> {
    let floor = LogInfo::read(&Snapshot::new(conn))?.floor;
    let mut known = Known::default();
    let broken = chain(conn, floor, damaged, &mut known, findings)?;
    for entity in capture::tables() {
        let before = findings.found.len() + findings.more;
        rows(conn, entity, floor == Seq(0), damaged, &mut known, findings)?;
        missing(conn, entity, &known, findings)?;
        let is_named = broken.contains(entity) || findings.found.len() + findings.more > before;
        if suspects.contains(&entity) && !is_named {
            let what = if damaged.is_empty() {
                "the last change of the damaged row was pruned"
            } else {
                "a change of a damaged block is the cause"
            };
            let message = format!("the rows of {entity} do not match the log: {what}");
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

/// Checks that the changes of each row follow each other; returns the entities where one does not.
fn chain(
    conn: &Connection,
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
        if !crate::log::capture::tables().any(|known| known == entity) {
            findings.add("log.chain", format!("change {seq} is of an entity {entity:?}"));
            continue;
        }
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
        let earlier = known.insert(id, LastChange { seq, image: after, is_seen: false });
        let follows = match earlier {
            Some(earlier) => earlier.image == before,
            // The change before it may have been pruned.
            None => floor > Seq(0) || before.is_none(),
        };
        if !fits || !follows {
            let key = String::from_utf8_lossy(&key).into_owned();
            findings.add(
                "log.chain",
                locate_in_pair(seq, earlier, &format!("{entity} {key}"), damaged),
            );
            broken.insert(entity);
        }
    }
    Ok(broken)
}

/// Names the damaged one of two changes that do not fit, if a seal identifies it.
fn locate_in_pair(
    seq: Seq,
    earlier: Option<LastChange>,
    row: &str,
    damaged: &[(Seq, Seq)],
) -> String {
    let is_damaged = |seq: Seq| damaged.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    match earlier {
        Some(earlier) if is_damaged(earlier.seq) && !is_damaged(seq) => {
            format!(
                "change {} of {row} is damaged: its after image differs from the before image of change {seq}",
                earlier.seq
            )
        }
        Some(earlier) if is_damaged(seq) && !is_damaged(earlier.seq) => {
            format!(
                "change {seq} of {row} is damaged: its before image differs from the after image of change {}",
                earlier.seq
            )
        }
        Some(earlier) => {
            format!(
                "the before image of change {seq} of {row} differs from the after image of change {}",
                earlier.seq
            )
        }
        None => format!(
            "change {seq} of {row} has a before image, but no earlier change created the row"
        ),
    }
}

/// Compares the live rows with the last changes of the log. With `is_whole` every row must have a
/// change.
fn rows(
    conn: &Connection,
    entity: &str,
    is_whole: bool,
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
            None if is_whole => {
                findings.add("rows", format!("the row {} of {entity} is not in the log", key()));
            }
            None => {}
            Some(left) => {
                left.is_seen = true;
                let is_damaged = |(first, last): &(Seq, Seq)| (*first..=*last).contains(&left.seq);
                if left.image == Some(image) {
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

const SELECT_LAST: &str = "SELECT seq, key FROM change_log WHERE entity = ?1";

/// The rows that should be there and are not.
fn missing(conn: &Connection, entity: &str, known: &Known, findings: &mut Findings) -> Result<()> {
    let step = "read the change log";
    let mut hasher = Hasher::default();
    let mut statement = conn.prepare_cached(SELECT_LAST).context(step)?;
    let mut found = statement.query([entity]).context(step)?;
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
