//! Power loss, simulated: the system calls of a command become the states that a disk may hold at any
//! point, and each state must hold what was acknowledged until then.
//!
//! `AO_POWER_STATES` is the number of states in all (default 20,000); `AO_POWER_SEED` repeats a run.

mod disk;
mod trace;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ao_store::row::pr;
use ao_store::verify::{Depth, verify_file};
use ao_store::{LogInfo, Options, Store};
use fastrand::Rng;
use tempfile::TempDir;
use xxhash_rust::xxh3::Xxh3;

use crate::support::{TestEnv, can_trace, finish, text, under_strace};
use disk::{Disk, Names};
use trace::Call;

/// Among how many tests the states are divided.
const TESTS: usize = 12;

/// The pull requests that a test has the store contain.
const PRS: usize = 24;

/// Judges a state, given what the command had printed before: the reason why it is wrong.
type Judge<'a> = &'a dyn Fn(&Path, &str) -> Result<(), String>;

/// A test's own environment, whose store is on the simulated disk.
struct Rig {
    env: TestEnv,
}

/// What a command did to the disk.
struct Recording {
    disk: Disk,
    calls: Vec<Call>,
}

impl Rig {
    /// A disk with an empty folder; `None`, with the reason printed, where nothing can be traced.
    fn empty() -> Option<Rig> {
        if !can_trace() {
            return None;
        }
        let env = TestEnv::empty();
        fs::create_dir(env.path("disk")).unwrap();
        Some(Rig { env })
    }

    /// A disk with a store, a project and a session.
    fn with_session() -> Option<Rig> {
        let rig = Rig::empty()?;
        rig.run(&["init"], "");
        let repo = rig.env.repo("demo", "https://github.com/octo/hello.git");
        rig.run(&["project", "add", text(&repo)], "");
        rig.run(&["session", "new", "--project", "demo"], "");
        Some(rig)
    }

    /// The same, with pull requests.
    fn with_prs() -> Option<Rig> {
        let rig = Rig::with_session()?;
        rig.run(&["observe", "apply", "-"], &documents(1..PRS + 1));
        Some(rig)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.path("disk").join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("AO_DATA_DIR", self.path("data")).stdin(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str], input: &str) {
        let output = finish(&mut self.command(args), input.as_bytes());
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    }

    /// Runs a command, which must succeed, and records its system calls.
    fn record(&self, args: &[&str], input: &str, names: Names) -> Recording {
        let disk = Disk::new(&self.path(""), names);
        let log = self.env.path("strace.log");
        let calls = format!("trace={}", trace::CALLS);
        let options = ["-xx", "-s", "4194304", "-o", text(&log), "-e", &calls];
        let mut strace = under_strace(&self.command(args), &options);
        let output = finish(&mut strace, input.as_bytes());
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        let calls = trace::parse(&fs::read_to_string(log).unwrap());
        Recording { disk, calls }
    }
}

impl Recording {
    /// Fails with the first state that is wrong.
    fn assert_survived(self, judge: Judge<'_>) {
        if let Some(wrong) = self.first_wrong(judge) {
            panic!("{wrong}");
        }
    }

    /// Loses power at every point of the command; the first state that is wrong.
    fn first_wrong(mut self, judge: Judge<'_>) -> Option<String> {
        let wanted = number("AO_POWER_STATES").unwrap_or(20_000).div_ceil(TESTS);
        let seed = number("AO_POWER_SEED").unwrap_or_else(|| fastrand::usize(..));
        let mut rng = Rng::with_seed(seed as u64);
        let (place, mut judged, mut printed) = (scratch(), HashSet::new(), String::new());
        let points = self.points();
        for index in 0..self.calls.len() {
            if let Call::Write(1 | 2, data) = &self.calls[index] {
                printed += &String::from_utf8_lossy(data);
            }
            let is_point = self.disk.apply(&self.calls[index]) || is_print(&self.calls[index]);
            if !is_point && index + 1 < self.calls.len() {
                continue;
            }
            for _ in 0..wanted.div_ceil(points) {
                let state = self.disk.state(&mut rng);
                if !judged.insert(hash(&state, &printed)) {
                    continue;
                }
                let folder = place.path().join("state");
                write(&folder, &state);
                if let Err(reason) = judge(&folder, &printed) {
                    let files: Vec<_> =
                        state.iter().map(|(path, data)| (path, data.len())).collect();
                    let at = format!("after call {index} of {}", self.calls.len());
                    return Some(format!("{at}, seed {seed}: {reason}: {files:?}, {printed:?}"));
                }
                fs::remove_dir_all(&folder).unwrap();
            }
        }
        println!("{} different states at {points} points, seed {seed}", judged.len());
        assert!(judged.len() > 20, "only {} different states", judged.len());
        None
    }

