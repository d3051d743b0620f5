//! The page of a pull request: its state, then what needs work (failing checks, unresolved threads), then
//! reviews and the number of everything else.

use anstyle::Style;
use ao_daemon::document::pull::{Details, check_name as name};
use ao_store::Timestamp;
use ao_store::observation::{
    Check, CheckStatus, Comment, CommentKind, Completeness, PrState, ReviewState, Thread,
};
use ao_store::row::pr::Pr;
use ao_store::row::scm::FactAge;

use super::{Page, Word, ago, count, plain, state, when};
use crate::invocation::{Invocation, quoted};
use crate::state_color;

/// The lines of a log that a page shows.
const LOG_LINES: usize = 8;

/// Writes the page.
pub(crate) fn write(page: &mut Page, details: &Details, invocation: &Invocation, now: Timestamp) {
    let pr = &details.pr;
    let title = if pr.title.is_empty() { "(its title was not read yet)" } else { &pr.title };
    page.title(&format!("{title}  {}", pr.place()));
    page.words(0, &summary(pr));
    page.gap();
    facts(page, details, now);
    checks(page, details, invocation);
    threads(page, details, now);
    reviews(page, details, now);
    conversation(page, details, now);
}

/// The state of a pull request in words.
pub(crate) fn summary(pr: &Pr) -> Vec<Word> {
    let mut words = vec![state("", pr.state.as_str()), state("CI", pr.ci.as_str())];
    words.push(state("review", pr.review_decision.as_str()));
    if !matches!(pr.state, PrState::Merged | PrState::Closed) {
        words.push(state("merge", pr.mergeability.as_str()));
    }
    if pr.is_in_merge_queue {
        words.push(plain("in the merge queue"));
    }
    if pr.is_auto_merge {
        words.push(plain("auto-merge"));
    }
    words
}

fn facts(page: &mut Page, details: &Details, now: Timestamp) {
    let pr = &details.pr;
    let bot = if pr.is_author_bot { " (bot)" } else { "" };
    page.field("author", &format!("{}{bot}", pr.author));
    let fork = if pr.is_cross_repo { format!("{}:", pr.head_repo) } else { String::new() };
    if !pr.head_ref.is_empty() {
        let base = if pr.base_ref.is_empty() { "" } else { &format!(" → {}", pr.base_ref) };
        page.field("branch", &format!("{fork}{}{base}", pr.head_ref));
    }
    if let (Some(added), Some(deleted)) = (pr.additions, pr.deletions) {
        let files = pr.changed_files.map_or(String::new(), |files| {
            format!(" in {}", count(usize::try_from(files).unwrap_or(0), "file"))
        });
        page.field("changes", &format!("+{added} -{deleted}{files}"));
    }
    page.field("session", pr.session.as_str());
    for (name, at) in
        [("opened", pr.provider_created_at), ("merged", pr.merged_at), ("closed", pr.closed_at)]
    {
        // A merge closes it, too.
        if name != "closed" || pr.merged_at.is_none() {
            page.field(name, &at.map_or(String::new(), |at| when(at, now)));
        }
    }
    if let Some((poll, age)) = &details.observed {
        page.field("facts", &age.as_ref().map_or(String::new(), |age| confirmed(age, now)));
        if !poll.problem.as_str().is_empty() {
            let since = poll.problem_since.map(|at| format!(" since {}", when(at, now)));
            page.field("problem", &format!("{}{}", poll.problem, since.unwrap_or_default()));
        }
    }
    page.address("url", &pr.url);
}

/// How old the facts are.
pub(crate) fn confirmed(age: &FactAge, now: Timestamp) -> String {
    match (age.confirmed_at, age.is_stale) {
        (Some(at), false) => format!("confirmed {}", ago(at, now)),
        (Some(at), true) => format!("stale: last confirmed {}", ago(at, now)),
        (None, false) => String::new(),
        (None, true) => "stale: never confirmed".to_owned(),
    }
}

fn checks(page: &mut Page, details: &Details, invocation: &Invocation) {
    let (all, failed) = (&details.facets.checks, details.failed());
    let incomplete = incomplete(details.pr.checks_state);
    if all.is_empty() && incomplete.is_empty() {
        return;
    }
    page.heading(&format!("Checks: {}{incomplete}", tally(all)));
    let bad = state_color::style("failed");
    for check in &failed {
        let required = if check.is_required == Some(true) { ", required" } else { "" };
        page.wrapped("  ", &format!("✗ {}{required}", name(check)), bad);
        page.link(4, &check.url);
        if let Some(log) = details.log(check) {
            let lines: Vec<_> = log.trim_end().lines().collect();
            page.log(4, &lines[lines.len().saturating_sub(LOG_LINES)..]);
        }
    }
    if failed.iter().any(|check| details.log(check).is_some()) {
        let command = format!("`ao-store pr log {}`", quoted(details.pr.place()));
        let hint = format!("more of the logs: {}", invocation.complete(&command));
        page.wrapped("  ", &hint, Style::new().dimmed());
    }
}

