//! What an import took and what it did not: every row of the source is accounted for, in bounded
//! space.

/// How many remarks of a kind are kept; the others are counted.
pub(super) const REMARKS_MAX: usize = 1000;

/// The longest key in a remark, in characters.
const KEY_MAX: usize = 200;

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many rows of each captured table were made, in the order of the tables.
    pub taken: Vec<Taken>,
    /// The rows that were not taken, the first 1000 of them.
    pub skipped: Vec<Remark>,
    /// How many more rows were not taken.
    pub skipped_more: u64,
    /// The values of taken rows that were not taken as they stood, the first 1000 of them.
    pub modified: Vec<Remark>,
    /// How many more values were not taken as they stood.
    pub modified_more: u64,
    /// The tables and columns that hold rows and are not read: they have no counterpart here, or repeat
    /// what is read elsewhere.
    pub ignored: Vec<Ignored>,
}

/// How many rows of a table were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The table here.
    pub entity: &'static str,
    /// How many rows.
    pub rows: u64,
}

/// A remark on one row of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The table of the source.
    pub table: &'static str,
    /// The key of the row, its parts set apart by spaces; shortened, and without credentials.
    pub key: String,
    /// What is the matter.
    pub reason: String,
}

/// A table or column of the source that is not read.
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

/// The address of a pull request is a key, and may have a token in it.
fn shown(key: &str) -> String {
    crate::model::git_url::without_credentials(key).chars().take(KEY_MAX).collect()
}
