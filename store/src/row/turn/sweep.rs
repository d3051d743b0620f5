//! The backstop: any process ends what no worker will end, one turn per transaction, so that one row which
//! cannot be written keeps no other from it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::db::tx::{Cause, Snapshot};
use crate::engine::store::Store;
use crate::error::Result;
use crate::model::clock::ClockReading;
use crate::model::time::Timestamp;
use crate::row::lifecycle::instance::{self, Instance};
use crate::row::turn::clock;
use crate::row::turn::event;
use crate::row::turn::fail::{Dead, Failed, Guard, condemn, fail};
use crate::row::turn::row::{self, State};

/// How often a process that sweeps does so.
pub const EVERY: Duration = Duration::from_secs(5);

/// How long the deltas of a turn that was answered are kept after its end, in milliseconds: its last event has
/// the whole reply.
const KEEP_DELTAS_MS: i64 = 5 * 60_000;

/// The same of a turn that was not answered, of which nothing else has what it said.
const KEEP_PARTS_MS: i64 = 24 * 3_600_000;

/// The most turns of one pass, and the most deltas of one transaction.
const LIMIT: usize = 200;

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The turns that it ended.
    pub ended: Vec<String>,
    /// The number of deltas that it deleted.
    pub deltas: usize,
    /// What failed, for people.
    pub failures: Vec<String>,
}

/// Ends the running turns whose worker has ended and the turns whose time is over, and deletes old deltas.
/// Turns are looked for without a transaction that writes. Before a running turn is ended, `stop` is called
/// with its id: nothing that its worker started may run beside the next turn.
///
/// # Errors
/// When the database cannot be read. A turn that cannot be ended is one of the failures.
pub fn sweep(store: &Store, cause: &Cause, mut stop: impl FnMut(&str)) -> Result<Swept> {
    let mut swept = Swept::default();
    // The end of one may show that the next one of its conversation cannot begin.
    while pass(store, cause, &mut stop, &mut swept)? && swept.ended.len() < LIMIT {}
    swept.deltas = prune(store, cause)?;
    Ok(swept)
}

/// Looks once; returns whether it ended a turn, and nothing failed.
fn pass(
    store: &Store,
    cause: &Cause,
    stop: &mut impl FnMut(&str),
    swept: &mut Swept,
) -> Result<bool> {
    let (reading, before) = (cause.reading(), swept.ended.len());
    for (id, guard) in store.read(|snapshot| due(snapshot, reading))? {
        let name = id.clone();
        match may_stop(store, cause, &id, &guard) {
            Ok(true) => stop(&id),
            Ok(false) => {}
            Err(error) => {
                swept.failures.push(format!("{name}: {}", error.chain()));
                continue;
            }
        }
        match store.write(cause.clone(), move |tx| fail(tx, &id, &guard)) {
            Ok(done) if done.value == Failed::Won => swept.ended.push(name),
            Ok(_) => {}
            Err(error) => swept.failures.push(format!("{name}: {}", error.chain())),
        }
    }
    Ok(swept.ended.len() > before && swept.failures.is_empty())
}

/// Whether the processes of a turn are to be stopped, which then fails for certain. Nothing was started for a
/// turn that waits, and a worker that is alive may have made progress meanwhile.
fn may_stop(store: &Store, cause: &Cause, id: &str, guard: &Guard) -> Result<bool> {
    if matches!(guard, Guard::OwnerDead(_)) {
        return Ok(true);
    }
    let is_running = store.read(|s| Ok(row::require(s, id)?.state == State::Running))?;
    let id = id.to_owned();
    Ok(is_running && store.write(cause.clone(), move |tx| condemn(tx, &id))?.value)
}

/// The instances that run turns. One that is not registered has ended.
///
/// # Errors
/// When the database cannot be read.
pub fn owners(snapshot: &Snapshot<'_>) -> Result<Vec<Instance>> {
    let ids: BTreeSet<_> = row::running(snapshot)?.into_iter().map(|turn| turn.owner).collect();
    let found: Result<Vec<_>> = ids.iter().map(|id| instance::get(snapshot, id)).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// At most 200 turns of each kind that may have to be ended, and why. The processes are looked up here.
fn due(snapshot: &Snapshot<'_>, reading: ClockReading) -> Result<Vec<(String, Guard)>> {
    let mut found = Vec::new();
    for turn in row::running(snapshot)? {
        if let Some(dead) = Dead::find(snapshot, &turn)? {
            found.push((turn.id, Guard::OwnerDead(dead)));
        }
    }
    // Each kind has its own bound: many of one kind that cannot be ended must not hide the other one.
    found.truncate(LIMIT);
    let overdue = clock::due(snapshot, reading.awake(), LIMIT)?;
    found.extend(overdue.into_iter().map(|id| (id, Guard::Overdue)));
    Ok(found)
}

fn prune(store: &Store, cause: &Cause) -> Result<usize> {
    let before = [KEEP_DELTAS_MS, KEEP_PARTS_MS].map(|ms| Timestamp(cause.at.0.saturating_sub(ms)));
    let turns = store.read(|snapshot| event::with_old_deltas(snapshot, before, LIMIT))?;
    let mut deleted = 0;
    for turn in turns {
        loop {
            let (id, limit) = (turn.clone(), i64::try_from(LIMIT).unwrap_or(i64::MAX));
            let done = store.write(cause.clone(), move |tx| event::prune_deltas(tx, &id, limit))?;
            deleted += done.value;
            if done.value < LIMIT {
                break;
            }
        }
    }
    Ok(deleted)
}
