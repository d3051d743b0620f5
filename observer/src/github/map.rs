//! From nodes to facts: pure functions, one a kind of node. A word that is not known becomes
//! `unknown`, an author that is gone the empty name; nothing here can fail.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ao_store::Timestamp;
use ao_store::observation::{
    Check, CheckKind, CheckStatus, Ci, Comment, CommentKind, Mergeable, PrFacts, PrState, Review,
    ReviewDecision, ReviewState, Thread,
};

use crate::github::mark::Mark;
use crate::github::node::{
    Actor, CommentNode, ContextNode, Counts, ListedPr, PartNode, PrNode, ReviewNode, Rollup, Suite,
};
use crate::github::query::Level;
use crate::words;

impl Actor {
    pub(crate) fn is_bot(&self) -> bool {
        self.kind == "Bot"
    }
}

fn login(actor: Option<&Actor>) -> String {
    actor.map(|actor| actor.login.clone()).unwrap_or_default()
}

fn is_bot(actor: Option<&Actor>) -> bool {
    actor.is_some_and(Actor::is_bot)
}

fn time(time: Option<crate::Time>) -> Option<Timestamp> {
    time.map(Timestamp::from)
}

/// SQL functions stop at a NUL character, so none may stand in what becomes part of a key.
fn key(text: Option<String>) -> String {
    text.unwrap_or_default().replace('\0', "\u{fffd}")
}

fn lower(text: Option<&String>) -> Option<String> {
    text.map(|text| text.to_ascii_lowercase())
}

impl PrNode {
    /// The roll-up of the head commit; `None` when the answer has none *of the head*: one of an
    /// older head says nothing about this one.
    fn rollup(&self) -> Option<Option<&Rollup>> {
        let head = self.head_ref_oid.as_deref().filter(|_| !self.are_checks_withheld)?;
        match &self.commits {
            None => match &self.rollup {
                // Counts without a roll-up: it is there, and was not answered.
                None => self.counts.is_none().then_some(None),
                Some(rollup) => {
                    let is_of_head = rollup.commit.as_ref().is_none_or(|commit| commit.oid == head);
                    is_of_head.then_some(Some(rollup))
                }
            },
            Some(commits) => {
                let nodes = commits.nodes.iter().flatten().flatten();
                let of_head = nodes.map(|node| &node.commit).find(|commit| commit.oid == head);
                of_head.map(|commit| commit.rollup.as_ref())
            }
        }
    }

    fn counts(&self) -> Option<&Counts> {
        let of_commit = || {
            let nodes = self.commits.as_ref()?.nodes.iter().flatten().flatten();
            let mut commits = nodes.map(|node| &node.commit);
            let head = self.head_ref_oid.as_deref()?;
            commits.find(|commit| commit.oid == head)?.counts.as_ref()
        };
        self.counts.as_ref().or_else(of_commit)
    }

    /// Merged wins over closed, closed over draft, draft over open.
    pub(crate) fn pr_state(&self) -> PrState {
        match (self.merged, self.state.as_str(), self.is_draft) {
            (true, _, _) | (_, "MERGED", _) => PrState::Merged,
            (_, "CLOSED", _) => PrState::Closed,
            (_, "OPEN", true) => PrState::Draft,
            (_, "OPEN", false) => PrState::Open,
            _ => PrState::Unknown,
        }
    }

    pub(crate) fn is_mergeable_unknown(&self) -> bool {
        self.mergeable.as_deref().is_none_or(|word| word == "UNKNOWN")
    }

    /// What a look of this level tells as facts. `is_waiting` is whether a workflow of the head
    /// waits and has no check run yet, which the roll-up leaves out.
    pub(crate) fn facts(&self, level: Level, is_waiting: bool) -> PrFacts {
        let mut facts = PrFacts {
            state: Some(self.pr_state()),
            head_ref: self.head_ref_name.clone(),
            head_sha: self.head_ref_oid.clone(),
            base_ref: self.base_ref_name.clone(),
            base_sha: self.base_ref_oid.clone(),
            ci: self.rollup().map(|rollup| ci(rollup, is_waiting)),
            review_decision: Some(decision(self.review_decision.as_deref())),
            mergeable: Some(mergeable(self.mergeable.as_deref())),
            merge_state: lower(self.merge_state_status.as_ref()),
            is_in_merge_queue: self.is_in_merge_queue,
            ..PrFacts::default()
        };
        if level == Level::Wide {
            facts.url.clone_from(&self.url);
            facts.title.clone_from(&self.title);
            facts.author = Some(login(self.author.as_ref()));
            facts.is_author_bot = Some(is_bot(self.author.as_ref()));
            facts.head_repo = self.head_repository.as_ref().map(|it| it.name_with_owner.clone());
            facts.is_cross_repo = self.is_cross_repository;
            facts.additions = self.additions;
            facts.deletions = self.deletions;
            facts.changed_files = self.changed_files;
            facts.is_auto_merge = Some(self.auto_merge_request.is_some());
            let is_merged = self.pr_state() == PrState::Merged;
            facts.merge_commit_sha =
                self.merge_commit.as_ref().filter(|_| is_merged).map(|it| it.oid.clone());
            facts.created_at = time(self.created_at);
            facts.merged_at = time(self.merged_at);
            facts.closed_at = time(self.closed_at);
        }
        facts
    }

