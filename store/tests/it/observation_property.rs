//! Any observation after any other, in any mode: the changes are exactly the difference, the stored
//! sets follow the modes, and a repetition writes nothing (`AO_CASES` sets the number of cases).

use std::collections::BTreeMap;
use std::fmt::Debug;

use ao_store::observation::{
    Check, CheckStatus, Ci, Comment, Completeness, Facet, Mode, Observation, Review, ReviewState,
    Thread,
};
use ao_store::row::facet;
use ao_store::row::pr::{self, Pr};
use ao_store::{Applied, Delta, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::json;

use crate::support::{
    Fixture, SHA, T0, assert_log_equals_tables, assert_writes_nothing, changes_after, check,
    comment, fixture, from_env, head, observation, observe, place, raw, thread,
};

/// What the test knows of an item, apart from the store.
trait Item: Clone + PartialEq + Debug {
    fn key(&self) -> Vec<String>;
    fn added() -> &'static str;
    fn updated(&self, old: &Self) -> &'static str;
    fn removed() -> &'static str;

    /// What is stored of items of which the later ones are newer.
    fn settle(items: Vec<Self>) -> Vec<Self> {
        items
    }
}

impl Item for Thread {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
    fn added() -> &'static str {
        "pr_review_thread_added"
    }
    fn updated(&self, old: &Self) -> &'static str {
        match (old.is_resolved, self.is_resolved) {
            (false, true) => "pr_review_thread_resolved",
            (true, false) => "pr_review_thread_reopened",
            _ => "pr_review_thread_updated",
        }
    }
    fn removed() -> &'static str {
        "pr_review_thread_removed"
    }
}

impl Item for Review {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
    fn added() -> &'static str {
        "pr_review_added"
    }
    fn updated(&self, _: &Self) -> &'static str {
        "pr_review_updated"
    }
    fn removed() -> &'static str {
        "pr_review_removed"
    }
}

impl Item for Comment {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
    fn added() -> &'static str {
        "pr_comment_added"
    }
    fn updated(&self, _: &Self) -> &'static str {
        "pr_comment_updated"
    }
    fn removed() -> &'static str {
        "pr_comment_removed"
    }
}

impl Item for Check {
    fn key(&self) -> Vec<String> {
        let kind = self.kind.as_str().to_owned();
        let names = [&self.head_sha, &kind, &self.app, &self.workflow, &self.event, &self.name];
        let ids = [&self.suite, &self.external_id];
        names.into_iter().chain(ids).cloned().collect()
    }
    fn added() -> &'static str {
        "pr_check_recorded"
    }
    fn updated(&self, _: &Self) -> &'static str {
        "pr_check_recorded"
    }
    fn removed() -> &'static str {
        "pr_check_removed"
    }

    /// Of one run the newest fact, of runs that follow each other the last.
    fn settle(items: Vec<Check>) -> Vec<Check> {
        let is_same = |old: &Check, new: &Check| match new.external_id.as_str() {
            "" => old.key() == new.key(),
            id => old.external_id == id && old.head_sha == new.head_sha,
        };
        let newest: Vec<_> = (0..items.len())
            .filter(|at| !items[at + 1..].iter().any(|new| is_same(&items[*at], new)))
            .map(|at| items[at].clone())
            .collect();
        let belong_together = |old: &Check, new: &Check| {
            let names = |it: &Check| (it.head_sha.clone(), it.app.clone(), it.name.clone());
            let is_in_suite = old.suite == new.suite && !old.suite.is_empty();
            names(old) == names(new) && (is_in_suite || old.workflow == new.workflow)
        };
        let is_after = |old: &Check, new: &Check| {
            let has_ended = old.status != CheckStatus::Queued && old.completed_at.is_some();
            let was_cancelled = old.status == CheckStatus::Cancelled && old.started_at.is_some();
            old.started_at < new.started_at
                && (was_cancelled || has_ended && old.completed_at <= new.started_at)
        };
        let is_replaced =
            |old: &Check, new: &Check| belong_together(old, new) && is_after(old, new);
        let counts = |old: &&Check| !newest.iter().any(|new| is_replaced(old, new));
        newest.iter().filter(counts).cloned().collect()
    }
}

/// One facet as the test believes it to be stored.
#[derive(Debug, Clone)]
struct Model<T> {
    rows: BTreeMap<Vec<String>, T>,
    state: Completeness,
}

impl<T> Default for Model<T> {
    fn default() -> Self {
        Model { rows: BTreeMap::new(), state: Completeness::Unknown }
    }
}

