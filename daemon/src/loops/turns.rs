//! Turns: it ends those that no worker will end, every few seconds and whenever the process of a worker ends, and
//! deletes old parts of answers.

use std::time::Duration;

use ao_session::worker::sweep_turns;
use ao_store::turn::sweep::Swept;
use ao_store::{Cause, Store};

use super::owners::Owners;
use super::{Reporter, reason};

/// Who makes the changes.
const ACTOR: &str = "daemon";

/// Sweeps until the daemon stops, at least once in this time.
pub(crate) fn run(store: &Store, every: Duration, reporter: &Reporter) -> Result<(), String> {
    let mut owners = Owners::new(store).map_err(|error| reason(&error))?;
    loop {
        let swept = sweep_turns(store, &Cause::now(ACTOR)).map_err(|error| reason(&error))?;
        reporter.report(describe(&swept));
        if owners.wait(every, reporter).map_err(|error| reason(&error))? {
            return Ok(());
        }
    }
}

fn describe(swept: &Swept) -> String {
    let Swept { ended, deltas, failures } = swept;
    let failed = failures.first().map(|first| format!(", failed: {}: {first}", failures.len()));
    format!(
        "turns ended: {}, parts of answers deleted: {deltas}{}",
        ended.len(),
        failed.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::thread::sleep;
    use std::time::Instant;

    use ao_session::{TurnRequest, local_member, send_turn};
    use ao_store::lease::Owner;
    use ao_store::row::lifecycle::instance::Instance;
    use ao_store::turn::claim::{Claim, Claimed, claim};
    use ao_store::turn::conversation::Caller;
    use ao_store::turn::{self, Reason, State, org};
    use ao_store::{Options, Timestamp};
    use tokio_util::sync::CancellationToken;

    use super::super::Loops;
    use super::*;

    const NEVER: Duration = Duration::from_secs(86_400);

    /// Accepts a turn of this thread, which a process runs; its id.
    fn running_turn(store: &Store, thread: &str, worker: &Child) -> String {
        let request = TurnRequest {
            caller: Caller::Operator,
            org: None,
            agent: None,
            conversation: Some(thread.to_owned()),
            member: local_member(),
            key: None,
            input: "x".to_owned(),
            expires: None,
        };
        let sent = send_turn(store, Cause::now("test"), request).unwrap();
        let owner = Owner::of_process(worker.id()).unwrap().to_string();
        let this = Instance::of_this_process(thread, "test", Timestamp(0));
        let worker = Instance { owner, ..this };
        let (org, agent) = (org::local(), org::default_agent());
        let wanted = Claim { org, agent, worker, silence: NEVER };
        let claimed = store.write(Cause::now("test"), move |tx| claim(tx, &wanted)).unwrap();
        assert!(matches!(claimed.value, Claimed::Got(work) if work.turn.id == sent.turn.id));
        sent.turn.id
    }

    fn until_ended(store: &Store, id: &str) {
        let by = Instant::now() + Duration::from_secs(60);
        loop {
            let found = store.read(|snapshot| turn::require(snapshot, id)).unwrap();
            if found.state == State::Failed {
                return assert_eq!(found.reason, Reason::WorkerDied);
            }
            assert!(Instant::now() < by, "the turn did not end: {found:?}");
            sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn the_death_of_a_worker_is_noticed_when_it_happens() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let start = || Command::new("sleep").arg("1000").spawn().unwrap();
        let mut workers = [start(), start(), start()];
        let before = running_turn(&store, "a", &workers[0]);
        let loops = Loops::new(CancellationToken::new());
        let swept = store.clone();
        // No pass begins by the time.
        loops.start("turns", move |reporter| run(&swept, NEVER, reporter)).unwrap();
        let by = Instant::now() + Duration::from_secs(60);
        while loops.statuses()[0].outcome.is_empty() {
            assert!(Instant::now() < by, "there was no first pass");
            sleep(Duration::from_millis(2));
        }
        workers[0].kill().unwrap();
        workers[0].wait().unwrap();
        until_ended(&store, &before);
        // One that claims later, and one that has ended when its claim is noticed, or before.
        let later = running_turn(&store, "b", &workers[1]);
        let short = running_turn(&store, "c", &workers[2]);
        for number in [2, 1] {
            workers[number].kill().unwrap();
            workers[number].wait().unwrap();
        }
        until_ended(&store, &short);
        until_ended(&store, &later);
        loops.finish();
    }
}
