//! Claim: a turn costs about as much as the two durable commits that it needs, whatever waits in the queue.
//! Budgets: claim and finish by one process at 0.7 times the rate of two bare commits of one row or more; a
//! claim beside 100,000 turns that are ready at most 1.5 times that beside 10.
//!
//! The baseline of 18 updates one row of one table twice, each time with a commit that waits for the disk; of
//! several processes, each does so. The claim of 19 does not wait for the disk, which would hide the queue.
//! The latency is that from before the append to the client, another process; it contains the commit. Wall
//! time.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]
#![expect(clippy::print_stdout, reason = "the process that started this one reads it")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use ao_benches::{
    Budget, Fixture, Line, NewFixture, Run, Sample, at_least, at_most, cause, monotonic,
    percentile, respawn, wall,
};
use ao_store::row::lifecycle::instance::Instance;
use ao_store::turn::admit::{NewTurn, admit};
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::append::{Response, append};
use ao_store::turn::claim::{Claim, Claimed, Work, claim};
use ao_store::turn::conversation::{Caller, Place};
use ao_store::turn::event;
use ao_store::turn::finish::{Completion, Finished, Outcome, finish};
use ao_store::turn::usage::Usage;
use ao_store::{Durability, Options, Store, Timestamp, Tx, turn::org};
use rusqlite::Connection;

/// The roles of the processes that this file starts.
pub(crate) const ROLES: [&str; 3] = ["turns", "commits", "follower"];

const ROUNDS: usize = 5;
/// Turns per process and round.
const TURNS: usize = 60;
/// Claims per round beside a queue.
const CLAIMS: usize = 100;
const QUEUED: usize = 100_000;
/// Deltas of the latency, and of each round of the rate.
const DELTAS: u64 = 300;

fn message(number: usize, key: &str) -> NewTurn {
    NewTurn {
        id: format!("t{number}-{key}"),
        place: Place {
            org: "local".parse().expect("a name"),
            agent: "a".parse().expect("a name"),
            member: Member::new("local", "bench").expect("a user"),
            thread: number.to_string(),
        },
        conversation: format!("c{number}"),
        key: key.to_owned(),
        input: "What does this repository do?".to_owned(),
        patience: Duration::from_secs(3600),
    }
}

fn fixture(durability: Durability) -> Fixture {
    let fixture = NewFixture { durability, prs: 0, ..NewFixture::default() }.create();
    let made = fixture.store.write(cause(), |tx| {
        let org = "local".parse()?;
        org::add(tx, &org)?;
        agent::add(tx, &Agent::new(org, "a".parse()?, tx.now()))
    });
    made.expect("make an agent");
    fixture
}

/// Accepts messages in conversations of their own.
fn admit_all(store: &Store, numbers: std::ops::Range<usize>, key: &'static str) {
    let all = move |tx: &Tx<'_>| {
        numbers
            .clone()
            .try_for_each(|number| admit(tx, &Caller::Operator, &message(number, key)).map(|_| ()))
    };
    store.write(cause(), all).expect("admit");
}

fn claim_one(store: &Store, worker: &Instance) -> Box<Work> {
    let wanted = Claim {
        org: "local".parse().expect("a name"),
        agent: "a".parse().expect("a name"),
        worker: worker.clone(),
        silence: Duration::from_secs(3600),
    };
    match store.write(cause(), move |tx| claim(tx, &wanted)).expect("claim").value {
        Claimed::Got(work) => work,
        other => panic!("nothing to claim: {other:?}"),
    }
}

fn finish_one(store: &Store, work: &Work) {
    let text = "It keeps every fact about agent sessions in one file.".to_owned();
    let outcome = Outcome::Reply { text, snapshot: Some("{\"turns\":1}".to_owned()) };
    let completion = Completion { outcome, usage: Usage::default() };
    let (held, prepared) = (work.held.clone(), completion.prepare().expect("a completion"));
    let done = store.write(cause(), move |tx| finish(tx, &held, &prepared)).expect("finish");
    assert_eq!(done.value, Finished::Won);
}

fn this_worker() -> Instance {
    let id = format!("i{}", std::process::id());
    Instance::of_this_process(&id, "bench", Timestamp::now())
}