/// The number of checks of each status, the worst first.
fn tally(checks: &[Check]) -> String {
    let of = |status: &CheckStatus| checks.iter().filter(|check| check.status == *status).count();
    let mut statuses: Vec<_> = CheckStatus::ALL.to_vec();
    statuses.sort_by_key(|status| state_color::weight(status.as_str()));
    let counted = statuses.iter().map(|status| (of(status), status.as_str().replace('_', " ")));
    let parts: Vec<_> =
        counted.filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// What is said of a list that may not be everything.
fn incomplete(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Complete | Completeness::Unknown => "",
        Completeness::Partial => " (only a part was read)",
        Completeness::Failed => " (the last read failed)",
    }
}

fn threads(page: &mut Page, details: &Details, now: Timestamp) {
    let (all, incomplete) = (&details.facets.threads, incomplete(details.pr.threads_state));
    if all.is_empty() && incomplete.is_empty() {
        return;
    }
    let mut open: Vec<_> = all.iter().filter(|thread| !thread.is_resolved).collect();
    open.sort_by_key(|thread| (&thread.path, thread.line.or(thread.original_line)));
    let resolved = all.len() - open.len();
    page.heading(&format!("Threads: {} unresolved, {resolved} resolved{incomplete}", open.len()));
    for thread in open {
        let line = thread.line.or(thread.original_line).map(|line| format!(":{line}"));
        let outdated = if thread.is_outdated { "  (outdated)" } else { "" };
        let place = format!("{}{}{outdated}", thread.path, line.unwrap_or_default());
        page.wrapped("  ", &place, state_color::style("pending"));
        comments_of(page, thread, &details.facets.comments, now);
    }
}

fn comments_of(page: &mut Page, thread: &Thread, all: &[Comment], now: Timestamp) {
    let mut comments: Vec<_> = all.iter().filter(|it| it.thread_id == thread.id).collect();
    comments.sort_by_key(|comment| comment.created_at);
    for comment in &comments {
        let at = comment.created_at.map_or(String::new(), |at| format!(", {}", ago(at, now)));
        let who = author(&comment.author, comment.is_bot);
        page.wrapped("    ", &format!("{who}{at}"), Style::new().dimmed());
        page.body(6, &comment.body);
    }
    let total = usize::try_from(thread.comments_total.unwrap_or(0)).unwrap_or(0);
    if total > comments.len() {
        let stored = format!("{} of {} stored", comments.len(), count(total, "comment"));
        page.wrapped("    ", &stored, Style::new().dimmed());
    }
}

fn author(login: &str, is_bot: bool) -> String {
    let login = if login.is_empty() { "a deleted account" } else { login };
    if is_bot { format!("{login} (bot)") } else { login.to_owned() }
}

fn reviews(page: &mut Page, details: &Details, now: Timestamp) {
    let mut reviews: Vec<_> = details.facets.reviews.iter().collect();
    let incomplete = incomplete(details.pr.reviews_state);
    if reviews.is_empty() && incomplete.is_empty() {
        return;
    }
    reviews.sort_by_key(|review| review.submitted_at);
    page.heading(&format!("Reviews: {}{incomplete}", reviews.len()));
    for review in reviews {
        // A review without a text and a decision only carries the comments of threads.
        if review.state == ReviewState::Commented && review.body.trim().is_empty() {
            continue;
        }
        let mut words = vec![plain(author(&review.author, review.is_bot))];
        words.push(state("", review.state.as_str()));
        words.extend(review.submitted_at.map(|at| plain(ago(at, now))));
        page.words(2, &words);
        page.body(6, &review.body);
    }
}

fn conversation(page: &mut Page, details: &Details, now: Timestamp) {
    let is_of_pr = |comment: &&Comment| comment.kind != CommentKind::Review;
    let comments: Vec<_> = details.facets.comments.iter().filter(is_of_pr).collect();
    let incomplete = incomplete(details.pr.comments_state);
    let Some(latest) = comments.iter().max_by_key(|comment| comment.created_at) else { return };
    page.heading(&format!("Comments: {}{incomplete}", comments.len()));
    let at = latest.created_at.map_or(String::new(), |at| format!(", {}", ago(at, now)));
    let who = author(&latest.author, latest.is_bot);
    let which = if comments.len() > 1 { "the latest: " } else { "" };
    page.wrapped("  ", &format!("{which}{who}{at}"), Style::new().dimmed());
    page.body(6, &latest.body);
}
