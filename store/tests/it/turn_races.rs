//! Turns under eight processes that are killed at random: each accepted message has one outcome, one turn of
//! a conversation runs at a time, and its memory and its stream have no gap. `AO_TURNS` sets the number of
//! messages, `AO_SEED` the times of the kills.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::turn::admit::{Admitted, NewTurn, admit};
use ao_store::turn::append::{Appended, Response, append};
use ao_store::turn::cancel::cancel;
use ao_store::turn::claim::{Claim, Claimed, Work, claim};
use ao_store::turn::conversation::Caller;
use ao_store::turn::finish::{Completion, Finished, Outcome, finish};
use ao_store::turn::sweep::sweep;
use ao_store::turn::usage::Usage;
use ao_store::turn::{self, Reason};
use ao_store::{Cause, Options, Store};
use rusqlite::Connection;
use serde_json::Value;

use crate::kill::Random;
use crate::support::{
    Fixture, assert_log_equals_tables, changes, child, child_argument, from_env, raw, strings,
};
use crate::turns::{message, worker, world};

const PROCESSES: usize = 8;
const CONVERSATIONS: u64 = 12;

/// What a process does: it sends the messages of its share, runs turns, cancels some, and sweeps.
#[test]
fn a_process_of_the_race() {
    let Some(argument) = child_argument() else { return };
    let parts: Vec<_> = argument.split('|').collect();
    let store = Store::open(Path::new(parts[0]), Options::default()).unwrap();
    let number = |at: usize| parts[at].parse::<u64>().unwrap();
    let (first, last, mut random) = (number(1), number(2), Random(number(3).max(1)));
    let process = Process { store: &store, name: format!("w{}", number(3)) };
    // Each begins elsewhere in its share, so that none has to live long.
    let mut next = random.below(last - first);
    // It ends by itself should its parent be gone.
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end {
        println!("goes on");
        match random.below(8) {
            0..3 => {
                process.send(first + next % (last - first));
                next += 1;
            }
            3 => {
                let swept = sweep(&store, &Cause::now("race"), |_| ()).unwrap();
                assert_eq!(swept.failures, [""; 0]);
            }
            4 if random.below(10) == 0 => process.cancel_one(&mut random),
            _ => process.run_one(&mut random),
        }
    }
}

struct Process<'a> {
    store: &'a Store,
    name: String,
}

impl Process<'_> {
    /// Sends a message that others send too, and prints the turn.
    fn send(&self, number: u64) {
        let (thread, key) = (format!("{}", number % CONVERSATIONS), number.to_string());
        let id = format!("t-{}-{number}", self.name);
        let new = NewTurn { id, ..message(&thread, &key) };
        let done =
            self.store.write(Cause::now("race"), move |tx| admit(tx, &Caller::Operator, &new));
        let (Admitted::New(turn) | Admitted::Known(turn)) = done.unwrap().value else {
            panic!("no agent is a session")
        };
        println!("accepted {} {}", turn.id, turn.key);
    }

    fn run_one(&self, random: &mut Random) {
        let wanted = Claim {
            org: "acme".parse().unwrap(),
            agent: "a".parse().unwrap(),
            worker: worker(&self.name),
            silence: Duration::from_millis(400),
        };
        let claimed = self.store.write(Cause::now("race"), move |tx| claim(tx, &wanted)).unwrap();
        let Claimed::Got(work) = claimed.value else {
            return thread::sleep(Duration::from_millis(2));
        };
        for number in 0..random.below(4) {
            let held = work.held.clone();
            let done = self.store.write(Cause::now("race"), move |tx| {
                append(tx, &held, &number.to_string(), &Response::Delta("word ".to_owned()))
            });
            if done.unwrap().value == Appended::Lost {
                return;
            }
        }
        if random.below(50) == 0 {
            // It hangs: another process ends the turn, and what follows is lost.
            thread::sleep(Duration::from_millis(500));
        }
        let (held, completion) = (work.held.clone(), outcome_of(&work, random));
        for _ in 0..=random.below(2) {
            let (held, prepared) = (held.clone(), completion.clone().prepare().unwrap());
            let done = self.store.write(Cause::now("race"), move |tx| finish(tx, &held, &prepared));
            let done = done.unwrap().value;
            assert!(!matches!(done, Finished::Conflict | Finished::Diverged), "{done:?}");
        }
    }

    fn cancel_one(&self, random: &mut Random) {
        let open =
            self.store.read(|s| turn::list(s, None, 20, |turn| !turn.state.has_ended())).unwrap();
        let Some(turn) = open.get(random.below(20) as usize) else { return };
        let id = turn.id.clone();
        let stopped = move |tx: &ao_store::Tx<'_>| cancel(tx, &Caller::Operator, &id);
        self.store.write(Cause::now("race"), stopped).unwrap();
    }
}

