//! Which checks of a commit count: a run that was run again is replaced by the later run, and runs of one
//! name at the same time are different checks. Pure, and independent of the order of the checks.

use std::collections::HashMap;

use crate::model::observation::{Check, CheckKind, CheckStatus};
use crate::model::time::Timestamp;

/// Identifies a check among those of a pull request, whichever of its facts are known. A commit status has
/// a new id with each state, and is known by its name alone.
pub(crate) fn identity(check: &Check) -> String {
    let Check { head_sha, kind, app, workflow, event, name, suite, external_id, .. } = check;
    let kind = kind.as_str();
    // Debug quotes each part, so that no two identities are equal by chance.
    if check.kind == CheckKind::Status {
        format!("{:?}", (head_sha, kind, app, name))
    } else if external_id.is_empty() {
        format!("{:?}", (head_sha, kind, app, workflow, event, name, suite))
    } else {
        format!("{:?}", (head_sha, kind, external_id))
    }
}

/// The checks that count: of several with one identity the last, without those that were run again. What is
/// known of a suite from one of its checks holds for all of them.
pub(crate) fn settle(checks: &[Check]) -> Vec<Check> {
    let mut checks = checks.to_vec();
    share_workflows(&mut checks);
    let mut last = HashMap::new();
    for (index, check) in checks.iter().enumerate() {
        last.insert(identity(check), index);
    }
    let mut groups: HashMap<_, Vec<&Check>> = HashMap::new();
    for index in last.values() {
        let check = &checks[*index];
        groups
            .entry((&check.head_sha, check.kind, &check.app, &check.name))
            .or_default()
            .push(check);
    }
    let counts = |index: &usize| {
        let check = &checks[*index];
        let group = &groups[&(&check.head_sha, check.kind, &check.app, &check.name)];
        !group.iter().any(|other| is_rerun(check, other))
    };
    let mut counted: Vec<_> = last.values().copied().filter(counts).collect();
    counted.sort_unstable();
    counted.into_iter().map(|index| checks[index].clone()).collect()
}

/// A webhook delivery of a check run names its suite, but not the workflow of the suite.
fn share_workflows(checks: &mut [Check]) {
    let mut known: HashMap<String, (String, String)> = HashMap::new();
    for check in checks.iter().filter(|it| !it.suite.is_empty() && !it.workflow.is_empty()) {
        let workflow = (check.workflow.clone(), check.event.clone());
        let first = known.entry(check.suite.clone()).or_insert_with(|| workflow.clone());
        if workflow < *first {
            // The sources contradict each other: the choice does not depend on their order.
            *first = workflow;
        }
    }
    for check in checks {
        if check.workflow.is_empty()
            && check.event.is_empty()
            && let Some((workflow, event)) = known.get(&check.suite)
        {
            (check.workflow, check.event) = (workflow.clone(), event.clone());
        }
    }
}

/// Whether `new` is a later run of the check `old`, which has the same commit, kind, app and name. Jobs of
/// one name that overlap are different jobs. A run without times replaces nothing and is not replaced.
fn is_rerun(old: &Check, new: &Check) -> bool {
    let same_workflow = old.workflow == new.workflow && old.event == new.event;
    let is_same = if old.suite == new.suite {
        same_workflow || !old.suite.is_empty()
    } else {
        same_workflow && !old.workflow.is_empty()
    };
    is_same && old.kind != CheckKind::Status && follows(old, new)
}

/// Whether `new` began later than `old`, which had ended by then. A workflow that is started anew cancels
/// its previous run only afterwards, so one that was cancelled need not have ended. Of two runs that began
/// within one second, which is the unit of GitHub's times, none follows the other.
fn follows(old: &Check, new: &Check) -> bool {
    let Some(began) = new.started_at else { return false };
    let is_cancelled = old.status == CheckStatus::Cancelled && old.started_at.is_some();
    old.started_at.is_none_or(|at| at < began)
        && (is_cancelled || ended_at(old).is_some_and(|ended| ended <= began))
}

fn ended_at(check: &Check) -> Option<Timestamp> {
    match check.status {
        CheckStatus::Queued | CheckStatus::InProgress => None,
        _ => check.completed_at.map(|at| check.started_at.map_or(at, |began| at.max(began))),
    }
}
