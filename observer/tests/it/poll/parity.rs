//! The behaviour of the observer of issue #152: the acceptance cases 1 to 8, and those of its tests
//! that are about polling.
//!
//! Its tests (`upstream-ao.md` 4.6) and where their intent is shown here:
//!
//! | theirs | here |
//! |---|---|
//! | immediate first poll; warn with no subjects; disable once | `without_credentials_nothing_is_sent_and_that_is_recorded` |
//! | transient credential retry | `a_failed_lookup_of_credentials_is_repeated` |
//! | 200 discovers and refreshes in the same poll | `discover::a_pull_request_is_found_and_read_within_one_interval` |
//! | 304 skips listing; no-open-PRs commits the repo ETag; baseline persisted before refresh; fetch failure does not commit commit ETag; max age forces refetch | no validators here: `a_second_poll_of_the_same_writes_nothing`, `what_could_not_be_written_is_read_again`, `discussion::a_comment_that_was_hidden_is_found_by_the_sweep` |
//! | author filter on/off | `discover::of_a_person_only_that_persons_pull_requests_count`, `discover::with_the_credentials_of_an_app_the_author_does_not_count` |
//! | stacked child; sibling under root namespace; exact beats namespace | `discover::the_exact_branch_wins_over_the_longest_namespace` |
//! | workspace child (+upstream) | `discover::a_pull_request_at_another_remote_is_found` |
//! | fork with same branch ignored; cross-fork accepted; foreign head ignored | `discover::a_branch_of_the_same_name_in_a_fork_belongs_to_a_stranger`, `discover::a_pull_request_from_the_origin_to_its_upstream_is_found` |
//! | duplicate ownership keeps first | `discover::a_claimed_pull_request_stays_with_its_session` |
//! | CI ETag change refreshes while repo is unchanged | `checks::statuses_alone_are_seen_within_one_interval` |
//! | chunks at 25 | `mergeable::a_push_to_the_base_costs_one_poll_per_cycle` |
//! | log tail only when fingerprint changes; stored tails reused | `checks::the_log_of_a_failed_check_is_read_once` |
//! | review interval; review hash drives persistence | `discussion::a_thread_of_a_reviewer_that_decides_nothing_is_stored` |
//! | unchanged hashes neither write nor notify | `a_second_poll_of_the_same_writes_nothing` |
//! | partial uses Merge; review-only preserves CI and metadata | `a_thread_is_removed_by_a_complete_listing_only`, `a_resolve_is_one_change_and_touches_nothing_else` |
//! | review failure keeps decision | `a_failed_reading_of_reviews_keeps_the_decision` |
//! | success clears retry slot; write failure does not advance ETags | `what_could_not_be_written_is_read_again` |
//! | lifecycle failure holds hashes back | not the observer's: the change stream is delivered at least once, whatever a consumer does (crate `ao-cdc`) |
//! | origin URL backfill / non-git path does not | not the observer's: origins are facts of a project |

use std::time::Duration;

use ao_fake_github::{
    CheckSpec, Conclusion, Fault, Kind, NewPr, NewThread, On, ReviewState, World,
};
use ao_store::Options;
use ao_store::observation::{Ci, Completeness, ReviewDecision};
use ao_store::row::scm::Credential;

use super::rig::{REPO, Rig};

/// A pull request with one thread, which was read.
fn with_thread(rig: &mut Rig) -> (String, String) {
    let pr = rig.tracked("ao/demo-1");
    let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", 1), "Why?");
    rig.minutes(3);
    rig.assert_observed();
    (pr, thread)
}

/// Case 1 (bug 5): through the complete listing, which lost the event once.
#[test]
fn a_resolve_is_one_change_and_touches_nothing_else() {
    let mut rig = Rig::new();
    let (pr, thread) = with_thread(&mut rig);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.minutes(15);
    let (head, before, totals) = (rig.head(), rig.row(&pr), rig.totals());
    rig.world.counters.clear();
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.minutes(5);
    assert_eq!(rig.types_since(head), ["pr_review_thread_resolved"]);
    assert_eq!(rig.row(&pr), before, "checks and metadata are as they were");
    assert_eq!(rig.totals().1.rows_changed - totals.1.rows_changed, 1);
    assert_eq!(rig.world.counters.of("Detail"), 1, "the thread was read, and nothing else");
    rig.assert_observed();
}