impl<T: Item> Model<T> {
    /// Applies a facet; the events are (type, key) and the delta counts them.
    fn apply(&mut self, facet: &Facet<T>, events: &mut Vec<(String, String)>) -> Delta {
        let mut delta = Delta::default();
        if facet.mode == Mode::Preserve {
            return delta;
        }
        let before = self.rows.clone();
        if facet.mode == Mode::Replace {
            self.rows.clear();
            self.state = Completeness::Complete;
        }
        self.rows.retain(|key, _| !facet.removed.contains(&key[0]));
        let items = self.rows().into_iter().chain(facet.items.iter().cloned());
        let items = T::settle(items.collect()).into_iter();
        self.rows = items.map(|item| (item.key(), item)).collect();
        let mut event = |kind: &str, key: &[String]| {
            let key: Vec<_> = std::iter::once("github.com/octo/hello#7".to_owned())
                .chain(key.iter().cloned())
                .collect();
            events.push((kind.to_owned(), json!(key).to_string()));
        };
        for (key, old) in &before {
            match self.rows.get(key) {
                None => {
                    delta.deleted += 1;
                    event(T::removed(), key);
                }
                Some(new) if new != old => {
                    delta.updated += 1;
                    event(new.updated(old), key);
                }
                Some(_) => delta.unchanged += 1,
            }
        }
        for key in self.rows.keys().filter(|key| !before.contains_key(*key)) {
            delta.inserted += 1;
            event(T::added(), key);
        }
        delta
    }

    fn rows(&self) -> Vec<T> {
        self.rows.values().cloned().collect()
    }
}

#[derive(Debug, Default, Clone)]
struct World {
    checks: Model<Check>,
    threads: Model<Thread>,
    reviews: Model<Review>,
    comments: Model<Comment>,
    ci: Ci,
}

impl World {
    fn ci(&self) -> Ci {
        let checks = self.checks.rows.values().filter(|check| check.head_sha == SHA);
        let statuses: Vec<_> = checks.map(|check| check.status).collect();
        if statuses.iter().any(|it| matches!(it, CheckStatus::Failed | CheckStatus::Cancelled)) {
            Ci::Failing
        } else if statuses.contains(&CheckStatus::Queued) {
            Ci::Pending
        } else if statuses.contains(&CheckStatus::Passed) {
            Ci::Passing
        } else {
            Ci::Unknown
        }
    }

    fn states(&self) -> [Completeness; 4] {
        [self.checks.state, self.threads.state, self.reviews.state, self.comments.state]
    }

    /// Applies an observation here and in the store, and compares all that can be seen of it.
    fn assert_applies(&mut self, store: &Store, seen: &Observation) {
        let (mut events, start) = (Vec::new(), head(store));
        let old = (self.states(), self.ci);
        let applied = observe(store, seen);
        let checks = self.checks.apply(&seen.checks, &mut events);
        let threads = self.threads.apply(&seen.threads, &mut events);
        let reviews = self.reviews.apply(&seen.reviews, &mut events);
        let comments = self.comments.apply(&seen.comments, &mut events);
        self.ci = self.ci();
        let is_updated = old != (self.states(), self.ci);
        if is_updated {
            events.push(("pr_updated".to_owned(), json!(["github.com/octo/hello#7"]).to_string()));
        }
        let Applied { pr, session, .. } = applied.value.clone();
        let expected = Applied {
            pr,
            session,
            is_new: false,
            is_updated,
            checks,
            threads,
            reviews,
            comments,
            stale: Vec::new(),
        };
        assert_eq!(applied.value, expected);
        let made = changes_after(store, start);
        let mut made: Vec<_> = made
            .into_iter()
            .map(|change| (change.kind().to_owned(), change.key().to_owned()))
            .collect();
        made.sort();
        events.sort();
        assert_eq!(made, events, "the events are the difference");
        assert_eq!(applied.changes, events.len() as u64);
        self.assert_stored(store);
    }

    fn assert_stored(&self, store: &Store) {
        let stored: Pr = store.read(|snapshot| pr::require(snapshot, &place())).unwrap();
        let states = [
            stored.checks_state,
            stored.threads_state,
            stored.reviews_state,
            stored.comments_state,
        ];
        assert_eq!((states, stored.ci), (self.states(), self.ci));
        let read = store.read(|snapshot| {
            let (checks, threads) =
                (facet::checks(snapshot, &stored.id)?, facet::threads(snapshot, &stored.id)?);
            Ok((
                checks,
                threads,
                facet::reviews(snapshot, &stored.id)?,
                facet::comments(snapshot, &stored.id)?,
            ))
        });
        let expected =
            (self.checks.rows(), self.threads.rows(), self.reviews.rows(), self.comments.rows());
        assert_eq!(read.unwrap(), expected);
    }
}

/// Ids that sort differently as bytes, as text in a locale, and with a prefix of each other.
const IDS: [&str; 6] = ["a", "a ", "aa", "B", "é", "\u{1F600}"];

