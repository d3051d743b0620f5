//! Point-in-time reads: the rows as of a cursor.
//!
//! A row as of a cursor is the before image of its first later change, or the live row if there is no
//! such change. So nothing is stored for such reads, any retained cursor works, and a large table can
//! be read in several short reads as of the same cursor.

use std::collections::BTreeMap;

use rusqlite::{Row, ToSql, params_from_iter};

use crate::db::text::{optional_text, text};
use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::capture;
use crate::log::info::LogInfo;
use crate::model::cursor::{Cursor, Seq};

/// The captured entities, parents before children.
pub const ENTITIES: &[&str] = &[
    "project",
    "session",
    "launch",
    "decision",
    "delivery",
    "conversation",
    "turn",
    "pr",
    "pr_check",
    "pr_review_thread",
    "pr_review",
    "pr_comment",
];

/// The bytes of images after which a chunk takes no further live rows.
const CHUNK_BYTES: usize = 1 << 20;

/// A row of a captured table as of a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowAt {
    /// Its primary key, a JSON array.
    pub key: String,
    /// The project that owned it.
    pub project: Option<String>,
    /// The session that owned it.
    pub session: Option<String>,
    /// The full row, a JSON object.
    pub image: String,
}

/// Some rows in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The rows.
    pub rows: Vec<RowAt>,
    /// The key after which the next chunk begins; `None` after the last chunk.
    pub next: Option<String>,
}

/// The parts of a key, which sort in the order of the table.
type Parts = Vec<String>;

/// A range of rows of a table.
struct Range<'a> {
    entity: &'a str,
    columns: Vec<String>,
    /// After this key.
    after: Option<&'a str>,
    /// Up to and including this key.
    until: Option<String>,
    /// Only keys that begin with this part.
    first: Option<&'a str>,
}

impl Range<'_> {
    /// The SQL condition on the key expressions; `?1` and `?2` are the bounds.
    fn condition(&self, exprs: &[String]) -> String {
        let row = |parts: &[String]| format!("({})", parts.join(", "));
        let bound = |n: usize| {
            let parts: Vec<_> =
                (0..exprs.len()).map(|i| format!("json_extract(?{n}, '$[{i}]')")).collect();
            row(&parts)
        };
        let mut terms = vec!["?1 IS ?1 AND ?2 IS ?2".to_owned()];
        if self.after.is_some() {
            terms.push(format!("{} > {}", row(exprs), bound(1)));
        }
        if self.until.is_some() {
            terms.push(format!("{} <= {}", row(exprs), bound(2)));
        }
        terms.join(" AND ")
    }

    fn bounds(&self) -> [Option<&str>; 2] {
        [self.after, self.until.as_deref()]
    }
}

/// About `limit` rows of an entity after the key `after`, as of `cursor`.
///
/// # Errors
/// The cursor errors: rows as of a cursor below the floor are unknown.
pub fn chunk(
    snapshot: &Snapshot<'_>,
    entity: &str,
    cursor: Cursor,
    after: Option<&str>,
    limit: usize,
) -> Result<Chunk> {
    LogInfo::read(snapshot)?.check_cursor(cursor)?;
    let columns = capture::key_columns(snapshot.conn(), entity)?;
    let mut range = Range { entity, columns, after, until: None, first: None };
    let (mut rows, is_all) = live(snapshot, &range, limit)?;
    if !is_all {
        range.until = rows.last_key_value().map(|(_, row)| row.key.clone());
    }
    for (parts, earlier) in changed_since(snapshot, &range, cursor.seq)? {
        match earlier {
            Some(row) => rows.insert(parts, row),
            None => rows.remove(&parts),
        };
    }
    restore_owners(snapshot, entity, cursor.seq, &mut rows)?;
    Ok(Chunk { rows: rows.into_values().collect(), next: range.until })
}

