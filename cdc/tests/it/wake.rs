//! A commit wakes every waiting reader, whichever process made it and even if the wake-up sockets are
//! missing or broken.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ao_cdc::{Start, Tail};
use ao_store::{Options, Store};

use crate::support::{
    Fixture, Player, SOON, add_project, add_sessions, commit_per_line, has_shell, part, rename,
    shell, until,
};

/// Half the interval of the fallback poll: a faster wake came from a notification.
const BY_BELL: Duration = Duration::from_millis(50);

/// The usual time from a commit, made right after the wait began, to its arrival.
fn usual_latency(store: &Store, mut commit: impl FnMut()) -> Duration {
    let mut changes = Tail::open(store, Start::End, ao_cdc::Filter::default()).unwrap().follow();
    let mut latencies: Vec<_> = (0..11)
        .map(|_| {
            // The fallback poll sees the last commit first, so that it cannot be what wakes at once.
            assert_eq!(changes.next_within(Duration::from_millis(110)).unwrap(), None);
            let started = Instant::now();
            commit();
            changes.next_within(SOON).unwrap().expect("the change in time");
            started.elapsed()
        })
        .collect();
    latencies.sort();
    latencies[5]
}

fn commit_in(player: &mut Player) {
    player.send("other");
    player.line();
}

#[test]
fn a_commit_of_this_process_wakes_by_notification() {
    let fixture = Fixture::with_changes(2);
    let mut changes = fixture.tail(Start::End).follow();
    let (sender, orders) = std::sync::mpsc::channel();
    let store = fixture.store.clone();
    std::thread::spawn(move || {
        for () in orders {
            std::thread::sleep(Duration::from_millis(5));
            rename(&store, "test", "demo-1", 1);
        }
    });
    let mut latencies: Vec<_> = (0..11)
        .map(|_| {
            assert_eq!(changes.next_within(Duration::from_millis(110)).unwrap(), None);
            let started = Instant::now();
            sender.send(()).unwrap();
            changes.next_within(SOON).unwrap().expect("the change in time");
            started.elapsed()
        })
        .collect();
    latencies.sort();
    assert!(latencies[5] < BY_BELL, "{latencies:?}");
}

#[test]
fn a_commit_of_another_process_wakes_by_notification() {
    if let Some((_, store)) = part() {
        return commit_per_line(&store);
    }
    let fixture = Fixture::with_changes(2);
    let name = "wake::a_commit_of_another_process_wakes_by_notification";
    let mut player = Player::start(name, "writer", fixture.path());
    assert_eq!(player.line(), "ready");
    let latency = usual_latency(&fixture.store, || player.send("other"));
    assert!(latency < BY_BELL, "{latency:?}");
    let truth = fixture.truth();
    assert_eq!(truth.last().unwrap().actor(), Some("other"));
}

#[test]
fn a_commit_of_a_shell_wakes_by_the_fallback_poll() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let mut changes = fixture.tail(Start::End).follow();
    for round in 0..5 {
        shell(fixture.path(), &format!("UPDATE session SET name = 'shell {round}'"));
        let change = changes.next_within(SOON).unwrap().expect("the change in time");
        assert_eq!((change.seq.0, change.actor(), change.tx), (3 + round, None, None));
    }
}

#[test]
fn a_commit_through_another_handle_of_this_process_arrives() {
    let fixture = Fixture::with_changes(2);
    let other = Store::open(fixture.path(), Options::default()).unwrap();
    let mut changes = fixture.tail(Start::End).follow();
    for _ in 0..3 {
        let seq = rename(&other, "other", "demo-1", 1);
        assert_eq!(changes.next_within(SOON).unwrap().expect("the change in time").seq, seq);
    }
}

/// Commits of this process, another one and a shell all arrive.
fn every_commit_arrives(fixture: &Fixture, test: &str) {
    let mut changes = fixture.tail(Start::End).follow();
    let mut player = Player::start(test, "writer", fixture.path());
    assert_eq!(player.line(), "ready");
    for _ in 0..2 {
        let seq = fixture.commit();
        assert_eq!(changes.next_within(SOON).unwrap().expect("our change").seq, seq);
        commit_in(&mut player);
        let change = changes.next_within(SOON).unwrap().expect("the other process's change");
        assert_eq!(change.actor(), Some("other"));
        if has_shell() {
            shell(fixture.path(), "UPDATE session SET name = name || '.'");
            assert!(changes.next_within(SOON).unwrap().expect("the shell's change").tx.is_none());
        }
    }
}

#[test]
fn without_a_usable_socket_folder_the_fallback_poll_wakes() {
    let test = "wake::without_a_usable_socket_folder_the_fallback_poll_wakes";
    if let Some((_, store)) = part() {
        return commit_per_line(&store);
    }
    let spoils: [fn(&Path); 4] = [
        |folder| fs::write(folder, "a file").unwrap(),
        |folder| symlink("/nowhere/at/all", folder).unwrap(),
        // Missing: the first listener creates it.
        |_| {},
        // This has no effect for root.
        |folder| {
            fs::create_dir(folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).unwrap();
        },
    ];
    for spoil in spoils {
        let fixture = Fixture::with_changes(2);
        let folder = fixture.path().with_file_name("wakeups");
        assert!(!folder.exists(), "there was no listener yet");
        spoil(&folder);
        every_commit_arrives(&fixture, test);
    }
}

