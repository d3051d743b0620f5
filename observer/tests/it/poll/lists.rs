//! Lists that change while they are read, and items of lists that cannot be read.

use std::cell::Cell;

use ao_fake_github::{CheckSpec, CheckStatus, Conclusion, NewPr, NewThread, ReviewState};
use ao_store::observation::{Ci, Completeness};
use ao_store::row::scm::{self, Problem};
use serde_json::{Value, json};

use super::rig::{REPO, Rig, Tamper};

/// A list that a detail query reads: the type that has it, where it is, and how complete it is stored.
type ListOf = (&'static str, &'static str, fn(&Rig, &str) -> Completeness);

const LISTS: [ListOf; 5] = [
    ("PullRequest", "/checks/contexts", |rig, pr| rig.row(pr).unwrap().checks_state),
    ("PullRequest", "/reviews", |rig, pr| rig.row(pr).unwrap().reviews_state),
    ("PullRequest", "/comments", |rig, pr| rig.row(pr).unwrap().comments_state),
    ("PullRequest", "/reviewThreads", |rig, pr| rig.row(pr).unwrap().threads_state),
    ("PullRequestReviewThread", "/comments", |rig, pr| rig.row(pr).unwrap().comments_state),
];

/// A pull request of which each list has two pages, read to its end.
fn long() -> (Rig, String) {
    with_items(101)
}

/// A pull request with this number of items of each kind, read to its end.
fn with_items(count: u64) -> (Rig, String) {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    for index in 0..count {
        rig.world.check(&pr, &CheckSpec::job("ci", &format!("{index}")), Conclusion::Success);
        rig.world.comment_add(&pr, "hubot", "Hello");
        rig.world.review(&pr, "reviewer", ReviewState::Commented, "Hm.");
        let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", index), "Why?");
        for _ in 0..if index == 100 { 51 } else { 0 } {
            rig.world.thread_reply(&thread, "octo-dev", "Because.");
        }
    }
    rig.minutes(5);
    rig.assert_observed();
    for (_, path, state) in LISTS {
        assert_eq!(state(&rig, &pr), Completeness::Complete, "{path}");
    }
    (rig, pr)
}

/// Something is added to each list.
fn grow(rig: &mut Rig, pr: &str, name: &str) {
    rig.world.check(pr, &CheckSpec::job("ci", name), Conclusion::Success);
    rig.world.comment_add(pr, "hubot", name);
    rig.world.review(pr, "reviewer", ReviewState::Commented, name);
    let thread = rig.world.thread_add(pr, "reviewer", &NewThread::at("a.rs", 1), name);
    rig.world.thread_reply(&thread, "octo-dev", name);
}

/// Changes the last page of a list in each answer: `change` gets the answer, the path of the page, and
/// how often it was called before.
fn tamper((kind, path, _): ListOf, change: impl Fn(&mut Value, &str, u32) + 'static) -> Tamper {
    let calls = Cell::new(0);
    Box::new(move |name, answer| {
        let aliases = answer["data"].as_object().into_iter().flatten();
        let is_it = |(_, node): &(&String, &Value)| {
            let info = node.pointer(path).map(|page| &page["pageInfo"]["hasNextPage"]);
            node["__typename"] == kind && info == Some(&json!(false))
        };
        let pages: Vec<_> =
            aliases.filter(is_it).map(|(alias, _)| format!("/{alias}{path}")).collect();
        for page in pages.iter().filter(|_| name == "Detail") {
            change(answer, page, calls.replace(calls.get() + 1));
        }
    })
}

fn page<'a>(answer: &'a mut Value, path: &str) -> &'a mut Value {
    answer.pointer_mut(&format!("/data{path}")).unwrap()
}

/// The changes since that record that something went away.
fn removals(rig: &Rig, head: i64) -> Vec<String> {
    let is_removal = |kind: &String| kind.contains("removed") || kind.contains("deleted");
    rig.types_since(head).into_iter().filter(is_removal).collect()
}

/// While the answers are changed, the list is partial, nothing of it is deleted, and the pull request
/// does not count as read; afterwards it is read to its end.
fn assert_partial(rig: &mut Rig, pr: &str, list: ListOf, name: &str, change: Tamper) {
    let (_, path, state) = list;
    let head = rig.head();
    // Checks of one name would replace each other.
    grow(rig, pr, &format!("{name} of {path} of {}", list.0));
    rig.tamper = Some(change);
    rig.minutes(1);
    let fresh_at = rig.host().fresh_at;
    rig.minutes(6);
    assert_eq!(state(rig, pr), Completeness::Partial, "{name} {path}");
    assert_eq!(rig.poll(pr).problem, Problem::Incomplete, "{name} {path}");
    assert_eq!(rig.host().fresh_at, fresh_at, "{name} {path}");
    let report = rig.poller.report(rig.now);
    assert_eq!((report.fresh, report.problems), (0, 1), "{name} {path}");
    assert_eq!(report.unread, ["github.com/octo/hello#1: incomplete"]);
    assert_eq!(removals(rig, head), [""; 0], "{name} {path}");
    rig.tamper = None;
    rig.minutes(6);
    assert_eq!(state(rig, pr), Completeness::Complete, "{name} {path}");
    assert_eq!(rig.poll(pr).problem, Problem::None, "{name} {path}");
    assert_eq!(removals(rig, head), [""; 0], "{name} {path}");
    assert!(rig.host().fresh_at > fresh_at, "{name} {path}");
    assert_eq!(rig.poller.report(rig.now).fresh, 1);
    rig.assert_observed();
}

