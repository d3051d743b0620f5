//! The report of an import: it accounts for every row of the source, in bounded space.

/// How many remarks of a kind are kept; the others are counted.
pub(super) const REMARKS_MAX: usize = 1000;

/// The longest key in a remark, in characters.
const KEY_MAX: usize = 200;

/// The report of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The number of inserted rows of each captured table, in the order of the tables.
    pub taken: Vec<Taken>,
    /// The rows that were skipped, the first 1000 of them.
    pub skipped: Vec<Remark>,
    /// How many more rows were skipped.
    pub skipped_more: u64,
    /// The values of imported rows that were dropped or replaced, the first 1000 of them.
    pub modified: Vec<Remark>,
    /// How many more values were dropped or replaced.
    pub modified_more: u64,
    /// The columns with texts that were changed because they cannot be stored as they are.
    pub cleaned: Vec<Cleaned>,
    /// The tables and columns with rows that were skipped as a whole: they have no counterpart in
    /// this store, or repeat other columns.
    pub ignored: Vec<Ignored>,
}

/// The number of inserted rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The table of this store.
    pub entity: &'static str,
    /// How many rows.
    pub rows: u64,
}

/// A remark on one row of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The table of the source.
    pub table: &'static str,
    /// The key of the row, its parts separated by spaces; shortened, and without credentials.
    pub key: String,
    /// What was wrong.
    pub reason: String,
}

/// A column with texts that were not UTF-8, contained a NUL character, or were longer than 256 KiB: the
/// characters were replaced by U+FFFD, and the text was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// The table of the source.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// How many rows.
    pub rows: u64,
}

/// A table or column of the source that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The table.
    pub table: String,
    /// The column; `None` for the whole table.
    pub column: Option<String>,
    /// How many rows the table has.
    pub rows: u64,
}

impl Imported {
    pub(super) fn skip(&mut self, table: &'static str, key: &str, reason: impl Into<String>) {
        let remark = Remark { table, key: shown(key), reason: reason.into() };
        keep(&mut self.skipped, &mut self.skipped_more, remark);
    }

    pub(super) fn modify(&mut self, table: &'static str, key: &str, reason: impl Into<String>) {
        let remark = Remark { table, key: shown(key), reason: reason.into() };
        keep(&mut self.modified, &mut self.modified_more, remark);
    }
}

fn keep(remarks: &mut Vec<Remark>, more: &mut u64, remark: Remark) {
    if remarks.len() < REMARKS_MAX { remarks.push(remark) } else { *more += 1 }
}

/// The URL of a pull request is a key, and may contain a token.
fn shown(key: &str) -> String {
    crate::model::git_url::without_credentials(key).chars().take(KEY_MAX).collect()
}
