//! Several processes write to one store at once: no write is lost, the log is dense, the order of
//! each process is kept, and the changes of a transaction are contiguous.

use std::collections::BTreeMap;

use ao_store::row::session;
use ao_store::{Cause, Options, Seq, Store, Timestamp};

use crate::support::{
    Fixture, add_session, assert_log_equals_tables, changes_after, child, child_argument, fixture,
    head, raw,
};

const CHILDREN: usize = 5;
const JOBS: usize = 40;

/// What a child does: `JOBS` transactions of two changes, every fourth of which is given up.
#[test]
fn a_child_writes_its_share() {
    let Some(argument) = child_argument() else { return };
    let (path, id) = argument.split_once('|').unwrap();
    let store = Store::open(path.as_ref(), Options::default()).unwrap();
    for i in 0..JOBS {
        let id: ao_store::SessionId = id.parse().unwrap();
        let cause = Cause::new(id.as_str(), Timestamp::now());
        let done = store.write(cause, move |tx| {
            session::rename(tx, &id, &format!("{i} a"))?;
            session::rename(tx, &id, &format!("{i} b"))?;
            if i % 4 == 3 { Err(ao_store::Error::Closed) } else { Ok(()) }
        });
        assert_eq!(done.is_ok(), i % 4 != 3);
    }
}

#[test]
fn concurrent_writer_processes_lose_no_write() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let ids: Vec<_> = (0..CHILDREN).map(|_| add_session(&store, "demo", "")).collect();
    let start = head(&store);
    let children: Vec<_> = ids
        .iter()
        .map(|id| {
            let argument = format!("{}|{id}", path.display());
            child("processes::a_child_writes_its_share", &argument)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let made = changes_after(&store, start);
    let kept = JOBS - JOBS / 4;
    assert_eq!(made.len(), CHILDREN * kept * 2);
    assert_eq!(made.last().unwrap().seq, Seq(start.0 + made.len() as i64));
    let mut of_child: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for two in made.chunks(2) {
        assert_eq!((two[0].tx, two[1].tx), (Some(two[0].seq), Some(two[0].seq)), "{two:?}");
        assert_eq!(two[0].actor(), two[1].actor());
        for change in two {
            let image: serde_json::Value = serde_json::from_str(change.after().unwrap()).unwrap();
            assert_eq!(change.actor(), change.session());
            of_child
                .entry(change.actor().unwrap().to_owned())
                .or_default()
                .push(image["name"].to_string());
        }
    }
    let expected: Vec<_> = (0..JOBS)
        .filter(|i| i % 4 != 3)
        .flat_map(|i| [format!("\"{i} a\""), format!("\"{i} b\"")])
        .collect();
    assert_eq!(of_child.len(), CHILDREN);
    for (child, names) in of_child {
        assert_eq!(names, expected, "{child}");
    }
    assert_log_equals_tables(&store, &raw(&path));
}