#[test]
fn the_fallback_poll_wakes_after_the_socket_folder_was_removed() {
    let test = "wake::the_fallback_poll_wakes_after_the_socket_folder_was_removed";
    if let Some((_, store)) = part() {
        return commit_per_line(&store);
    }
    let fixture = Fixture::with_changes(2);
    let mut early = fixture.tail(Start::End).follow();
    assert_eq!(fixture.sockets().len(), 1);
    fs::remove_dir_all(fixture.path().with_file_name("wakeups")).unwrap();
    let mut player = Player::start(test, "writer", fixture.path());
    assert_eq!(player.line(), "ready");
    commit_in(&mut player);
    assert!(early.next_within(SOON).unwrap().is_some());
    every_commit_arrives(&fixture, test);
}

#[test]
fn in_a_folder_whose_path_is_too_long_for_a_socket_the_fallback_poll_wakes() {
    let test = "wake::in_a_folder_whose_path_is_too_long_for_a_socket_the_fallback_poll_wakes";
    if let Some((_, store)) = part() {
        return commit_per_line(&store);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long".repeat(40)).join("ao.db");
    let (store, _) = Store::create(&path, Options::default()).unwrap();
    add_project(&store, "demo");
    add_sessions(&store, "demo", 1);
    let mut changes = Tail::open(&store, Start::End, ao_cdc::Filter::default()).unwrap().follow();
    assert_eq!(fs::read_dir(path.with_file_name("wakeups")).unwrap().count(), 0);
    let seq = rename(&store, "test", "demo-1", 1);
    assert_eq!(changes.next_within(SOON).unwrap().expect("our change").seq, seq);
    let mut player = Player::start(test, "writer", &path);
    assert_eq!(player.line(), "ready");
    commit_in(&mut player);
    assert!(changes.next_within(SOON).unwrap().is_some());
}

/// A wake-up socket as of another process.
fn foreign_socket(fixture: &Fixture, number: u32) -> (PathBuf, UnixDatagram) {
    let folder = fixture.path().with_file_name("wakeups");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("0-{number}"));
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    (path, socket)
}

#[test]
fn stale_sockets_are_removed_and_the_others_notified() {
    let fixture = Fixture::with_changes(2);
    let (living, socket) = foreign_socket(&fixture, 1);
    let (stale, dead) = foreign_socket(&fixture, 2);
    drop(dead);
    fixture.commit();
    socket.recv(&mut [0; 8]).expect("the notification comes in time");
    // More than one commit: a process that another test starts holds our sockets until its exec.
    let is_removed = |path: &PathBuf| {
        fixture.commit();
        !path.exists()
    };
    until("the stale socket is removed", || is_removed(&stale));
    assert!(living.exists());
    // A later socket is notified too, and removed once it is stale.
    let (late, late_socket) = foreign_socket(&fixture, 3);
    fixture.commit();
    late_socket.recv(&mut [0; 8]).expect("the late notification comes in time");
    drop(late_socket);
    until("the late socket is removed", || is_removed(&late));
    for _ in 0..2 {
        socket.recv(&mut [0; 8]).expect("every commit rings");
    }
}

#[test]
fn the_socket_of_a_killed_process_is_removed() {
    if let Some((_, store)) = part() {
        let mut changes =
            Tail::open(&store, Start::End, ao_cdc::Filter::default()).unwrap().follow();
        crate::support::say("listening");
        changes.next_within(SOON).unwrap();
        return;
    }
    let fixture = Fixture::with_changes(2);
    let name = "wake::the_socket_of_a_killed_process_is_removed";
    let mut player = Player::start(name, "listener", fixture.path());
    assert_eq!(player.line(), "listening");
    let own = format!("{}-", player.id());
    let sockets = fixture.sockets();
    assert!(
        sockets.len() == 1 && sockets[0].file_name().unwrap().to_str().unwrap().starts_with(&own)
    );
    player.kill();
    assert_eq!(fixture.sockets(), sockets, "it could not clean up");
    until("the socket is removed", || {
        fixture.commit();
        fixture.sockets().is_empty()
    });
}

#[test]
fn a_full_socket_delays_no_writer() {
    let fixture = Fixture::with_changes(2);
    let (full, socket) = foreign_socket(&fixture, 1);
    let started = Instant::now();
    for _ in 0..100 {
        fixture.commit();
    }
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    socket.set_nonblocking(true).unwrap();
    let mut rung = 0;
    while socket.recv(&mut [0; 8]).is_ok() {
        rung += 1;
    }
    assert!((1..100).contains(&rung), "it was full: {rung}");
    assert!(full.exists(), "full is not stale");
}

#[test]
fn a_dropped_tail_removes_its_socket() {
    let fixture = Fixture::with_changes(2);
    let tails: Vec<_> = (0..5).map(|_| fixture.tail(Start::End)).collect();
    assert_eq!(fixture.sockets().len(), 5);
    drop(tails);
    assert_eq!(fixture.sockets().len(), 0);
}
