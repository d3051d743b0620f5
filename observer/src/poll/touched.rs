//! Which subjects the changes between two heads of the log touch, so that only these are read again:
//! most commits of other programs, such as reports of what an agent does, touch none.

use std::collections::BTreeSet;

use ao_store::log::change::{self, ChangeRef};
use ao_store::log::changed::changed_fields;
use ao_store::{Cursor, Error, LogInfo, PrId, Result, SessionId, Snapshot};

/// More changes are not searched: reading all subjects takes no longer.
const SEARCHED: usize = 2_000;

/// The fields of a session and of a pull request on which subjects depend.
const OF_SESSION: [&str; 5] = ["project_id", "num", "kind", "branch", "is_terminated"];
const OF_PR: [&str; 7] = ["node_id", "session_id", "project_id", "host", "repo", "number", "state"];

/// What to read again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// Everything: it is not known what has changed.
    All,
    /// These pull requests, those of these sessions, and, if there is a session, the projects.
    Some { prs: BTreeSet<PrId>, sessions: BTreeSet<SessionId> },
}

impl Touched {
    /// What the changes after `seen` up to the head touch.
    pub(crate) fn since(snapshot: &Snapshot<'_>, seen: Cursor, head: Cursor) -> Result<Touched> {
        let mut touched = Touched::Some { prs: BTreeSet::new(), sessions: BTreeSet::new() };
        if seen == head {
            return Ok(touched);
        }
        // A position that was pruned or belongs to another epoch.
        if LogInfo::read(snapshot)?.check_cursor(seen).is_err() {
            return Ok(Touched::All);
        }
        match change::scan(snapshot, seen.seq, SEARCHED, |change| touched.add(change)) {
            Ok(last) if last >= head.seq => Ok(touched),
            Ok(_) | Err(Error::LogHole { .. }) => Ok(Touched::All),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, change: &ChangeRef<'_>) -> Result<()> {
        let Touched::Some { prs, sessions } = self else { return Ok(()) };
        let is_known = match &*change.entity()? {
            "session" if touches(change, &OF_SESSION)? => insert(sessions, &change.key()?),
            "pr" if touches(change, &OF_PR)? => insert(prs, &change.key()?),
            "project" => false,
            _ => true,
        };
        if !is_known {
            *self = Touched::All;
        }
        Ok(())
    }
}

/// Whether a change is one of these fields, or of the whole row.
fn touches(change: &ChangeRef<'_>, fields: &[&str]) -> Result<bool> {
    let (Some(before), Some(after)) = (change.before()?, change.after()?) else { return Ok(true) };
    Ok(changed_fields(&before, &after).any(|field| fields.contains(&field.name)))
}

/// Inserts the id of a row; returns whether it is one.
fn insert<T: Ord + std::str::FromStr>(into: &mut BTreeSet<T>, key: &str) -> bool {
    let id = serde_json::from_str::<[String; 1]>(key).ok();
    let id = id.and_then(|[id]| id.parse().ok());
    id.is_some_and(|id| {
        into.insert(id);
        true
    })
}

#[cfg(test)]
mod tests {
    use ao_store::observation::Observation;
    use ao_store::row::project::{self, NewProject};
    use ao_store::row::session::{self, NewSession, SessionKind};
    use ao_store::{Cause, Epoch, Options, Seq, Store, Timestamp, Tx, apply_observation};

    use super::*;

    struct Rig {
        store: Store,
        seen: Cursor,
        _dir: tempfile::TempDir,
    }

    impl Rig {
        /// A project with two sessions, of which the first owns a pull request.
        fn new() -> Rig {
            let dir = tempfile::tempdir().unwrap();
            let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
            let seen = store.read(|snapshot| snapshot.head()).unwrap();
            let mut rig = Rig { store, seen, _dir: dir };
            let added = rig.touched_by(|tx| {
                let new = NewProject {
                    id: "demo".parse()?,
                    path: "/src/demo".to_owned(),
                    name: "demo".to_owned(),
                    origin_url: String::new(),
                    host: "github.com".to_owned(),
                    repo: "octo/hello".to_owned(),
                    default_branch: "main".to_owned(),
                };
                project::add(tx, &new).map(|_| ())
            });
            assert_eq!(added, Touched::All, "of projects there are few");
            for _ in 0..2 {
                rig.touched_by(add_session);
            }
            rig.touched_by(|tx| observe(tx, 1, "Old"));
            rig
        }

