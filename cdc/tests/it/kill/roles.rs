//! What the children do until they are killed. Each prints a first line before it opens anything, so
//! that a kill may also hit the opening of a store that another killed process left behind.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ao_cdc::{Consumer, Delivery, Takeover};
use ao_store::lease::Owner;
use ao_store::log::retention::Rules;
use ao_store::observation::{Facet, Observation, Thread};
use ao_store::row::session::{self, Filter, NewSession, SessionKind};
use ao_store::{
    ConsumerName, Options, PrRef, Result, SessionId, Store, Timestamp, Tx, apply_observation,
    restore,
};

use crate::support::{SOON, cause, part_and_path, say};

use super::oracle::{Mark, Record};

/// Writers' threads in one child: their commits are grouped.
pub(crate) const THREADS: u64 = 2;
/// What the pruner keeps.
const KEEP: u64 = 60;
/// The pause of a writer between two writes.
const BREATH: Duration = Duration::from_micros(300);
/// Changes in one delivery.
const DELIVERY: usize = 40;

/// The roles that are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Writer,
    Tailer,
    Pruner,
    Backup,
    Restore,
    Creator,
}

impl Role {
    pub(crate) const ALL: [Role; 6] =
        [Role::Writer, Role::Tailer, Role::Pruner, Role::Backup, Role::Restore, Role::Creator];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Writer => "writer",
            Role::Tailer => "tailer",
            Role::Pruner => "pruner",
            Role::Backup => "backup",
            Role::Restore => "restore",
            Role::Creator => "creator",
        }
    }
}

/// The injected bug of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The writer reports a write as durable before it is.
    EarlyConfirmation,
    /// The tailer acknowledges what it has not recorded yet.
    EarlyAck,
}

impl Fault {
    const ALL: [Fault; 3] = [Fault::None, Fault::EarlyConfirmation, Fault::EarlyAck];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::None => "sound",
            Fault::EarlyConfirmation => "early-confirmation",
            Fault::EarlyAck => "early-ack",
        }
    }
}

pub(crate) fn consumer_name() -> ConsumerName {
    "tailer".parse().unwrap()
}

/// Where the tailer records what it received.
pub(crate) fn delivered_path(store: &Path) -> PathBuf {
    store.with_file_name("delivered")
}

pub(crate) fn backup_path(store: &Path, slot: u64) -> PathBuf {
    store.with_file_name(format!("backup-{slot}.db"))
}

/// What `restore` restores.
pub(crate) fn source_path(store: &Path) -> PathBuf {
    store.with_file_name("source.db")
}

/// Plays the role that this process was started for, until it is killed; `false` in an ordinary run.
pub(crate) fn play() -> bool {
    let Some((part, path)) = part_and_path() else { return false };
    let words: Vec<&str> = part.split(' ').collect();
    let [role, number, fault] = words[..] else { panic!("{part}") };
    let role = Role::ALL.into_iter().find(|known| known.name() == role).unwrap();
    let fault = Fault::ALL.into_iter().find(|known| known.name() == fault).unwrap();
    let number: u64 = number.parse().unwrap();
    say("up");
    let open = || Store::open(&path, Options::default()).unwrap();
    match role {
        Role::Writer => write_until_killed(&open(), number, fault),
        Role::Tailer => tail_until_killed(&open(), number, fault),
        Role::Pruner => prune_until_killed(&open()),
        Role::Backup => back_up_until_killed(&open(), number),
        Role::Restore => restore_once(&path),
        Role::Creator => create_once(&path),
    }
    true
}

fn write_until_killed(store: &Store, number: u64, fault: Fault) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for n in 1.. {
                    let mark = Mark { writer: format!("{number}.{thread}"), n };
                    if fault == Fault::EarlyConfirmation {
                        say(&format!("ack {mark} 0"));
                    }
                    let name = mark.clone();
                    let done =
                        store.write(cause("writer"), move |tx| write(tx, thread, &name)).unwrap();
                    if fault != Fault::EarlyConfirmation {
                        say(&format!("ack {mark} {}", done.cursor.seq));
                    }
                    // SQLite's locks are not fair: the other processes must get their turn.
                    thread::sleep(BREATH);
                }
            });
        }
    });
}

/// One transaction: its first and its last change have the same mark, so that half of it is
/// detected; between them come inserts and deletes.
fn write(tx: &Tx<'_>, thread: u64, mark: &Mark) -> Result<()> {
    let session =
        |which: u64| -> SessionId { format!("demo-{}", 2 * thread + which).parse().unwrap() };
    session::rename(tx, &session(1), &mark.to_string())?;
    if mark.n.is_multiple_of(3) {
        observe(tx, thread, &session(1), mark)?;
    }
    if mark.n.is_multiple_of(4) {
        session::create(tx, &new_session("scratch"))?;
    }
    if mark.n % 4 == 1 {
        let filter = Filter { project: Some("scratch".parse().unwrap()), terminated: true };
        for old in session::list(tx, &filter)? {
            session::delete(tx, &old.id)?;
        }
    }
    session::rename(tx, &session(2), &mark.to_string())?;
    Ok(())
}

