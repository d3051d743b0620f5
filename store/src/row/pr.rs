//! Tracked pull requests: the location, the owner and the metadata of each.

use rusqlite::Row;

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::log::as_of;
use crate::model::cursor::Cursor;
use crate::model::id::{PrId, PrName, PrRef, ProjectId, SessionId};
use crate::model::observation::{
    Ci, Completeness, Mergeability, Mergeable, PrState, ReviewDecision,
};
use crate::model::time::Timestamp;
use crate::row::columns::{self, Column, Columns, table};

/// A tracked pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table pr")]
pub struct Pr {
    pub id: PrId,
    pub node_id: String,
    pub session: SessionId,
    pub project: ProjectId,
    pub host: String,
    pub repo: String,
    pub number: i64,
    pub url: String,
    pub title: String,
    pub author: String,
    pub is_author_bot: bool,
    pub state: PrState,
    pub head_ref: String,
    pub head_repo: String,
    pub head_sha: String,
    pub base_ref: String,
    pub base_sha: String,
    pub is_cross_repo: bool,
    pub additions: Option<i64>,
    pub deletions: Option<i64>,
    pub changed_files: Option<i64>,
    pub ci: Ci,
    pub review_decision: ReviewDecision,
    pub mergeable: Mergeable,
    pub is_mergeable_stale: bool,
    pub merge_state: String,
    pub mergeability: Mergeability,
    pub is_in_merge_queue: bool,
    pub is_auto_merge: bool,
    pub merge_commit_sha: String,
    pub checks_state: Completeness,
    pub threads_state: Completeness,
    pub reviews_state: Completeness,
    pub comments_state: Completeness,
    pub provider_created_at: Option<Timestamp>,
    pub merged_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Pr {
    /// A row of which only the location and the owner are known.
    #[must_use]
    pub fn unobserved(
        id: PrId,
        at: &PrRef,
        session: SessionId,
        project: ProjectId,
        now: Timestamp,
    ) -> Pr {
        Pr {
            id,
            node_id: String::new(),
            session,
            project,
            host: at.host.clone(),
            repo: at.repo.clone(),
            number: at.number,
            url: at.url(),
            title: String::new(),
            author: String::new(),
            is_author_bot: false,
            state: PrState::Unknown,
            head_ref: String::new(),
            head_repo: String::new(),
            head_sha: String::new(),
            base_ref: String::new(),
            base_sha: String::new(),
            is_cross_repo: false,
            additions: None,
            deletions: None,
            changed_files: None,
            ci: Ci::Unknown,
            review_decision: ReviewDecision::Unknown,
            mergeable: Mergeable::Unknown,
            is_mergeable_stale: false,
            merge_state: String::new(),
            mergeability: Mergeability::Unknown,
            is_in_merge_queue: false,
            is_auto_merge: false,
            merge_commit_sha: String::new(),
            checks_state: Completeness::Unknown,
            threads_state: Completeness::Unknown,
            reviews_state: Completeness::Unknown,
            comments_state: Completeness::Unknown,
            provider_created_at: None,
            merged_at: None,
            closed_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Its location for people, as a [`PrRef`] can be written: without the host `github.com`.
    #[must_use]
    pub fn place(&self) -> String {
        let host = match self.host.eq_ignore_ascii_case("github.com") {
            true => String::new(),
            false => format!("{}/", self.host),
        };
        format!("{host}{}#{}", self.repo, self.number)
    }

    /// Whether it has this location. Hosts and repositories are compared without regard to case.
    #[must_use]
    pub fn is_at(&self, place: &PrRef) -> bool {
        self.number == place.number
            && self.repo.eq_ignore_ascii_case(&place.repo)
            && self.host.eq_ignore_ascii_case(&place.host)
    }
}

table! {
    Pr in "pr" {
        id, node_id, session = session_id, project = project_id, host, repo, number, created_at;
        url, title, author, is_author_bot, state, head_ref, head_repo, head_sha, base_ref, base_sha,
        is_cross_repo, additions, deletions, changed_files, ci, review_decision,
        mergeable = provider_mergeable, is_mergeable_stale, merge_state = provider_merge_state,
        mergeability, is_in_merge_queue, is_auto_merge, merge_commit_sha, checks_state,
        threads_state, reviews_state, comments_state, provider_created_at, merged_at, closed_at,
        updated_at,
    }
}

macro_rules! select {
    ($tail:expr) => {
        concat!("SELECT ", names!(), " FROM pr ", $tail)
    };
}

// Below the macros, which it uses.
mod list;
pub(crate) use self::list::of_filter;
pub use self::list::{Filter, list, page};

/// The pull request with this location.
///
/// # Errors
/// When the database cannot be read.
pub fn at(snapshot: &Snapshot<'_>, place: &PrRef) -> Result<Option<Pr>> {
    let sql =
        select!("WHERE number = ?1 AND repo = ?2 COLLATE NOCASE AND host = ?3 COLLATE NOCASE");
    snapshot.one("find a pull request", sql, (place.number, &place.repo, &place.host), Pr::read)
}

/// The number of earlier rows that are read at once.
const CHUNK: usize = 500;

/// Every pull request as it was at a cursor, in the order of ids.
///
/// # Errors
/// The cursor errors.
pub fn list_as_of(snapshot: &Snapshot<'_>, cursor: Cursor) -> Result<Vec<Pr>> {
    let (mut prs, mut after) = (Vec::new(), None);
    loop {
        let chunk = as_of::chunk(snapshot, "pr", cursor, after.as_deref(), CHUNK)?;
        for row in &chunk.rows {
            prs.push(as_of::typed(snapshot, names!(), &row.image, Pr::read)?);
        }
        after = chunk.next;
        if after.is_none() {
            return Ok(prs);
        }
    }
}

/// The pull request with this node id, whatever its location.
///
/// # Errors
/// When the database cannot be read.
pub fn by_node(snapshot: &Snapshot<'_>, node_id: &str) -> Result<Option<Pr>> {
    if node_id.is_empty() {
        return Ok(None);
    }
    let sql = select!("WHERE node_id = ?1 AND node_id <> ''");
    snapshot.one("find a pull request by its node id", sql, [node_id], Pr::read)
}

/// The pull request with this id.
///
/// # Errors
/// When the database cannot be read.
pub fn by_id(snapshot: &Snapshot<'_>, id: &PrId) -> Result<Option<Pr>> {
    let sql = select!("WHERE id = ?1");
    snapshot.one("find a pull request by its id", sql, [id.as_str()], Pr::read)
}

/// The pull request with this name: the one whose id it is, else the one at that location.
///
/// # Errors
/// When the database cannot be read.
pub fn named(snapshot: &Snapshot<'_>, name: &PrName) -> Result<Option<Pr>> {
    let by_id = name.id.as_ref().map(|id| by_id(snapshot, id));
    if let Some(found) = by_id.transpose()?.flatten() {
        return Ok(Some(found));
    }
    Ok(name.location.as_ref().map(|place| at(snapshot, place)).transpose()?.flatten())
}

/// The pull request with this location, or an error if none is tracked.
///
/// # Errors
/// `PR_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, place: &PrRef) -> Result<Pr> {
    at(snapshot, place)?.ok_or_else(|| Error::PrNotFound(place.to_string()))
}

/// The pull request with this name, or an error if none is tracked.
///
/// # Errors
/// `PR_NOT_FOUND`.
pub fn require_named(snapshot: &Snapshot<'_>, name: &PrName) -> Result<Pr> {
    named(snapshot, name)?.ok_or_else(|| Error::PrNotFound(name.to_string()))
}

/// The pull request with this name as it was at a cursor, or an error if none was tracked.
///
/// # Errors
/// `PR_NOT_FOUND`, and the cursor errors.
pub fn require_as_of(snapshot: &Snapshot<'_>, name: &PrName, cursor: Cursor) -> Result<Pr> {
    let mut prs = list_as_of(snapshot, cursor)?;
    let by_id = prs.iter().position(|pr| Some(&pr.id) == name.id.as_ref());
    let is_there = |pr: &Pr| name.location.as_ref().is_some_and(|place| pr.is_at(place));
    match by_id.or_else(|| prs.iter().position(is_there)) {
        Some(index) => Ok(prs.swap_remove(index)),
        None => Err(Error::PrNotFound(name.to_string())),
    }
}

/// The location that a name means: that of the tracked pull request, else the location in the name.
///
/// # Errors
/// `PR_NOT_FOUND` for an id that no tracked pull request has.
pub fn locate(snapshot: &Snapshot<'_>, name: &PrName) -> Result<PrRef> {
    match (named(snapshot, name)?, &name.location) {
        (Some(pr), _) => Ok(PrRef { host: pr.host, repo: pr.repo, number: pr.number }),
        (None, Some(location)) => Ok(location.clone()),
        (None, None) => Err(Error::PrNotFound(name.to_string())),
    }
}

/// The pull requests of a repository whose head is this commit.
///
/// # Errors
/// When the database cannot be read.
pub fn with_head(snapshot: &Snapshot<'_>, host: &str, repo: &str, sha: &str) -> Result<Vec<Pr>> {
    let sql = select!(
        "WHERE head_sha = ?1 AND head_sha <> '' AND repo = ?2 COLLATE NOCASE
         AND host = ?3 COLLATE NOCASE ORDER BY number"
    );
    snapshot.list("find the pull requests of a commit", sql, (sha, repo, host), Pr::read)
}

macro_rules! select_open {
    ($condition:literal) => {
        select!(concat!(
            "WHERE ",
            $condition,
            " state NOT IN ('merged', 'closed')
                AND +project_id IN (SELECT id FROM project WHERE archived_at IS NULL)
            ORDER BY host, repo, number"
        ))
    };
}

/// The pull requests of active projects, or of a session of one, that are neither merged nor closed, in
/// the order of repository and number.
///
/// # Errors
/// When the database cannot be read.
pub fn open(snapshot: &Snapshot<'_>, session: Option<&SessionId>) -> Result<Vec<Pr>> {
    let step = "list open pull requests";
    match session {
        None => snapshot.list(step, select_open!(""), [], Pr::read),
        Some(id) => {
            snapshot.list(step, select_open!("session_id = ?1 AND"), [id.as_str()], Pr::read)
        }
    }
}

/// Which pull requests of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OfHost<'a> {
    /// All.
    All,
    /// This one.
    Pr(&'a PrId),
    /// Those of a session.
    Session(&'a SessionId),
}

macro_rules! select_of_host {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            names!(),
            ", (SELECT is_terminated = 0 FROM session WHERE session.id = pr.session_id),
            (SELECT meta_provider_at FROM pr_observed WHERE pr_id = pr.id) FROM pr
            WHERE ",
            $condition,
            " host = ?1 COLLATE NOCASE
                AND +project_id IN (SELECT id FROM project WHERE archived_at IS NULL)
                AND NOT (state IN ('merged', 'closed') AND EXISTS
                    (SELECT 1 FROM pr_poll WHERE pr_id = pr.id AND confirmed_at < ?2))
            ORDER BY repo, number"
        )
    };
}

/// The pull requests of active projects at a host, each with whether its session is not terminated and
/// the provider's time of its metadata.
pub(crate) fn of_host(
    snapshot: &Snapshot<'_>,
    host: &str,
    which: OfHost<'_>,
    ended_before: Timestamp,
) -> Result<Vec<(Pr, bool, Option<Timestamp>)>> {
    let (step, ended) = ("list the pull requests of a host", ended_before.0);
    let read = |row: &Row<'_>| {
        let is_session_live = row.get::<_, Option<bool>>(Pr::NAMES.len())?.unwrap_or(false);
        Ok((Pr::read(row)?, is_session_live, Column::read(row, Pr::NAMES.len() + 1)?))
    };
    match which {
        OfHost::All => snapshot.list(step, select_of_host!(""), (host, ended), read),
        OfHost::Pr(id) => {
            let sql = select_of_host!("id = ?3 AND");
            snapshot.list(step, sql, (host, ended, id.as_str()), read)
        }
        OfHost::Session(id) => {
            let sql = select_of_host!("session_id = ?3 AND");
            snapshot.list(step, sql, (host, ended, id.as_str()), read)
        }
    }
}

