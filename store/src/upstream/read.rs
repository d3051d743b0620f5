//! The tables of the tool as plain rows, read by column name, whatever version created them.
//!
//! A table or column that is missing reads as empty, and so does a value that is not of the type of
//! its column. Text that cannot be stored as it is, is cleaned and counted.

use std::borrow::Cow;
use std::cell::RefCell;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::report::{Cleaned, Ignored};
use super::time::{self, Time};
use crate::error::{Context, Result};
use crate::model::observation::{
    Check, CheckKind, CheckStatus, Comment, CommentKind, Review, ReviewState, Thread,
};
use crate::row::facet;

const STEP: &str = "read the file to import";

/// The longest text, in bytes; GitHub allows 65,536 characters. A row with several such texts, as JSON
/// in the log, is still well below what a line of an export may have.
const TEXT_MAX: usize = 256 << 10;

/// A row of one table of the source.
pub(super) trait Source: Sized {
    const TABLE: &'static str;
    /// Every column that [`Source::read`] reads.
    const COLUMNS: &'static [&'static str];

    fn read(record: &Record<'_>) -> Self;
}

/// Everything that is read from the source.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) projects: Vec<Project>,
    pub(super) sessions: Vec<Session>,
    pub(super) prs: Vec<Pr>,
    pub(super) checks: Vec<Of<Check>>,
    pub(super) threads: Vec<Of<Thread>>,
    pub(super) reviews: Vec<Of<Review>>,
    pub(super) comments: Vec<Of<Comment>>,
    pub(super) cleaned: Vec<Cleaned>,
    pub(super) ignored: Vec<Ignored>,
}

/// Reads the source; `None` when it has neither projects nor sessions.
pub(super) fn contents(conn: &Connection) -> Result<Option<Contents>> {
    let (cleaned, ignored) = (RefCell::default(), Vec::new());
    let mut reader = Reader { conn, tables: tables(conn)?, cleaned, ignored };
    if reader.name(Project::TABLE).or(reader.name(Session::TABLE)).is_none() {
        return Ok(None);
    }
    let mut contents = Contents {
        projects: reader.rows()?,
        sessions: reader.rows()?,
        prs: reader.rows()?,
        checks: reader.rows()?,
        threads: reader.rows()?,
        reviews: reader.rows()?,
        comments: reader.rows()?,
        ..Contents::default()
    };
    reader.ignore_tables()?;
    contents.cleaned = reader.cleaned.into_inner();
    contents.ignored = reader.ignored;
    Ok(Some(contents))
}

/// Ordinary tables only: a view or a virtual table would run code of the source.
fn tables(conn: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list
        WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
        ORDER BY name";
    strings(conn, sql, [])
}

fn strings(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<String>> {
    let mut statement = conn.prepare(sql).context(STEP)?;
    let rows = statement.query_map(params, |row| row.get(0)).context(STEP)?;
    rows.collect::<rusqlite::Result<_>>().context(STEP)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Reader<'c> {
    conn: &'c Connection,
    /// The tables that no [`Source`] has read.
    tables: Vec<String>,
    cleaned: RefCell<Vec<Cleaned>>,
    ignored: Vec<Ignored>,
}

impl Reader<'_> {
    fn name(&self, table: &str) -> Option<usize> {
        self.tables.iter().position(|name| name.eq_ignore_ascii_case(table))
    }

    fn rows<S: Source>(&mut self) -> Result<Vec<S>> {
        let Some(place) = self.name(S::TABLE) else { return Ok(Vec::new()) };
        let table = self.tables.remove(place);
        let sql = "SELECT name FROM pragma_table_info(?1)";
        let (columns, others): (Vec<_>, Vec<_>) = strings(self.conn, sql, [&table])?
            .into_iter()
            .partition(|column| S::COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(column)));
        if columns.is_empty() {
            // A table that only has the same name.
            self.tables.push(table);
            return Ok(Vec::new());
        }
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let sql = format!("SELECT {} FROM {}", list.join(", "), quoted(&table));
        let mut statement = self.conn.prepare(&sql).context(STEP)?;
        let mut found = statement.query([]).context(STEP)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().context(STEP)? {
            let (table, columns, cleaned) = (S::TABLE, &columns, &self.cleaned);
            rows.push(S::read(&Record { row, table, columns, cleaned }));
        }
        let count = rows.len() as u64;
        self.ignored.extend(others.into_iter().filter(|_| count > 0).map(|column| Ignored {
            table: table.clone(),
            column: Some(column),
            rows: count,
        }));
        Ok(rows)
    }

    /// Reports the other tables.
    fn ignore_tables(&mut self) -> Result<()> {
        for table in std::mem::take(&mut self.tables) {
            let sql = format!("SELECT count(*) FROM {}", quoted(&table));
            let count: i64 = self.conn.query_row(&sql, [], |row| row.get(0)).context(STEP)?;
            if count > 0 {
                self.ignored.push(Ignored { table, column: None, rows: count.unsigned_abs() });
            }
        }
        Ok(())
    }
}