fn observe(tx: &Tx<'_>, thread: u64, session: &SessionId, mark: &Mark) -> Result<()> {
    let place: PrRef = format!("octo/hello#{}", thread + 1).parse().unwrap();
    let mut seen = Observation::new(place, tx.now());
    seen.session = Some(session.clone());
    seen.node_id = format!("PR_{thread}");
    let id = |turn: u64| format!("T{}", (mark.n / 3 + turn) % 4);
    let thread = |turn| Thread { id: id(turn), path: mark.to_string(), ..Thread::default() };
    seen.threads = Facet::replace((0..mark.n % 3 + 1).map(thread).collect());
    apply_observation(tx, &seen).map(|_| ())
}

pub(crate) fn new_session(project: &str) -> NewSession {
    NewSession {
        project: project.parse().unwrap(),
        kind: SessionKind::Worker,
        harness: String::new(),
        name: String::new(),
        issue: String::new(),
        branch: String::new(),
    }
}

/// Every second tailer reads ahead: it has received one delivery more than it has recorded.
fn tail_until_killed(store: &Store, number: u64, fault: Fault) {
    let owner = Owner::this_process();
    let mut consumer =
        Consumer::open(store, &consumer_name(), None, &owner, Takeover::IfGone).unwrap();
    let mut file = open_delivered(&delivered_path(store.path()));
    let mut pulled = None;
    loop {
        let patience = if pulled.is_some() { BREATH } else { SOON };
        let next = consumer.next_within(DELIVERY, patience).unwrap();
        let is_ahead = number.is_multiple_of(2);
        let due = if is_ahead { std::mem::replace(&mut pulled, next) } else { next };
        let Some(delivery) = due else { continue };
        let ack = |consumer: &mut Consumer| {
            consumer.ack(delivery.cursor).and_then(|()| consumer.flush()).unwrap();
        };
        if fault == Fault::EarlyAck {
            ack(&mut consumer);
        }
        record(&mut file, &delivery, fault);
        if fault != Fault::EarlyAck {
            ack(&mut consumer);
        }
        say(&format!("delivered {}", delivery.cursor.seq));
    }
}

fn record(file: &mut File, delivery: &Delivery, fault: Fault) {
    for change in &delivery.changes {
        file.write_all(format!("{}\n", Record::of(change)).as_bytes()).unwrap();
        if fault == Fault::EarlyAck {
            // A late record is also slow, or a kill would seldom come in between.
            file.sync_data().unwrap();
        }
    }
    file.sync_data().unwrap();
}

/// Opens the file to append to it, without the line that a killed predecessor left unfinished.
fn open_delivered(path: &Path) -> File {
    let options = OpenOptions::new().read(true).append(true).create(true).clone();
    let mut file = options.open(path).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    file.set_len(whole as u64).unwrap();
    file
}

fn prune_until_killed(store: &Store) {
    let rules = Rules { keep_events: Some(KEEP), ..Rules::default() };
    loop {
        let report = |step: ao_store::Step| say(&format!("floor {}", step.floor));
        store.prune(&cause("pruner"), &rules, report).unwrap();
        // The other processes must be able to write too.
        thread::sleep(Duration::from_millis(1));
    }
}

fn back_up_until_killed(store: &Store, first: u64) {
    for slot in first.. {
        let head = store.read(|snapshot| snapshot.head()).unwrap();
        say(&format!("begin {slot} {}", head.seq));
        let receipt = store.backup(&backup_path(store.path(), slot), &cause("backup")).unwrap();
        say(&format!("done {slot} {} {}", receipt.cursor.seq, receipt.bytes));
    }
}

fn restore_once(path: &Path) {
    let now = Timestamp::now();
    let restored = restore(path, &source_path(path), Options::default(), now).unwrap();
    say(&format!("restored {}", restored.cursor.epoch));
    wait_for_the_kill();
}

fn create_once(path: &Path) {
    let (_, migrated) = Store::create(path, Options::default()).unwrap();
    say(&format!("created {}", migrated.to));
    wait_for_the_kill();
}

/// A child that has done its work must not count as failed; it ends by itself when its parent has
/// ended.
fn wait_for_the_kill() {
    let _ = std::io::stdin().read(&mut [0]);
}