fn run_turns(store: &Store) -> u64 {
    let worker = this_worker();
    for _ in 0..TURNS {
        finish_one(store, &claim_one(store, &worker));
    }
    TURNS as u64
}

/// Two commits for each turn.
fn run_commits(conn: &Connection) -> u64 {
    conn.busy_timeout(Duration::from_secs(60)).expect("a bound");
    let sql = "UPDATE upkeep SET backup_seq = coalesce(backup_seq, 0) + 1 WHERE id = 1";
    let mut update = conn.prepare(sql).expect("prepare");
    for _ in 0..2 * TURNS {
        update.execute([]).expect("commit");
    }
    TURNS as u64
}

/// What a process of this file does: it says that it is ready, waits for a line, and does its work.
pub(crate) fn play(role: &str) {
    let path = std::env::args().nth(1).expect("a path");
    let store = Store::open(Path::new(&path), Options::default()).expect("open");
    let conn = Connection::open(&path).expect("open");
    conn.execute_batch("PRAGMA synchronous = FULL").expect("synchronous");
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    match role {
        "turns" => drop(run_turns(&store)),
        "commits" => drop(run_commits(&conn)),
        _ => follow(&store),
    }
    println!("done");
}

/// Prints the time of each event of the first conversation, until its last one.
fn follow(store: &Store) {
    let (mut listener, mut seq) = (store.listen().expect("listen"), 0);
    loop {
        let found = store.read(|snapshot| event::after(snapshot, "c0", seq, 100)).expect("read");
        for event in &found {
            println!("{}", monotonic());
            seq = event.seq;
        }
        if found.iter().any(|event| event.kind.is_last()) {
            return;
        }
        if found.is_empty() {
            listener.wait(Duration::from_secs(5)).expect("wait");
        }
    }
}

struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(role: &str, path: &Path) -> Other {
        let mut command = respawn(role).expect("this executable");
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start a process");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut other = Other { child, input, output };
        assert_eq!(other.line(), "ready");
        other
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("read a line");
        line.trim_end().to_owned()
    }

    fn go(&mut self) {
        writeln!(self.input).expect("write a line");
    }

    fn end(mut self) {
        assert_eq!(self.line(), "done");
        assert!(self.child.wait().expect("wait for the process").success());
    }
}

/// The time in which `count` processes do their work.
fn at_once(role: &str, fixture: &Fixture, count: usize) -> Sample {
    let mut all: Vec<_> = (0..count).map(|_| Other::start(role, &fixture.path)).collect();
    wall(|| {
        all.iter_mut().for_each(Other::go);
        all.into_iter().for_each(Other::end);
        (count * TURNS) as u64
    })
}

fn measure_turns(run: &mut Run) {
    let fixture = fixture(Durability::Full);
    let mut next = 1_000_000;
    let mut admitted = |count: usize| {
        admit_all(&fixture.store, next..next + count, "1");
        next += count;
    };
    let bare = || wall(|| run_commits(&fixture.raw_durable()));
    let line = Line::ratio("18", "claim and finish", "two bare durable commits", at_least(0.7));
    run.compare(line, ROUNDS, bare, || {
        admitted(TURNS);
        wall(|| run_turns(&fixture.store))
    });
    for count in [4, 8] {
        let work = format!("the same, {count} processes");
        let line = Line::ratio("18", work, "as many that commit", Budget::None);
        run.compare(
            line,
            3,
            || at_once("commits", &fixture, count),
            || {
                admitted(count * TURNS);
                at_once("turns", &fixture, count)
            },
        );
    }
    let mut number = 0;
    let line = Line::ratio("18", "accepting a message", "two bare durable commits", Budget::None);
    run.compare(line, ROUNDS, bare, || {
        wall(|| {
            for _ in 0..TURNS {
                number += 1;
                let new = message(number % 10, &number.to_string());
                let done =
                    fixture.store.write(cause(), move |tx| admit(tx, &Caller::Operator, &new));
                done.expect("admit");
            }
            TURNS as u64
        })
    });
}