fn id() -> impl Strategy<Value = &'static str> {
    (0..IDS.len()).prop_map(|i| IDS[i])
}

fn facet_of<T: Item>(
    item: impl Strategy<Value = T>,
    can_remove: bool,
) -> impl Strategy<Value = Facet<T>> {
    let removed = prop::collection::vec(id(), 0..3);
    (0_u8..5, prop::collection::vec(item, 0..7), removed).prop_map(move |(mode, items, removed)| {
        let mode = [Mode::Preserve, Mode::Merge, Mode::Merge, Mode::Replace, Mode::Replace]
            [usize::from(mode)];
        let removed = removed.into_iter().filter(|id| {
            let is_named = items.iter().any(|item: &T| item.key()[0] == **id);
            can_remove && mode == Mode::Merge && !is_named
        });
        Facet { mode, completeness: None, removed: removed.map(str::to_owned).collect(), items }
    })
}

fn a_thread() -> impl Strategy<Value = Thread> {
    (id(), any::<bool>(), prop::option::of(0_i64..2), any::<bool>()).prop_map(
        |(id, is_resolved, line, is_bot)| Thread { line, is_bot, ..thread(id, is_resolved) },
    )
}

fn a_review() -> impl Strategy<Value = Review> {
    (id(), any::<bool>(), prop::option::of(0_i64..2)).prop_map(|(id, approved, at)| Review {
        id: id.to_owned(),
        state: if approved { ReviewState::Approved } else { ReviewState::Dismissed },
        submitted_at: at.map(ao_store::Timestamp),
        ..Review::default()
    })
}

fn a_comment() -> impl Strategy<Value = Comment> {
    (id(), 0_u8..3, any::<bool>()).prop_map(|(id, body, is_bot)| Comment {
        thread_id: "t".to_owned(),
        is_bot,
        ..comment(id, ["", "x", "x\0y"][usize::from(body)])
    })
}

fn a_check() -> impl Strategy<Value = Check> {
    let status = prop::sample::select(vec![
        CheckStatus::Failed,
        CheckStatus::Queued,
        CheckStatus::Passed,
        CheckStatus::Skipped,
        CheckStatus::Cancelled,
    ]);
    let ids = (0_u8..4, 0_u8..3, any::<bool>());
    let times = (prop::option::of(0_i64..3), prop::option::of(0_i64..3));
    (0_u8..3, any::<bool>(), any::<bool>(), status, ids, times).prop_map(
        |(name, old, app, status, (id, suite, is_other), (started, completed))| Check {
            head_sha: if old { "old".to_owned() } else { SHA.to_owned() },
            // The fields of the key must not flow into each other.
            app: if app { "a".to_owned() } else { "a b".to_owned() },
            workflow: if app ^ is_other { "b w".to_owned() } else { "w".to_owned() },
            suite: ["", "1", "2"][usize::from(suite)].to_owned(),
            external_id: ["", "r1", "r2", "r3"][usize::from(id)].to_owned(),
            is_required: (name > 0).then_some(name > 1),
            started_at: started.map(ao_store::Timestamp),
            completed_at: completed.map(ao_store::Timestamp),
            ..check(["x", "y", "z"][usize::from(name)], status)
        },
    )
}

fn an_observation() -> impl Strategy<Value = Observation> {
    (
        facet_of(a_check(), false),
        facet_of(a_thread(), true),
        facet_of(a_review(), true),
        facet_of(a_comment(), true),
    )
        .prop_map(|(checks, threads, reviews, comments)| Observation {
            checks,
            threads,
            reviews,
            comments,
            ..observation(0)
        })
}

#[test]
fn the_changes_are_the_difference_and_a_repetition_writes_nothing() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    println!("AO_SEED={seed}");
    let config = Config {
        cases: from_env("AO_CASES", 100),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let observations = prop::collection::vec(an_observation(), 1..5);
    TestRunner::new(config)
        .run(&observations, |observations| {
            let Fixture { store, dir } = fixture();
            let path = dir.path().join("ao.db");
            let mut world = World::default();
            for (observation, as_of) in observations.into_iter().zip(1..) {
                let observation =
                    Observation { as_of: ao_store::Timestamp(T0 + as_of * 61_000), ..observation };
                world.assert_applies(&store, &observation);
                assert_writes_nothing(&path, || {
                    let again = observe(&store, &observation);
                    assert_eq!((again.changes, again.value.is_updated), (0, false));
                    let deltas = [
                        again.value.checks,
                        again.value.threads,
                        again.value.reviews,
                        again.value.comments,
                    ];
                    assert!(deltas.iter().all(|delta| !delta.is_change()), "{deltas:?}");
                });
            }
            assert_log_equals_tables(&store, &raw(&path));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