#[test]
fn a_list_that_changed_while_it_was_read_deletes_nothing_and_is_read_again() {
    let (mut rig, pr) = long();
    for list in LISTS {
        let total = tamper(list, |answer, path, _| {
            let total = &mut page(answer, path)["totalCount"];
            *total = json!(total.as_i64().unwrap() + 1);
        });
        let duplicate = tamper(list, |answer, path, _| {
            let nodes = page(answer, path)["nodes"].as_array_mut().unwrap();
            *nodes.last_mut().unwrap() = nodes[0].clone();
        });
        assert_partial(&mut rig, &pr, list, "total", total);
        assert_partial(&mut rig, &pr, list, "duplicate", duplicate);
        // An item that is missing once is there when the list is read again.
        let head = rig.head();
        grow(&mut rig, &pr, &format!("missing of {} of {}", list.1, list.0));
        rig.tamper = Some(tamper(list, |answer, path, calls| {
            if calls == 0 {
                page(answer, path)["nodes"].as_array_mut().unwrap().pop();
            }
        }));
        rig.minutes(3);
        rig.tamper = None;
        assert_eq!(removals(&rig, head), [""; 0], "{}", list.1);
        assert_eq!(rig.poll(&pr).problem, Problem::None, "{}", list.1);
        rig.assert_observed();
    }
}

/// The pages of GitHub may count items that they do not show, such as those of users who were blocked.
#[test]
fn a_total_that_always_differs_is_no_problem_and_deletes_nothing() {
    let (mut rig, pr) = with_items(3);
    // The states of so few threads are read by a poll.
    for list in LISTS.into_iter().filter(|list| list.1 != "/reviewThreads") {
        let head = rig.head();
        grow(&mut rig, &pr, &format!("hidden of {} of {}", list.1, list.0));
        rig.tamper = Some(tamper(list, |answer, path, _| {
            page(answer, path)["nodes"].as_array_mut().unwrap().remove(0);
        }));
        rig.minutes(3);
        assert_eq!(list.2(&rig, &pr), Completeness::Partial, "{}", list.1);
        assert_eq!(rig.poll(&pr).problem, Problem::None, "{}", list.1);
        assert_eq!(removals(&rig, head), [""; 0], "{}", list.1);
        rig.world.counters.clear();
        rig.minutes(30);
        assert_eq!(rig.world.counters.of("Detail"), 0, "{} is not read again", list.1);
        rig.tamper = None;
    }
}

fn push_error(answer: &mut Value, path: &str, rest: &Value) {
    let alias = path.split('/').nth(1).unwrap();
    let steps = path.split('/').skip(1).map(Value::from);
    let path: Vec<_> = steps.chain(rest.as_array().unwrap().iter().cloned()).collect();
    let error = json!({"path": path, "type": "SOMETHING_NEW", "message": alias});
    match answer["errors"].as_array_mut() {
        Some(errors) => errors.push(error),
        None => answer["errors"] = json!([error]),
    }
}

#[test]
fn an_item_that_cannot_be_read_costs_one_item_and_is_reported() {
    let (mut rig, pr) = long();
    type Change = fn(&mut Value, &str);
    let changes: [(&str, Change); 4] = [
        ("null", |answer, path| page(answer, path)["nodes"][0] = Value::Null),
        ("an error", |answer, path| {
            page(answer, path)["nodes"][0] = Value::Null;
            push_error(answer, path, &json!(["nodes", 0]));
        }),
        ("an error within", |answer, path| {
            page(answer, path)["nodes"][0]["author"] = Value::Null;
            push_error(answer, path, &json!(["nodes", 0, "author"]));
        }),
        ("another form", |answer, path| page(answer, path)["nodes"][0] = json!(17)),
    ];
    for list in LISTS {
        for (name, change) in changes {
            let change = tamper(list, move |answer, path, _| change(answer, path));
            assert_partial(&mut rig, &pr, list, name, change);
        }
    }
}

/// An item that was not read is not new, and those beside it are.
#[test]
fn what_is_beside_an_item_that_cannot_be_read_is_stored() {
    let (mut rig, pr) = long();
    grow(&mut rig, &pr, "beside");
    rig.tamper = Some(tamper(LISTS[2], |answer, path, _| {
        page(answer, path)["nodes"][0] = Value::Null;
    }));
    rig.minutes(3);
    assert!(rig.facets(&pr).comments.iter().any(|it| it.body == "beside"));
    assert_eq!(rig.row(&pr).unwrap().comments_state, Completeness::Partial);
}