    /// At how many calls the disk changes, or something is acknowledged.
    fn points(&self) -> usize {
        let mut disk = self.disk.clone();
        1 + self.calls.iter().filter(|call| disk.apply(call) || is_print(call)).count()
    }
}

fn is_print(call: &Call) -> bool {
    matches!(call, Call::Write(1 | 2, _))
}

/// A folder in memory where there is one: thousands of states are written and synced.
fn scratch() -> TempDir {
    let made = tempfile::Builder::new().prefix("ao-power-").tempdir_in("/dev/shm");
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The number in a variable of the environment.
fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|value| value.parse().expect(variable))
}

/// Names a state and what was printed before it: a state that repeats is judged once.
fn hash(state: &BTreeMap<PathBuf, Vec<u8>>, printed: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(printed.as_bytes());
    for (path, content) in state {
        hash.update(path.to_string_lossy().as_bytes());
        hash.update(&content.len().to_le_bytes());
        hash.update(content);
    }
    hash.digest128()
}

fn write(folder: &Path, state: &BTreeMap<PathBuf, Vec<u8>>) {
    fs::create_dir_all(folder).unwrap();
    for (name, content) in state {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Observations of new pull requests with these numbers.
fn documents(numbers: std::ops::Range<usize>) -> String {
    let document = |number| {
        format!(
            r#"{{"pr": "octo/hello#{number}", "session": "demo-1", "facts": {{"state": "open"}}}}"#
        )
    };
    numbers.map(|number| document(number) + "\n").collect()
}

/// How many pull requests a store contains, which must open and be sound.
fn sound_prs(folder: &Path) -> Result<usize, String> {
    let store = Store::open(&folder.join("data/ao.db"), Options::default());
    let store = store.map_err(|error| format!("the store does not open: {error:?}"))?;
    let report = store.verify(Depth::Sums).map_err(|error| format!("{error:?}"))?;
    if !report.is_sound() {
        return Err(format!("{:?}", report.findings));
    }
    let prs = store.read(|snapshot| pr::list(snapshot, &pr::Filter::default()));
    prs.map(|prs| prs.len()).map_err(|error| format!("{error:?}"))
}

/// How many changes the log of a store contains.
fn changes(folder: &Path) -> Result<i64, String> {
    let store = Store::open(&folder.join("data/ao.db"), Options::default());
    let info = store.and_then(|store| store.read(LogInfo::read));
    info.map(|info| info.head.0 - info.floor.0).map_err(|error| format!("{error:?}"))
}

/// A file that must be absent, or a whole and sound database; present once the command has printed.
fn whole_or_absent(file: &Path, printed: &str) -> Result<(), String> {
    if !file.exists() {
        return if printed.is_empty() { Ok(()) } else { Err("the file is gone".to_owned()) };
    }
    let report = verify_file(file, Depth::Sums, Duration::ZERO).map_err(|e| format!("{e:?}"))?;
    if report.is_sound() { Ok(()) } else { Err(format!("{:?}", report.findings)) }
}

fn judge_applied(folder: &Path, printed: &str) -> Result<(), String> {
    let acknowledged = printed.lines().filter(|line| line.contains("octo/hello#")).count();
    let found = sound_prs(folder)?;
    if found >= acknowledged { Ok(()) } else { Err(format!("{found} of {acknowledged} are there")) }
}

#[test]
fn a_store_that_was_created_is_there() {
    let Some(rig) = Rig::empty() else { return };
    rig.record(&["init"], "", Names::AnyOrder).assert_survived(&|folder, printed| {
        let path = folder.join("data/ao.db");
        if printed.is_empty() {
            // Whatever is there, the next attempt makes a store of it.
            Store::create(&path, Options::default()).map_err(|error| format!("{error:?}"))?;
        }
        sound_prs(folder).map(|_| ())
    });
}

#[test]
fn an_acknowledged_write_is_there() {
    let Some(rig) = Rig::with_session() else { return };
    for names in [Names::Ordered, Names::AnyOrder] {
        let numbers = if names == Names::Ordered { 1..PRS } else { PRS..2 * PRS };
        let recording = rig.record(&["observe", "apply", "-"], &documents(numbers), names);
        recording.assert_survived(&judge_applied);
    }
}

#[test]
fn without_syncs_acknowledged_writes_are_lost_and_the_simulation_shows_it() {
    let Some(rig) = Rig::with_session() else { return };
    let mut recording = rig.record(&["observe", "apply", "-"], &documents(1..PRS), Names::Ordered);
    recording.calls.retain(|call| !matches!(call, Call::Sync(_)));
    recording.first_wrong(&judge_applied).expect("a store without syncs survives nothing");
}

#[test]
fn pruning_and_its_checkpoint_lose_no_row() {
    let Some(rig) = Rig::with_prs() else { return };
    let prune = ["prune", "--keep-events", "2", "--yes"];
    rig.record(&prune, "", Names::AnyOrder).assert_survived(&|folder, printed| {
        let (found, kept) = (sound_prs(folder)?, changes(folder)?);
        let is_done = printed.contains("changes deleted");
        if found == PRS && (kept <= 2 || !is_done) {
            return Ok(());
        }
        Err(format!("{found} pull requests, {kept} changes, after {printed:?}"))
    });
}

#[test]
fn a_backup_is_whole_or_absent() {
    let Some(rig) = Rig::with_prs() else { return };
    let backup = ["backup", text(&rig.path("copy.db"))].map(str::to_owned);
    let backup: Vec<_> = backup.iter().map(String::as_str).collect();
    rig.record(&backup, "", Names::AnyOrder).assert_survived(&|folder, printed| {
        sound_prs(folder)?;
        whole_or_absent(&folder.join("copy.db"), printed)
    });
}

#[test]
fn a_restore_leaves_the_old_store_or_the_new_one() {
    let Some(rig) = Rig::with_prs() else { return };
    let copy = rig.path("copy.db");
    rig.run(&["backup", text(&copy)], "");
    rig.run(&["observe", "apply", "-"], &documents(100..110));
    let restore = ["restore-db", text(&copy), "--yes"];
    rig.record(&restore, "", Names::AnyOrder).assert_survived(&|folder, printed| match (
        sound_prs(folder)?,
        printed.is_empty(),
    ) {
        (PRS, _) => Ok(()),
        (found, true) if found == PRS + 10 => Ok(()),
        (found, _) => Err(format!("{found} pull requests")),
    });
}

#[test]
fn an_imported_store_is_whole_or_absent() {
    let Some(rig) = Rig::with_prs() else { return };
    let export = rig.env.path("export.ndjson");
    rig.run(&["export", text(&export)], "");
    fs::remove_dir_all(rig.path("data")).unwrap();
    let recording = rig.record(&["import", text(&export)], "", Names::AnyOrder);
    recording
        .assert_survived(&|folder, printed| whole_or_absent(&folder.join("data/ao.db"), printed));
}

#[test]
fn an_imported_database_of_ao_is_whole_or_absent() {
    let Some(rig) = Rig::with_prs() else { return };
    let source = rig.env.database_of_ao("tool.db", PRS);
    fs::remove_dir_all(rig.path("data")).unwrap();
    let recording = rig.record(&["import", "--from-ao", text(&source)], "", Names::AnyOrder);
    recording.assert_survived(&|folder, printed| {
        whole_or_absent(&folder.join("data/ao.db"), printed)?;
        match folder.join("data/ao.db").exists().then(|| sound_prs(folder)).transpose()? {
            None | Some(PRS) => Ok(()),
            Some(found) => Err(format!("{found} pull requests")),
        }
    });
}

#[test]
fn an_export_is_whole_or_absent() {
    let Some(rig) = Rig::with_prs() else { return };
    let out = rig.path("export.ndjson");
    let recording = rig.record(&["export", text(&out)], "", Names::AnyOrder);
    let whole = fs::read(&out).unwrap();
    recording.assert_survived(&|folder, printed| match fs::read(folder.join("export.ndjson")) {
        Ok(found) if found == whole => Ok(()),
        Ok(found) => Err(format!("{} of {} bytes", found.len(), whole.len())),
        Err(_) if printed.is_empty() => Ok(()),
        Err(error) => Err(error.to_string()),
    });
}
