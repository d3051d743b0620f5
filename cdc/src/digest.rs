//! Counts of what happened in a time, per session and pull request, from one scan of the log. The
//! memory is bounded by the number of sessions and pull requests that changed.

use std::collections::BTreeMap;

use ao_store::log::change::ChangeRef;
use ao_store::log::changed::{changed_fields, text_of, value_of};
use ao_store::{Cursor, Seq, Store, Timestamp};

use crate::error::Result;
use crate::filter::Filter;
use crate::tail::{Start, Tail};

/// Changes scanned in one read.
const BATCH: usize = 4096;

/// What a digest is about: a project, one of its sessions, or a pull request of that.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The project; `None` if the change names none.
    pub project: Option<String>,
    /// The session that owned the row; `None` for the project itself.
    pub session: Option<String>,
    /// The id of the pull request; `None` for the session itself.
    pub pr: Option<String>,
}

macro_rules! counts {
    ($($name:ident $meaning:literal;)*) => {
        /// How often something happened.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $(#[doc = $meaning] pub $name: u64,)*
        }

        impl Counts {
            /// The counts with their names.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds the counts of another subject.
            pub fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    sessions_started "Sessions that were created.";
    sessions_ended "Sessions that were terminated.";
    launches_started "How often an agent was started.";
    launches_ended "How often an agent ended.";
    messages "Messages and reports that were accepted for a session.";
    messages_lost "How often one of them failed, or became ambiguous.";
    opened "Pull requests that were first observed.";
    merged "Pull requests that were merged.";
    closed "Pull requests that were closed.";
    reopened "Pull requests that were opened again.";
    ci_failed "How often CI became failing.";
    ci_passed "How often CI became passing.";
    changes_requested "How often the review decision became changes_requested.";
    approved "How often the review decision became approved.";
    reviews "Reviews that were added.";
    threads_opened "Review threads that were added or opened again.";
    threads_resolved "Review threads that were resolved.";
    comments "Comments that were added.";
    changes "All changes.";
}

/// What happened in a time.
#[derive(Debug, Clone)]
pub struct Digest {
    /// The counts, in the order of the subjects.
    pub rows: Vec<(Subject, Counts)>,
    /// Set if changes of that time may have been pruned: the newest pruned change.
    pub pruned: Option<Cursor>,
}

/// Counts what happened since a time, and before `until` if that is given.
///
/// # Errors
/// When the store cannot be read.
pub fn digest(store: &Store, since: Timestamp, until: Option<Timestamp>) -> Result<Digest> {
    let mut tail = Tail::open(store, Start::Since(since), Filter::default())?;
    let log = tail.log()?;
    let is_pruned = tail.cursor().seq == log.floor && log.floor > Seq(0);
    let mut rows: BTreeMap<Subject, Counts> = BTreeMap::new();
    loop {
        let mut is_over = false;
        let visited = tail.visit(BATCH, |change| {
            is_over |= until.map_or(Ok(false), |until| change.at().map(|at| at >= until))?;
            if !is_over {
                count(change, rows.entry(subject(change)?).or_default())?;
            }
            Ok(())
        })?;
        // What is committed meanwhile is not waited for.
        if is_over || visited.is_at_head || tail.cursor().seq >= log.head {
            break;
        }
    }
    let pruned = is_pruned.then(|| log.cursor(log.floor));
    Ok(Digest { rows: rows.into_iter().collect(), pruned })
}

fn subject(change: &ChangeRef<'_>) -> Result<Subject, ao_store::Error> {
    let entity = change.entity()?;
    let pr = match entity == "pr" || entity.starts_with("pr_") {
        true => serde_json::from_str::<Vec<String>>(&change.key()?).unwrap_or_default(),
        false => Vec::new(),
    };
    Ok(Subject {
        project: change.project()?.map(Into::into),
        session: change.session()?.map(Into::into),
        pr: pr.into_iter().next(),
    })
}

fn count(change: &ChangeRef<'_>, counts: &mut Counts) -> Result<(), ao_store::Error> {
    counts.changes += 1;
    match &*change.kind()? {
        "session_created" => counts.sessions_started += 1,
        "session_terminated" => counts.sessions_ended += 1,
        "launch_started" => counts.launches_started += 1,
        "launch_ended" => counts.launches_ended += 1,
        "delivery_accepted" => counts.messages += 1,
        "delivery_failed" | "delivery_ambiguous" => counts.messages_lost += 1,
        "pr_created" => counts.opened += 1,
        "pr_merged" => counts.merged += 1,
        "pr_closed" => counts.closed += 1,
        "pr_reopened" => counts.reopened += 1,
        "pr_review_added" => counts.reviews += 1,
        "pr_review_thread_added" | "pr_review_thread_reopened" => counts.threads_opened += 1,
        "pr_review_thread_resolved" => counts.threads_resolved += 1,
        "pr_comment_added" => counts.comments += 1,
        _ => {}
    }
    if change.entity()? == "pr" {
        transitions(change, counts)?;
    }
    Ok(())
}

/// Counts what a pull request came to be. A new one comes to be what it is.
fn transitions(change: &ChangeRef<'_>, counts: &mut Counts) -> Result<(), ao_store::Error> {
    let Some(after) = change.after()? else { return Ok(()) };
    let before = change.before()?;
    for name in ["ci", "review_decision"] {
        let value = value_of(&after, name);
        let is_changed = match &before {
            Some(before) => changed_fields(before, &after).any(|field| field.name == name),
            None => true,
        };
        let text = value.filter(|_| is_changed).and_then(text_of).unwrap_or_default();
        match (name, &*text) {
            ("ci", "failing") => counts.ci_failed += 1,
            ("ci", "passing") => counts.ci_passed += 1,
            (_, "changes_requested") => counts.changes_requested += 1,
            (_, "approved") => counts.approved += 1,
            _ => {}
        }
    }
    Ok(())
}
