//! Claim: the verbs of sessions cost little besides what git and tmux do. With a fake runtime, which starts
//! no process, a spawn costs at most 12 times the bare `git worktree add` (about 14 runs of git, each of
//! which costs a process, and seven durable transactions), and reconciling 200 sessions that run at most 3
//! times one pass over the environments of all processes of the machine with the bare reads of their rows.
//!
//! Wall time, durable commits, a repository with one file. Most of the 200 sessions have rows only: reconciling
//! does not look at the worktree of a session that runs.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ao_benches::{Line, Run, Sample, at_most, wall};
use ao_program::Environment;
use ao_session::runtime::{Runtime, Start, processes};
use ao_session::{Config, Error, Mode, Sessions, SpawnRequest};
use ao_store::lease::Owner;
use ao_store::row::launch::{self, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::instance::boot_id;
use ao_store::row::lifecycle::operation;
use ao_store::row::lifecycle::spawn::{self, NewSpawn, Place};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Cause, Options, SessionId, Store, Tx};

const ROUNDS: usize = 7;
/// Sessions that run while they are reconciled.
const RUNNING: usize = 200;

/// Reports each launch as started by this process, and starts nothing.
struct Fake(Store);

impl Runtime for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self) -> Place {
        Place { kind: "fake".to_owned(), ..Place::default() }
    }

    fn start(&self, start: &Start<'_>) -> Result<Place, Error> {
        let (id, owner) = (start.launch.to_owned(), Owner::this_process().to_string());
        self.0.write(Cause::now("bench"), move |tx| launch::started(tx, &id, &owner, 1))?;
        Ok(self.place())
    }

    fn is_server_gone(&self, _socket: &str) -> Result<bool, Error> {
        Ok(false)
    }

    fn remove(&self, _launch: &str, _socket: &str) -> Result<(), Error> {
        Ok(())
    }

    fn check_input(&self, _launch: &str, _socket: &str) -> Result<(), Error> {
        Ok(())
    }

    fn paste(&self, _launch: &str, _socket: &str, _text: &str) -> Result<(), Error> {
        Ok(())
    }

    fn submit(&self, _launch: &str, _socket: &str) -> Result<(), Error> {
        Ok(())
    }

    fn history(&self, _launch: &str, _socket: &str, _lines: u32) -> Result<String, Error> {
        Ok(String::new())
    }
}

fn git(dir: &Path, args: &[&str]) {
    let output = Command::new("git").current_dir(dir).args(args).output().expect("run git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn repository(dir: &Path) -> PathBuf {
    let repo = dir.join("repo");
    fs::create_dir(&repo).expect("create a directory");
    git(&repo, &["init", "-q", "-b", "main"]);
    fs::write(repo.join("file"), "content").expect("write a file");
    git(&repo, &["add", "."]);
    let who = ["-c", "user.name=b", "-c", "user.email=b@localhost"];
    git(&repo, &[&who[..], &["commit", "-q", "-m", "first"]].concat());
    repo
}

fn request() -> SpawnRequest {
    SpawnRequest {
        project: "demo".parse().expect("an id"),
        kind: SessionKind::Worker,
        harness: Some("custom".to_owned()),
        model: String::new(),
        permission: None,
        branch: None,
        create_branch: false,
        base: None,
        prompt: "work".to_owned(),
        issue: String::new(),
        name: String::new(),
        parent: None,
        claim: None,
        runtime: None,
        fetch: true,
        argv: vec!["/bin/true".to_owned()],
        force: false,
        is_silent: false,
    }
}

fn config(data: &Path) -> Config {
    Config {
        worktrees: data.join("worktrees"),
        hook: Vec::new(),
        hook_answers: Duration::ZERO,
        supervisor: vec!["true".into(), "supervise".into()],
        runner: Vec::new(),
        environment: Environment::of_process(),
        harnesses: None,
        actor: "bench",
        grace: Duration::from_secs(1),
        interrupted_by: Arc::default(),
        data_dir: data.to_owned(),
    }
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let dir = tempfile::tempdir().expect("create a directory");
    let data = dir.path().canonicalize().expect("its path");
    let repo = repository(&data);
    let (store, _) =
        Store::create(&data.join("ao.db"), Options::default()).expect("create a store");
    let new = NewProject {
        id: "demo".parse().expect("an id"),
        path: repo.to_string_lossy().into_owned(),
        name: "demo".to_owned(),
        origin_url: String::new(),
        host: String::new(),
        repo: String::new(),
        default_branch: String::new(),
    };
    store.write(Cause::now("bench"), move |tx| project::add(tx, &new)).expect("add a project");
    let runtimes: Vec<Box<dyn Runtime>> = vec![Box::new(Fake(store.clone()))];
    let sessions =
        Sessions::with_runtimes(store.clone(), config(&data), runtimes).expect("open sessions");
    let mut number = 0;
    run.compare(
        Line::ratio("34", "`spawn` without its agent", "`git worktree add`", at_most(12.0)),
        ROUNDS,
        || {
            number += 1;
            let (path, branch) =
                (format!("{}/bare/{number}", data.display()), format!("bare/{number}"));
            wall(|| {
                git(&repo, &["worktree", "add", "-q", "-b", &branch, &path, "main"]);
                1
            })
        },
        || spawn(&sessions),
    );
    let missing = RUNNING - live(&store);
    let add = move |tx: &Tx<'_>| (0..missing).try_for_each(|number| running(tx, number));
    store.write(Cause::now("bench"), add).expect("add sessions");
    let work = "`reconcile` of 200 running sessions";
    run.compare(
        Line::ratio("35", work, "reading the processes and the rows", at_most(3.0)),
        ROUNDS,
        || {
            wall(|| {
                processes::by_launch().expect("read the processes");
                live(&store) as u64
            })
        },
        || {
            wall(|| {
                let report = sessions.reconcile(Mode::Act).expect("reconcile");
                assert!(report.actions.iter().all(|action| action.what == "adopted"));
                report.actions.len() as u64
            })
        },
    );
}

/// The rows of a session that runs, as a spawn leaves them.
fn running(tx: &Tx<'_>, number: usize) -> ao_store::Result<()> {
    let new = NewSession {
        project: "demo".parse()?,
        kind: SessionKind::Worker,
        harness: "custom".to_owned(),
        name: String::new(),
        issue: String::new(),
        branch: String::new(),
    };
    let spawn = NewSpawn {
        model: String::new(),
        permission: String::new(),
        parent: None,
        instance: "i0123456789".to_owned(),
        runtime: "fake".to_owned(),
        start: spawn::Start::default(),
        replaces: None,
    };
    let place = |id: &SessionId| (format!("session/{id}"), format!("/worktrees/{id}"));
    let session = spawn::seed(tx, &new, &spawn, place)?;
    let launch = NewLaunch {
        reports: false,
        id: format!("l{number:020}"),
        kind: LaunchKind::Prompt,
        instance: spawn.instance.clone(),
        boot_id: boot_id(),
        native_id: String::new(),
        prompt_stage: PromptStage::Written,
    };
    launch::begin(tx, &session, &launch)?;
    launch::started(tx, &launch.id, &Owner::this_process().to_string(), 1)?;
    spawn::mark(tx, &session.id)?;
    operation::end(tx, &session.id, &spawn.instance)
}

fn spawn(sessions: &Sessions) -> Sample {
    wall(|| {
        sessions.spawn(&request()).expect("spawn a session");
        1
    })
}

fn live(store: &Store) -> usize {
    let read = store.read(|snapshot| {
        launch::all(snapshot)?;
        session::list(snapshot, &session::Filter::default())
    });
    read.expect("list the sessions").len()
}
