//! The unique indexes of a captured table: the rows that `OR REPLACE` would displace.

use rusqlite::Connection;

use crate::error::{Context, Error, Result};

use super::Column;

/// A unique index besides the primary key: the SQL that finds the rows in conflict with a new row, and
/// the columns that it depends on.
pub(super) struct UniqueIndex {
    pub(super) conflict: String,
    pub(super) columns: Vec<String>,
}

pub(super) fn unique_indexes(
    conn: &Connection,
    table: &str,
    all: &[Column],
) -> Result<Vec<UniqueIndex>> {
    let mut statement = conn
        .prepare(
            "SELECT l.name, s.sql FROM pragma_index_list(?1) l
             LEFT JOIN sqlite_schema s ON s.name = l.name
             WHERE l.\"unique\" = 1 AND l.origin <> 'pk' ORDER BY l.name",
        )
        .context("read indexes")?;
    let indexes = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, Option<String>)>>>)
        .context("read indexes")?;
    indexes.iter().map(|(name, sql)| unique_index(conn, name, sql.as_deref(), all)).collect()
}

fn unique_index(
    conn: &Connection,
    name: &str,
    sql: Option<&str>,
    all: &[Column],
) -> Result<UniqueIndex> {
    let mut statement = conn
        .prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")
        .context("read an index")?;
    let parts = statement
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(Option<String>, String)>>>)
        .context("read an index")?;
    let mut columns = Vec::new();
    let mut terms = Vec::new();
    for (column, collation) in parts {
        let column = column.ok_or_else(|| {
            Error::SchemaMismatch(format!("capture cannot follow the expression index {name}"))
        })?;
        terms.push(format!("{column} = NEW.{column} COLLATE {collation}"));
        columns.push(column);
    }
    if let Some((_, predicate)) = sql.and_then(|sql| sql.split_once("WHERE ")) {
        let predicate = predicate.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = |c: char| !(c.is_alphanumeric() || c == '_');
        let named =
            predicate.split(words).filter(|word| all.iter().any(|column| column.name == *word));
        columns.extend(named.map(str::to_owned));
        terms.push(predicate);
    }
    Ok(UniqueIndex { conflict: terms.join(" AND "), columns })
}
