//! The import from the Go tool `ao`: its projects, sessions and pull requests, in one
//! transaction.
//!
//! The file is read completely before the transaction begins and is never changed. A new store gets its
//! name when it is complete. The rows are captured like all others, so a log that begins with an import
//! replays to the tables.

mod map;
mod read;
mod report;
mod source;
mod time;

use std::path::Path;

use rusqlite::Connection;

use self::map::Plan;
use self::map::Pull;
pub use self::report::{Cleaned, Ignored, Imported, Remark, Taken};
use crate::admin::ballast;
use crate::admin::create::create_new;
use crate::db::options::Options;
use crate::db::tx::{Cause, Tx};
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::seal;
use crate::row::lifecycle::spawn::{self, Start};
use crate::row::set::{self, Delta};
use crate::row::{facet, observed, pr, project, session};

/// Fills an empty store from the database of the tool `ao` at `file`. A row that cannot be imported
/// is skipped and reported, and never fails the import.
///
/// # Errors
/// `INVALID_PATH` when there is no file, `INVALID_SOURCE` when it is not a database of `ao` or
/// cannot be read without changing it, `CORRUPT` when it is damaged, `STORE_NOT_EMPTY`.
pub fn import_upstream(store: &Store, file: &Path, cause: Cause) -> Result<Imported> {
    Upstream::read(file, store.path())?.import(store, cause)
}

/// The contents of a database of the tool `ao`.
pub struct Upstream(read::Contents);

impl Upstream {
    /// Reads the file, which is never changed. `database` is the store to import into; it must be
    /// another file.
    ///
    /// # Errors
    /// Those of [`import_upstream`] about the file.
    pub fn read(file: &Path, database: &Path) -> Result<Upstream> {
        let source = source::open(file, database)?;
        let contents = read::contents(&source.conn)?;
        source.close()?;
        contents.map(Upstream).ok_or_else(|| Error::NotUpstream(file.to_owned()))
    }

    /// Creates a store with it at `database`, or writes it into the empty one that is there: whole, or
    /// not at all.
    ///
    /// # Errors
    /// `STORE_NOT_EMPTY`; those of creating a store and of a write.
    pub fn create(self, database: &Path, options: Options, cause: Cause) -> Result<Imported> {
        let plan = map::plan(self.0, cause.at);
        let created = create_new(database, options.busy, |conn| fill(conn, &plan, &cause))?;
        if let Some((_, imported)) = created {
            ballast::ensure(database);
            return Ok(imported);
        }
        let (store, _) = Store::create(database, options)?;
        Ok(store.write(cause, move |tx| write(tx, &plan))?.value)
    }

    /// Writes it into an empty store.
    ///
    /// # Errors
    /// `STORE_NOT_EMPTY`; those of a write.
    pub fn import(self, store: &Store, cause: Cause) -> Result<Imported> {
        let plan = map::plan(self.0, cause.at);
        Ok(store.write(cause, move |tx| write(tx, &plan))?.value)
    }
}

/// Writes it into a database that no other process knows.
fn fill(conn: &Connection, plan: &Plan, cause: &Cause) -> Result<Imported> {
    let step = "import";
    conn.execute_batch("BEGIN IMMEDIATE").context(step)?;
    let tx = Tx::new(conn, cause);
    let imported = write(&tx, plan)?;
    seal::close(conn, tx.head()?.seq.0.unsigned_abs())?;
    conn.execute_batch("COMMIT").context(step)?;
    Ok(imported)
}

fn write(tx: &Tx<'_>, plan: &Plan) -> Result<Imported> {
    let head = tx.head()?;
    if head.seq.0 > 0 {
        return Err(Error::StoreNotEmpty(head));
    }
    for project in &plan.projects {
        project::insert(tx, project)?;
    }
    for session in &plan.sessions {
        session::insert(tx, session)?;
    }
    for (session, prompt) in &plan.prompts {
        spawn::keep_start(tx, session, &Start { prompt: prompt.clone(), ..Start::default() })?;
    }
    for (project, num) in &plan.used {
        session::use_up(tx, project, *num)?;
    }
    let mut sets = [Delta::default(); 4];
    for pull in &plan.pulls {
        for (sum, delta) in sets.iter_mut().zip(write_pull(tx, pull)?) {
            sum.inserted += delta.inserted;
        }
    }
    let [checks, threads, reviews, comments] = sets.map(|set| set.inserted);
    let taken = [
        ("project", plan.projects.len() as u64),
        ("session", plan.sessions.len() as u64),
        ("pr", plan.pulls.len() as u64),
        ("pr_check", checks),
        ("pr_review_thread", threads),
        ("pr_review", reviews),
        ("pr_comment", comments),
    ];
    let taken = taken.into_iter().map(|(entity, rows)| Taken { entity, rows }).collect();
    Ok(Imported { taken, ..plan.report.clone() })
}

fn write_pull(tx: &Tx<'_>, pull: &Pull) -> Result<[Delta; 4]> {
    let id = &pull.pr.id;
    pr::insert(tx, &pull.pr)?;
    // Older metadata must not replace the imported one. Without a digest the first observation
    // compares the rows themselves.
    let mut seen = observed::create(tx, id)?;
    seen.meta_provider_at = pull.provider_at;
    observed::set(tx, id, &seen)?;
    for check in pull.checks.iter().filter(|check| !check.external_id.is_empty()) {
        if let Some(log) = &check.log_tail {
            facet::keep_log_tail(tx, id, &check.external_id, log)?;
        }
    }
    Ok([
        set::make_equal(tx, id, &pull.checks)?,
        set::make_equal(tx, id, &pull.threads)?,
        set::make_equal(tx, id, &pull.reviews)?,
        set::make_equal(tx, id, &pull.comments)?,
    ])
}
