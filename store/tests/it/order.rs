//! The order of the log: seq is dense, the head is its newest change, and the changes of one
//! transaction are contiguous from its first seq, whatever a foreign writer did in between.

use ao_store::LogInfo;
use ao_store::Seq;
use ao_store::row::session;

use crate::support::{
    Fixture, add_session, cause, changes, fixture, has_shell, head, raw, try_shell,
};

#[test]
fn the_head_is_the_newest_change_after_a_foreign_statement_that_stopped_halfway() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let start = head(&store);
    let project = "INSERT OR FAIL INTO project (id, path, name, created_at, updated_at) VALUES
        ('r', '/r', 'n', 1, 1), ('s', '/r', 'n', 1, 1)";
    try_shell(&dir.path().join("ao.db"), project).unwrap_err();
    let newest = changes(&store).pop().unwrap();
    assert_eq!((newest.seq, newest.kind()), (Seq(start.0 + 1), "project_created"));
    assert_eq!(head(&store), newest.seq);
    assert_eq!(store.read(LogInfo::read).unwrap().head, newest.seq);
    let id = "demo-1".parse().unwrap();
    let next = store.write(cause(), move |tx| session::rename(tx, &id, "next")).unwrap();
    assert_eq!((next.cursor.seq, next.changes), (newest.seq.next(), 1));
    assert_eq!(changes(&store).pop().unwrap().tx, Some(next.cursor.seq));
}

#[test]
fn the_changes_of_one_transaction_share_its_first_seq_time_and_actor() {
    let Fixture { store, dir: _dir } = fixture();
    let start = head(&store);
    let done = store
        .write(cause(), |tx| {
            session::rename(tx, &"demo-1".parse()?, "a")?;
            session::rename(tx, &"demo-2".parse()?, "b")?;
            session::rename(tx, &"demo-1".parse()?, "c")
        })
        .unwrap();
    assert_eq!((done.changes, done.cursor.seq), (3, Seq(start.0 + 3)));
    for change in &changes(&store)[start.0 as usize..] {
        assert_eq!(change.tx, Some(start.next()));
        assert_eq!((change.at, change.actor()), (cause().at, Some("test")));
    }
}

#[test]
fn a_rolled_back_transaction_uses_no_seq() {
    let Fixture { store, dir } = fixture();
    let start = head(&store);
    for _ in 0..3 {
        let refused = store.write(cause(), |tx| {
            session::rename(tx, &"demo-1".parse()?, "lost")?;
            session::rename(tx, &"ghost-1".parse()?, "x")
        });
        assert_eq!(refused.unwrap_err().code(), ao_store::Code::SessionNotFound);
    }
    raw(&dir.path().join("ao.db")).execute_batch("BEGIN; DELETE FROM pr; ROLLBACK").unwrap();
    assert_eq!(head(&store), start);
    add_session(&store, "demo", "");
    assert_eq!(changes(&store).pop().unwrap().seq, start.next());
}

#[test]
fn a_seq_is_not_used_again_after_the_log_was_pruned() {
    let Fixture { store, dir } = fixture();
    let start = head(&store);
    raw(&dir.path().join("ao.db"))
        .execute_batch("DELETE FROM change_log; UPDATE log_meta SET floor = 4;")
        .unwrap();
    assert_eq!(head(&store), start);
    let id = "demo-1".parse().unwrap();
    let next = store.write(cause(), move |tx| session::rename(tx, &id, "next")).unwrap();
    assert_eq!((next.cursor.seq, next.changes), (start.next(), 1));
}
