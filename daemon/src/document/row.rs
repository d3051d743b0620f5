//! Rows as they are in documents: only the fields listed here are shown.

use ao_store::observation::{Check, Comment, Review, Thread};
use ao_store::row::decision::Decision;
use ao_store::row::delivery::Delivery;
use ao_store::row::launch::Launch;
use ao_store::row::pr::{Freshness, Pr};
use ao_store::row::project::Project;
use ao_store::row::scm::PrPoll;
use ao_store::row::session::Session;
use serde_json::Value;

use super::field::{Field, object};

/// A project.
pub(super) fn project(project: &Project) -> Value {
    object!(project => id, name, path, origin_url, host, repo, default_branch, copy_globs = copy,
        setup_command, setup_timeout_ms, max_live, created_at, updated_at, archived_at)
}

/// A session.
pub(super) fn session(session: &Session) -> Value {
    object!(session => id, project_id = project, num, kind, harness, model, permission, parent_id = parent, name,
        issue, branch, base_ref, base_commit, worktree_path, runtime_kind, runtime_socket,
        runtime_pane, launch_id = launch, spawner, prompt_bytes, prompt_digest, activity, activity_source,
        activity_cause, activity_call, limit_ends_at, activity_at, activity_revision,
        is_terminated, terminated_at, terminated_reason, terminated_by, spawned_at, created_at,
        updated_at)
}

/// A launch of the agent of a session.
#[must_use]
pub fn launch(launch: &Launch) -> Value {
    object!(launch => id, num, kind, native_id, prompt_stage, agent_pid, created_at, started_at,
        ended_at, exit_status, signal, cause)
}

/// What an agent waits for.
#[must_use]
pub fn decision(decision: &Decision) -> Value {
    object!(decision => id, session_id = session, project_id = project, launch_id = launch, kind, tool,
        call, text, options, source, requested_at, resolved_at, resolution, answer, hook_ends_at)
}

/// A delivery.
#[must_use]
pub fn delivery(delivery: &Delivery) -> Value {
    object!(delivery => id, session_id = session, project_id = project, kind, key, sender, last_stage,
        cursor, bytes, digest, stage, reason, runner, launch_id = launch, accepted_at, written_at,
        submitted_at, started_at, finished_at)
}

/// A pull request.
#[must_use]
pub fn pr(pr: &Pr) -> Value {
    object!(pr => id, node_id, session_id = session, project_id = project, host, repo, number, url,
        title, author, is_author_bot, state, head_ref, head_repo, head_sha, base_ref, base_sha,
        is_cross_repo, additions, deletions, changed_files, ci, review_decision,
        provider_mergeable = mergeable, is_mergeable_stale, provider_merge_state = merge_state,
        mergeability, is_in_merge_queue, is_auto_merge, merge_commit_sha, checks_state, threads_state,
        reviews_state, comments_state, provider_created_at, merged_at, closed_at, created_at,
        updated_at)
}

/// When each facet of a pull request was read.
pub(super) fn freshness(freshness: &Freshness) -> Value {
    object!(freshness => metadata, checks, threads, reviews, comments)
}

/// The polling state of a pull request, without what only the observer reads.
pub(super) fn poll(poll: &PrPoll) -> Value {
    object!(poll => attribution, problem, problem_since)
}

/// A check.
#[must_use]
pub fn check(check: &Check) -> Value {
    object!(check => head_sha, kind, app, workflow, event, name, suite, external_id, status,
        conclusion, is_required, url, started_at, completed_at)
}

/// A review thread.
#[must_use]
pub fn thread(thread: &Thread) -> Value {
    object!(thread => id, path, line, original_line, side, is_resolved, is_outdated, is_bot,
        resolved_by, comments_total)
}

/// A review.
#[must_use]
pub fn review(review: &Review) -> Value {
    object!(review => id, author, is_bot, state, body, commit_sha, url, submitted_at)
}

/// A comment.
#[must_use]
pub fn comment(comment: &Comment) -> Value {
    object!(comment => id, kind, thread_id, reply_to, author, is_bot, path, line, body, url,
        is_minimized, created_at, edited_at)
}