/// The rows of one key or key prefix as of `cursor`, such as all comments of a pull request.
///
/// # Errors
/// The cursor errors.
pub fn with_prefix(
    snapshot: &Snapshot<'_>,
    entity: &str,
    cursor: Cursor,
    prefix: &str,
) -> Result<Vec<RowAt>> {
    LogInfo::read(snapshot)?.check_cursor(cursor)?;
    let columns = capture::key_columns(snapshot.conn(), entity)?;
    let sql = format!("{} WHERE {} = ?1", select_live(entity, &columns), columns[0]);
    let mut rows: BTreeMap<_, _> = snapshot
        .list("read rows", &sql, [prefix], |row| read(row, columns.len()))?
        .into_iter()
        .collect();
    let range = Range { entity, columns, after: None, until: None, first: Some(prefix) };
    for (parts, earlier) in changed_since(snapshot, &range, cursor.seq)? {
        match earlier {
            Some(row) => rows.insert(parts, row),
            None => rows.remove(&parts),
        };
    }
    restore_owners(snapshot, entity, cursor.seq, &mut rows)?;
    Ok(rows.into_values().collect())
}

/// Whether a text is a key of an entity: where a chunk can go on.
///
/// # Errors
/// When the database cannot be read.
pub fn is_key(snapshot: &Snapshot<'_>, entity: &str, text: &str) -> Result<bool> {
    let columns = capture::key_columns(snapshot.conn(), entity)?.len();
    let sql = "SELECT iif(json_valid(?1), json_type(?1) = 'array' AND json_array_length(?1) = ?2
        AND NOT EXISTS (SELECT 1 FROM json_each(?1) WHERE type <> 'text'), 0)";
    let params = (text, i64::try_from(columns).unwrap_or(i64::MAX));
    let is_key = snapshot.one("check a key", sql, params, |row| row.get(0))?;
    Ok(columns > 0 && is_key == Some(true))
}

fn select_live(entity: &str, columns: &[String]) -> String {
    format!(
        "SELECT {}, change_key, change_project, change_session, image FROM capture_{entity}",
        columns.join(", ")
    )
}

/// The parts of the key, then the row.
fn read(row: &Row<'_>, parts: usize) -> rusqlite::Result<(Parts, RowAt)> {
    let key = (0..parts).map(|i| text(row, i)).collect::<rusqlite::Result<_>>()?;
    let row = RowAt {
        key: text(row, parts)?,
        project: optional_text(row, parts + 1)?,
        session: optional_text(row, parts + 2)?,
        image: text(row, parts + 3)?,
    };
    Ok((key, row))
}

/// The live rows of a range, and whether they are complete.
fn live(
    snapshot: &Snapshot<'_>,
    range: &Range<'_>,
    limit: usize,
) -> Result<(BTreeMap<Parts, RowAt>, bool)> {
    let step = "read rows";
    let columns = &range.columns;
    let sql = format!(
        "{} WHERE {} ORDER BY {}",
        select_live(range.entity, columns),
        range.condition(columns),
        columns.join(", ")
    );
    let mut statement = snapshot.conn().prepare_cached(&sql).context(step)?;
    let mut found = statement.query(range.bounds()).context(step)?;
    let (mut rows, mut bytes) = (BTreeMap::new(), 0);
    // A chunk ends at a key that is valid UTF-8: another one is not read as it is stored, and the next
    // chunk would begin elsewhere.
    let mut is_valid = true;
    while (rows.len() < limit.max(1) && bytes < CHUNK_BYTES) || !is_valid {
        let Some(row) = found.next().context(step)? else { return Ok((rows, true)) };
        is_valid = (0..columns.len()).all(|i| row.get_ref(i).is_ok_and(|it| it.as_str().is_ok()));
        let (key, row) = read(row, columns.len()).context(step)?;
        bytes += row.image.len();
        rows.insert(key, row);
    }
    Ok((rows, false))
}

