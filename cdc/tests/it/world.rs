//! A small set of sessions and pull requests, random changes of it by our and foreign writers, and its
//! rows at any point in time, computed from a copy of the log alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use ao_store::log::as_of::{ENTITIES, RowAt};
use ao_store::log::change::{self, Change};
use ao_store::observation::{
    Check, CheckKind, CheckStatus, Comment, Facet, Observation, Review, Thread,
};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Code, Error, PrRef, Seq, SessionId, Store, Takeover, Timestamp, Tx};
use serde_json::Value;

use crate::support::{Random, add_project, add_sessions, cause, fresh_name, shell};

pub(crate) const PROJECTS: [&str; 2] = ["demo", "other"];
/// Sessions are named up to this number; most of them are created and deleted.
const SESSIONS: u64 = 6;
/// Pull requests of a project.
const PRS: u64 = 4;

/// Two projects with three sessions each, and a pull request of each session.
pub(crate) fn settle(store: &Store) {
    for project in PROJECTS {
        add_project(store, project);
        add_sessions(store, project, 3);
        for number in 1..=3 {
            let session: SessionId = format!("{project}-{number}").parse().unwrap();
            let place = place(project, number).into();
            let claim =
                move |tx: &Tx<'_>| ao_store::claim_pr(tx, &session, &place, Takeover::Allow);
            store.write(cause("settler"), claim).unwrap();
        }
    }
}

fn place(project: &str, number: u64) -> PrRef {
    format!("octo/{project}#{number}").parse().unwrap()
}

pub(crate) fn any<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

fn any_session(random: &mut Random) -> SessionId {
    let project = any(random, &PROJECTS);
    format!("{project}-{}", 1 + random.below(SESSIONS)).parse().unwrap()
}

/// A random transaction of ours; returns the head after it, or `None` when it was refused.
pub(crate) fn act(store: &Store, actor: &str, random: &mut Random) -> Option<Seq> {
    let done = match random.below(12) {
        0..3 => {
            let ids: Vec<_> = (0..=random.below(3)).map(|_| any_session(random)).collect();
            let rename = move |tx: &Tx<'_>| {
                let named = ids.iter().map(|id| session::rename(tx, id, &fresh_name()).map(|_| ()));
                named.collect::<Result<(), _>>()
            };
            store.write(cause(actor), rename).map(|done| done.cursor.seq)
        }
        3 => {
            let new = NewSession {
                project: any(random, &PROJECTS).parse().unwrap(),
                kind: SessionKind::Worker,
                harness: String::new(),
                name: fresh_name(),
                issue: String::new(),
                branch: String::new(),
            };
            store.write(cause(actor), move |tx| session::create(tx, &new)).map(|d| d.cursor.seq)
        }
        4 => {
            let id = any_session(random);
            store.write(cause(actor), move |tx| session::delete(tx, &id)).map(|d| d.cursor.seq)
        }
        5 | 6 => {
            let id = any_session(random);
            let place = place(any(random, &PROJECTS), 1 + random.below(PRS)).into();
            let claim = move |tx: &Tx<'_>| ao_store::claim_pr(tx, &id, &place, Takeover::Allow);
            store.write(cause(actor), claim).map(|done| done.cursor.seq)
        }
        _ => {
            let seen = observation(random);
            let apply = move |tx: &Tx<'_>| ao_store::apply_observation(tx, &seen);
            store.write(cause(actor), apply).map(|done| done.cursor.seq)
        }
    };
    done.map_err(|error| assert!(is_refusal(&error), "{error}")).ok()
}

fn is_refusal(error: &Error) -> bool {
    [
        Code::SessionNotFound,
        Code::PrProjectMismatch,
        Code::PrOwnedByOther,
        Code::PrNotOpen,
        Code::Busy,
    ]
    .contains(&error.code())
}

/// A possible observation: some of the facets, each a window or complete.
fn observation(random: &mut Random) -> Observation {
    static AS_OF: AtomicI64 = AtomicI64::new(0);
    AS_OF.fetch_max(Timestamp::now().0, Ordering::Relaxed);
    let as_of = Timestamp(AS_OF.fetch_add(1, Ordering::Relaxed));
    let place = place(any(random, &PROJECTS), 1 + random.below(PRS));
    let mut seen = Observation::new(place, as_of);
    seen.facts.title = (random.below(3) == 0).then(fresh_name);
    seen.threads = facet(random, |random, number| Thread {
        id: format!("t{number}"),
        line: Some(random.below(3).cast_signed()),
        is_resolved: random.below(2) == 0,
        ..Thread::default()
    });
    seen.comments = facet(random, |random, number| Comment {
        id: format!("c{number}"),
        body: ["a", "b\"\n\u{1F980}", ""][random.below(3) as usize].to_owned(),
        ..Comment::default()
    });
    seen.checks = facet(random, |random, number| Check {
        head_sha: ["5a", "5b"][random.below(2) as usize].to_owned(),
        kind: CheckKind::Run,
        name: format!("check {number}"),
        status: [CheckStatus::Queued, CheckStatus::Passed][random.below(2) as usize],
        ..Check::default()
    });
    seen.reviews = facet(random, |random, number| Review {
        id: format!("r{number}"),
        author: ["ann", "bob"][random.below(2) as usize].to_owned(),
        ..Review::default()
    });
    seen
}