/// Case 2.
#[test]
fn a_thread_that_is_opened_again_is_a_change_of_its_own() {
    let mut rig = Rig::new();
    let (_, thread) = with_thread(&mut rig);
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.minutes(5);
    let head = rig.head();
    rig.world.thread_unresolve(&thread);
    rig.minutes(5);
    assert_eq!(rig.types_since(head), ["pr_review_thread_reopened"]);
    rig.assert_observed();
}

/// Case 2.
#[test]
fn a_thread_resolved_and_opened_again_between_two_polls_is_no_change() {
    let mut rig = Rig::new();
    let (_, thread) = with_thread(&mut rig);
    rig.minutes(15);
    let head = rig.head();
    rig.world.counters.clear();
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.world.thread_unresolve(&thread);
    rig.minutes(5);
    assert_eq!(rig.head(), head);
    assert_eq!(rig.world.counters.of("Detail"), 0);
}

/// Case 1: a thread that was resolved before it was seen is one addition.
#[test]
fn a_thread_first_seen_resolved_is_added_and_not_resolved() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let head = rig.head();
    let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", 1), "Why?");
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.minutes(5);
    let threads: Vec<_> =
        rig.types_since(head).into_iter().filter(|it| it.contains("thread")).collect();
    assert_eq!(threads, ["pr_review_thread_added"]);
    rig.assert_observed();
}

/// Case 3.
#[test]
fn a_second_poll_of_the_same_writes_nothing() {
    let mut rig = Rig::new();
    let (pr, _) = with_thread(&mut rig);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.world.comment_add(&pr, "hubot", "Hello");
    rig.world.review(&pr, "reviewer", ReviewState::Approved, "Fine.");
    rig.world.open_pr(&NewPr::new(REPO, "another/branch"));
    rig.minutes(30);
    // Just after the row of the host was written, which is once a minute.
    let stored = rig.host().updated_at;
    while rig.host().updated_at == stored {
        rig.seconds(1);
    }
    let (head, bytes, rows) = (rig.head(), rig.bytes(), rig.totals().1.rows_changed);
    rig.world.counters.clear();
    rig.seconds(50);
    assert!(rig.world.counters.of("Heartbeat") >= 1, "it polled");
    assert_eq!(rig.world.counters.of("Detail"), 0);
    assert!(rig.world.counters.graphql_points <= 3);
    assert_eq!(rig.head(), head, "no change");
    assert_eq!(rig.totals().1.rows_changed, rows, "no row");
    assert_eq!(rig.bytes(), bytes, "not a page");
}

/// Case 4.
#[test]
fn what_was_deleted_is_removed_with_one_change_each() {
    let mut rig = Rig::new();
    let (pr, thread) = with_thread(&mut rig);
    let comment = rig.world.comment_add(&pr, "hubot", "Hello");
    rig.minutes(5);
    let head = rig.head();
    rig.world.comment_delete(&comment);
    let in_thread = rig.world.comments_of(&thread).remove(0);
    rig.world.comment_delete(&in_thread);
    rig.minutes(5);
    let mut types = rig.types_since(head);
    types.sort();
    let removed = ["pr_comment_removed", "pr_comment_removed", "pr_review_removed"];
    assert_eq!(types, [&removed[..], &["pr_review_thread_removed"]].concat());
    rig.assert_observed();
}