/// An agent that remembers how many turns it has answered.
fn outcome_of(work: &Work, random: &mut Random) -> Completion {
    let known: i64 = work.snapshot.as_deref().map_or(0, |text| text.parse().unwrap());
    let outcome = if random.below(10) == 0 {
        Outcome::Failure {
            reason: Reason::AgentError,
            text: "it failed".to_owned(),
            limit_ends_at: None,
        }
    } else {
        Outcome::Reply { text: "word ".repeat(3), snapshot: Some((known + 1).to_string()) }
    };
    Completion { outcome, usage: Usage::default() }
}

struct Racer {
    child: Child,
    /// What it has printed so far, in lines.
    printed: Arc<AtomicU64>,
    lines: thread::JoinHandle<Vec<String>>,
}

impl Racer {
    fn start(path: &Path, (first, last): (u64, u64), seed: u64) -> Racer {
        let argument = format!("{}|{first}|{last}|{seed}", path.display());
        let mut child = child("turn_races::a_process_of_the_race", &argument)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let printed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&printed);
        let lines = output.lines().map_while(Result::ok);
        let lines = lines.inspect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Racer { child, printed, lines: thread::spawn(move || lines.collect()) }
    }

    /// Waits until it has printed so many lines.
    fn wait(&self, lines: u64) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.printed.load(Ordering::Relaxed) < lines {
            assert!(Instant::now() < end, "a process does nothing");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it, and returns the turns and keys that it was told of.
    fn kill(mut self) -> Vec<(String, String)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let lines = self.lines.join().unwrap();
        let told = lines.iter().filter_map(|line| line.strip_prefix("accepted ")?.split_once(' '));
        told.map(|(turn, key)| (turn.to_owned(), key.to_owned())).collect()
    }
}

fn count(conn: &Connection, condition: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM turn WHERE {condition}");
    conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[test]
fn every_accepted_message_has_one_outcome_whatever_is_killed() {
    let turns = u64::from(from_env("AO_TURNS", 1000));
    let seed = u64::from(from_env("AO_SEED", 20_261_130));
    println!("AO_TURNS={turns} AO_SEED={seed}");
    let mut random = Random(seed.max(1));
    let Fixture { store, dir } = world();
    let path = dir.path().join("ao.db");
    let conn = raw(&path);
    let mut seeds = seed..;
    let mut start = |from: u64| {
        // Two processes have each share.
        let share = (from % 4) * turns / 4;
        Racer::start(&path, (share, share + turns / 4), seeds.next().unwrap())
    };
    let mut racers: Vec<_> = (0..PROCESSES as u64).map(&mut start).collect();
    let (mut told, mut kills) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(300 + turns);
    while count(&conn, "1") < turns / 4 * 4 || count(&conn, "ended_at IS NULL") > 0 {
        assert!(Instant::now() < end, "{} turns are open", count(&conn, "ended_at IS NULL"));
        let victim = random.below(PROCESSES as u64);
        racers[victim as usize].wait(4 + random.below(60));
        told.extend(std::mem::replace(&mut racers[victim as usize], start(victim)).kill());
        kills += 1;
    }
    for racer in racers {
        told.extend(racer.kill());
    }
    println!("{kills} kills");
    assert!(kills > 10, "the race was over at once");
    let history = History::read(&store, &conn);
    assert_eq!(history.violations(), [""; 0]);
    assert_log_equals_tables(&store, &conn);
    let known: BTreeSet<_> = history.turns().into_iter().collect();
    for receipt in told {
        assert!(known.contains(&receipt), "{receipt:?} was accepted and is not there");
    }
    let completed = count(&conn, "state = 'completed'");
    assert!(completed > turns / 2, "{completed} turns were answered");
    check_memories(&conn);
}

/// The memory of each conversation has counted its answered turns.
fn check_memories(conn: &Connection) {
    let sql = "SELECT c.id || ' ' || s.text || ' ' || (SELECT count(*) FROM turn t
            WHERE t.conversation_id = c.id AND t.state = 'completed')
        FROM conversation c JOIN conversation_snapshot s
        ON s.conversation_id = c.id AND s.version = c.head_version";
    let found = strings(conn, sql);
    assert_eq!(found.len() as u64, CONVERSATIONS);
    for line in found {
        let mut words = line.split(' ').skip(1);
        assert_eq!(words.next(), words.next(), "{line}");
    }
}

