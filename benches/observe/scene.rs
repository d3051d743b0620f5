//! A world in which things happen at times that a seed determines, and which of them were not observed
//! yet.
//!
//! Two scenes of one size and one plan are equal to the last id, so two ways of asking compare.

use std::collections::VecDeque;

use ao_fake_github::{CheckSpec, Conclusion, Response, ReviewState, Rng, StatusState, World};

/// The cycle that the existing observer is built for, and the interval of ours.
pub(crate) const CYCLE_MS: i64 = 30_000;

/// The way to the host and back.
pub(crate) const LATENCY_MS: u64 = 150;

/// What each object of a GraphQL answer takes on top: a heartbeat of 100 pull requests half a second.
const NODE_LATENCY_US: u64 = 1_000;

/// Checks and threads of each pull request at the beginning.
const CHECKS: usize = 6;
const THREADS: usize = 2;

/// Of so many pull requests one has a review that requests changes.
const REQUESTED: usize = 4;

/// What changes at a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Title,
    Push,
    Check(String),
    Comment,
    Thread(String),
}

impl Subject {
    /// The table that holds it.
    pub(crate) fn table(&self) -> &'static str {
        match self {
            Subject::Title | Subject::Push => "pr",
            Subject::Check(_) => "pr_check",
            Subject::Comment => "pr_comment",
            Subject::Thread(_) => "pr_review_thread",
        }
    }
}

/// A change that was not observed yet.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) subject: Subject,
    pub(crate) at: i64,
    /// What the row contains once it is observed.
    pub(crate) needle: String,
    /// Neither the time nor the roll-up of the pull request moved with it, so only reading its
    /// lists shows it: a thread that was resolved, a check that came and went or is one of several.
    pub(crate) is_hidden: bool,
    /// The roll-up before it.
    before: Option<StatusState>,
}

/// One pull request.
#[derive(Debug)]
pub(crate) struct PrScene {
    pub(crate) node: String,
    pub(crate) repo: String,
    pub(crate) number: u64,
    /// The key of its row.
    pub(crate) id: String,
    threads: Vec<(String, bool)>,
    running: Option<(String, String)>,
    pub(crate) pending: Vec<Pending>,
}

/// What is to happen.
#[derive(Debug)]
struct Planned {
    at: i64,
    pr: usize,
    roll: usize,
}

/// The world, its clock and its plan.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) prs: Vec<PrScene>,
    pub(crate) repos: usize,
    plan: VecDeque<Planned>,
    rng: Rng,
    running: VecDeque<usize>,
    serial: u64,
    pub(crate) made: u64,
}

/// How many repositories so many pull requests lie in.
pub(crate) fn repos(prs: usize) -> usize {
    (prs / 10).max(1)
}

impl Scene {
    pub(crate) fn new(prs: usize) -> Scene {
        Scene::with_threads(prs, THREADS)
    }

    /// A scene in which nothing is planned, with so many threads at each pull request.
    pub(crate) fn with_threads(prs: usize, threads: usize) -> Scene {
        let repos = repos(prs);
        let mut world = World::fleet(repos, prs, CHECKS, threads);
        world.options.latency_ms = LATENCY_MS;
        world.options.node_latency_us = NODE_LATENCY_US;
        for repo in world.repos() {
            world.protect(&repo, true, &[]);
        }
        let nodes = world.prs();
        for node in nodes.iter().step_by(REQUESTED) {
            world.review(node, "reviewer", ReviewState::ChangesRequested, "Not yet.");
        }
        let scene = |node: String| {
            let expected = world.expected(&node);
            PrScene {
                node,
                id: format!("github.com/{}#{}", expected.repo, expected.number),
                repo: expected.repo,
                number: expected.number,
                threads: expected.threads.into_keys().map(|id| (id, false)).collect(),
                running: None,
                pending: Vec::new(),
            }
        };
        let prs = nodes.into_iter().map(scene).collect();
        let (plan, running) = (VecDeque::new(), VecDeque::new());
        let rng = Rng::with_seed(4);
        Scene { world, prs, repos, plan, rng, running, serial: 0, made: 0 }
    }

    pub(crate) fn now(&self) -> i64 {
        self.world.now_ms()
    }

    /// Lets a share of the pull requests change in each of the next cycles, at any time within it.
    pub(crate) fn plan(&mut self, cycles: usize, share: f64) {
        let start = self.now();
        let (mut rng, mut owed) = (Rng::with_seed(9), 0.0);
        let mut all: Vec<usize> = (0..self.prs.len()).collect();
        let mut plan = Vec::new();
        for cycle in 0..cycles {
            owed += share * all.len() as f64;
            let count = owed as usize;
            owed -= count as f64;
            for slot in 0..count {
                let other = slot + rng.usize(..all.len() - slot);
                all.swap(slot, other);
                let at = start + CYCLE_MS * cycle as i64 + rng.i64(0..CYCLE_MS);
                plan.push(Planned { at, pr: all[slot], roll: rng.usize(..100) });
            }
        }
        plan.sort_by_key(|planned| planned.at);
        self.plan = plan.into();
    }