/// Case 4.
#[test]
fn a_thread_is_removed_by_a_complete_listing_only() {
    for kind in [
        Kind::AliasNull("d2".to_owned(), Some("NOT_FOUND".to_owned())),
        Kind::AliasNull("d2".to_owned(), None),
        Kind::ResourceLimits(0),
        Kind::NextPageWithoutCursor,
        Kind::NullField("nodes".to_owned()),
        Kind::NullField("comments".to_owned()),
        Kind::NullField("reviews".to_owned()),
        Kind::gateway(502),
        Kind::TruncatedJson,
    ] {
        let mut rig = Rig::new();
        let (pr, thread) = with_thread(&mut rig);
        rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
        rig.minutes(5);
        rig.assert_observed();
        let until = rig.now.0 + 240_000;
        let fault = Fault::always(kind.clone()).on(On::operation("Detail")).until(until);
        rig.world.faults.push(fault);
        let head = rig.head();
        rig.world.thread_reply(&thread, "octo-dev", "Because.");
        rig.minutes(4);
        let types = rig.types_since(head);
        assert!(!types.iter().any(|it| it.ends_with("_removed")), "{kind:?}: {types:?}");
        rig.minutes(6);
        rig.assert_observed();
        let types = rig.types_since(head);
        assert!(!types.iter().any(|it| it.ends_with("_removed")), "{kind:?}: {types:?}");
    }
}

/// Case 4: an element that is `null`, with an error or without, or something within it.
#[test]
fn what_is_null_in_an_answer_is_not_gone() {
    let mut rig = Rig::new();
    let (pr, thread) = with_thread(&mut rig);
    rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
    rig.minutes(5);
    let head = rig.head();
    for kind in [None, Some("SERVICE_UNAVAILABLE")] {
        rig.tamper = Some(Box::new(move |name, answer| {
            let lists = if name == "Full" {
                ["/data/nodes/0/reviewThreads/nodes/0", "/data/nodes/0/rollup"]
            } else {
                ["/data/d0/reviews/nodes/0", "/data/d1/comments/nodes/0"]
            };
            for path in lists {
                let Some(node) = answer.pointer_mut(path) else { continue };
                *node = serde_json::Value::Null;
                if let Some(kind) = kind {
                    let path: Vec<_> = path.split('/').skip(2).collect();
                    let path = serde_json::json!(
                        path.iter()
                            .map(|part| {
                                part.parse::<u64>().map_or((*part).into(), serde_json::Value::from)
                            })
                            .collect::<Vec<_>>()
                    );
                    let error = serde_json::json!({"type": kind, "path": path, "message": "Late."});
                    answer["errors"] = serde_json::json!([error]);
                }
            }
        }));
        rig.world.thread_reply(&thread, "octo-dev", "Because.");
        rig.minutes(5);
        assert_eq!(rig.row(&pr).unwrap().ci, Ci::Failing);
        assert_eq!(rig.facets(&pr).threads.len(), 1);
        let is_removed = |it: &String| it.ends_with("_removed");
        assert!(!rig.types_since(head).iter().any(is_removed), "{:?}", rig.types_since(head));
    }
    rig.tamper = None;
    rig.minutes(5);
    rig.assert_observed();
}

/// Case 5 (bug 7), as far as it is the observer's: that it is logged once is shown in the
/// tests of the program.
#[test]
fn without_credentials_nothing_is_sent_and_that_is_recorded() {
    let mut rig = Rig::new();
    rig.token = None;
    rig.seconds(1);
    assert_eq!(rig.host().credential, Credential::Missing, "within a second, without a subject");
    let pr = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    rig.session("demo", "ao/demo-1");
    rig.minutes(10);
    assert_eq!(rig.calls, 0);
    assert!(rig.probes <= 61, "every ten seconds: {}", rig.probes);
    assert!(rig.row(&pr).is_none());
}

/// Case 6.
#[test]
fn a_token_that_appears_later_is_used_without_a_restart() {
    let mut rig = Rig::new();
    rig.token = None;
    let pr = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    rig.session("demo", "ao/demo-1");
    rig.minutes(10);
    rig.token = Some("token");
    rig.seconds(90);
    assert_eq!(rig.host().credential, Credential::Ok);
    assert_eq!(rig.host().login, "octo-dev");
    rig.assert_pr(&pr);
}

