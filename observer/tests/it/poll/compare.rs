//! Compares the store with the world.

use std::fmt::Debug;

use ao_fake_github::ExpectedPr;
use ao_store::observation::{Check, CheckKind, Ci, Comment, Mergeable, PrState, Review, Thread};
use ao_store::row::pr::Pr;

use super::rig::Rig;

impl Rig {
    /// Every tracked pull request is stored as it is in the world.
    pub(crate) fn assert_observed(&self) {
        for node in self.world.prs() {
            if self.row(&node).is_some() {
                self.assert_pr(&node);
            }
        }
    }

    /// A pull request is stored as it is in the world.
    pub(crate) fn assert_pr(&self, node: &str) {
        let expected = self.world.expected(node);
        let (row, facets) = (self.row(node).unwrap(), self.facets(node));
        assert_metadata(&row, &expected);
        // The checks of a pull request that has ended are not read for ever.
        if matches!(row.state, PrState::Open | PrState::Draft) {
            assert_checks(&facets.checks, &expected);
        }
        assert_threads(&facets.threads, &expected);
        assert_reviews(&facets.reviews, &expected);
        assert_comments(&facets.comments, &expected);
    }
}

fn assert_same<T: Ord + Debug>(what: &str, seen: Vec<T>, there: Vec<T>, expected: &ExpectedPr) {
    let sorted = |mut items: Vec<T>| {
        items.sort();
        items
    };
    assert_eq!(sorted(seen), sorted(there), "{what} of {}", expected.id);
}

fn assert_checks(stored: &[Check], expected: &ExpectedPr) {
    let single = stored.iter().filter(|check| check.kind != CheckKind::Workflow);
    let seen = single.map(|it| {
        let Check { head_sha, app, workflow, event, name, .. } = it.clone();
        let id = if it.kind == CheckKind::Run { it.external_id.clone() } else { String::new() };
        (id, head_sha, app, workflow, event, name, it.conclusion.clone())
    });
    let there = expected.checks.iter().map(|(id, it)| {
        // A status has one text for its state, and a new id with each; that of a run is its
        // conclusion.
        let is_status = it.app.is_empty();
        let text = if is_status { Some(it.status) } else { it.conclusion };
        let id = if is_status { String::new() } else { id.clone() };
        let (app, workflow, event) = (it.app.clone(), it.workflow.clone(), it.event.clone());
        let text = text.unwrap_or_default().to_ascii_lowercase();
        (id, expected.head_oid.clone(), app, workflow, event, it.name.clone(), text)
    });
    assert_same("checks", seen.collect(), there.collect(), expected);
    let waiting = stored.iter().filter(|check| check.kind == CheckKind::Workflow).count();
    assert_eq!(waiting, expected.waiting.len(), "waiting workflows of {}", expected.id);
}

fn assert_threads(stored: &[Thread], expected: &ExpectedPr) {
    let seen = stored.iter().map(|it| {
        let state = (it.is_resolved, it.is_outdated, it.resolved_by.clone());
        (it.id.clone(), state, it.path.clone(), it.line, it.comments_total)
    });
    let there = expected.threads.iter().map(|(id, it)| {
        let by = it.resolved_by.clone().unwrap_or_default();
        let line = it.line.map(|line| i64::try_from(line).unwrap());
        let total = Some(i64::try_from(it.comments).unwrap());
        (id.clone(), (it.is_resolved, it.is_outdated, by), it.path.clone(), line, total)
    });
    assert_same("threads", seen.collect(), there.collect(), expected);
}

fn assert_reviews(stored: &[Review], expected: &ExpectedPr) {
    let seen = stored.iter().map(|it| {
        let state = it.state.as_str().to_ascii_uppercase();
        (it.id.clone(), it.author.clone(), state, it.body.clone(), it.commit_sha.clone())
    });
    let there = expected.reviews.iter().map(|(id, it)| {
        let author = it.author.clone().unwrap_or_default();
        (id.clone(), author, it.state.as_str().to_owned(), it.body.clone(), it.commit.clone())
    });
    assert_same("reviews", seen.collect(), there.collect(), expected);
}

fn assert_comments(stored: &[Comment], expected: &ExpectedPr) {
    let seen = stored.iter().map(|it| {
        let thread = it.thread_id.clone();
        (it.id.clone(), thread, it.author.clone(), it.body.clone(), it.is_minimized)
    });
    let there = expected.comments.iter().map(|(id, it)| {
        let thread = it.thread.clone().unwrap_or_default();
        let author = it.author.clone().unwrap_or_default();
        (id.clone(), thread, author, it.body.clone(), it.is_minimized)
    });
    assert_same("comments", seen.collect(), there.collect(), expected);
}

fn assert_metadata(row: &Pr, expected: &ExpectedPr) {
    let ExpectedPr { id, .. } = expected;
    assert_eq!(row.state.as_str(), expected.state, "state of {id}");
    assert_eq!(row.title, expected.title, "title of {id}");
    assert_eq!(row.head_sha, expected.head_oid, "head of {id}");
    assert_eq!(row.head_ref, expected.head_ref, "head branch of {id}");
    assert_eq!(row.base_ref, expected.base_ref, "base branch of {id}");
    assert_eq!(row.author, expected.author.clone().unwrap_or_default(), "author of {id}");
    assert_eq!(row.is_in_merge_queue, expected.is_in_merge_queue, "merge queue of {id}");
    assert_eq!(row.is_auto_merge, expected.has_auto_merge, "auto-merge of {id}");
    let text = expected.review_decision.map_or("none".to_owned(), str::to_ascii_lowercase);
    assert_eq!(row.review_decision.as_str(), text, "decision of {id}");
    if matches!(row.state, PrState::Open | PrState::Draft) {
        // What ended long ago is not polled when its repository is renamed.
        assert_eq!(row.repo, expected.repo, "repository of {id}");
        assert_eq!(row.ci, expected_ci(expected), "ci of {id}");
        if let Some(mergeable) = expected.mergeable {
            let mergeable = Mergeable::parse(&mergeable.to_ascii_lowercase());
            assert_eq!(row.mergeable, mergeable, "mergeable of {id}");
        }
    }
}

fn expected_ci(expected: &ExpectedPr) -> Ci {
    let ci = match expected.ci.map(|state| state.as_str()) {
        None => Ci::Unknown,
        Some("SUCCESS") => Ci::Passing,
        Some("FAILURE" | "ERROR") => Ci::Failing,
        Some(_) => Ci::Pending,
    };
    if !expected.waiting.is_empty() && ci != Ci::Failing { Ci::Pending } else { ci }
}
