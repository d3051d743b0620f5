//! Every role is killed at random times, a thousand times in all: writer, tailer, pruner and backup on
//! one store, restore and creation alone (`AO_KILLS` sets the number of kills, `AO_SEED` the times).
//! After each kill the store is compared with everything ever read from it, and verified. Injected bugs
//! show that the comparison detects errors.

mod alone;
mod oracle;
mod roles;
mod world;

use std::collections::BTreeMap;

use crate::support::{has_shell, shell};

use self::roles::{Fault, Role};
use self::world::{Counts, Eyes, World};

/// The test that runs in a child.
const CHILD: &str = "kill::a_child_plays_its_role";

#[test]
fn a_child_plays_its_role() {
    roles::play();
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    from_env("AO_SEED", 20_261_121).into()
}

/// The number of changes beyond which a check after each kill takes too long.
const MANY: usize = 300;

impl World {
    /// Starts the missing children of some roles, kills, and checks.
    fn round_of(&mut self, roles: &[Role]) -> Result<(), String> {
        let path = self.path();
        for role in roles {
            if !self.is_live(*role) {
                self.start(*role, &path);
            }
        }
        self.pause();
        self.kill_some()?;
        self.check()
    }

    fn round(&mut self) -> Result<(), String> {
        let together = [Role::Writer, Role::Tailer, Role::Pruner, Role::Backup];
        match self.random.below(16) {
            0 | 1 => return self.restore_round(),
            2 | 3 => return self.create_round(),
            4 => self.change_hold()?,
            _ => {}
        }
        let mut some = 1 + self.random.below(15);
        if self.logged > MANY {
            self.end_hold();
            some |= 0b0110;
        }
        let wanted: Vec<_> =
            (0..4).filter(|bit| some & (1 << bit) != 0).map(|bit| together[bit]).collect();
        self.round_of(&wanted)
    }

    /// Rounds of some roles until the check fails; its message, and the number of kills.
    fn until_found(&mut self, roles: &[Role], kills: u32) -> (String, u32) {
        while self.counts.all_kills() < kills {
            if let Err(found) = self.round_of(roles) {
                return (found, self.counts.all_kills());
            }
        }
        panic!("{kills} kills, and nothing was found: {:?}", self.counts);
    }
}

#[test]
fn killed_at_any_instant_no_role_loses_or_invents_anything() {
    let (kills, seed) = (from_env("AO_KILLS", 1000), seed());
    println!("AO_SEED={seed} AO_KILLS={kills}");
    let mut world = World::new(seed);
    let mut round = 0;
    while world.counts.all_kills() < kills {
        if let Err(found) = world.round() {
            panic!("AO_SEED={seed}, round {round}: {found}; {:?}", world.counts);
        }
        round += 1;
    }
    world.kill_all().and_then(|()| world.check()).unwrap();
    println!("{round} rounds, {:#?}", world.counts);
    // Fewer kills may miss an outcome by chance.
    if kills >= 500 {
        assert_hit(&world.counts);
    }
}

/// Each role was killed during its work, and work with two possible outcomes had both.
fn assert_hit(counts: &Counts) {
    for role in Role::ALL {
        let of = |counts: &BTreeMap<Role, u32>| counts.get(&role).copied().unwrap_or(0);
        let (kills, midway) = (of(&counts.kills), of(&counts.midway));
        let enough = kills >= 20 && midway >= kills / 10;
        assert!(enough, "{role:?}: {midway} of {kills} kills hit its work");
    }
    let outcomes =
        ["backups done", "backups half-way", "restored", "not restored", "created", "not created"];
    for outcome in outcomes {
        assert!(counts.outcomes.get(outcome) >= Some(&5), "{outcome}: {counts:?}");
    }
    assert!(counts.acknowledged >= 500, "{counts:?}");
}

/// A world with an injected bug. The ledger must find it without `verify`.
fn faulty(fault: Fault) -> World {
    let mut world = World::new(seed());
    (world.fault, world.eyes) = (fault, Eyes::LedgerOnly);
    world
}

#[test]
fn a_confirmation_before_the_commit_is_found() {
    let (found, kills) = faulty(Fault::EarlyConfirmation).until_found(&[Role::Writer], 100);
    println!("{kills} kills: {found}");
    assert!(found.contains("recovered"), "{found}");
}

#[test]
fn an_acknowledgement_before_the_delivery_is_found() {
    let roles = [Role::Writer, Role::Tailer];
    let (found, kills) = faulty(Fault::EarlyAck).until_found(&roles, 600);
    println!("{kills} kills: {found}");
    assert!(found.contains("delivered up to"), "{found}");
}

/// Prunes everything, also the newest transaction, which our pruning never does.
const PRUNE_ALL: &str = "BEGIN;
    UPDATE log_meta SET floor = max(floor, (SELECT coalesce(max(seq), 0) FROM change_log));
    DELETE FROM change_log; COMMIT;";

/// The same, after which SQLite uses a seq a second time.
const PRUNE_AND_REUSE: &str = "BEGIN;
    UPDATE log_meta SET floor = max(floor, (SELECT coalesce(max(seq), 0) FROM change_log));
    DELETE FROM change_log; DELETE FROM sqlite_sequence; COMMIT;";

/// Writers are killed, everything is delivered and pruned, writers are killed again, until they wrote
/// something in ten rounds: on a busy machine most of them are killed before their first commit.
fn pruned_to_nothing(mut world: World, prune: &str) -> Result<u32, String> {
    let mut worked = 0;
    for _ in 0..500 {
        let before = world.counts.acknowledged;
        world.round_of(&[Role::Writer])?;
        world.kill_all()?;
        world.deliver_all()?;
        world.check()?;
        world.store = None;
        shell(&world.path(), prune);
        worked += u32::from(world.counts.acknowledged > before);
        if worked == 10 {
            return Ok(world.counts.all_kills());
        }
    }
    panic!("writers wrote something in {worked} of 500 rounds");
}

#[test]
fn a_seq_that_is_used_again_is_found() {
    if !has_shell() {
        return;
    }
    let kills = pruned_to_nothing(faulty(Fault::None), PRUNE_ALL).unwrap();
    println!("{kills} kills, and nothing is wrong with a log that is sound");
    let found = pruned_to_nothing(faulty(Fault::None), PRUNE_AND_REUSE).unwrap_err();
    println!("{found}");
}