/// A row whose columns are read by name.
pub(super) struct Record<'r> {
    row: &'r Row<'r>,
    table: &'static str,
    columns: &'r [String],
    cleaned: &'r RefCell<Vec<Cleaned>>,
}

impl Record<'_> {
    fn value(&self, name: &str) -> ValueRef<'_> {
        let place = self.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        place.and_then(|place| self.row.get_ref(place).ok()).unwrap_or(ValueRef::Null)
    }

    fn text(&self, name: &'static str) -> String {
        let bytes = self.bytes(name);
        // One more character, so that the last one that is kept is whole.
        let mut text = clean(bytes.get(..TEXT_MAX + 4).unwrap_or(&bytes));
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        self.count(name, text.as_bytes() != &*bytes);
        text
    }

    /// The end of a log, which is the part that is kept of any.
    fn log(&self, name: &'static str) -> String {
        let bytes = self.bytes(name);
        let text = clean(&bytes);
        self.count(name, text.as_bytes() != &*bytes);
        facet::end_of_log(&text).to_owned()
    }

    fn bytes(&self, name: &str) -> Cow<'_, [u8]> {
        match self.value(name) {
            ValueRef::Null => Cow::Borrowed(b""),
            ValueRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            ValueRef::Real(number) => Cow::Owned(number.to_string().into_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
        }
    }

    fn count(&self, column: &'static str, is_cleaned: bool) {
        if !is_cleaned {
            return;
        }
        let mut cleaned = self.cleaned.borrow_mut();
        match cleaned.iter_mut().find(|it| (it.table, it.column) == (self.table, column)) {
            Some(known) => known.rows += 1,
            None => cleaned.push(Cleaned { table: self.table, column, rows: 1 }),
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            ValueRef::Integer(number) => Some(number),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        }
    }

    /// A line of a file; the tool stores 0 for none.
    fn line(&self, name: &str) -> Option<i64> {
        self.number(name).filter(|line| *line > 0)
    }

    fn flag(&self, name: &'static str) -> bool {
        self.number(name)
            .map_or_else(|| self.text(name).eq_ignore_ascii_case("true"), |number| number != 0)
    }

    fn time(&self, name: &str) -> Time {
        time::parse(self.value(name))
    }
}

/// SQL functions stop at a NUL character, so text has none.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// Defines a row whose fields are read from columns of the same name, each by its type.
macro_rules! source {
    ($(#[$doc:meta])* $name:ident = $table:literal { $($field:ident: $type:ty = $read:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name { $(pub(super) $field: $type,)* }

        impl Source for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field),)*];

            fn read(record: &Record<'_>) -> Self {
                $name { $($field: record.$read(stringify!($field)),)* }
            }
        }
    };
}

source! {
    /// A project.
    Project = "projects" {
        id: String = text,
        path: String = text,
        display_name: String = text,
        repo_origin_url: String = text,
        registered_at: Time = time,
        archived_at: Time = time,
    }
}

source! {
    /// A session.
    Session = "sessions" {
        id: String = text,
        project_id: String = text,
        num: Option<i64> = number,
        kind: String = text,
        harness: String = text,
        display_name: String = text,
        issue_id: String = text,
        branch: String = text,
        workspace_path: String = text,
        runtime_handle_id: String = text,
        agent_session_id: String = text,
        prompt: String = text,
        activity_state: String = text,
        activity_last_at: Time = time,
        is_terminated: bool = flag,
        created_at: Time = time,
        updated_at: Time = time,
    }
}

