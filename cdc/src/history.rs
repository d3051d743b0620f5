//! The changes of one thing, oldest first. The log is read back from its head to the creation of the
//! thing, in short reads, and then forward; what is older is not read.

use ao_store::log::change::{self, ChangeRef};
use ao_store::{Cursor, LogInfo, PrId, ProjectId, Seq, SessionId, Store, Timestamp};

use crate::error::Result;
use crate::filter::Filter;
use crate::tail::{Start, Tail};

/// Changes scanned in one read.
const BATCH: usize = 4096;

/// What a history is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A project, without its sessions.
    Project(ProjectId),
    /// A session, with the pull requests that it owned if `with_prs`.
    Session {
        /// The session.
        id: SessionId,
        /// Whether the changes of its pull requests belong to it.
        with_prs: bool,
    },
    /// A pull request, with its checks, threads, reviews and comments if `with_items`.
    Pr {
        /// The pull request.
        id: PrId,
        /// Whether the changes of its items belong to it.
        with_items: bool,
    },
    /// A review thread, review or comment, by its id, or the checks of one name.
    Item {
        /// The captured table, such as `pr_comment`.
        entity: &'static str,
        /// Its pull request.
        pr: PrId,
        /// Its id; of a check its name.
        id: String,
    },
}

impl Thing {
    fn matches(&self, change: &ChangeRef<'_>) -> Result<bool, ao_store::Error> {
        let entity = change.entity()?;
        Ok(match self {
            Thing::Project(id) => entity == "project" && is_key(change, &[(0, id.as_str())])?,
            Thing::Session { id, with_prs: true } if entity != "session" => {
                change.session()?.is_some_and(|session| session == id.as_str())
            }
            Thing::Session { id, .. } => {
                entity == "session" && is_key(change, &[(0, id.as_str())])?
            }
            Thing::Pr { id, with_items } => {
                let is_of_pr = entity == "pr" || (*with_items && entity.starts_with("pr_"));
                is_of_pr && is_key(change, &[(0, id.as_str())])?
            }
            Thing::Item { entity: wanted, pr, id } => {
                // The name of a check is the seventh part of its key.
                let at = if *wanted == "pr_check" { 6 } else { 1 };
                entity == *wanted && is_key(change, &[(0, pr.as_str()), (at, id)])?
            }
        })
    }

    /// Whether the thing, or the pull request that it belongs to, begins with this change.
    fn is_created_by(&self, change: &ChangeRef<'_>) -> Result<bool, ao_store::Error> {
        let (entity, id) = match self {
            Thing::Project(id) => ("project", id.as_str()),
            Thing::Session { id, .. } => ("session", id.as_str()),
            Thing::Pr { id, .. } | Thing::Item { pr: id, .. } => ("pr", id.as_str()),
        };
        Ok(change.op()? == "insert" && change.entity()? == entity && is_key(change, &[(0, id)])?)
    }
}

/// Whether the key has these parts.
fn is_key(change: &ChangeRef<'_>, parts: &[(usize, &str)]) -> Result<bool, ao_store::Error> {
    let key: Vec<String> = serde_json::from_str(&change.key()?).unwrap_or_default();
    Ok(parts.iter().all(|(at, part)| key.get(*at).is_some_and(|found| found == part)))
}

/// The changes of one thing, from a position to the head of the log as it was when opened.
#[derive(Debug)]
pub struct History {
    tail: Tail,
    thing: Thing,
    head: Seq,
    log: LogInfo,
    is_pruned: bool,
    is_found: bool,
}

impl History {
    /// Finds where the changes of the thing begin: with its creation, with the first change at or after
    /// `since`, or with the last `newest`, whichever is last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: &Store,
        thing: Thing,
        since: Option<Timestamp>,
        newest: Option<u64>,
    ) -> Result<History> {
        History::of_log(store, store.read(LogInfo::read)?, thing, since, newest)
    }

    fn of_log(
        store: &Store,
        log: LogInfo,
        thing: Thing,
        since: Option<Timestamp>,
        newest: Option<u64>,
    ) -> Result<History> {
        let (mut position, mut left) = (log.head, newest.unwrap_or(u64::MAX));
        let mut start = log.head;
        let (mut is_over, mut is_found) = (left == 0, false);
        while !is_over && position > log.floor {
            let read = store.read(|snapshot| {
                change::scan_back(snapshot, position, BATCH, |change| {
                    let at = change.at()?;
                    if since.is_some_and(|since| at < since) {
                        is_over = true;
                        return Ok(false);
                    }
                    start = Seq(change.seq().0 - 1);
                    if thing.matches(change)? {
                        is_found = true;
                        left -= 1;
                    }
                    is_over = left == 0 || thing.is_created_by(change)?;
                    Ok(!is_over)
                })
            })?;
            // The rest was pruned after the floor was read.
            if read == position {
                break;
            }
            position = read;
        }
        let is_pruned = !is_over && position > Seq(0);
        let tail = Tail::open(store, Start::Cursor(log.cursor(start)), Filter::default())?;
        Ok(History { tail, thing, head: log.head, log, is_pruned, is_found })
    }

    /// The log as it was when the history was opened.
    #[must_use]
    pub fn log(&self) -> &LogInfo {
        &self.log
    }

    /// Everything up to here was visited.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.tail.cursor()
    }

    /// Whether earlier changes of the thing may have been pruned.
    #[must_use]
    pub fn is_pruned(&self) -> bool {
        self.is_pruned
    }

    /// Whether there is a change of the thing.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.is_found
    }

    /// Visits the changes of one read; returns whether there are more. `visit` runs inside the read.
    ///
    /// # Errors
    /// Those of [`Tail::visit`] and of `visit`.
    pub fn visit(
        &mut self,
        mut visit: impl FnMut(&ChangeRef<'_>) -> Result<(), ao_store::Error>,
    ) -> Result<bool> {
        let (thing, head) = (&self.thing, self.head);
        let visited = self.tail.visit(BATCH, |change| {
            if change.seq() <= head && thing.matches(change)? { visit(change) } else { Ok(()) }
        })?;
        Ok(!visited.is_at_head && self.tail.cursor().seq < head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log from which everything was pruned after its floor was read.
    #[test]
    fn a_log_that_is_pruned_meanwhile_ends_the_search() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = Store::create(&path, ao_store::Options::default()).unwrap();
        let log = LogInfo { head: Seq(5), ..store.read(LogInfo::read).unwrap() };
        let thing = Thing::Project("demo".parse().unwrap());
        // Its cursor is in the future of this log, or else it would be returned.
        assert!(History::of_log(&store, log, thing, None, None).is_err());
    }
}