    /// When something happens next.
    pub(crate) fn next_change(&self) -> Option<i64> {
        self.plan.front().map(|planned| planned.at)
    }

    /// Sets the clock; what happens until then happens at its time.
    pub(crate) fn advance(&mut self, to: i64) {
        while self.next_change().is_some_and(|at| at <= to) {
            let Some(planned) = self.plan.pop_front() else { break };
            self.world.set_now_ms(planned.at);
            self.change(planned.pr, planned.roll);
        }
        self.world.set_now_ms(to);
    }

    /// What an answer took, in milliseconds of the virtual clock.
    pub(crate) fn latency(response: &Response) -> i64 {
        response.latency_ms as i64
    }

    fn change(&mut self, pr: usize, roll: usize) {
        self.made += 1;
        self.serial += 1;
        match roll {
            0..40 => self.check(pr),
            40..55 => self.flip(pr),
            55..75 => self.reply(pr),
            75..90 => self.push(pr),
            _ => {
                let title = format!("Title {} of a plan", self.serial);
                self.world.set_title(&self.prs[pr].node, &title);
                self.await_row(pr, Subject::Title, title, None);
            }
        }
    }

    /// Every other time a check that runs ends, one of four badly; else one begins.
    fn check(&mut self, pr: usize) {
        let ending = match &self.prs[pr].running {
            Some(_) => Some(pr),
            None if self.rng.bool() => self.running.front().copied(),
            None => None,
        };
        let pr = ending.unwrap_or(pr);
        let before = self.rollup(pr);
        let (name, word) = match self.prs[pr].running.take() {
            Some((run, name)) => {
                self.running.retain(|other| *other != pr);
                let is_bad = self.serial.is_multiple_of(4);
                let end = if is_bad { Conclusion::Failure } else { Conclusion::Success };
                self.world.check_finish(&run, end);
                (name, if is_bad { "failed" } else { "passed" })
            }
            None => {
                let name = format!("bench-{}", self.serial);
                let spec = CheckSpec::job("bench", &name);
                let run = self.world.check_start(&self.prs[pr].node, &spec);
                self.prs[pr].running = Some((run, name.clone()));
                self.running.push_back(pr);
                (name, "in_progress")
            }
        };
        self.await_row(pr, Subject::Check(name), format!("\"status\":\"{word}\""), before);
    }

    fn rollup(&self, pr: usize) -> Option<StatusState> {
        self.world.expected(&self.prs[pr].node).ci
    }

    /// A thread is resolved, or unresolved. Back and forth between two polls is no change.
    fn flip(&mut self, pr: usize) {
        let at = self.rng.usize(..THREADS);
        let (thread, is_resolved) = self.prs[pr].threads[at].clone();
        match is_resolved {
            true => self.world.thread_unresolve(&thread),
            false => self.world.thread_resolve(&thread, "octo-dev"),
        }
        self.prs[pr].threads[at].1 = !is_resolved;
        let subject = Subject::Thread(thread);
        let pending = &mut self.prs[pr].pending;
        if let Some(known) = pending.iter().position(|it| it.subject == subject) {
            pending.remove(known);
            return;
        }
        self.await_row(pr, subject, format!("\"is_resolved\":{}", !is_resolved), None);
    }

    fn reply(&mut self, pr: usize) {
        let at = self.rng.usize(..THREADS);
        let thread = self.prs[pr].threads[at].0.clone();
        let comment = self.world.thread_reply(&thread, "reviewer", "Think again.");
        let (subject, at) = (Subject::Comment, self.now());
        self.prs[pr].pending.push(Pending {
            subject,
            at,
            needle: comment,
            is_hidden: false,
            before: None,
        });
    }

    /// A new head has no checks, so those of the old one are no news any more.
    fn push(&mut self, pr: usize) {
        let head = self.world.push(&self.prs[pr].node);
        if self.prs[pr].running.take().is_some() {
            self.running.retain(|other| *other != pr);
        }
        self.prs[pr].pending.retain(|it| !matches!(it.subject, Subject::Check(_)));
        self.await_row(pr, Subject::Push, head, None);
    }

    /// Counts from the first change of a subject that nobody has seen.
    fn await_row(
        &mut self,
        pr: usize,
        subject: Subject,
        needle: String,
        before: Option<StatusState>,
    ) {
        let (at, rollup) = (self.now(), self.rollup(pr));
        let is_hidden = |before| match subject {
            Subject::Check(_) => before == rollup,
            Subject::Thread(_) => true,
            _ => false,
        };
        let pending = &mut self.prs[pr].pending;
        match pending.iter_mut().find(|it| it.subject == subject) {
            Some(known) => (known.needle, known.is_hidden) = (needle, is_hidden(known.before)),
            None => {
                let is_hidden = is_hidden(before);
                pending.push(Pending { subject, at, needle, is_hidden, before });
            }
        }
    }

    /// How many changes were not observed yet.
    pub(crate) fn unlearned(&self) -> usize {
        self.prs.iter().map(|pr| pr.pending.len()).sum()
    }

    /// Nobody waits for what happened so far.
    pub(crate) fn forget_pending(&mut self) {
        self.prs.iter_mut().for_each(|pr| pr.pending.clear());
    }
}