const ID_TAKEN: &str = "SELECT 1 FROM pr WHERE id = ?1";

/// An id for a pull request that is observed for the first time. The plain id is in use only when
/// the repository was renamed and another one now has its old name.
pub(crate) fn new_id(tx: &Tx<'_>, place: &PrRef) -> Result<PrId> {
    let slug = place.slug();
    let mut id = slug.clone();
    let mut copy = 1;
    while tx.one("find a free id", ID_TAKEN, [&id], |_| Ok(()))?.is_some() {
        copy += 1;
        id = format!("{slug}~{copy}");
    }
    Ok(PrId::stored(id))
}

/// Inserts a row that is not stored.
pub(crate) fn insert(tx: &Tx<'_>, pr: &Pr) -> Result<()> {
    columns::insert(tx, "insert a pull request", pr)
}

const MOVE: &str = "UPDATE pr SET node_id = ?2, host = ?3, repo = ?4, number = ?5, url = ?6,
    updated_at = ?7 WHERE id = ?1";

/// Makes the stored metadata equal to `new`; returns whether anything differed. It never changes
/// session and project. A new location is a change of its own.
pub(crate) fn update(tx: &Tx<'_>, old: &Pr, new: &Pr) -> Result<bool> {
    if old == new {
        return Ok(false);
    }
    let place = |pr: &Pr| (pr.node_id.clone(), pr.host.clone(), pr.repo.clone(), pr.number);
    if place(old) != place(new) {
        let params = rusqlite::params![
            new.id.as_str(),
            new.node_id,
            new.host,
            new.repo,
            new.number,
            new.url,
            tx.now().0
        ];
        tx.execute_captured("move a pull request", MOVE, params)?;
        let mut moved = old.clone();
        (moved.node_id, moved.host, moved.repo, moved.number) = place(new);
        moved.url.clone_from(&new.url);
        if moved == *new {
            return Ok(true);
        }
    }
    let new = Pr { updated_at: tx.now(), ..new.clone() };
    columns::update(tx, "update a pull request", &new).map(|()| true)
}

