//! Sessions of one repository that work on one branch: how that is reported, to people and in documents.

use ao_store::row::shared_branch::{self, SharedBranch};
use ao_store::{SessionId, Store};
use serde_json::{Value, json};

use crate::doctor::Finding;
use crate::output::printable;

/// What to do about it.
pub(crate) const FIX: &str =
    "give each session a branch of its own: `ao-store session set SESSION --branch NAME`";

/// What is said of it.
pub(crate) fn message(shared: &SharedBranch) -> String {
    let sessions: Vec<_> = shared.sessions.iter().map(SessionId::as_str).collect();
    let (branch, sessions) = (printable(&shared.branch), sessions.join(", "));
    format!("{sessions} work on the branch {branch}, and only one of them gets its pull request")
}

/// The warnings about a session, as in docs/json.md.
pub(crate) fn warnings(id: &SessionId, shared: Option<&SharedBranch>) -> Value {
    let others = |shared: &SharedBranch| -> Vec<_> {
        let others = shared.sessions.iter().filter(|other| *other != id);
        others.map(|other| other.as_str().to_owned()).collect()
    };
    let warning = shared.map(|shared| {
        json!({"code": "BRANCH_SHARED", "message": message(shared), "session_ids": others(shared)})
    });
    Value::Array(warning.into_iter().collect())
}

/// Whether every session has a branch of its own.
pub(crate) fn check(store: &Store) -> Finding {
    let id = "session.branches";
    match store.read(shared_branch::all) {
        Err(error) => Finding::fail(id, error.to_string(), "`ao-store verify`"),
        Ok(shared) if shared.is_empty() => Finding::ok(id, "no two sessions work on one branch"),
        Ok(shared) => {
            let messages: Vec<_> = shared.iter().map(message).collect();
            Finding::warn(id, messages.join("; "), FIX)
        }
    }
}