    /// The mark of all that a slim look reads.
    pub(crate) fn slim_mark(&self) -> Mark {
        let place = (&self.repository, self.number, &self.head_ref_name, &self.base_ref_name);
        let state = (&self.state, self.is_draft, self.merged, self.closed, self.updated_at);
        let commits = (&self.head_ref_oid, &self.base_ref_oid, self.rollup());
        let merge = (&self.mergeable, &self.merge_state_status, self.is_in_merge_queue);
        Mark::of(&(place, state, commits, merge, &self.review_decision, self.total_comments_count))
    }

    /// The mark of what somebody did, which a slim look reads too: not the mergeability, which
    /// changes by itself with every push to the base.
    pub(crate) fn core_mark(&self) -> Mark {
        let place = (&self.repository, self.number, &self.head_ref_name, &self.base_ref_name);
        let state = (&self.state, self.is_draft, self.merged, self.closed, self.updated_at);
        let rest = (self.is_in_merge_queue, &self.review_decision, self.total_comments_count);
        Mark::of(&(place, state, &self.head_ref_oid, self.rollup(), rest))
    }

    /// The mark of the metadata that only a wide look reads.
    pub(crate) fn meta_mark(&self) -> Mark {
        let who = (&self.url, &self.title, &self.author, &self.head_repository);
        let size = (self.additions, self.deletions, self.changed_files, self.is_cross_repository);
        let times = (self.created_at, self.merged_at, self.closed_at);
        Mark::of(&(who, size, times, &self.merge_commit, self.auto_merge_request.is_some()))
    }

    /// The suites of workflows that have nothing else to show: they wait for a runner or for
    /// somebody's approval, and no check run tells it.
    pub(crate) fn waiting(&self) -> Vec<&Suite> {
        let Some(target) = self.head_ref.as_ref().and_then(|it| it.target.as_ref()) else {
            return Vec::new();
        };
        if self.head_ref_oid.as_deref() != Some(&target.oid) {
            return Vec::new();
        }
        let suites = target.check_suites.iter().flat_map(|page| page.nodes.iter().flatten());
        suites.flatten().filter(|suite| suite.workflow_run.is_some() && is_waiting(suite)).collect()
    }

    /// The mark of what a wide look tells of the checks: when it moves, they are read again.
    pub(crate) fn checks_mark(&self) -> Mark {
        let suites = self.head_ref.as_ref().and_then(|it| it.target.as_ref());
        let suites = suites.and_then(|target| target.check_suites.as_ref());
        let suites = suites.map(|page| (page.total_count, &page.nodes));
        Mark::of(&(&self.head_ref_oid, self.rollup(), self.counts(), suites))
    }

    /// The mark of what tells that somebody reviewed, commented or edited.
    pub(crate) fn talk_mark(&self) -> Mark {
        let reviews = self.reviews.as_ref().map(|it| it.total_count);
        Mark::of(&(self.updated_at, self.total_comments_count, reviews, &self.review_decision))
    }

    /// How many checks there are; `None` where the look does not tell.
    pub(crate) fn contexts_total(&self) -> Option<i64> {
        match (self.counts(), self.rollup()) {
            (Some(counts), _) => Some(counts.contexts.total_count),
            (None, Some(None)) => Some(0),
            (None, _) => None,
        }
    }
}

fn is_waiting(suite: &Suite) -> bool {
    let is_held = suite.conclusion.as_deref() == Some("ACTION_REQUIRED");
    let status = suite.status.as_deref().unwrap_or_default();
    is_held || matches!(status, "QUEUED" | "WAITING" | "REQUESTED" | "PENDING")
}