/// A change of a turn or a conversation, as the log has it.
#[derive(Debug, Clone)]
struct Fact {
    tx: i64,
    entity: String,
    kind: String,
    row: Value,
}

/// An event of a stream: the conversation, its position, the turn, and whether it is the last of the turn.
type Streamed = (String, i64, String, bool);

/// What the log and the streams say.
#[derive(Debug, Clone)]
struct History {
    facts: Vec<Fact>,
    events: Vec<Streamed>,
    snapshots: Vec<(String, i64, String)>,
}

impl History {
    fn read(store: &Store, conn: &Connection) -> History {
        let fact = |change: &ao_store::log::change::Change| Fact {
            tx: change.tx.unwrap().0,
            entity: change.entity().to_owned(),
            kind: change.kind().to_owned(),
            row: serde_json::from_str(change.after().unwrap()).unwrap(),
        };
        let of_turns = |entity: &str| ["turn", "conversation"].contains(&entity);
        let all = changes(store);
        let facts = all.iter().filter(|it| of_turns(it.entity())).map(fact).collect();
        let sql = "SELECT conversation_id, seq, turn_id, kind IN ('error', 'complete')
            FROM conversation_event ORDER BY conversation_id, seq";
        let mut events = conn.prepare(sql).unwrap();
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let events = events.query_map([], read).unwrap().map(Result::unwrap).collect();
        let sql = "SELECT conversation_id, version, turn_id FROM conversation_snapshot
            ORDER BY conversation_id, version";
        let mut snapshots = conn.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let snapshots = snapshots.query_map([], read).unwrap().map(Result::unwrap).collect();
        History { facts, events, snapshots }
    }

    /// Every turn with its key.
    fn turns(&self) -> Vec<(String, String)> {
        let accepted = self.facts.iter().filter(|fact| fact.kind == "turn_accepted");
        accepted.map(|fact| (text(&fact.row, "id"), text(&fact.row, "key"))).collect()
    }

    /// What contradicts the promises.
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_turns(&mut found);
        self.check_conversations(&mut found);
        self.check_streams(&mut found);
        self.check_snapshots(&mut found);
        found
    }

    fn check_turns(&self, found: &mut Vec<String>) {
        let (mut states, mut keys) = (BTreeMap::<String, String>::new(), BTreeSet::new());
        let (mut running, mut started) = (BTreeMap::new(), BTreeMap::new());
        for fact in self.facts.iter().filter(|fact| fact.entity == "turn") {
            let (id, place) = (text(&fact.row, "id"), text(&fact.row, "conversation_id"));
            let state = text(&fact.row, "state");
            let before = states.insert(id.clone(), state.clone()).unwrap_or_default();
            let is_next = match before.as_str() {
                "" => state == "queued",
                "queued" => state != "completed",
                "running" => state != "queued",
                _ => false,
            };
            if !is_next {
                found.push(format!("{id}: {state} follows {before}"));
            }
            if before.is_empty() && !keys.insert((place.clone(), text(&fact.row, "key"))) {
                found.push(format!("{id}: its key has another turn"));
            }
            if before == "running" && state != "running" {
                running.remove(&place);
            }
            if state == "running" && before != "running" {
                if let Some(other) = running.insert(place.clone(), id.clone()) {
                    found.push(format!("{id}: {other} runs"));
                }
                let num = fact.row["num"].as_i64().unwrap();
                if started.insert(place, num).is_some_and(|last| last > num) {
                    found.push(format!("{id}: a later turn started before it"));
                }
            }
        }
        let open =
            states.iter().filter(|(_, state)| ["queued", "running"].contains(&state.as_str()));
        found.extend(open.map(|(id, state)| format!("{id} is still {state}")));
    }

    fn check_conversations(&self, found: &mut Vec<String>) {
        let mut heads = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| fact.entity == "conversation") {
            let (id, row) = (text(&fact.row, "id"), &fact.row);
            let number = |name: &str| row[name].as_i64().unwrap();
            let now = (fact.tx, number("head_seq"), number("head_version"));
            if let Some(last) = heads.insert(id.clone(), now) {
                let (tx, seq, version) = last;
                if tx == now.0 {
                    found.push(format!("{id}: two changes in one commit"));
                }
                if now.1 <= seq || !(version..=version + 1).contains(&now.2) {
                    found.push(format!("{id}: {now:?} follows {last:?}"));
                }
            }
        }
    }

    fn check_streams(&self, found: &mut Vec<String>) {
        let (mut heads, mut ended) = (BTreeMap::new(), BTreeSet::new());
        for (conversation, seq, turn, is_last) in &self.events {
            let head = heads.entry(conversation).or_insert(0);
            if *seq != *head + 1 {
                found.push(format!("{conversation}: event {seq} follows {head}"));
            }
            *head = *seq;
            if ended.contains(turn) {
                found.push(format!("{turn}: event {seq} follows its last one"));
            }
            if *is_last {
                ended.insert(turn.clone());
            }
        }
        let without = self.turns().into_iter().filter(|(id, _)| !ended.contains(id));
        found.extend(without.map(|(id, _)| format!("{id} has no last event")));
    }

    fn check_snapshots(&self, found: &mut Vec<String>) {
        let mut heads = BTreeMap::new();
        for (conversation, version, turn) in &self.snapshots {
            let head = heads.entry(conversation).or_insert(0);
            if *version != *head + 1 {
                found.push(format!("{conversation}: snapshot {version} follows {head}"));
            }
            *head = *version;
            let mut ends = self.facts.iter().filter(|fact| fact.kind == "turn_completed");
            if !ends.any(|fact| fact.row["id"] == **turn) {
                found.push(format!("{turn} left a snapshot and was not answered"));
            }
        }
    }
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap().to_owned()
}

