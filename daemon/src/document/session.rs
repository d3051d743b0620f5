//! Sessions: a row of a list, one with everything about it, and what the verbs on them did.

use ao_session::Cleaned;
use ao_session::worktree::Diff;
use ao_store::row::launch::Launch;
use ao_store::row::lifecycle::cleanup::{self, Cleanup};
use ao_store::row::pr::{self, Pr};
use ao_store::row::session::{self, Session};
use ao_store::row::shared_branch::{self, SharedBranch};
use ao_store::row::{decision, launch, scm};
use ao_store::status::{self, Derived};
use ao_store::{Cursor, Error, Result, SessionId, Snapshot};
use serde_json::{Value, json};

use super::field::time;
use super::host::skipped;
use super::printable::printable;
use super::row;

/// A session with the warnings about it.
#[must_use]
pub fn changed(session: &Session, shared: Option<&SharedBranch>) -> Value {
    let mut data = row::session(session);
    data["warnings"] = warnings(&session.id, shared);
    data
}

/// A row of a list.
#[must_use]
pub fn listed(session: &Session, derived: &Derived, shared: Option<&SharedBranch>) -> Value {
    let mut data = changed(session, shared);
    put_status(&mut data, derived);
    data
}

fn put_status(data: &mut Value, derived: &Derived) {
    data["status"] = derived.status.as_str().into();
    data["status_reason"] = derived.reason.clone().into();
    data["status_since"] = derived.since.map(time).into();
}

/// What a session has changed.
#[must_use]
pub fn diff(id: &SessionId, diff: &Diff) -> Value {
    let Diff { base, head, files, file_count, added, removed, patch, is_cut } = diff;
    let listed = files.iter().map(|file| {
        json!({
            "path": file.path,
            "old_path": file.old_path,
            "status": file.status,
            "added": file.lines.map(|lines| lines.0),
            "removed": file.lines.map(|lines| lines.1),
            "is_binary": file.is_binary,
        })
    });
    json!({
        "session_id": id.as_str(),
        "base": base,
        "head": head,
        "files": listed.collect::<Vec<_>>(),
        "file_count": file_count,
        "added": added,
        "removed": removed,
        "patch": patch,
        "is_truncated": *is_cut || files.len() < *file_count,
    })
}

/// A session as it is now.
///
/// # Errors
/// `SESSION_NOT_FOUND`.
pub fn now(snapshot: &Snapshot<'_>, id: &SessionId) -> Result<Value> {
    let session = session::require(snapshot, id)?;
    let of_session = pr::Filter { session: Some(id.clone()), ..pr::Filter::default() };
    let mut data = changed(&session, shared_branch::of(snapshot, &session)?.as_ref());
    put_status(&mut data, &status::of(snapshot, &session)?);
    data["is_seed"] = session::is_seed(snapshot, &session)?.into();
    data["prs"] = pr::list(snapshot, &of_session)?.iter().map(row::pr).collect();
    data["skipped"] = scm::skipped_prs(snapshot, Some(id))?.iter().map(skipped).collect();
    if let Some(launch) = launch::get(snapshot, &session.launch)? {
        data["launch"] = row::launch(&launch);
        data["launch"]["output"] = launch::output(snapshot, &launch.id)?.into();
    } else {
        data["launch"] = Value::Null;
    }
    let decision = decision::open(snapshot, &session.id)?;
    data["decision"] = decision.as_ref().map(row::decision).into();
    data["cleanup"] = cleanup::get(snapshot, id)?.as_ref().map(cleaned_up).into();
    Ok(data)
}

/// A session as of a cursor, without what the log does not have: the status, which depends on the commands
/// that ran, what the agent wrote, and what was kept.
#[derive(Debug, Clone)]
pub struct Past {
    /// The session.
    pub session: Session,
    /// Its newest launch.
    pub launch: Option<Launch>,
    /// Its pull requests.
    pub prs: Vec<Pr>,
}

impl Past {
    /// Reads it from the log.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`, or the cursor cannot be used.
    pub fn read(snapshot: &Snapshot<'_>, id: &SessionId, cursor: Cursor) -> Result<Past> {
        let session = session::as_of(snapshot, id, cursor)?;
        let session = session.ok_or_else(|| Error::SessionNotFound(id.clone()))?;
        let mut prs = pr::list_as_of(snapshot, cursor)?;
        prs.retain(|pr| pr.session == *id);
        let launch = launch::as_of(snapshot, &session.launch, cursor)?;
        Ok(Past { session, launch, prs })
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut data = changed(&self.session, None);
        data["is_seed"] = (self.session.is_empty() && self.prs.is_empty()).into();
        data["launch"] = self.launch.as_ref().map(row::launch).into();
        data["prs"] = self.prs.iter().map(row::pr).collect();
        data
    }
}

/// Adds what did not work to the document of a session.
pub fn put_incomplete(data: &mut Value, warnings: &[String]) {
    if let Some(all) = data["warnings"].as_array_mut() {
        let incomplete = |text| json!({"code": "INCOMPLETE", "message": text, "session_ids": []});
        all.extend(warnings.iter().map(incomplete));
    }
}

/// What is said of sessions of one repository that work on one branch.
#[must_use]
pub fn shared_branch_message(shared: &SharedBranch) -> String {
    let sessions: Vec<_> = shared.sessions.iter().map(SessionId::as_str).collect();
    let (branch, sessions) = (printable(&shared.branch), sessions.join(", "));
    format!("{sessions} work on the branch {branch}, and only one of them gets its pull request")
}

fn warnings(id: &SessionId, shared: Option<&SharedBranch>) -> Value {
    let others = |shared: &SharedBranch| -> Vec<_> {
        let others = shared.sessions.iter().filter(|other| *other != id);
        others.map(|other| other.as_str().to_owned()).collect()
    };
    let warning = shared.map(|shared| {
        let message = shared_branch_message(shared);
        json!({"code": "BRANCH_SHARED", "message": message, "session_ids": others(shared)})
    });
    Value::Array(warning.into_iter().collect())
}

/// What a cleanup did, or would do.
#[must_use]
pub fn cleanup(cleaned: &[Cleaned], dry_run: bool) -> Value {
    let sessions: Vec<_> = cleaned.iter().map(one_cleaned).collect();
    json!({"dry_run": dry_run, "sessions": sessions})
}

fn one_cleaned(cleaned: &Cleaned) -> Value {
    let error = cleaned.outcome.as_ref().err();
    let error =
        error.map(|error| json!({"code": error.code().name(), "message": error.to_string()}));
    json!({
        "session_id": cleaned.session.as_str(),
        "cleanup": cleaned.outcome.as_ref().ok().map(cleaned_up),
        "error": error,
    })
}

/// What was done to worktree and branch.
fn cleaned_up(cleanup: &Cleanup) -> Value {
    json!({
        "worktree": if cleanup.is_worktree_removed { "removed" } else { "kept" },
        "worktree_reason": cleanup.worktree_reason,
        "branch": if cleanup.is_branch_deleted { "deleted" } else { "kept" },
        "branch_reason": cleanup.branch_reason,
        "preserved_ref": cleanup.preserved_ref,
        "at": time(cleanup.at),
    })
}

/// That a session was deleted.
#[must_use]
pub fn deleted(id: &SessionId) -> Value {
    json!({"id": id.as_str(), "deleted": true})
}
