//! Claim: a list of sessions costs little more than reading it. Budgets: `session ls` of 10,000 sessions
//! with their launches and pull requests at most 3 times the select of the printed columns, with `--json`
//! at most 4 times; `session get`, as a page and with `--json`, in a store of 10,000 pull requests at most 1.1
//! times the same in a store with one.
//!
//! The baseline of a list is this executable, started again to read the columns that are printed and those
//! from which the status is derived, by one join over a bare connection, and to write them as they are. CPU
//! time of the process, which has one thread; the output goes to `/dev/null`.
//!
//! It needs the program: run `cargo build --release` first.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use ao_benches::{
    Fixture, Line, NewFixture, Run, Sample, at_most, cause, child_cpu, observation, program,
    respawn, session_of,
};
use ao_store::apply_observation;
use ao_store::observation::{Facet, PrState, ReviewDecision};
use ao_store::row::launch::{self, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::session;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

const ROUNDS: usize = 9;
const SESSIONS: usize = 10_000;
/// Sessions that are written at once.
const CHUNK: usize = 500;
/// Starts per round of a command that prints one session.
const STARTS: u64 = 20;

/// What the status is derived from.
const FACTS: &str = "s.activity, s.activity_at, l.started_at, l.ended_at, l.cause, l.exit_status,
    l.signal, p.repo, p.number, p.state, p.ci, p.review_decision, p.mergeability, p.head_ref, p.base_ref,
    p.merged_at
    FROM session s LEFT JOIN launch l ON l.id = s.launch_id LEFT JOIN pr p ON p.session_id = s.id
    WHERE s.is_terminated = 0 ORDER BY s.project_id, s.num";

const TEXT: &str = "s.id, s.kind, s.branch, s.issue, s.name";

const JSON: &str = "s.id, s.project_id, s.num, s.kind, s.harness, s.model, s.permission, s.parent_id, s.name, s.issue,
    s.branch, s.base_ref, s.base_commit, s.worktree_path, s.runtime_kind, s.runtime_socket,
    s.runtime_pane, s.launch_id, s.spawner, s.prompt_bytes, s.prompt_digest, s.is_terminated,
    s.terminated_at, s.terminated_reason, s.terminated_by, s.spawned_at, s.created_at, s.updated_at";

/// Writes these columns of all sessions.
fn select(database: &Path, columns: &str) {
    let conn = Connection::open(database).expect("open the database");
    let sql = format!("SELECT {columns}, {FACTS}");
    let mut statement = conn.prepare(&sql).expect("prepare");
    let (count, mut out) = (statement.column_count(), Vec::new());
    let mut rows = statement.query([]).expect("select");
    while let Some(row) = rows.next().expect("a row") {
        for column in 0..count {
            match row.get_ref(column).expect("a value") {
                ValueRef::Text(text) => out.extend_from_slice(text),
                ValueRef::Integer(number) => write!(out, "{number}").expect("write a number"),
                _ => {}
            }
            out.push(b'\t');
        }
        out.push(b'\n');
    }
    io::stdout().write_all(&out).expect("write the rows");
}

/// A store with this many sessions that run, each with an open pull request.
fn fixture(sessions: usize) -> Fixture {
    let fixture = NewFixture { sessions, prs: 0, ..NewFixture::default() }.create();
    let numbers: Vec<_> = (1..=sessions).collect();
    for chunk in numbers.chunks(CHUNK) {
        let chunk = chunk.to_vec();
        let written = fixture
            .store
            .write(cause(), move |tx| chunk.iter().try_for_each(|number| start(tx, *number)));
        written.expect("start sessions");
    }
    fixture
}

fn start(tx: &ao_store::Tx<'_>, number: usize) -> ao_store::Result<()> {
    let id = session_of(number);
    let new = NewLaunch {
        reports: false,
        id: format!("l{number:020}"),
        kind: LaunchKind::Prompt,
        instance: "i0123456789".to_owned(),
        boot_id: "2c2b9a4e-0c4e-4d40-8d3c-6f3a3f3e9d10".to_owned(),
        native_id: String::new(),
        prompt_stage: PromptStage::Written,
    };
    launch::begin(tx, &session::require(tx, &id)?, &new)?;
    launch::started(tx, &new.id, "owner", 1)?;
    let mut seen = observation(number, Vec::new());
    seen.session = Some(id);
    seen.threads = Facet::default();
    seen.facts.head_ref = Some(format!("session/demo-{number}"));
    seen.facts.state = Some(if number.is_multiple_of(5) { PrState::Draft } else { PrState::Open });
    seen.facts.review_decision = Some(match number % 3 {
        0 => ReviewDecision::ReviewRequired,
        1 => ReviewDecision::Approved,
        _ => ReviewDecision::None,
    });
    apply_observation(tx, &seen).map(|_| ())
}

/// The CPU time of `starts` runs of a command.
fn cost(starts: u64, mut command: impl FnMut() -> Command) -> Sample {
    let nanos = (0..starts).map(|_| child_cpu(&mut command())).sum();
    Sample { units: starts, nanos }
}

/// The work of a process that this bench started.
pub(crate) fn play(role: &str) {
    let database = std::env::args_os().nth(1).map(PathBuf::from);
    select(&database.expect("the database"), if role == "text" { TEXT } else { JSON });
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let program = program();
    let ao_store = |fixture: &Fixture, args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).env("AO_DATA_DIR", fixture.path.parent().expect("a folder"));
        command
    };
    let (large, small) = (fixture(SESSIONS), fixture(1));
    for (role, work, budget, args) in [
        ("text", "`session ls` of 10,000, CPU", 3.0, &["session", "ls"][..]),
        ("json", "`session ls --json` of 10,000, CPU", 4.0, &["session", "ls", "--json"]),
    ] {
        let select = || {
            let mut command = respawn(role).expect("this executable");
            command.arg(&large.path);
            command
        };
        run.compare(
            Line::ratio("20", work, "select of the printed columns", at_most(budget)),
            ROUNDS,
            || cost(1, select),
            || cost(1, || ao_store(&large, args)),
        );
    }
    for (work, args) in [
        ("`session get` among 10,000 pull requests, CPU", &["session", "get", "demo-1"][..]),
        ("the same with `--json`", &["session", "get", "demo-1", "--json"]),
    ] {
        run.compare(
            Line::ratio("20b", work, "the same among one", at_most(1.1)),
            ROUNDS,
            || cost(STARTS, || ao_store(&small, args)),
            || cost(STARTS, || ao_store(&large, args)),
        );
    }
}
