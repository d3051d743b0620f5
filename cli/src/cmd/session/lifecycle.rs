//! The verbs on a session that exists: kill, restore, relaunch, cleanup.

use ao_daemon::document::session as document;
use ao_session::Cleaned;
use ao_store::row::lifecycle::cleanup::Cleanup;
use ao_store::{ProjectId, SessionId};

use super::document_of;
use crate::args::Consent;
use crate::confirm::{self, Answer};
use crate::context::Context;
use crate::error::Result;
use crate::output::{self, printable};

pub(super) fn kill(context: &Context, id: &SessionId, grace: std::time::Duration) -> Result<()> {
    let killed = context.sessions_with(grace)?.kill(id)?;
    let what = if killed.was_terminated { "was terminated already" } else { "terminated" };
    if let Some(cleanup) = &killed.cleanup {
        say_cleanup(context, cleanup);
    }
    print(context, "session.kill", id, what, &killed.warnings)
}

pub(super) fn restore(context: &Context, id: &SessionId) -> Result<()> {
    let restored = context.sessions()?.restore(id)?;
    let what = format!("restored ({})", restored.kind);
    print(context, "session.restore", id, &what, &restored.warnings)
}

pub(super) fn relaunch(context: &Context, id: &SessionId) -> Result<()> {
    let restored = context.sessions()?.relaunch(id)?;
    let what = format!("relaunched ({})", restored.kind);
    print(context, "session.relaunch", id, &what, &restored.warnings)
}

/// Prints the session as `session get` does, with what did not work.
pub(in crate::cmd) fn print(
    context: &Context,
    kind: &str,
    id: &SessionId,
    what: &str,
    warnings: &[String],
) -> Result<()> {
    if context.is_json {
        let mut data = document_of(context, id)?;
        document::put_incomplete(&mut data, warnings);
        return output::document(kind, &data);
    }
    for warning in warnings {
        context.say(&format!("warning: {}", printable(warning)));
    }
    output::say(&format!("session {id} {what}"));
    output::line(id.as_str())
}

fn say_cleanup(context: &Context, cleanup: &Cleanup) {
    let worktree = if cleanup.is_worktree_removed { "removed" } else { "kept" };
    context.say(&printable(&format!("worktree {worktree}: {}", cleanup.worktree_reason)));
    if !cleanup.preserved_ref.is_empty() {
        context.say(&format!("uncommitted work is in {}", cleanup.preserved_ref));
    }
}

pub(super) fn cleanup(
    context: &Context,
    project: Option<&ProjectId>,
    consent: Consent,
) -> Result<()> {
    if let Some(project) = project {
        context.open()?.read(|snapshot| super::require_project(snapshot, project))?;
    }
    let planned = context.sessions_to_look_at()?.cleanup(project, true)?;
    if consent.dry_run || planned.is_empty() {
        return print_cleaned(context, &planned, true);
    }
    let what = format!("clean up after {} session(s)", planned.len());
    match confirm::ask(context, &what, consent)? {
        Answer::No => Ok(()),
        Answer::Yes => {
            let cleaned = context.sessions()?.cleanup(project, false)?;
            print_cleaned(context, &cleaned, false)?;
            // What failed for one session does not keep the others from being printed.
            let failed = cleaned.into_iter().find_map(|cleaned| cleaned.outcome.err());
            failed.map_or(Ok(()), |error| Err(error.into()))
        }
    }
}

fn print_cleaned(context: &Context, cleaned: &[Cleaned], dry_run: bool) -> Result<()> {
    if context.is_json {
        return output::document("session.cleanup", &document::cleanup(cleaned, dry_run));
    }
    if cleaned.is_empty() {
        context.say("nothing to clean up");
    }
    let would = if dry_run { "would be " } else { "" };
    for Cleaned { session, outcome } in cleaned {
        let line = match outcome {
            Ok(done) => format!(
                "{session}: worktree {}: {}; branch {}: {}",
                fate(done.is_worktree_removed, would, "removed"),
                done.worktree_reason,
                fate(done.is_branch_deleted, would, "deleted"),
                done.branch_reason
            ),
            Err(error) => format!("{session}: {error}"),
        };
        output::line(&printable(&line))?;
    }
    Ok(())
}

fn fate(is_gone: bool, would: &str, gone: &str) -> String {
    if is_gone { format!("{would}{gone}") } else { format!("{would}kept") }
}
