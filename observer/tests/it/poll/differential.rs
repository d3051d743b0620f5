//! The observer of a world that changes at random for a long time, with restarts and faults: in the
//! end the store equals the world, and on the way it never recorded that something was gone which
//! was there.

use std::collections::BTreeSet;
use std::time::Duration;

use ao_fake_github::{Fault, Kind, NewPr, On, Rng, World};

use super::rig::Rig;

const REPOS: [&str; 3] = ["octo/hello", "octo/world", "octo/tools"];

/// After this time without a change everything was read again, whatever the polls found.
const QUIESCENCE: Duration = Duration::from_secs(7 * 3_600);

/// Maximum number of open pull requests: those that are opened at random beyond it are closed.
const OPEN_MAX: usize = 18;

/// A number from the environment. `AO_SOAK_MINUTES=10000` is the full run, `AO_SOAK_SEED` another
/// history.
fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default)
}

/// Three repositories with five pull requests each, of three sessions each: one on a branch of its
/// own, one on a stack of branches, and one that owns the rest of the namespace.
fn fleet() -> Rig {
    let mut world = World::new(11);
    for repo in REPOS {
        world.add_repo(repo);
        world.protect(repo, repo == "octo/tools", &["job-0"]);
        for branch in ["ao/one", "ao/stack/root", "ao/stack/a", "ao/x", "ao/y"] {
            world.open_pr(&NewPr::new(repo, branch));
        }
    }
    let rig = Rig::of(world);
    for (index, repo) in REPOS.iter().enumerate() {
        let project = format!("demo-{index}");
        rig.project(&project, repo);
        for branch in ["ao/one", "ao/stack/root", "ao/root"] {
            rig.session(&project, branch);
        }
    }
    rig
}

/// Lets the world change every three to ten minutes; `before` is called before each change.
fn live(rig: &mut Rig, seed: u64, mut before: impl FnMut(&mut Rig, &mut Rng)) {
    let mut rng = Rng::with_seed(from_env("AO_SOAK_SEED", seed));
    // Virtual minutes.
    let minutes = from_env("AO_SOAK_MINUTES", 90);
    let end = rig.now.0 + i64::try_from(minutes * 60_000).unwrap();
    while rig.now.0 < end {
        before(rig, &mut rng);
        rig.world.mutate_randomly(&mut rng);
        close_beyond(&mut rig.world, &mut rng);
        rig.seconds(180 + rng.u64(..420));
    }
}

fn close_beyond(world: &mut World, rng: &mut Rng) {
    let is_open = |pr: &String| matches!(world.expected(pr).state, "open" | "draft");
    let open: Vec<_> = world.prs().into_iter().filter(is_open).collect();
    if open.len() > OPEN_MAX
        && let Some(pr) = rng.choice(&open)
    {
        world.close(pr);
    }
}

/// Everything that can be read in the end was observed, and nothing that exists was removed.
fn assert_all_observed(rig: &Rig) {
    rig.assert_observed();
    let mut there = BTreeSet::new();
    for pr in rig.world.prs() {
        let expected = rig.world.expected(&pr);
        let is_open = matches!(expected.state, "open" | "draft");
        assert!(rig.row(&pr).is_some() || !is_open, "{pr} is open and was not found");
        there.extend(expected.threads.into_keys());
        there.extend(expected.comments.into_keys());
        there.extend(expected.reviews.into_keys());
    }
    let removed = rig.changes_since(0).into_iter().filter(|it| it.kind().ends_with("_removed"));
    for change in removed.filter(|change| change.entity() != "pr_check") {
        let key: Vec<String> = serde_json::from_str(change.key()).unwrap();
        let id = key.last().unwrap();
        assert!(!there.contains(id), "{} of {id}, which is there", change.kind());
    }
}

/// Case 28 of the acceptance cases: a long differential run.
#[test]
fn after_any_history_the_store_equals_the_world() {
    let mut rig = fleet();
    let mut changes = 0_u64;
    live(&mut rig, 28, |rig, _| {
        changes += 1;
        if changes.is_multiple_of(40) {
            rig.restart();
        }
    });
    rig.run(QUIESCENCE);
    assert_all_observed(&rig);
}

/// One to three wrong answers.
fn fault(rng: &mut Rng) -> Fault {
    let null = |rng: &mut Rng, index: usize| {
        let errors = [None, Some("NOT_FOUND"), Some("SERVICE_UNAVAILABLE")];
        let error = rng.choice(errors).unwrap().map(str::to_owned);
        match rng.usize(..2) {
            0 => Kind::NodeNull(index, error),
            _ => Kind::AliasNull(format!("d{index}"), error),
        }
    };
    let index = rng.usize(..4);
    let kinds = [
        Kind::gateway(502),
        Kind::internal(),
        Kind::secondary_limit(Some("30")),
        Kind::something_went_wrong(),
        Kind::data_null(None),
        Kind::ResourceLimits(40),
        Kind::NextPageWithoutCursor,
        Kind::CursorLoop,
        Kind::DuplicateNodes,
        Kind::TruncatedJson,
        Kind::InvalidJson,
        Kind::Slow(20_000),
        Kind::NullField("counts".to_owned()),
        Kind::NullField("reviews".to_owned()),
        Kind::NullField("reviewThreads".to_owned()),
        Kind::NullField("nodes".to_owned()),
        null(rng, index),
        null(rng, index),
        null(rng, index),
        Kind::StaleBy(1 + index),
        Kind::StaleBy(1 + index),
    ];
    let kind = rng.choice(kinds).unwrap();
    let on =
        [On::Graphql, On::operation("Heartbeat"), On::operation("Full"), On::operation("Detail")];
    Fault::times(1 + rng.u32(..3), kind).on(rng.choice(on).unwrap())
}

/// A partial, old or failed answer deletes nothing, and has no effect after the next good one.
#[test]
fn wrong_answers_delete_nothing_and_leave_no_trace() {
    let mut rig = fleet();
    rig.world.options.history = 4;
    live(&mut rig, 29, |rig, rng| {
        rig.world.faults.clear();
        for _ in 0..rng.usize(..3) {
            rig.world.faults.push(fault(rng));
        }
        if rng.usize(..40) == 0 {
            rig.restart();
        }
    });
    rig.world.faults.clear();
    rig.run(QUIESCENCE);
    assert_all_observed(&rig);
}
