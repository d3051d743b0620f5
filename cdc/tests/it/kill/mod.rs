//! Every role is killed at any instant, a thousand times: writer, tailer, pruner and backup at work on
//! one store, restore and migration alone (`AO_KILLS` for another number of kills, `AO_SEED` for other
//! instants). After each kill the store is compared with all that was ever seen of it, and verified.
//! That the comparison has teeth is shown with faults that are planted.

mod alone;
mod oracle;
mod roles;
mod world;

use std::collections::BTreeMap;

use crate::support::{has_shell, shell};

use self::roles::{Fault, Role};
use self::world::{Counts, Eyes, World};

/// The test that is a child's part.
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

/// Changes in the log that are too many for a check after each kill.
const MANY: usize = 300;

impl World {
    /// Starts what is missing of some roles, kills, and checks.
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
            2 | 3 => return self.migrate_round(),
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

    /// Rounds of some roles until the check fails; what it then says, and after how many kills.
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
    // Fewer kills may miss something by chance.
    if kills >= 500 {
        assert_hit(&world.counts);
    }
}

/// Each role was killed in the middle of its work, and what can end in two ways ended in both.
fn assert_hit(counts: &Counts) {
    for role in Role::ALL {
        if role == Role::Migrator && !has_shell() {
            continue;
        }
        let of = |counts: &BTreeMap<Role, u32>| counts.get(&role).copied().unwrap_or(0);
        let (kills, midway) = (of(&counts.kills), of(&counts.midway));
        let enough = kills >= 20 && midway >= kills / 10;
        assert!(enough, "{role:?}: {midway} of {kills} kills hit its work");
    }
    for outcome in ["backups done", "backups half-way", "restored", "not restored"] {
        assert!(counts.outcomes.get(outcome) >= Some(&5), "{outcome}: {counts:?}");
    }
    for outcome in ["migrated", "not migrated"] {
        let enough = counts.outcomes.get(outcome) >= Some(&5);
        assert!(enough || !has_shell(), "{outcome}: {counts:?}");
    }
    assert!(counts.acknowledged >= 500, "{counts:?}");
}

/// A world with a fault. The ledger must find it without the help of `verify`.
fn faulty(fault: Fault) -> World {
    let mut world = World::new(seed());
    (world.fault, world.eyes) = (fault, Eyes::LedgerOnly);
    world
}

#[test]
fn a_word_before_the_commit_is_found() {
    let (found, kills) = faulty(Fault::EarlyWord).until_found(&[Role::Writer], 100);
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

#[test]
fn a_missing_trigger_is_found() {
    if !has_shell() {
        return;
    }
    for (eyes, told) in [(Eyes::LedgerOnly, "recovered"), (Eyes::All, "")] {
        let mut world = World::new(seed());
        world.eyes = eyes;
        shell(&world.path(), "DROP TRIGGER capture_session_update");
        let (found, kills) = world.until_found(&[Role::Writer], 100);
        println!("{kills} kills: {found}");
        assert!(found.contains(told), "{found}");
    }
}

/// What retention never does: everything goes, also the newest transaction.
const PRUNE_ALL: &str = "BEGIN;
    UPDATE log_meta SET floor = max(floor, (SELECT coalesce(max(seq), 0) FROM change_log));
    DELETE FROM change_log; COMMIT;";

/// What makes a seq be given out a second time once its change is gone.
const REUSE: &str = "PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, ' AUTOINCREMENT', '') WHERE name = 'change_log';
    PRAGMA writable_schema = RESET;
    DELETE FROM sqlite_sequence;";

/// Writers are killed, everything is delivered and pruned, writers are killed again.
fn pruned_to_nothing(mut world: World) -> Result<u32, String> {
    for _ in 0..10 {
        world.round_of(&[Role::Writer])?;
        world.kill_all()?;
        world.deliver_all()?;
        world.check()?;
        world.store = None;
        shell(&world.path(), PRUNE_ALL);
    }
    Ok(world.counts.all_kills())
}

#[test]
fn a_seq_that_is_used_again_is_found() {
    if !has_shell() {
        return;
    }
    let kills = pruned_to_nothing(faulty(Fault::None)).unwrap();
    println!("{kills} kills, and nothing is wrong with a log that is sound");
    let world = faulty(Fault::None);
    shell(&world.path(), REUSE);
    let found = pruned_to_nothing(world).unwrap_err();
    println!("{found}");
    let mut sighted = World::new(seed());
    shell(&sighted.path(), REUSE);
    assert!(sighted.until_found(&[Role::Writer], 10).0.contains("verify"));
}
