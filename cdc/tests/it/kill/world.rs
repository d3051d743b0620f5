//! A store with children that work on it, and the check that follows each kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_cdc::{Filter, SnapshotReader, Start};
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::row::session;
use ao_store::verify::{Depth, Report, verify_file};
use ao_store::{Code, Options, Store};
use tempfile::TempDir;

use crate::support::{Player, Random, add_project, at, cause};

use super::CHILD;
use super::oracle::{Delivered, Ledger, Mark, View};
use super::roles::{Fault, Role, THREADS, backup_path, consumer_name, delivered_path, new_session};

/// The longest time from a child's first line to its kill, in microseconds.
const WORK_US: u64 = 30_000;

/// Whether `verify` of the store is checked too, or only the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eyes {
    All,
    LedgerOnly,
}

/// What happened, for the summary of the test.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: BTreeMap<Role, u32>,
    /// Of those, the ones during some work.
    pub(crate) midway: BTreeMap<Role, u32>,
    pub(crate) outcomes: BTreeMap<&'static str, u32>,
    pub(crate) checks: u32,
    pub(crate) acknowledged: u64,
}

impl Counts {
    pub(crate) fn note(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    pub(crate) fn kill(&mut self, role: Role, is_midway: bool) {
        *self.kills.entry(role).or_default() += 1;
        *self.midway.entry(role).or_default() += u32::from(is_midway);
    }

    pub(crate) fn all_kills(&self) -> u32 {
        self.kills.values().sum()
    }
}

/// A child that works.
struct Live {
    player: Player,
    number: u64,
    /// Whether it has reported that a part of its work is done.
    has_worked: bool,
}

/// A backup that was begun.
#[derive(Debug, Clone, Copy)]
struct Begun {
    /// The head before.
    head: i64,
    /// Its cursor and its size, once the child has reported it as done.
    done: Option<(i64, u64)>,
}

pub(crate) struct World {
    pub(crate) store: Option<Store>,
    live: BTreeMap<Role, Live>,
    pub(crate) ledger: Ledger,
    pub(crate) delivered: Delivered,
    backups: BTreeMap<u64, Begun>,
    next_backup: u64,
    /// A snapshot that is read for some rounds: the log after it must stay.
    snapshot: Option<SnapshotReader>,
    pub(crate) floor: i64,
    /// Changes in the log at the last check.
    pub(crate) logged: usize,
    number: u64,
    /// The longest time from the first line to the kill of a role that ends by itself.
    reach_us: BTreeMap<Role, u64>,
    pub(crate) random: Random,
    pub(crate) fault: Fault,
    pub(crate) eyes: Eyes,
    pub(crate) counts: Counts,
    /// Dropped last: no process may still use it.
    dir: TempDir,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        add_project(&store, "demo");
        add_project(&store, "scratch");
        for _ in 0..2 * THREADS {
            store.write(cause("test"), |tx| session::create(tx, &new_session("demo"))).unwrap();
        }
        let new = NewConsumer {
            name: consumer_name(),
            start: at(1, 0),
            filter: Filter::default().to_json(),
            policy: Policy::Block,
        };
        store.write(cause("test"), move |tx| consumer::create(tx, &new)).unwrap();
        drop(store);
        World {
            store: None,
            live: BTreeMap::new(),
            ledger: Ledger::default(),
            delivered: Delivered::default(),
            backups: BTreeMap::new(),
            next_backup: 1,
            snapshot: None,
            floor: 0,
            logged: 0,
            number: 0,
            reach_us: BTreeMap::new(),
            random: Random(seed.max(1)),
            fault: Fault::None,
            eyes: Eyes::All,
            counts: Counts::default(),
            dir,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ao.db")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The store, opened by this process.
    pub(crate) fn store(&mut self) -> Result<Store, String> {
        if self.store.is_none() {
            let opened = Store::open(&self.path(), Options::default());
            self.store = Some(opened.map_err(|error| format!("it does not open: {error}"))?);
        }
        self.store.clone().ok_or_else(|| "it is not open".to_owned())
    }

    pub(crate) fn is_live(&self, role: Role) -> bool {
        self.live.contains_key(&role)
    }

    /// Starts a child and waits for its first line.
    pub(crate) fn start(&mut self, role: Role, path: &Path) {
        self.number += 1;
        let number = if role == Role::Backup { self.next_backup } else { self.number };
        let part = format!("{} {number} {}", role.name(), self.fault.name());
        let player = Player::start(CHILD, &part, path);
        assert_eq!(player.line(), "up");
        self.live.insert(role, Live { player, number, has_worked: false });
    }

    /// Lets the children work for 0.2 to 30 ms.
    pub(crate) fn pause(&mut self) {
        self.pause_up_to(WORK_US);
    }

    fn pause_up_to(&mut self, reach_us: u64) {
        std::thread::sleep(Duration::from_micros(200 + self.random.below(reach_us - 200)));
    }

    /// The same for a role that ends by itself. How long that takes depends on the machine.
    pub(crate) fn pause_for(&mut self, role: Role) {
        let reach_us = self.reach_us.get(&role).copied().unwrap_or(WORK_US);
        self.pause_up_to(reach_us);
    }

    /// Kills later after a kill that came too early, and earlier after one that came too late, so
    /// that both outcomes occur on any machine.
    pub(crate) fn aim(&mut self, role: Role, was_late: bool) {
        let reach_us = self.reach_us.entry(role).or_insert(WORK_US);
        let aimed = if was_late { *reach_us * 4 / 5 } else { *reach_us * 5 / 4 };
        *reach_us = aimed.clamp(2_000, 2_000_000);
    }

    /// Kills children at the same time and reads their output to the end. Returns how many were doing
    /// some work.
    pub(crate) fn kill(&mut self, roles: &[Role]) -> Result<u32, String> {
        let mut hit = 0;
        let mut struck = Vec::new();
        for role in roles {
            let Some(mut live) = self.live.remove(role) else { continue };
            if live.player.has_ended() {
                return Err(format!("the {} ended by itself", role.name()));
            }
            live.player.strike();
            struck.push((*role, live));
        }
        for (role, mut live) in struck {
            live.player.kill();
            for line in live.player.lines() {
                self.absorb(role, &mut live, &line)?;
            }
            let is_midway = match role {
                Role::Backup => self.is_backup_midway(),
                Role::Restore | Role::Creator => !live.has_worked,
                _ => live.has_worked,
            };
            self.counts.kill(role, is_midway);
            hit += u32::from(is_midway);
            if role == Role::Writer {
                for thread in 0..THREADS {
                    self.ledger.bury(&format!("{}.{thread}", live.number));
                }
            }
        }
        Ok(hit)
    }

    pub(crate) fn kill_all(&mut self) -> Result<(), String> {
        let all: Vec<_> = self.live.keys().copied().collect();
        self.kill(&all).map(|_| ())
    }

    /// Kills one of those that work, or all of them.
    pub(crate) fn kill_some(&mut self) -> Result<(), String> {
        let all: Vec<_> = self.live.keys().copied().collect();
        let pick = self.random.below(2 * all.len() as u64) as usize;
        self.kill(all.get(pick..=pick).unwrap_or(&all)).map(|_| ())
    }

    fn absorb(&mut self, role: Role, live: &mut Live, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |word: &str| word.parse::<i64>().map_err(|_| format!("{line}: no number"));
        live.has_worked |= words[0] != "up" && words[0] != "begin";
        match words[..] {
            ["ack", mark, seq] => {
                let mark = Mark::parse(mark).ok_or_else(|| format!("{line}: no mark"))?;
                self.ledger.acknowledge(mark, number(seq)?)?;
                self.counts.acknowledged += 1;
            }
            ["floor", floor] => self.floor = self.floor.max(number(floor)?),
            ["begin", slot, head] => {
                self.next_backup = number(slot)?.unsigned_abs();
                let begun = Begun { head: number(head)?, done: None };
                self.backups.insert(self.next_backup, begun);
            }
            ["done", slot, seq, bytes] => {
                let slot = number(slot)?.unsigned_abs();
                let begun = self.backups.get_mut(&slot).ok_or("a backup was not begun")?;
                begun.done = Some((number(seq)?, number(bytes)?.unsigned_abs()));
                self.next_backup = slot + 1;
            }
            ["up"] | ["delivered" | "restored" | "created", _] => {}
            _ => return Err(format!("the {} printed {line}", role.name())),
        }
        Ok(())
    }

    fn read_lines(&mut self) -> Result<(), String> {
        let mut all = std::mem::take(&mut self.live);
        for (role, live) in &mut all {
            for line in live.player.lines_so_far() {
                self.absorb(*role, live, &line)?;
            }
        }
        self.live = all;
        Ok(())
    }

    /// Waits until the tailer reports that it has delivered the head of the log.
    pub(crate) fn deliver_all(&mut self) -> Result<(), String> {
        let head = View::of(&self.store()?)?.info.head.0;
        self.start(Role::Tailer, &self.path());
        while head > View::of(&self.store()?)?.acked.map_or(0, |acked| acked.seq.0) {
            // Each line is bounded in time, and there is one for each step towards the head.
            self.live[&Role::Tailer].player.line();
        }
        self.kill(&[Role::Tailer]).map(|_| ())
    }

    /// Everything that must be true now, whichever child was killed.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.read_lines()?;
        if self.snapshot.is_none() && self.random.below(2) == 0 {
            // The last process that closes the store cleans up; half the time it is not this one.
            self.store = None;
        }
        let store = self.store()?;
        let view = View::of(&store)?;
        self.logged = view.log.len();
        let delivered = self.delivered.read(&delivered_path(store.path()))?;
        self.ledger.compare(&view, &delivered)?;
        self.check_bounds(&view)?;
        self.check_backups()?;
        self.counts.checks += 1;
        let is_deep = self.counts.checks.is_multiple_of(16);
        let depth = if is_deep { Depth::Deep } else { Depth::Sums };
        let report = store.verify(depth).map_err(|error| error.to_string())?;
        self.require_sound("the store", &report)
    }