/// Case 6.
#[test]
fn a_failed_lookup_of_credentials_is_repeated() {
    let mut rig = Rig::new();
    rig.probe_failure = Some("the keyring is locked");
    rig.session("demo", "ao/demo-1");
    rig.minutes(2);
    assert_eq!(rig.calls, 0);
    assert!(rig.probes >= 2, "it is repeated: {}", rig.probes);
    let stored =
        rig.store.read(|snapshot| ao_store::row::scm::host(snapshot, "github.com")).unwrap();
    let is_missing = stored.is_some_and(|host| host.credential == Credential::Missing);
    assert!(!is_missing, "it is not recorded that there is none");
    rig.probe_failure = None;
    rig.minutes(1);
    assert_eq!(rig.host().credential, Credential::Ok);
}

/// Case 7, as far as it is the observer's: a fact is written once, whatever happens to the readers
/// of the change stream, which redelivers by itself (crate `ao-cdc`).
#[test]
fn a_fact_is_written_once_also_over_restarts() {
    let mut rig = Rig::new();
    let (pr, thread) = with_thread(&mut rig);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.minutes(15);
    let head = rig.head();
    for _ in 0..3 {
        rig.restart();
        rig.minutes(3);
    }
    assert_eq!(rig.types_since(head), Vec::<String>::new());
    rig.assert_observed();
}

/// A store that soon gives up waiting when another process holds the lock.
fn impatient() -> Rig {
    let mut world = World::new(7);
    world.add_repo(REPO);
    let options = Options { busy: Duration::from_millis(150), ..Options::default() };
    let rig = Rig::with_options(world, options);
    rig.project("demo", REPO);
    rig
}

/// Case 8: another process holds the write lock while an answer is to be stored.
#[test]
fn what_could_not_be_written_is_read_again() {
    let mut rig = impatient();
    let (pr, thread) = with_thread(&mut rig);
    rig.minutes(15);
    let (head, poll) = (rig.head(), rig.poll(&pr));
    rig.world.thread_reply(&thread, "octo-dev", "Because.");
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
    rig.while_locked(|rig| rig.minutes(2));
    assert!(rig.totals().0.failed_writes > 0, "it could not be stored");
    assert_eq!((rig.head(), rig.poll(&pr)), (head, poll), "and nothing counts as read");
    rig.minutes(3);
    rig.assert_observed();
}

/// Case 8: of a pull request that was found in the middle of a listing of several pages, too.
#[test]
fn a_pull_request_that_could_not_be_stored_is_found_again() {
    let mut rig = impatient();
    rig.session("demo", "ao/demo-1");
    let mut pr = String::new();
    for index in 0..250 {
        rig.sleep(Duration::from_secs(1));
        let branch = if index == 110 { "ao/demo-1".to_owned() } else { format!("other/{index}") };
        let opened = rig.world.open_pr(&NewPr::new(REPO, &branch));
        pr = if index == 110 { opened } else { pr };
    }
    // The first page is stored, the second is not.
    rig.until_calls(1);
    rig.while_locked(|rig| rig.until_calls(2));
    assert!(rig.row(&pr).is_none());
    rig.minutes(2);
    rig.assert_pr(&pr);
}

/// A list that could not be read does not affect the metadata of the same poll, and counts as failed.
#[test]
fn a_failed_reading_of_reviews_keeps_the_decision() {
    let mut rig = Rig::new();
    rig.world.protect(REPO, true, &[]);
    let pr = rig.tracked("ao/demo-1");
    let until = rig.now.0 + 120_000;
    let null = Kind::NullField("reviews".to_owned());
    rig.world.faults.push(Fault::always(null).on(On::operation("Detail")).until(until));
    rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    rig.minutes(2);
    let row = rig.row(&pr).unwrap();
    assert_eq!(row.review_decision, ReviewDecision::ChangesRequested);
    assert_eq!(row.ci, Ci::Unknown);
    assert_ne!(row.reviews_state, Completeness::Complete);
    rig.minutes(5);
    rig.assert_observed();
    assert_eq!(rig.row(&pr).unwrap().reviews_state, Completeness::Complete);
}