/// The suite of a workflow that waits, as a check of its own.
pub(crate) fn waiting_check(suite: &Suite, head_sha: &str) -> Check {
    let run = suite.workflow_run.as_ref();
    let workflow = key(run.and_then(|run| run.workflow.as_ref()).and_then(|it| it.name.clone()));
    let name = if workflow.is_empty() { "workflow".to_owned() } else { workflow.clone() };
    let conclusion = lower(suite.conclusion.as_ref()).unwrap_or_default();
    Check {
        head_sha: head_sha.to_owned(),
        kind: CheckKind::Workflow,
        app: key(suite.app.as_ref().and_then(|app| app.slug.clone())),
        workflow,
        event: key(run.and_then(|run| run.event.clone())),
        name,
        external_id: run.and_then(|run| run.id.clone()).unwrap_or_else(|| suite.id.clone()),
        status: CheckStatus::Queued,
        conclusion,
        url: run.and_then(|run| run.url.clone()).unwrap_or_default(),
        ..Check::default()
    }
}

/// The roll-up of GitHub itself, read apart from its contexts, counts what the page of the pull
/// request shows; what waits for approval is not in it.
fn ci(rollup: Option<&Rollup>, is_waiting: bool) -> Ci {
    let known = match rollup.map(|rollup| rollup.state.as_str()) {
        Some("SUCCESS") => Ci::Passing,
        Some("FAILURE" | "ERROR") => Ci::Failing,
        Some("PENDING" | "EXPECTED") => Ci::Pending,
        _ => Ci::Unknown,
    };
    if is_waiting && known != Ci::Failing { Ci::Pending } else { known }
}

fn decision(word: Option<&str>) -> ReviewDecision {
    match word {
        None => ReviewDecision::None,
        Some("APPROVED") => ReviewDecision::Approved,
        Some("CHANGES_REQUESTED") => ReviewDecision::ChangesRequested,
        Some("REVIEW_REQUIRED") => ReviewDecision::ReviewRequired,
        Some(_) => ReviewDecision::Unknown,
    }
}

fn mergeable(word: Option<&str>) -> Mergeable {
    match word {
        Some("MERGEABLE") => Mergeable::Mergeable,
        Some("CONFLICTING") => Mergeable::Conflicting,
        _ => Mergeable::Unknown,
    }
}

impl ListedPr {
    /// What a listing tells of a pull request that is not stored yet.
    pub(crate) fn facts(&self) -> PrFacts {
        PrFacts {
            url: self.url.clone(),
            title: self.title.clone(),
            author: Some(login(self.author.as_ref())),
            is_author_bot: Some(is_bot(self.author.as_ref())),
            state: Some(if self.is_draft { PrState::Draft } else { PrState::Open }),
            head_ref: self.head_ref_name.clone(),
            head_repo: self.head_repository.as_ref().map(|it| it.name_with_owner.clone()),
            head_sha: self.head_ref_oid.clone(),
            base_ref: self.base_ref_name.clone(),
            base_sha: self.base_ref_oid.clone(),
            is_cross_repo: self.is_cross_repository,
            created_at: time(self.created_at),
            ..PrFacts::default()
        }
    }
}

/// A check with what orders it among runs of the same name.
struct Ranked {
    check: Check,
    rank: (Option<Timestamp>, Option<i64>),
    job: Option<i64>,
}

/// Checks as they are to be stored, and the numeric job of each that GitHub Actions ran.
pub(crate) struct Checks {
    /// One check a name: of runs of the same name, workflow, event and app the newest.
    pub(crate) items: Vec<Check>,
    /// Node id of the check → the job whose log can be read.
    pub(crate) jobs: BTreeMap<String, i64>,
}

/// Contexts hold every run of a check; what counts is the newest of each name.
pub(crate) fn checks(nodes: Vec<ContextNode>, head_sha: &str) -> Checks {
    let mut ranked: Vec<_> = nodes.into_iter().filter_map(|node| rank(node, head_sha)).collect();
    ranked.sort_by_key(|ranked| Reverse(ranked.rank));
    let mut checks = Checks { items: Vec::new(), jobs: BTreeMap::new() };
    let mut seen = std::collections::BTreeSet::new();
    for Ranked { check, job, .. } in ranked {
        let identity = (
            check.kind.as_str(),
            check.app.clone(),
            check.workflow.clone(),
            check.event.clone(),
            check.name.clone(),
        );
        if seen.insert(identity) {
            checks.jobs.extend(job.map(|job| (check.external_id.clone(), job)));
            checks.items.push(check);
        }
    }
    checks
}

fn rank(node: ContextNode, head_sha: &str) -> Option<Ranked> {
    let (check, job) = match node.kind.as_str() {
        "CheckRun" => run(&node, head_sha),
        "StatusContext" => (status(&node, head_sha), None),
        _ => return None,
    };
    let at = check.started_at.or(check.completed_at);
    let ranked = Ranked { rank: (at, node.database_id), check, job };
    (!ranked.check.name.is_empty()).then_some(ranked)
}

