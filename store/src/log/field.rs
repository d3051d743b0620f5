//! The fields of row images: one per column of a captured table, in the order of the columns.
//!
//! A test compares this list with the live schema, so it is complete, and the closed values are those
//! that the database accepts.

/// A field of a row image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name of the column.
    pub name: &'static str,
    /// What its values are.
    pub kind: FieldKind,
    /// Whether the value can be null.
    pub is_nullable: bool,
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An integer.
    Integer,
    /// Milliseconds since 1970-01-01 UTC.
    Time,
    /// A boolean.
    Boolean,
}

/// The fields of the images of a captured table; none for another name.
#[must_use]
pub fn fields(entity: &str) -> &'static [Field] {
    let found = FIELDS.iter().find(|(name, _)| *name == entity);
    found.map_or(&[], |(_, fields)| fields)
}

const COMPLETENESS: &[&str] = &["unknown", "complete", "partial", "failed"];

macro_rules! kind {
    (text) => {
        FieldKind::Text
    };
    (integer) => {
        FieldKind::Integer
    };
    (time) => {
        FieldKind::Time
    };
    (boolean) => {
        FieldKind::Boolean
    };
    (completeness) => {
        FieldKind::OneOf(COMPLETENESS)
    };
    ([$($value:literal)+]) => {
        FieldKind::OneOf(&[$($value),+])
    };
}

/// `or_null` after the kind means that the value can be null.
macro_rules! fields {
    ($($entity:literal { $($name:ident: $kind:tt $($null:ident)?,)* })*) => {
        &[$(($entity, &[$(Field {
            name: stringify!($name),
            kind: kind!($kind),
            is_nullable: !stringify!($($null)?).is_empty(),
        },)*]),)*]
    };
}

