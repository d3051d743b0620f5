//! A full disk: the writer reports it, loses no acknowledged write, and continues when there is
//! space again. On a real file system of two megabytes, where mounting one is permitted.

use std::path::{Path, PathBuf};
use std::process::Command;

use ao_store::row::project;
use ao_store::row::session::{self, SessionKind};
use ao_store::{Code, Error, Options, Store};

use crate::support::{assert_log_equals_tables, cause, head, new_project, new_session, raw};

/// A mounted file system, which is unmounted in any case.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(path: &Path, options: &str) -> Option<Mount> {
        std::fs::create_dir_all(path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
        match mount {
            Ok(output) if output.status.success() => Some(Mount(path.to_owned())),
            other => {
                println!("skipped: mounting a tmpfs is not permitted: {other:?}");
                None
            }
        }
    }

    pub(crate) fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn spawn(store: &Store) -> Result<String, Error> {
    let new = session::NewSession {
        issue: "x".repeat(200),
        ..new_session("demo", SessionKind::Worker, "b")
    };
    store.write(cause(), move |tx| session::create(tx, &new)).map(|done| done.value.id.to_string())
}

#[test]
fn a_full_disk_is_reported_and_no_acknowledged_write_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("small");
    let Some(_mount) = Mount::new(&root, "size=2m,mode=0700") else { return };
    let path = root.join("ao.db");
    let filler = root.join("filler");
    let (store, _) = Store::create(&path, Options::default()).unwrap();
    let new = new_project("demo");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    std::fs::write(&filler, vec![0; 600_000]).unwrap();
    let mut acknowledged = Vec::new();
    let error = loop {
        match spawn(&store) {
            Ok(id) => acknowledged.push(id),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100_000, "the disk never filled");
    };
    assert_eq!(error.code(), Code::DiskFull, "{error:?}");
    let full = head(&store);
    for _ in 0..3 {
        assert_eq!(spawn(&store).unwrap_err().code(), Code::DiskFull);
        let stored =
            store.read(|snapshot| session::list(snapshot, &session::Filter::default())).unwrap();
        let stored: Vec<_> = stored.into_iter().map(|session| session.id.to_string()).collect();
        assert_eq!(stored, acknowledged, "reads go on");
        assert_eq!(head(&store), full);
    }
    std::fs::remove_file(&filler).unwrap();
    for _ in 0..5 {
        acknowledged.push(spawn(&store).unwrap());
    }
    assert_eq!(head(&store).0, full.0 + 5);
    assert_log_equals_tables(&store, &raw(&path));
    drop(store);
    let store = Store::open(&path, Options::default()).unwrap();
    let expected: Vec<_> = (1..=acknowledged.len()).map(|num| format!("demo-{num}")).collect();
    assert_eq!(acknowledged, expected, "no number was used up");
    let stored =
        store.read(|snapshot| session::list(snapshot, &session::Filter::default())).unwrap();
    assert_eq!(stored.len(), acknowledged.len());
    let check: String =
        raw(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