fn run(node: &ContextNode, head_sha: &str) -> (Check, Option<i64>) {
    let suite = node.check_suite.as_ref();
    let workflow = suite.and_then(|suite| suite.workflow_run.as_ref());
    let app = key(suite.and_then(|suite| suite.app.as_ref()).and_then(|app| app.slug.clone()));
    let (status, conclusion) = (lower(node.status.as_ref()), lower(node.conclusion.as_ref()));
    // Only of GitHub Actions the id of a check is that of a job.
    let job = node.database_id.filter(|_| app == "github-actions");
    let check = Check {
        head_sha: head_sha.to_owned(),
        kind: CheckKind::Run,
        app,
        workflow: key(workflow.and_then(|it| it.workflow.as_ref()).and_then(|it| it.name.clone())),
        event: key(workflow.and_then(|it| it.event.clone())),
        name: key(node.name.clone()),
        external_id: node.id.clone().unwrap_or_default(),
        status: words::check_status(status.as_deref(), conclusion.as_deref()),
        conclusion: conclusion.unwrap_or_default(),
        is_required: node.is_required,
        url: node.url.clone().or_else(|| node.details_url.clone()).unwrap_or_default(),
        started_at: time(node.started_at),
        completed_at: time(node.completed_at),
        log_tail: None,
    };
    (check, job)
}

fn status(node: &ContextNode, head_sha: &str) -> Check {
    let state = lower(node.state.as_ref()).unwrap_or_default();
    let status = words::commit_status(&state);
    let is_pending = status == CheckStatus::InProgress;
    let at = time(node.created_at);
    Check {
        head_sha: head_sha.to_owned(),
        kind: CheckKind::Status,
        name: key(node.context.clone()),
        status,
        conclusion: state,
        is_required: node.is_required,
        url: node.target_url.clone().unwrap_or_default(),
        started_at: at.filter(|_| is_pending),
        completed_at: at.filter(|_| !is_pending),
        ..Check::default()
    }
}

/// A review; one without an id is none.
pub(crate) fn review(node: ReviewNode) -> Option<Review> {
    let state = match node.state.as_str() {
        "APPROVED" => ReviewState::Approved,
        "CHANGES_REQUESTED" => ReviewState::ChangesRequested,
        "COMMENTED" => ReviewState::Commented,
        "DISMISSED" => ReviewState::Dismissed,
        "PENDING" => ReviewState::Pending,
        _ => ReviewState::Unknown,
    };
    let review = Review {
        author: login(node.author.as_ref()),
        is_bot: is_bot(node.author.as_ref()),
        id: key(Some(node.id)),
        state,
        body: node.body.unwrap_or_default(),
        commit_sha: node.commit.map(|it| it.oid).unwrap_or_default(),
        url: node.url.unwrap_or_default(),
        submitted_at: time(node.submitted_at),
    };
    (!review.id.is_empty()).then_some(review)
}

/// A comment of the conversation, or of a thread when `thread` names one.
pub(crate) fn comment(node: CommentNode, thread: Option<&str>) -> Option<Comment> {
    let comment = Comment {
        author: login(node.author.as_ref()),
        is_bot: is_bot(node.author.as_ref()),
        id: key(Some(node.id)),
        kind: if thread.is_some() { CommentKind::Review } else { CommentKind::Issue },
        thread_id: thread.unwrap_or_default().to_owned(),
        reply_to: node.reply_to.map(|it| it.id).unwrap_or_default(),
        path: node.path.unwrap_or_default(),
        line: node.line.or(node.original_line),
        body: node.body.unwrap_or_default(),
        url: node.url.unwrap_or_default(),
        is_minimized: node.is_minimized,
        created_at: time(node.created_at),
        edited_at: time(node.last_edited_at),
    };
    (!comment.id.is_empty()).then_some(comment)
}

/// A thread with so many comments; whose they are is not known yet.
pub(crate) fn thread(id: &str, node: &PartNode, total: i64) -> Thread {
    Thread {
        id: id.to_owned(),
        path: node.path.clone().unwrap_or_default(),
        line: node.line,
        original_line: node.original_line,
        side: node.diff_side.clone().unwrap_or_default(),
        is_resolved: node.is_resolved,
        is_outdated: node.is_outdated,
        is_bot: false,
        resolved_by: node.resolved_by.as_ref().map(|it| it.login.clone()).unwrap_or_default(),
        comments_total: Some(total),
    }
}