fn facet<T>(random: &mut Random, item: impl Fn(&mut Random, u64) -> T) -> Facet<T> {
    let numbers: Vec<_> = (0..8).filter(|_| random.below(2) == 0).collect();
    let items = numbers.into_iter().map(|number| item(random, number)).collect();
    match random.below(5) {
        0 | 1 => Facet::replace(items),
        2 => Facet::merge(items),
        _ => Facet::default(),
    }
}

/// Random statements of a stock shell, with and without foreign keys.
pub(crate) fn act_foreign(path: &Path, random: &mut Random) {
    let keys = ["ON", "OFF"][random.below(2) as usize];
    let pr = format!("(SELECT id FROM pr ORDER BY id LIMIT 1 OFFSET {})", random.below(6));
    let name = fresh_name();
    let sql = match random.below(8) {
        0 => format!("DELETE FROM pr WHERE id = {pr}"),
        1 => format!(
            "UPDATE pr SET (session_id, project_id, state) = (SELECT id, project_id, '{}'
             FROM session ORDER BY id DESC LIMIT 1 OFFSET {}) WHERE id = {pr}",
            any(random, &["open", "merged", "closed"]),
            random.below(4)
        ),
        2 => format!("UPDATE session SET name = '{name}' WHERE num < 3"),
        3 => format!("UPDATE pr_comment SET body = body || '!' WHERE pr_id = {pr}"),
        4 => format!("DELETE FROM pr_review_thread WHERE pr_id = {pr}"),
        5 => format!(
            "REPLACE INTO pr_review SELECT pr_id, id, '{name}', is_bot, state, body, commit_sha, url, submitted_at FROM pr_review WHERE pr_id = {pr}"
        ),
        6 => format!("UPDATE OR REPLACE pr SET number = 2, title = '{name}' WHERE id = {pr}"),
        _ => format!(
            "BEGIN; UPDATE project SET name = '{name}'; DELETE FROM pr_check WHERE pr_id = {pr}; COMMIT"
        ),
    };
    shell(path, &format!("PRAGMA foreign_keys = {keys}; {sql}"));
}

/// The parts of a key, which sort as the table does.
pub(crate) type Key = Vec<String>;

pub(crate) fn parts(key: &str) -> Key {
    serde_json::from_str(key).unwrap()
}

/// The rows of every captured table: by the position of the table, then by key.
pub(crate) type Rows = BTreeMap<(usize, Key), RowAt>;

pub(crate) fn table_of(entity: &str) -> usize {
    ENTITIES.iter().position(|name| *name == entity).unwrap()
}

/// A copy of the log from its first change on, which is never pruned.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) changes: Vec<Change>,
}

impl Record {
    /// Copies the new changes.
    pub(crate) fn catch_up(&mut self, store: &Store) {
        let after = self.changes.last().map_or(Seq(0), |change| change.seq);
        let copied = store.read(|snapshot| {
            change::scan(snapshot, after, usize::MAX, |change| {
                self.changes.push(change.to_owned()?);
                Ok(())
            })
        });
        copied.unwrap();
        let seqs = self.changes.iter().zip(1..).skip(usize::try_from(after.0).unwrap());
        seqs.for_each(|(change, seq)| assert_eq!(change.seq, Seq(seq), "the copy is whole"));
    }

    /// The rows right after a change, each with its owner at that point.
    pub(crate) fn rows_at(&self, seq: Seq) -> Rows {
        let mut rows = Rows::new();
        for change in self.changes.iter().take_while(|change| change.seq <= seq) {
            apply(&mut rows, change);
        }
        own(&mut rows);
        rows
    }
}

/// Applies a change to rows that must equal its `before` image.
pub(crate) fn apply(rows: &mut Rows, change: &Change) {
    let place = (table_of(change.entity()), parts(change.key()));
    let found = rows.get(&place).map(|row| row.image.as_str());
    assert_eq!(found, change.before(), "before {}", change.seq);
    put(rows, change);
}

/// Applies a change to rows of which some are missing.
pub(crate) fn put(rows: &mut Rows, change: &Change) {
    let place = (table_of(change.entity()), parts(change.key()));
    match change.after() {
        None => rows.remove(&place),
        Some(image) => rows.insert(
            place,
            RowAt {
                key: change.key().to_owned(),
                project: change.project().map(str::to_owned),
                session: change.session().map(str::to_owned),
                image: image.to_owned(),
            },
        ),
    };
}

/// Gives each row the owner that the images name, as the tables join them.
pub(crate) fn own(rows: &mut Rows) {
    let text = |image: &Value, name: &str| image[name].as_str().map(str::to_owned);
    let (session, pr) = (table_of("session"), table_of("pr"));
    let mut owners = BTreeMap::new();
    for ((table, key), row) in &mut *rows {
        let image: Value = serde_json::from_str(&row.image).unwrap();
        if *table == 0 {
            (row.project, row.session) = (text(&image, "id"), None);
        } else if *table == session {
            (row.project, row.session) = (text(&image, "project_id"), text(&image, "id"));
        } else if *table == pr {
            (row.project, row.session) = (text(&image, "project_id"), text(&image, "session_id"));
            owners.insert(key[0].clone(), (row.project.clone(), row.session.clone()));
        }
    }
    for ((table, key), row) in rows {
        if *table > pr {
            (row.project, row.session) = owners.get(&key[0]).cloned().unwrap_or_default();
        }
    }
}
