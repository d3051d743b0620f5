//! The page of a session: what it does, then its pull requests, each with what needs work.

use anstyle::Style;
use ao_store::Timestamp;
use ao_store::attention::Attention;
use ao_store::log::change::Change;
use ao_store::log::newest::Newest;
use ao_store::row::decision::Decision;
use ao_store::row::launch::{Launch, PromptStage};
use ao_store::row::lifecycle::cleanup::Cleanup;
use ao_store::row::pr::Pr;
use ao_store::row::session::Session;
use ao_store::status::Derived;

use super::{Page, ago, plain, pr, state, when};
use crate::{state_color, view};

/// The most lines of changes, and the changes of the store among which those of a session are searched. Of a
/// session that did not change lately the page says that it shows only these.
const LATEST: usize = 8;
pub(crate) const SEARCHED: u32 = 500;

/// The most lines of the output of the agent.
const OUTPUT_LINES: usize = 10;

/// A session with what a page shows of it.
pub(crate) struct Shown {
    pub(crate) session: Session,
    /// What it does; `None` as of a cursor.
    pub(crate) derived: Option<Derived>,
    /// Its newest launch.
    pub(crate) launch: Option<Launch>,
    /// What its agent waits for; `None` as of a cursor.
    pub(crate) decision: Option<Decision>,
    /// What its agent wrote last; empty as of a cursor, and while it runs.
    pub(crate) output: String,
    /// What was done to its worktree and branch; `None` as of a cursor.
    pub(crate) cleanup: Option<Cleanup>,
    pub(crate) prs: Vec<Pr>,
    /// What needs a person; empty as of a cursor.
    pub(crate) attention: Vec<Attention>,
    /// Its newest changes; empty as of a cursor.
    pub(crate) newest: Newest,
}

impl Shown {
    /// The session alone.
    pub(crate) fn of(session: Session) -> Shown {
        Shown {
            session,
            derived: None,
            launch: None,
            decision: None,
            output: String::new(),
            cleanup: None,
            prs: Vec::new(),
            attention: Vec::new(),
            newest: Newest::default(),
        }
    }
}

/// Writes the page of a session, without what is warned of.
pub(crate) fn write(page: &mut Page, shown: &Shown, now: Timestamp) {
    facts(page, &shown.session, shown.derived.as_ref(), now);
    if let Some(launch) = &shown.launch {
        of_launch(page, launch, now);
    }
    if let Some(decision) = &shown.decision {
        of_decision(page, decision, now);
    }
    if let Some(cleanup) = &shown.cleanup {
        of_cleanup(page, cleanup, now);
    }
    page.field("created", &when(shown.session.created_at, now));
    output(page, &shown.output);
    attention(page, &shown.attention, now);
    if !shown.prs.is_empty() {
        page.heading(&format!("Pull requests: {}", shown.prs.len()));
    }
    for found in &shown.prs {
        let title = if found.title.is_empty() { "(not read yet)" } else { &found.title };
        page.wrapped("  ", &format!("{}  {title}", found.place()), Style::new());
        page.words(4, &pr::summary(found));
    }
    changes(page, &shown.newest, now);
}

fn of_decision(page: &mut Page, decision: &Decision, now: Timestamp) {
    let words = [decision.kind.as_str(), &decision.tool, &decision.text];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    page.field("waits for", &format!("{}, {}", words.join(": "), when(decision.requested_at, now)));
}

fn facts(page: &mut Page, session: &Session, derived: Option<&Derived>, now: Timestamp) {
    let name = if session.name.is_empty() { &session.branch } else { &session.name };
    let title = if name.is_empty() { String::new() } else { format!("{name}  ") };
    page.title(&format!("{title}{}", session.id));
    let doing = match derived {
        Some(derived) => state("", derived.status.as_str()),
        None if session.is_terminated => state("", "terminated"),
        None => state("activity", session.activity.as_str()),
    };
    let mut words = vec![doing, plain(session.kind.as_str())];
    if !session.harness.is_empty() {
        words.push(plain(session.harness.clone()));
    }
    page.words(0, &words);
    page.gap();
    if let Some(Derived { reason, since, .. }) = derived {
        let age = since.map(|since| format!(", {}", when(since, now))).unwrap_or_default();
        page.field("status", &format!("{reason}{age}"));
    }
    page.field("permission", &session.permission);
    page.field("project", session.project.as_str());
    page.field("branch", &session.branch);
    page.field("issue", &session.issue);
    page.field("parent", &session.parent);
    page.field("base", &base(session));
    page.field("worktree", &session.worktree_path);
    let Session { runtime_kind, runtime_socket, runtime_pane, .. } = session;
    let pane = if runtime_socket.is_empty() { "pid " } else { "pane " };
    let place = [("", runtime_kind), (pane, runtime_pane), ("socket ", runtime_socket)];
    let is_given = |(_, value): &(&str, &String)| !value.is_empty();
    let place = place.into_iter().filter(is_given).map(|(name, value)| format!("{name}{value}"));
    page.field("runtime", &place.collect::<Vec<_>>().join(", "));
    page.field("ended by", &session.terminated_by);
}

