//! The colour and the weight of each state, the same wherever a state is printed. A colour never says
//! more than the word that has it.

use anstyle::{AnsiColor, Style};

/// How much a state matters to a reader; the order is that of sorted lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Something is wrong.
    Bad,
    /// Something is awaited.
    Waiting,
    /// All is well.
    Good,
    /// It ended well.
    Done,
    /// No colour.
    Plain,
    /// It needs no attention, or is not known.
    Faint,
}

/// The weight of a state of a pull request, check, review, session, project or host.
pub(crate) fn weight(state: &str) -> Weight {
    match state {
        "failing" | "failed" | "ci_failed" | "lost" | "changes_requested" | "conflicting"
        | "stranded" | "dead" | "invalid" | "missing" | "forbidden" | "incomplete"
        | "ci_failing" | "session_exited" | "observer_disabled" | "host_unreachable"
        | "repo_unreadable" | "pr_unreadable" | "consumer_stranded" | "ambiguous" | "expired" => {
            Weight::Bad
        }
        "pending" | "queued" | "in_progress" | "review_required" | "blocked" | "unstable"
        | "waiting" | "limited" | "needs_input" | "review_pending" | "starting" | "stopping"
        | "stale" | "threads_unresolved" | "session_blocked" | "session_waiting"
        | "facts_stale" | "pr_skipped" | "accepted" | "writing" => Weight::Waiting,
        "passing" | "passed" | "approved" | "mergeable" | "open" | "pr_open" | "working"
        | "active" | "ok" | "in use" | "submitted" | "started" | "running" => Weight::Good,
        "merged" | "finished" | "completed" => Weight::Done,
        "unknown" | "none" | "draft" | "closed" | "ended" | "terminated" | "archived"
        | "cancelled" | "skipped" | "dismissed" | "exited" | "idle" | "not in use" | "-" => {
            Weight::Faint
        }
        _ => Weight::Plain,
    }
}

/// The style of a state.
pub(crate) fn style(state: &str) -> Style {
    match weight(state) {
        Weight::Bad => AnsiColor::Red.on_default(),
        Weight::Waiting => AnsiColor::Yellow.on_default(),
        Weight::Good => AnsiColor::Green.on_default(),
        Weight::Done => AnsiColor::Magenta.on_default(),
        Weight::Plain => Style::new(),
        Weight::Faint => Style::new().dimmed(),
    }
}