/// The rows of a range that changed after `since`, each as it was before its first change.
fn changed_since(
    snapshot: &Snapshot<'_>,
    range: &Range<'_>,
    since: Seq,
) -> Result<BTreeMap<Parts, Option<RowAt>>> {
    let step = "read earlier rows";
    let parts: Vec<_> =
        (0..range.columns.len()).map(|i| format!("json_extract(key, '$[{i}]')")).collect();
    // A change of the owner is logged under the new owner.
    let earlier =
        |name: &str, now: &str| format!("coalesce(json_extract(before, '$.{name}'), {now})");
    let (project, session) = if range.entity == "pr" {
        (earlier("project_id", "project"), earlier("session_id", "session"))
    } else {
        ("project".to_owned(), "session".to_owned())
    };
    let sql = format!(
        "SELECT {}, key, {project}, {session}, before FROM change_log
         WHERE seq > ?3 AND entity = ?4 AND (?5 IS NULL OR {} = ?5) AND {} ORDER BY seq",
        parts.join(", "),
        parts[0],
        range.condition(&parts)
    );
    let [after, until] = range.bounds();
    let params: [&dyn ToSql; 5] = [&after, &until, &since.0, &range.entity, &range.first];
    let mut statement = snapshot.conn().prepare_cached(&sql).context(step)?;
    let mut found = statement.query(params_from_iter(params)).context(step)?;
    let mut rows = BTreeMap::new();
    while let Some(row) = found.next().context(step)? {
        let key: Parts = (0..parts.len())
            .map(|i| text(row, i))
            .collect::<rusqlite::Result<_>>()
            .context(step)?;
        if rows.contains_key(&key) {
            continue;
        }
        let existed =
            row.get_ref(parts.len() + 3).context(step)? != rusqlite::types::ValueRef::Null;
        let earlier = if existed { Some(read(row, parts.len()).context(step)?.1) } else { None };
        rows.insert(key, earlier);
    }
    Ok(rows)
}

/// The changes that alter the owner of the rows of a pull request. A foreign writer may delete a pull
/// request without these rows.
const SELECT_OWNERS: &str =
    "SELECT json_extract(key, '$[0]'), json_extract(before, '$.project_id'),
    json_extract(before, '$.session_id') FROM change_log WHERE seq > ?1 AND entity = 'pr'
    AND (op <> 'update' OR session IS NOT json_extract(before, '$.session_id')
        OR project IS NOT json_extract(before, '$.project_id')) ORDER BY seq";

/// Sets the project and session of rows of a pull request to those of the pull request at that time.
fn restore_owners(
    snapshot: &Snapshot<'_>,
    entity: &str,
    since: Seq,
    rows: &mut BTreeMap<Parts, RowAt>,
) -> Result<()> {
    if !entity.starts_with("pr_") || rows.is_empty() {
        return Ok(());
    }
    type Owner = (Option<String>, Option<String>);
    let owners = snapshot.list("read earlier owners", SELECT_OWNERS, [since.0], |row| {
        Ok((text(row, 0)?, (optional_text(row, 1)?, optional_text(row, 2)?)))
    })?;
    // The first change of an owner counts, so it is inserted last.
    let owners: BTreeMap<String, Owner> = owners.into_iter().rev().collect();
    for (key, row) in rows {
        if let Some((project, session)) = key.first().and_then(|pr| owners.get(pr)) {
            row.project.clone_from(project);
            row.session.clone_from(session);
        }
    }
    Ok(())
}

/// Reads an image as the columns of a row, so that one reader serves live and earlier rows.
pub(crate) fn typed<T>(
    snapshot: &Snapshot<'_>,
    columns: &str,
    image: &str,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T> {
    let step = "read an earlier row";
    let columns: Vec<_> = columns
        .split(',')
        .map(|column| format!("json_extract(?1, '$.{}')", column.trim()))
        .collect();
    let sql = format!("SELECT {}", columns.join(", "));
    let found = snapshot.one(step, &sql, [image], read)?;
    found.ok_or(rusqlite::Error::QueryReturnedNoRows).context(step)
}
