//! Reading stored text. A foreign writer may store bytes that are not UTF-8; they are read as
//! replacement characters, so that one of them harms one field and never makes a row unreadable.

use std::borrow::Cow;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

struct Text(String);

impl FromSql for Text {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Text> {
        match value {
            ValueRef::Text(bytes) => Ok(Text(decode(bytes).into_owned())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// Checking first is several times faster than the lossy conversion.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The text in a column. Use this, and not `Row::get`, for every stored text.
pub(crate) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    row.get(column).map(|Text(text)| text)
}

/// What `make` makes of the text in a column.
pub(crate) fn with<T>(
    row: &Row<'_>,
    column: usize,
    make: impl FnOnce(&str) -> T,
) -> rusqlite::Result<T> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => Ok(make(&decode(bytes))),
        // The error names the column and its type.
        _ => text(row, column).map(|text| make(&text)),
    }
}

/// [`text`] for a column that may be NULL.
pub(crate) fn optional_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<Text>>(column)?.map(|Text(text)| text))
}