/// From where its branch was started.
fn base(session: &Session) -> String {
    let Session { base_ref, base_commit, .. } = session;
    match base_commit.get(..12) {
        Some(commit) if base_ref.is_empty() => commit.to_owned(),
        Some(commit) => format!("{base_ref} at {commit}"),
        None => base_ref.clone(),
    }
}

fn of_launch(page: &mut Page, launch: &Launch, now: Timestamp) {
    let mut words = format!("{}, {}", launch.num, view::launch_kind(launch.kind.as_str()));
    if let Some(at) = launch.started_at {
        words += &format!(", started {}", when(at, now));
    }
    if launch.prompt_stage != PromptStage::None {
        words += &format!(", prompt {}", launch.prompt_stage);
    }
    page.field("launch", &words);
    if let Some(at) = launch.ended_at {
        let how = view::launch_end(&launch.cause, launch.exit_status, launch.signal);
        page.field("ended", &format!("{how}, {}", when(at, now)));
    }
}

fn of_cleanup(page: &mut Page, cleanup: &Cleanup, now: Timestamp) {
    let worktree = if cleanup.is_worktree_removed { "removed" } else { "kept" };
    let branch = if cleanup.is_branch_deleted { "deleted" } else { "kept" };
    let at = when(cleanup.at, now);
    page.field("cleanup", &format!("worktree {worktree}: {}, {at}", cleanup.worktree_reason));
    page.field("", &format!("branch {branch}: {}", cleanup.branch_reason));
    page.field("work in", &cleanup.preserved_ref);
}

fn output(page: &mut Page, output: &str) {
    let lines: Vec<_> = output.trim_end().lines().collect();
    if !output.trim().is_empty() {
        page.heading("Last output");
        page.log(2, &lines[lines.len().saturating_sub(OUTPUT_LINES)..]);
    }
}

fn attention(page: &mut Page, items: &[Attention], now: Timestamp) {
    if items.is_empty() {
        return;
    }
    page.heading("Needs attention");
    for item in items {
        let mut words =
            vec![(item.kind.as_str().replace('_', " "), state_color::style(item.kind.as_str()))];
        words.push(plain(item.name.clone()));
        words.extend(item.since.map(|at| plain(ago(at, now))));
        page.words(2, &words);
        if !item.text.is_empty() {
            page.wrapped("    ", &item.text, Style::new().dimmed());
        }
    }
}

fn changes(page: &mut Page, newest: &Newest, now: Timestamp) {
    let is_same = |a: &Change, b: &Change| a.kind() == b.kind() && owner(a) == owner(b);
    let groups: Vec<_> = newest.changes.chunk_by(is_same).take(LATEST).collect();
    let is_cut = newest.is_cut && groups.len() < LATEST;
    if groups.is_empty() && !is_cut {
        return;
    }
    page.heading("Latest changes");
    for group in &groups {
        let change = &group[0];
        let key = owner(change);
        let mut words = vec![plain(ago(change.at, now)), plain(change.kind().to_owned())];
        words.push(plain(key.trim_start_matches("github.com/")));
        if group.len() > 1 {
            words.push(plain(format!("{} times", group.len())));
        }
        let fields: Vec<_> = change.changed().map(|field| field.name).collect();
        if !fields.is_empty() {
            words.push((fields.join(", "), Style::new().dimmed()));
        }
        page.words(2, &words);
    }
    if is_cut {
        let text = format!("of the newest {SEARCHED} of the store; `tail --session` prints all");
        page.wrapped("  ", &text, Style::new().dimmed());
    }
}

/// The session or the pull request that a change is about: the first part of its key.
fn owner(change: &Change) -> String {
    let key: Vec<serde_json::Value> = serde_json::from_str(change.key()).unwrap_or_default();
    key.first().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