        /// What a write touches.
        fn touched_by(&mut self, write: fn(&Tx<'_>) -> Result<()>) -> Touched {
            let cause = Cause::new("test", Timestamp(1_800_000_000_000));
            self.store.write(cause, write).unwrap();
            let (touched, head) = self
                .store
                .read(|snapshot| {
                    let head = snapshot.head()?;
                    Ok((Touched::since(snapshot, self.seen, head)?, head))
                })
                .unwrap();
            self.seen = head;
            touched
        }
    }

    fn add_session(tx: &Tx<'_>) -> Result<()> {
        let new = NewSession {
            project: "demo".parse()?,
            kind: SessionKind::Worker,
            harness: String::new(),
            name: String::new(),
            issue: String::new(),
            branch: String::new(),
        };
        session::create(tx, &new).map(|_| ())
    }

    fn observe(tx: &Tx<'_>, session: i64, title: &str) -> Result<()> {
        let at = Timestamp(1_800_000_000_000 + session);
        let mut seen = Observation::new("octo/hello#7".parse()?, at);
        seen.session = Some(format!("demo-{session}").parse()?);
        seen.facts.title = Some(title.to_owned());
        apply_observation(tx, &seen).map(|_| ())
    }

    fn some(prs: &[&str], sessions: &[&str]) -> Touched {
        let prs = prs.iter().map(|id| id.parse().unwrap()).collect();
        Touched::Some { prs, sessions: sessions.iter().map(|id| id.parse().unwrap()).collect() }
    }

    #[test]
    fn only_what_decides_what_is_observed_touches() {
        let mut rig = Rig::new();
        assert_eq!(rig.touched_by(|_| Ok(())), some(&[], &[]));
        let renamed = |tx: &Tx<'_>| session::rename(tx, &"demo-1".parse()?, "new").map(|_| ());
        assert_eq!(rig.touched_by(renamed), some(&[], &[]), "a name is not observed");
        assert_eq!(rig.touched_by(|tx| observe(tx, 1, "New")), some(&[], &[]), "nor a title");
        let moved = |tx: &Tx<'_>| session::set_branch(tx, &"demo-2".parse()?, "b").map(|_| ());
        assert_eq!(rig.touched_by(moved), some(&[], &["demo-2"]));
        assert_eq!(rig.touched_by(add_session), some(&[], &["demo-3"]));
        let found = |tx: &Tx<'_>| {
            let mut seen = Observation::new("octo/hello#8".parse()?, Timestamp(1));
            seen.session = Some("demo-2".parse()?);
            apply_observation(tx, &seen).map(|_| ())
        };
        assert_eq!(rig.touched_by(found), some(&["github.com/octo/hello#8"], &[]));
    }

    #[test]
    fn a_position_that_cannot_be_resumed_touches_everything() {
        let mut rig = Rig::new();
        let head = rig.seen;
        for seen in [
            Cursor { epoch: Epoch(head.epoch.0 + 1), ..head },
            Cursor { seq: Seq(head.seq.0 + 1), ..head },
        ] {
            let touched = rig.store.read(|snapshot| Touched::since(snapshot, seen, head)).unwrap();
            assert_eq!(touched, Touched::All);
        }
        let many = |tx: &Tx<'_>| {
            for number in 0..=SEARCHED {
                session::rename(tx, &"demo-1".parse()?, &format!("name {number}"))?;
            }
            Ok(())
        };
        assert_eq!(rig.touched_by(many), Touched::All, "too many to search");
    }
}
