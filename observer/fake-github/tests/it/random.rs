//! Long random histories: equal seeds give equal worlds, and GraphQL returns the expected state.

use ao_fake_github::{Rng, World};
use serde_json::{Value, json};

use crate::support::{data, detail};

fn random_world(seed: u64, steps: usize) -> World {
    let mut world = World::fleet(2, 4, 2, 2);
    let mut rng = Rng::with_seed(seed);
    for _ in 0..steps {
        world.advance(1 + rng.i64(0..60_000));
        world.mutate_randomly(&mut rng);
    }
    world
}

/// All nodes of a connection of a detail document, page by page.
fn all(world: &mut World, what: &str, pr: &str, pointer: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut answer = data(world, &detail(what), &json!({"i0": pr, "c0": after}));
        let Some(page) = answer.pointer_mut(pointer) else { return found };
        found.extend(page["nodes"].as_array().cloned().unwrap_or_default());
        after = page["pageInfo"]["endCursor"].take();
        if page["pageInfo"]["hasNextPage"] != true {
            return found;
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let (one, two) = (random_world(7, 300), random_world(7, 300));
    assert_eq!(one.journal, two.journal);
    assert_ne!(one.journal, random_world(8, 300).journal);
    let kinds: std::collections::BTreeSet<_> = one.journal.iter().map(|entry| entry.what).collect();
    assert!(kinds.len() > 20, "{kinds:?}");
}

#[test]
fn graphql_returns_the_expected_state() {
    let mut world = random_world(11, 600);
    for pr in world.prs() {
        let expected = world.expected(&pr);
        let ids = |nodes: &[Value]| {
            let mut ids: Vec<_> =
                nodes.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        let checks = all(&mut world, "checks", &pr, "/d0/checks/contexts");
        for (id, check) in &expected.checks {
            let node = checks.iter().find(|node| node["id"] == **id).unwrap();
            let status = if node["status"].is_null() { &node["state"] } else { &node["status"] };
            assert_eq!(
                (status, &node["conclusion"]),
                (&json!(check.status), &json!(check.conclusion))
            );
        }
        let reviews = all(&mut world, "reviews", &pr, "/d0/reviews");
        assert_eq!(ids(&reviews), expected.reviews.keys().cloned().collect::<Vec<_>>());
        let threads = all(&mut world, "threads", &pr, "/d0/reviewThreads");
        assert_eq!(ids(&threads), expected.threads.keys().cloned().collect::<Vec<_>>());
        for thread in &threads {
            let known = &expected.threads[thread["id"].as_str().unwrap()];
            assert_eq!(thread["isResolved"], known.is_resolved);
            assert_eq!(thread["isOutdated"], known.is_outdated);
        }
        let mut comments = all(&mut world, "comments", &pr, "/d0/comments");
        for thread in expected.threads.keys() {
            comments.extend(all(&mut world, "thread", thread, "/d0/comments"));
        }
        assert_eq!(ids(&comments), expected.comments.keys().cloned().collect::<Vec<_>>());
    }
}