/// Makes turns that are ready, as [`admit`] would, in one statement per table.
fn fill(fixture: &Fixture, count: usize) {
    let conn = fixture.raw();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    conn.set_db_config(off, false).expect("no triggers");
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    );
    let statements = [
        "INSERT INTO conversation (id, org_id, agent_id, platform, user_id, thread, created_at, last_num)
         {n} SELECT 'q' || i, 'local', 'a', 'local', 'queue', i, 1, 1 FROM n",
        "INSERT INTO turn (id, conversation_id, org_id, agent_id, num, key, input_bytes, input_digest,
            accepted_at, state)
         {n} SELECT 'q' || i, 'q' || i, 'local', 'a', 1, '1', 1, 'd', 1, 'queued' FROM n",
        "INSERT INTO turn_input {n} SELECT 'q' || i, 'x' FROM n",
        "INSERT INTO turn_clock (turn_id, org_id, agent_id, ready_at, patience_ms, boot, deadline_ms)
         {n} SELECT 'q' || i, 'local', 'a', i, 3600000, 1, 1 FROM n",
    ];
    for statement in statements {
        conn.execute_batch(&statement.replace("{n}", &numbers)).expect("fill a table");
    }
}

/// Claims beside a queue that stays as long as it is.
fn claims(fixture: &Fixture, next: &mut usize) -> Sample {
    let worker = this_worker();
    let nanos = (0..CLAIMS).map(|_| {
        admit_all(&fixture.store, *next..*next + 1, "1");
        *next += 1;
        let start = monotonic();
        drop(claim_one(&fixture.store, &worker));
        monotonic() - start
    });
    Sample { units: CLAIMS as u64, nanos: nanos.sum() }
}

fn measure_queue(run: &mut Run) {
    let (short, long) = (fixture(Durability::Relaxed), fixture(Durability::Relaxed));
    fill(&short, 10);
    fill(&long, QUEUED);
    let (mut one, mut two) = (1_000_000, 1_000_000);
    let line = Line::ratio("19", "claim beside 100,000 ready turns", "beside 10", at_most(1.5));
    run.compare(line, ROUNDS, || claims(&short, &mut one), || claims(&long, &mut two));
}

fn append_some(store: &Store, work: &Work, numbers: std::ops::Range<u64>) {
    let held = work.held.clone();
    let all = move |tx: &Tx<'_>| {
        numbers.clone().try_for_each(|number| {
            let delta = Response::Delta("word ".to_owned());
            append(tx, &held, &format!("d{number}"), &delta).map(|_| ())
        })
    };
    store.write(cause(), all).expect("append");
}

fn measure_stream(run: &mut Run) {
    let fixture = fixture(Durability::Full);
    admit_all(&fixture.store, 0..1, "1");
    let work = claim_one(&fixture.store, &this_worker());
    let mut next = 0;
    for batch in [1, 32] {
        let line = Line::ratio(
            "18b",
            format!("deltas, {batch} per commit"),
            "two bare durable commits",
            Budget::None,
        );
        run.compare(
            line,
            ROUNDS,
            || wall(|| run_commits(&fixture.raw_durable())),
            || {
                wall(|| {
                    for _ in 0..TURNS {
                        append_some(&fixture.store, &work, next..next + batch);
                        next += batch;
                    }
                    TURNS as u64 * batch
                })
            },
        );
    }
    let mut follower = Other::start("follower", &fixture.path);
    follower.go();
    let known = 2 + next;
    (0..known).for_each(|_| drop(follower.line()));
    let mut nanos: Vec<f64> = (0..DELTAS)
        .map(|number| {
            let start = monotonic();
            append_some(&fixture.store, &work, next + number..next + number + 1);
            let seen: u64 = follower.line().parse().expect("a time");
            std::thread::sleep(Duration::from_millis(1));
            seen.saturating_sub(start) as f64 / 1e6
        })
        .collect();
    finish_one(&fixture.store, &work);
    drop(follower.line());
    follower.end();
    let (p50, p99) = (percentile(&mut nanos, 0.5), percentile(&mut nanos, 0.99));
    let latency = "append to client, other process, p50";
    run.limit(Line::figure("18b", latency, "ms", Budget::None), vec![p50]);
    run.limit(Line::figure("18b", "the same, p99", "ms", Budget::None), vec![p99]);
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    if run.is_selected("18") {
        measure_turns(run);
    }
    if run.is_selected("19") {
        measure_queue(run);
    }
    if run.is_selected("18b") {
        measure_stream(run);
    }
}