/// The checker finds what it is for: each fault is planted in a history without one.
#[test]
fn the_checker_of_the_race_finds_planted_faults() {
    let Fixture { store, dir } = world();
    let process = Process { store: &store, name: "w1".to_owned() };
    for number in [0, 1, CONVERSATIONS] {
        process.send(number);
    }
    // Of this seed, no turn fails.
    let mut random = Random(20_261_130);
    for _ in 0..3 {
        process.run_one(&mut random);
    }
    let sound = History::read(&store, &raw(&dir.path().join("ao.db")));
    assert_eq!(sound.violations(), [""; 0]);
    assert_eq!(sound.snapshots.len(), 3);
    let at = |kind: &str| sound.facts.iter().position(|fact| fact.kind == kind).unwrap();
    let (started, completed) = (at("turn_started"), at("turn_completed"));
    let check = |expected: &str, plant: &dyn Fn(&mut History)| {
        let mut faulty = sound.clone();
        plant(&mut faulty);
        let found = faulty.violations();
        assert!(found.iter().any(|it| it.contains(expected)), "{expected}: {found:?}");
    };
    let copy = |history: &mut History, from: usize| {
        let fact = history.facts[from].clone();
        history.facts.push(fact);
    };
    check("completed follows completed", &|it| copy(it, completed));
    check("running follows completed", &|it| copy(it, started));
    check("its key has another turn", &|it| {
        copy(it, at("turn_accepted"));
        it.facts.last_mut().unwrap().row["id"] = "other".into();
    });
    check("is still running", &|it| drop(it.facts.remove(completed)));
    check("a later turn started before it", &|it| it.facts[started].row["num"] = 99.into());
    check(" runs", &|it| {
        let place = text(&it.facts[started].row, "conversation_id");
        let next = it.facts.iter().rposition(|fact| {
            fact.kind == "turn_started" && text(&fact.row, "conversation_id") == place
        });
        let fact = it.facts.remove(next.unwrap());
        it.facts.insert(started, fact);
    });
    check("two changes in one commit", &|it| {
        copy(it, at("conversation_updated"));
        it.facts.last_mut().unwrap().tx = it.facts[it.facts.len() - 2].tx;
    });
    check("follows its last one", &|it| {
        let (conversation, seq, turn, _) =
            it.events.iter().rfind(|(_, _, _, is_last)| *is_last).unwrap().clone();
        it.events.push((conversation, seq + 1, turn, false));
    });
    check("has no last event", &|it| it.events.retain(|(_, _, _, is_last)| !is_last));
    check("event 3 follows 1", &|it| it.events.retain(|(_, seq, _, _)| *seq != 2));
    check("snapshot 2 follows 0", &|it| it.snapshots.retain(|(_, version, _)| *version != 1));
    check("was not answered", &|it| it.snapshots[0].2 = "other".to_owned());
}