const FIELDS: &[(&str, &[Field])] = fields! {
    "project" {
        id: text, path: text, name: text, origin_url: text, host: text, repo: text,
        default_branch: text, copy_globs: text, setup_command: text, setup_timeout_ms: integer,
        max_live: integer or_null, created_at: time, updated_at: time, archived_at: time or_null,
    }
    "session" {
        id: text, project_id: text, num: integer, kind: ["worker" "orchestrator"], harness: text,
        model: text, permission: text, parent_id: text, name: text, issue: text, branch: text, base_ref: text,
        base_commit: text, worktree_path: text, runtime_kind: text, runtime_socket: text,
        runtime_pane: text, launch_id: text, spawner: text, prompt_bytes: integer,
        prompt_digest: text,
        activity: ["unknown" "starting" "active" "idle" "waiting" "blocked" "limited" "exited"],
        activity_source: ["" "process" "hook" "screen" "transcript" "import"],
        activity_cause: text, activity_call: text, limit_ends_at: time or_null,
        activity_at: time, activity_revision: integer, is_terminated: boolean, terminated_at: time or_null,
        terminated_reason: text, terminated_by: text, spawned_at: time or_null, created_at: time,
        updated_at: time,
    }
    "launch" {
        id: text, session_id: text, project_id: text, num: integer,
        kind: ["fresh" "prompt" "resume"], instance: text, boot_id: text, native_id: text,
        prompt_stage: ["none" "pending" "written" "acknowledged"], supervisor: text,
        agent_pid: integer or_null, created_at: time, started_at: time or_null,
        ended_at: time or_null, exit_status: integer or_null, signal: integer or_null,
        cause: ["" "exited" "stopped" "killed" "runtime_lost" "exec_failed"],
    }
    "decision" {
        id: text, session_id: text, project_id: text, launch_id: text,
        kind: ["permission" "question" "plan" "trust" "login"], tool: text, call: text, text: text,
        options: text, source: text, requested_at: time, resolved_at: time or_null,
        resolution: ["" "answered" "released" "ended"], answer: text,
        hook_ends_at: time or_null,
    }
    "delivery" {
        id: text, session_id: text, project_id: text, kind: ["message" "report" "prompt" "turn"], key: text,
        sender: text, last_stage: ["written" "finished"], cursor: text, bytes: integer, digest: text,
        stage: ["accepted" "writing" "written" "submitted" "started" "finished" "ambiguous" "failed"],
        reason: text, runner: text, launch_id: text, accepted_at: time, written_at: time or_null,
        submitted_at: time or_null, started_at: time or_null, finished_at: time or_null,
    }
    "conversation" {
        id: text, org_id: text, agent_id: text, platform: text, user_id: text, thread: text,
        created_at: time, last_num: integer, head_seq: integer, head_version: integer,
    }
    "turn" {
        id: text, conversation_id: text, org_id: text, agent_id: text, num: integer, key: text,
        input_bytes: integer, input_digest: text, accepted_at: time,
        state: ["queued" "running" "completed" "failed" "cancelled" "expired"],
        reason: ["" "no_worker" "not_started" "exited" "killed" "worker_died" "unresponsive"
            "interrupted" "agent_error" "limited" "overloaded" "authentication" "billing" "context"
            "refused" "too_large" "diverged" "ambiguous"],
        owner: text, base_version: integer or_null,
        cancel_requested_at: time or_null, reply_bytes: integer or_null, reply_digest: text,
        completion_digest: text, usage: text, started_at: time or_null, ended_at: time or_null,
    }
    "pr" {
        id: text, node_id: text, session_id: text, project_id: text, host: text, repo: text,
        number: integer, url: text, title: text, author: text, is_author_bot: boolean,
        state: ["draft" "open" "merged" "closed" "unknown"],
        head_ref: text, head_repo: text, head_sha: text, base_ref: text, base_sha: text,
        is_cross_repo: boolean, additions: integer or_null, deletions: integer or_null,
        changed_files: integer or_null,
        ci: ["passing" "failing" "pending" "unknown"],
        review_decision: ["none" "approved" "changes_requested" "review_required" "unknown"],
        provider_mergeable: ["mergeable" "conflicting" "unknown"],
        is_mergeable_stale: boolean, provider_merge_state: text,
        mergeability: ["mergeable" "conflicting" "blocked" "unstable" "queued" "ended" "unknown"],
        is_in_merge_queue: boolean, is_auto_merge: boolean, merge_commit_sha: text,
        checks_state: completeness, threads_state: completeness, reviews_state: completeness,
        comments_state: completeness, provider_created_at: time or_null, merged_at: time or_null,
        closed_at: time or_null, created_at: time, updated_at: time,
    }
    "pr_check" {
        pr_id: text, head_sha: text, kind: ["run" "status" "suite" "workflow" "unknown"],
        app: text, workflow: text, event: text, name: text, suite: text, external_id: text,
        status: ["queued" "in_progress" "passed" "failed" "cancelled" "skipped" "unknown"],
        conclusion: text, is_required: boolean or_null, url: text, started_at: time or_null,
        completed_at: time or_null,
    }
    "pr_review_thread" {
        pr_id: text, id: text, path: text, line: integer or_null,
        original_line: integer or_null, side: text,
        is_resolved: boolean, is_outdated: boolean, is_bot: boolean, resolved_by: text,
        comments_total: integer or_null,
    }
    "pr_review" {
        pr_id: text, id: text, author: text, is_bot: boolean,
        state: ["approved" "changes_requested" "commented" "dismissed" "pending" "unknown"],
        body: text, commit_sha: text, url: text, submitted_at: time or_null,
    }
    "pr_comment" {
        pr_id: text, id: text, kind: ["review" "issue" "unknown"], thread_id: text, reply_to: text,
        author: text, is_bot: boolean, path: text, line: integer or_null, body: text, url: text,
        is_minimized: boolean, created_at: time or_null, edited_at: time or_null,
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::capture;

    /// The texts of `CHECK (column IN ('a', 'b'))` in the definition of a table.
    fn closed_values(sql: &str, column: &str) -> Vec<String> {
        let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let list = words.split_once(&format!("CHECK ({column} IN (")).map(|(_, rest)| rest);
        let list = list.and_then(|rest| rest.split_once(')')).map_or("", |(list, _)| list);
        list.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_fields_are_the_columns_of_the_live_schema() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = crate::Store::create(&path, crate::Options::default()).unwrap();
        let tables: Vec<_> = capture::tables().collect();
        assert_eq!(FIELDS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), tables);
        for table in tables {
            let select = "SELECT name, type, NOT \"notnull\", (SELECT sql FROM sqlite_schema
                WHERE name = ?1) FROM pragma_table_info(?1) ORDER BY cid";
            let columns = store.read(|snapshot| {
                snapshot.list("read columns", select, [table], |row| {
                    let (name, sql): (String, String) = (row.get(0)?, row.get(3)?);
                    let closed = closed_values(&sql, &name);
                    Ok((name, row.get::<_, String>(1)?, row.get::<_, bool>(2)?, closed))
                })
            });
            let listed = fields(table).iter().map(|field| {
                let (kind, closed): (_, &[&str]) = match field.kind {
                    FieldKind::Text => ("TEXT", &[]),
                    FieldKind::OneOf(values) => ("TEXT", values),
                    FieldKind::Integer | FieldKind::Time | FieldKind::Boolean => ("INTEGER", &[]),
                };
                let closed = closed.iter().map(ToString::to_string).collect();
                (field.name.to_owned(), kind.to_owned(), field.is_nullable, closed)
            });
            assert_eq!(listed.collect::<Vec<_>>(), columns.unwrap(), "{table}");
            for field in fields(table) {
                // By which the scan for changed fields finds where one begins.
                assert!(field.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
                assert_eq!(field.kind == FieldKind::Boolean, field.name.starts_with("is_"));
                assert_eq!(field.kind == FieldKind::Time, field.name.ends_with("_at"));
            }
        }
    }
}