    pub(crate) fn require_sound(&self, what: &str, report: &Report) -> Result<(), String> {
        match report.findings.first() {
            Some(finding) if self.eyes == Eyes::All => {
                Err(format!("{what}: verify found {}: {}", finding.id, finding.message))
            }
            _ => Ok(()),
        }
    }

    fn check_bounds(&mut self, view: &View) -> Result<(), String> {
        let (floor, acked) = (view.info.floor.0, view.acked.ok_or("the consumer is gone")?);
        if floor < self.floor {
            return Err(format!("the floor went back from {} to {floor}", self.floor));
        }
        self.floor = floor;
        self.ledger.require_boundary(floor)?;
        if acked.epoch != view.info.epoch || acked.seq.0 > self.delivered.until {
            let until = self.delivered.until;
            return Err(format!("acknowledged up to {acked}, delivered up to {until}"));
        }
        if floor > acked.seq.0 {
            return Err(format!("pruned up to {floor}, but acknowledged up to {acked}"));
        }
        match &self.snapshot {
            Some(snapshot) if floor > snapshot.cursor().seq.0 => {
                Err(format!("pruned up to {floor}, but reserved at {}", snapshot.cursor()))
            }
            _ => Ok(()),
        }
    }

    /// Begins or ends a snapshot that keeps the log from being pruned.
    pub(crate) fn change_hold(&mut self) -> Result<(), String> {
        if self.snapshot.take().is_some() {
            return Ok(());
        }
        let store = self.store()?;
        let start = if self.random.below(2) == 0 { Start::Beginning } else { Start::End };
        let held = SnapshotReader::open(&store, start, Filter::default(), "the harness");
        match held {
            Ok(held) => {
                self.snapshot = Some(held);
                self.counts.note("snapshots held");
                Ok(())
            }
            // The log was pruned between the read of the floor and the reservation.
            Err(error) if error.code() == Code::CursorExpired => {
                self.counts.note("snapshots too late");
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) fn end_hold(&mut self) {
        self.snapshot = None;
    }

    /// Whether the backup that was begun last is neither finished nor renamed.
    fn is_backup_midway(&self) -> bool {
        let (path, slot) = (self.path(), self.next_backup);
        let is_begun = self.backups.get(&slot).is_some_and(|begun| begun.done.is_none());
        is_begun && partial_path(&backup_path(&path, slot)).exists()
    }

    /// A file with the name of a backup is complete; a backup without one is begun again later.
    fn check_backups(&mut self) -> Result<(), String> {
        let is_live = self.is_live(Role::Backup);
        for (slot, begun) in std::mem::take(&mut self.backups) {
            let path = backup_path(&self.path(), slot);
            if begun.done.is_none() && is_live {
                self.backups.insert(slot, begun);
            } else if path.exists() {
                self.check_backup(&path, begun).map_err(|error| format!("backup: {error}"))?;
                self.next_backup = self.next_backup.max(slot + 1);
                let outcome = if begun.done.is_some() { "backups done" } else { "backups placed" };
                self.counts.note(outcome);
            } else if begun.done.is_some() {
                return Err(format!("backup {slot} was done, and is not there"));
            } else if partial_path(&path).exists() {
                self.counts.note("backups half-way");
            }
        }
        Ok(())
    }

    fn check_backup(&self, path: &Path, begun: Begun) -> Result<(), String> {
        let text = |error: ao_store::Error| error.to_string();
        let report = verify_file(path, Depth::Sums, Duration::ZERO).map_err(text)?;
        self.require_sound("the copy", &report)?;
        let view = View::of(&Store::open(path, Options::default()).map_err(text)?)?;
        self.ledger.require_part(&view)?;
        let (head, bytes) = (view.info.head.0, fs::metadata(path).map_or(0, |file| file.len()));
        if head < begun.head || begun.done.is_some_and(|done| done != (head, bytes)) {
            return Err(format!("{begun:?} ends at {head} and has {bytes} bytes"));
        }
        fs::remove_file(path).map_err(|error| error.to_string())
    }
}

pub(crate) fn partial_path(path: &Path) -> PathBuf {
    path.with_added_extension("partial")
}