const SET_SESSION: &str = "UPDATE pr SET session_id = ?2, updated_at = ?3
    WHERE id = ?1 AND session_id IS NOT ?2";

/// Moves a pull request to another session of its project.
pub(crate) fn set_session(tx: &Tx<'_>, pr: &PrId, session: &SessionId) -> Result<()> {
    let params = (pr.as_str(), session.as_str(), tx.now().0);
    tx.execute_captured("move a pull request to another session", SET_SESSION, params).map(|_| ())
}

/// How new each facet of a pull request is: when its complete set was last requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one time per facet")]
pub struct Freshness {
    pub metadata: Option<Timestamp>,
    pub checks: Option<Timestamp>,
    pub threads: Option<Timestamp>,
    pub reviews: Option<Timestamp>,
    pub comments: Option<Timestamp>,
}

/// How new the facts about a pull request are. The time of an unchanged facet advances at most once
/// a minute.
///
/// # Errors
/// When the database cannot be read.
pub fn freshness(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Freshness> {
    use crate::row::observed::FacetName::{Checks, Comments, Reviews, Threads};
    let observed = crate::row::observed::get(snapshot, pr)?.unwrap_or_default();
    Ok(Freshness {
        metadata: observed.meta_as_of,
        checks: observed.facet(Checks).as_of,
        threads: observed.facet(Threads).as_of,
        reviews: observed.facet(Reviews).as_of,
        comments: observed.facet(Comments).as_of,
    })
}
