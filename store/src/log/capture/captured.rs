//! The captured tables, and the types of their changes.

/// The source of the project and session of a change.
pub(super) enum Owner {
    /// The row is a project.
    Project,
    /// The row is a session.
    Session,
    /// The row names its project and session.
    Named,
    /// The row belongs to a pull request.
    OfPr,
    /// The row belongs to no project.
    Org,
}

/// The change types of one captured table.
pub(super) struct Captured {
    pub(super) table: &'static str,
    pub(super) owner: Owner,
    pub(super) inserted: &'static str,
    /// An SQL expression over OLD and NEW.
    pub(super) updated: &'static str,
    pub(super) deleted: &'static str,
    /// The captured tables whose rows are deleted before the row that they belong to, so that the log has
    /// them first, each with its column that names that row.
    pub(super) children: &'static [(&'static str, &'static str)],
}

/// Every captured table. The columns are read from the schema.
pub(super) const CAPTURED: &[Captured] = &[
    Captured {
        table: "project",
        owner: Owner::Project,
        inserted: "project_created",
        updated: "CASE WHEN OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL THEN 'project_archived' \
                  WHEN OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL THEN 'project_restored' \
                  ELSE 'project_updated' END",
        deleted: "project_deleted",
        children: &[],
    },
    Captured {
        table: "session",
        owner: Owner::Session,
        inserted: "session_created",
        updated: "CASE WHEN OLD.is_terminated < NEW.is_terminated THEN 'session_terminated' \
                  WHEN OLD.is_terminated > NEW.is_terminated THEN 'session_restored' \
                  ELSE 'session_updated' END",
        deleted: "session_deleted",
        children: &[
            ("delivery", "session_id"),
            ("decision", "session_id"),
            ("launch", "session_id"),
        ],
    },
    Captured {
        table: "launch",
        owner: Owner::Named,
        inserted: "launch_created",
        updated: "CASE WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL THEN 'launch_ended' \
                  WHEN OLD.started_at IS NULL AND NEW.started_at IS NOT NULL THEN 'launch_started' \
                  ELSE 'launch_updated' END",
        deleted: "launch_deleted",
        children: &[],
    },
    Captured {
        table: "decision",
        owner: Owner::Named,
        inserted: "decision_requested",
        updated: "CASE WHEN OLD.resolved_at IS NULL AND NEW.resolved_at IS NOT NULL THEN 'decision_resolved' \
                  ELSE 'decision_updated' END",
        deleted: "decision_deleted",
        children: &[],
    },
    Captured {
        table: "delivery",
        owner: Owner::Named,
        inserted: "delivery_accepted",
        updated: "CASE WHEN OLD.stage <> NEW.stage THEN 'delivery_' || NEW.stage \
                  ELSE 'delivery_updated' END",
        deleted: "delivery_deleted",
        children: &[],
    },
    Captured {
        table: "conversation",
        owner: Owner::Org,
        inserted: "conversation_created",
        updated: "'conversation_updated'",
        deleted: "conversation_deleted",
        children: &[("turn", "conversation_id")],
    },
    Captured {
        table: "turn",
        owner: Owner::Org,
        inserted: "turn_accepted",
        updated: "CASE WHEN OLD.state = NEW.state THEN 'turn_updated' \
                  WHEN NEW.state = 'running' THEN 'turn_started' \
                  ELSE 'turn_' || NEW.state END",
        deleted: "turn_deleted",
        children: &[],
    },
    Captured {
        table: "pr",
        owner: Owner::Named,
        inserted: "pr_created",
        // The end of a pull request is what people wait for, so it takes precedence over a claim.
        updated: "CASE WHEN OLD.state <> NEW.state AND NEW.state IN ('merged', 'closed') \
                  THEN 'pr_' || NEW.state \
                  WHEN OLD.state IN ('merged', 'closed') AND NEW.state IN ('draft', 'open') \
                  THEN 'pr_reopened' \
                  WHEN OLD.session_id IS NOT NEW.session_id THEN 'pr_session_changed' \
                  ELSE 'pr_updated' END",
        deleted: "pr_deleted",
        children: &[
            ("pr_comment", "pr_id"),
            ("pr_review", "pr_id"),
            ("pr_review_thread", "pr_id"),
            ("pr_check", "pr_id"),
        ],
    },
    Captured {
        table: "pr_check",
        owner: Owner::OfPr,
        inserted: "pr_check_recorded",
        updated: "'pr_check_recorded'",
        deleted: "pr_check_removed",
        children: &[],
    },
    Captured {
        table: "pr_review_thread",
        owner: Owner::OfPr,
        inserted: "pr_review_thread_added",
        updated: "CASE WHEN OLD.is_resolved < NEW.is_resolved THEN 'pr_review_thread_resolved' \
                  WHEN OLD.is_resolved > NEW.is_resolved THEN 'pr_review_thread_reopened' \
                  ELSE 'pr_review_thread_updated' END",
        deleted: "pr_review_thread_removed",
        children: &[],
    },
    Captured {
        table: "pr_review",
        owner: Owner::OfPr,
        inserted: "pr_review_added",
        updated: "'pr_review_updated'",
        deleted: "pr_review_removed",
        children: &[],
    },
    Captured {
        table: "pr_comment",
        owner: Owner::OfPr,
        inserted: "pr_comment_added",
        updated: "'pr_comment_updated'",
        deleted: "pr_comment_removed",
        children: &[],
    },
];

/// The types that capture can give a change, in the order of the tables.
pub const CHANGE_TYPES: &[&str] = &[
    "project_created",
    "project_updated",
    "project_archived",
    "project_restored",
    "project_deleted",
    "session_created",
    "session_updated",
    "session_terminated",
    "session_restored",
    "session_deleted",
    "launch_created",
    "launch_started",
    "launch_updated",
    "launch_ended",
    "launch_deleted",
    "decision_requested",
    "decision_updated",
    "decision_resolved",
    "decision_deleted",
    "delivery_accepted",
    "delivery_writing",
    "delivery_written",
    "delivery_submitted",
    "delivery_started",
    "delivery_finished",
    "delivery_ambiguous",
    "delivery_failed",
    "delivery_updated",
    "delivery_deleted",
    "conversation_created",
    "conversation_updated",
    "conversation_deleted",
    "turn_accepted",
    "turn_started",
    "turn_completed",
    "turn_failed",
    "turn_cancelled",
    "turn_expired",
    "turn_updated",
    "turn_deleted",
    "pr_created",
    "pr_updated",
    "pr_merged",
    "pr_closed",
    "pr_reopened",
    "pr_session_changed",
    "pr_deleted",
    "pr_check_recorded",
    "pr_check_removed",
    "pr_review_thread_added",
    "pr_review_thread_updated",
    "pr_review_thread_resolved",
    "pr_review_thread_reopened",
    "pr_review_thread_removed",
    "pr_review_added",
    "pr_review_updated",
    "pr_review_removed",
    "pr_comment_added",
    "pr_comment_updated",
    "pr_comment_removed",
];