source! {
    /// A pull request.
    Pr = "pr" {
        url: String = text,
        session_id: String = text,
        provider: String = text,
        provider_id: String = text,
        title: String = text,
        author: String = text,
        pr_state: String = text,
        is_draft: bool = flag,
        is_merged: bool = flag,
        is_closed: bool = flag,
        source_branch: String = text,
        target_branch: String = text,
        head_sha: String = text,
        base_sha: String = text,
        merge_commit_sha: String = text,
        additions: Option<i64> = number,
        deletions: Option<i64> = number,
        changed_files: Option<i64> = number,
        ci_state: String = text,
        review_decision: String = text,
        provider_mergeable: String = text,
        provider_merge_state_status: String = text,
        mergeability: String = text,
        created_at_provider: Time = time,
        updated_at_provider: Time = time,
        merged_at_provider: Time = time,
        closed_at_provider: Time = time,
        updated_at: Time = time,
    }
}

/// An item of a pull request.
#[derive(Debug, Default)]
pub(super) struct Of<T> {
    /// The key of the pull request.
    pub(super) pr_url: String,
    pub(super) item: T,
    /// The provider's time of the item, where the table has one.
    pub(super) at: Time,
}

impl<T> Of<T> {
    fn new(record: &Record<'_>, item: T) -> Of<T> {
        Of { pr_url: record.text("pr_url"), item, at: Time::Absent }
    }
}

impl Source for Of<Check> {
    const TABLE: &'static str = "pr_checks";
    const COLUMNS: &'static [&'static str] =
        &["pr_url", "name", "commit_hash", "status", "conclusion", "url", "details", "log_tail"];

    fn read(record: &Record<'_>) -> Self {
        let log = record.log("log_tail");
        let check = Check {
            head_sha: record.text("commit_hash"),
            kind: CheckKind::Run,
            name: record.text("name"),
            external_id: record.text("details"),
            status: CheckStatus::parse(&record.text("status")),
            conclusion: record.text("conclusion"),
            url: record.text("url"),
            log_tail: Some(log).filter(|log| !log.is_empty()),
            ..Check::default()
        };
        Of::new(record, check)
    }
}

impl Source for Of<Thread> {
    const TABLE: &'static str = "pr_review_threads";
    const COLUMNS: &'static [&'static str] =
        &["pr_url", "thread_id", "path", "line", "resolved", "is_bot"];

    fn read(record: &Record<'_>) -> Self {
        let thread = Thread {
            id: record.text("thread_id"),
            path: record.text("path"),
            line: record.line("line"),
            is_resolved: record.flag("resolved"),
            is_bot: record.flag("is_bot"),
            ..Thread::default()
        };
        Of::new(record, thread)
    }
}

impl Source for Of<Review> {
    const TABLE: &'static str = "pr_reviews";
    const COLUMNS: &'static [&'static str] =
        &["pr_url", "review_id", "author", "state", "url", "is_bot", "submitted_at", "body"];

    fn read(record: &Record<'_>) -> Self {
        let review = Review {
            id: record.text("review_id"),
            author: record.text("author"),
            is_bot: record.flag("is_bot"),
            state: ReviewState::parse(&record.text("state").to_ascii_lowercase()),
            body: record.text("body"),
            url: record.text("url"),
            ..Review::default()
        };
        Of { at: record.time("submitted_at"), ..Of::new(record, review) }
    }
}

/// The column `created_at` holds the time of a poll of the tool, so it is no fact about the
/// comment.
impl Source for Of<Comment> {
    const TABLE: &'static str = "pr_comment";
    const COLUMNS: &'static [&'static str] =
        &["pr_url", "comment_id", "author", "file", "line", "body", "thread_id", "url", "is_bot"];

    fn read(record: &Record<'_>) -> Self {
        let thread_id = record.text("thread_id");
        let is_on_line = !thread_id.is_empty();
        let comment = Comment {
            id: record.text("comment_id"),
            kind: if is_on_line { CommentKind::Review } else { CommentKind::Issue },
            thread_id,
            author: record.text("author"),
            is_bot: record.flag("is_bot"),
            path: record.text("file"),
            line: record.line("line"),
            body: record.text("body"),
            url: record.text("url"),
            ..Comment::default()
        };
        Of::new(record, comment)
    }
}