/// The states of the first hundred threads are read by a poll.
#[test]
fn a_thread_that_a_poll_cannot_read_keeps_its_row() {
    let (mut rig, pr) = long();
    let head = rig.head();
    rig.tamper = Some(Box::new(|name, answer| {
        if name == "Full" && answer.pointer("/data/nodes/0/reviewThreads/nodes/3").is_some() {
            answer["data"]["nodes"][0]["reviewThreads"]["nodes"][3] = Value::Null;
            push_error(answer, "/nodes", &json!([0, "reviewThreads", "nodes", 3]));
        }
    }));
    grow(&mut rig, &pr, "more");
    rig.minutes(3);
    assert_eq!(rig.row(&pr).unwrap().threads_state, Completeness::Partial);
    assert_eq!(rig.poll(&pr).problem, Problem::Incomplete);
    assert!(rig.facets(&pr).comments.iter().any(|it| it.body == "more"));
    assert_eq!(removals(&rig, head), [""; 0]);
    rig.tamper = None;
    rig.minutes(6);
    assert_eq!(rig.poll(&pr).problem, Problem::None);
    rig.assert_observed();
}

/// A workflow that waits has a suite and no check run.
#[test]
fn a_suite_that_cannot_be_read_may_still_wait() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.suite_waiting(&pr, "deploy", CheckStatus::Queued, None);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.minutes(3);
    let stored = rig.facets(&pr).checks;
    assert_eq!(stored.len(), 2);
    rig.tamper = Some(Box::new(|name, answer| {
        let suite = "/data/nodes/0/headRef/target/checkSuites/nodes/0";
        if let Some(suite) = answer.pointer_mut(suite).filter(|_| name == "Full") {
            *suite = json!({"id": 17});
        }
    }));
    rig.world.comment_add(&pr, "hubot", "Hello");
    rig.minutes(6);
    assert_eq!(rig.facets(&pr).checks, stored);
    let row = rig.row(&pr).unwrap();
    assert_eq!((row.ci, row.checks_state), (Ci::Pending, Completeness::Partial));
    rig.tamper = None;
    rig.minutes(6);
    assert_eq!(rig.row(&pr).unwrap().checks_state, Completeness::Complete);
}

/// One pull request of an answer cannot be read, and the other one can.
#[test]
fn a_pull_request_that_cannot_be_read_has_a_problem_and_is_not_fresh() {
    let mut rig = Rig::new();
    let (lost, other) = (rig.tracked("ao/demo-1"), rig.tracked("ao/demo-2"));
    rig.minutes(5);
    let head = rig.head();
    let id = lost.clone();
    rig.tamper = Some(Box::new(move |_, answer| {
        let nodes = answer["data"]["nodes"].as_array_mut().into_iter().flatten();
        nodes.filter(|node| node["id"] == id.as_str()).for_each(|node| node["number"] = json!("?"));
    }));
    rig.minutes(1);
    let fresh_at = rig.host().fresh_at;
    rig.world.set_title(&lost, "Another title");
    rig.world.set_title(&other, "Another title");
    rig.minutes(5);
    assert_eq!(rig.poll(&lost).problem, Problem::Failed);
    assert_eq!(rig.poll(&other).problem, Problem::None);
    rig.assert_pr(&other);
    let report = rig.poller.report(rig.now);
    assert_eq!((report.tracked, report.fresh, report.problems), (2, 1, 1));
    assert_eq!(report.unread, ["github.com/octo/hello#1: failed"]);
    assert_eq!(rig.host().fresh_at, fresh_at, "not everything was read since");
    assert_eq!(rig.types_since(head), ["pr_updated"]);
    rig.tamper = None;
    rig.minutes(5);
    assert_eq!(rig.poll(&lost).problem, Problem::None);
    rig.assert_observed();
    assert!(rig.host().fresh_at > fresh_at);
}

/// What was found by a listing counts as read after the poll that reads it.
#[test]
fn a_host_is_not_fresh_before_what_was_found_is_read() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/demo-1");
    let new = rig.world.open_pr(&NewPr::new(REPO, "ao/demo-1"));
    rig.world.comment_add(&new, "hubot", "Hello");
    let mut calls = 0;
    while rig.row(&new).is_none() || rig.facets(&new).comments.is_empty() {
        let host = rig.store.read(|snapshot| scm::host(snapshot, "github.com")).unwrap();
        assert_eq!(host.and_then(|host| host.fresh_at), None, "it was not read yet");
        calls += 1;
        rig.until_calls(calls);
    }
    rig.minutes(2);
    assert!(rig.host().fresh_at.is_some());
}
